// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOracle, IndexSample, RiskRoot} from "../src/interfaces/IOracle.sol";
import {MarksLib} from "../src/libraries/MarksLib.sol";
import {SamplesLib} from "../src/libraries/SamplesLib.sol";
import {ClearingTest} from "./ClearingTest.sol";

contract PostIndexTest is ClearingTest {
    uint64 internal constant PRICE = 100_000 * USD;

    function test_a_sample_is_posted_by_anyone_who_has_the_signatures(
        address caller,
        uint32 underlying,
        uint64 price
    ) public {
        vm.assume(price != 0);
        IndexSample memory sample = IndexSample(underlying, START, price, START);
        bytes[] memory signatures = quorum(oracle.hashIndexSample(sample));
        vm.expectEmit(address(oracle));
        emit IOracle.IndexPosted(underlying, START, price);
        vm.prank(caller);
        oracle.postIndex(sample, signatures);
        (uint64 found, uint64 time) = oracle.indexPrice(underlying);
        assertEq(price, found, "price");
        assertEq(START, time, "time");
    }

    // ---- staleness

    function test_a_stale_index_is_refused_to_readers(uint32 late) public {
        vm.expectRevert(abi.encodeWithSelector(IOracle.StaleIndex.selector, 1, 0));
        oracle.indexPrice(1);
        post(START, PRICE);
        vm.warp(START + oracle.INDEX_MAX_AGE());
        oracle.indexPrice(1);
        vm.warp(START + oracle.INDEX_MAX_AGE() + 1 + late);
        vm.expectRevert(abi.encodeWithSelector(IOracle.StaleIndex.selector, 1, START));
        oracle.indexPrice(1);
        (uint64 price, uint64 time) = oracle.latestIndex(1);
        assertEq(PRICE, price, "it can be seen");
        assertEq(START, time, "and how old it is");
    }

    // ---- time

    function test_time_rises_and_never_leads_the_block(uint32 early) public {
        post(START, PRICE);
        refused(quorum_(1, START - bound(early, 0, START), PRICE), IOracle.TimeFell.selector);
        refused(quorum_(1, START + 61, PRICE), IOracle.TimeTooLate.selector);
        post(START + 60, PRICE);
    }

    function test_a_late_post_is_refused(uint32 late) public {
        vm.warp(START + DAY + 1 + uint256(late));
        refused(quorum_(1, START, PRICE), IOracle.DeadlinePassed.selector);
    }

    /// @dev A sample cannot be brought again, not even by its signers.
    function test_a_replayed_post_is_refused() public {
        Post memory again = quorum_(1, START, PRICE);
        oracle.postIndex(again.sample, again.signatures);
        refused(again, IOracle.TimeFell.selector);
    }

    // ---- guards

    /// @dev 10 % at once, and as much again each minute, up to a half.
    function test_an_index_moves_no_farther_than_its_time_lets_it(uint16 elapsed, bool down)
        public
    {
        post(START, PRICE);
        vm.warp(START + 1 + elapsed);
        uint256 rate = 1e17 + (1 + uint256(elapsed)) * (1e17 / uint256(60));
        if (rate > 5e17) rate = 5e17;
        uint64 most = uint64(PRICE * rate / 1e18);
        uint64 time = START + 1 + elapsed;
        refused(
            quorum_(1, time, down ? PRICE - most - 1 : PRICE + most + 1),
            IOracle.NotEnoughSignatures.selector
        );
        post(time, down ? PRICE - most : PRICE + most);
    }

    function test_a_jump_needs_every_signer(uint64 price) public {
        vm.assume(price != 0);
        post(START, PRICE);
        vm.warp(START + 1);
        IndexSample memory sample = IndexSample(1, START + 1, price, START + DAY);
        oracle.postIndex(sample, unanimous(oracle.hashIndexSample(sample)));
        (uint64 found,) = oracle.indexPrice(1);
        assertEq(price, found, "price");
    }

    function test_a_price_of_nothing_is_refused() public {
        refused(quorum_(1, START, 0), IOracle.ZeroPrice.selector);
    }

    function test_underlyings_do_not_mix() public {
        post(START, PRICE);
        Post memory other = quorum_(2, START, 3_000 * USD);
        oracle.postIndex(other.sample, other.signatures);
        (uint64 price,) = oracle.indexPrice(1);
        assertEq(PRICE, price, "the first");
    }

    // ---- attacks on signatures

    function test_signatures_of_another_chain_or_contract_are_refused() public {
        Post memory signed_ = quorum_(1, START, PRICE);
        vm.chainId(77);
        (bool done,) = address(oracle)
            .call(abi.encodeCall(IOracle.postIndex, (signed_.sample, signed_.signatures)));
        assertTrue(!done, "another chain");
    }

    function test_the_other_half_of_the_curve_is_refused() public {
        Post memory signed_ = quorum_(1, START, PRICE);
        signed_.signatures[1] = mirrored(signed_.signatures[1]);
        refused(signed_, IOracle.InvalidSignature.selector);
    }

    function test_one_signer_twice_is_refused() public {
        Post memory signed_ = quorum_(1, START, PRICE);
        signed_.signatures[1] = signed_.signatures[0];
        refused(signed_, IOracle.SignersNotAscending.selector);
    }

    /// @dev The same signature with s mirrored: valid to plain ecrecover.
    function mirrored(bytes memory signature) internal pure returns (bytes memory) {
        bytes32 r = word(signature, 0);
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        uint256 s = order - uint256(word(signature, 32));
        uint8 v = uint8(signature[64]) == 27 ? 28 : 27;
        return abi.encodePacked(r, s, v);
    }

    // ---- indices of epochs

    function test_the_indices_of_an_epoch_are_samples() public {
        post(START, PRICE);
        vm.warp(START + 30);
        postEpoch("rows", abi.encodePacked(MarksLib.indexId(1), int64(101_000e6), call, int64(1e6)));
        (uint64 price, uint64 time) = oracle.indexPrice(1);
        assertEq(101_000 * USD, price, "price");
        assertEq(START + 30, time, "time");
        vm.expectRevert(abi.encodeWithSelector(IOracle.StaleIndex.selector, 2, 0));
        oracle.indexPrice(2);
    }

    function test_an_epoch_whose_index_jumps_needs_every_signer() public {
        post(START, PRICE);
        vm.warp(START + 1);
        bytes memory marks = abi.encodePacked(MarksLib.indexId(1), int64(120_000e6));
        RiskRoot memory risk = RiskRoot(1, START + 1, "rows", marksRootOf(marks), START + 1);
        bytes[] memory signatures = quorum(oracle.hashRiskRoot(risk));
        vm.expectRevert(abi.encodeWithSelector(IOracle.NotEnoughSignatures.selector, 3));
        oracle.postRiskRoot(risk, marks, signatures);
        oracle.postRiskRoot(risk, marks, unanimous(oracle.hashRiskRoot(risk)));
    }

    /// @dev An epoch that comes late is judged by the sample it is nearest to, and adds none.
    function test_an_older_epoch_adds_no_sample() public {
        vm.warp(START + 60);
        post(START + 60, PRICE);
        bytes memory marks = abi.encodePacked(MarksLib.indexId(1), int64(119_000e6));
        RiskRoot memory risk = RiskRoot(1, START, "rows", marksRootOf(marks), START + DAY);
        oracle.postRiskRoot(risk, marks, quorum(oracle.hashRiskRoot(risk)));
        (uint64 price,) = oracle.indexPrice(1);
        assertEq(PRICE, price, "the newest stays");
    }

    function test_an_index_of_an_epoch_is_above_zero(int64 price) public {
        if (price > 0) price = -price;
        bytes memory marks = abi.encodePacked(MarksLib.indexId(1), price);
        RiskRoot memory risk = RiskRoot(1, START, "rows", marksRootOf(marks), START);
        bytes[] memory signatures = quorum(oracle.hashRiskRoot(risk));
        vm.expectRevert(IOracle.ZeroPrice.selector);
        oracle.postRiskRoot(risk, marks, signatures);
    }

    // ---- averages

    /// @dev Against a sum taken second by second.
    function test_an_average_is_that_of_every_second(uint256 seed, uint16 from, uint16 span)
        public
    {
        uint64[10] memory times;
        uint64[10] memory prices;
        uint64 time = START;
        for (uint256 i = 0; i < 10; i++) {
            (times[i], prices[i]) = (time, PRICE + uint64((seed >> (16 * i)) & 0xffff) * 1e4);
            vm.warp(time);
            post(time, prices[i]);
            time += 1 + uint64((seed >> (20 * i)) % 60);
        }
        uint64 start = START + uint64(from % (time - START));
        uint64 end = start + 1 + uint64(span % 500);
        uint256 sum;
        uint256 known;
        for (uint64 second = start; second < end; second++) {
            while (known < 9 && times[known + 1] <= second) known++;
            sum += prices[known];
        }
        assertEq(sum / (end - start), oracle.twap(1, start, end), "average");
    }

    function test_an_average_needs_a_sample_before_it_and_a_window() public {
        post(START, PRICE);
        vm.expectRevert(abi.encodeWithSelector(SamplesLib.NoSample.selector, START - 1));
        oracle.twap(1, START - 1, START + 5);
        vm.expectRevert(IOracle.EmptyWindow.selector);
        oracle.twap(1, START + 5, START + 5);
        assertEq(PRICE, oracle.twap(1, START, START + 1), "it holds on");
    }

    // ---- words

    struct Post {
        IndexSample sample;
        bytes[] signatures;
    }

    function quorum_(uint32 underlying, uint256 time, uint64 price)
        internal
        view
        returns (Post memory)
    {
        IndexSample memory sample = IndexSample(underlying, uint64(time), price, START + DAY);
        return Post(sample, quorum(oracle.hashIndexSample(sample)));
    }

    function post(uint64 time, uint64 price) internal {
        Post memory signed_ = quorum_(1, time, price);
        oracle.postIndex(signed_.sample, signed_.signatures);
    }

    function refused(Post memory post_, bytes4 selector) internal {
        vm.expectPartialRevert(selector);
        oracle.postIndex(post_.sample, post_.signatures);
    }
}
