// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    DeliveryPrice,
    FundingIndex,
    IOracle,
    IndexSample,
    RiskRoot
} from "../src/interfaces/IOracle.sol";
import {InstrumentLib} from "../src/libraries/InstrumentLib.sol";
import {MarksLib} from "../src/libraries/MarksLib.sol";
import {ClearingTest} from "./ClearingTest.sol";

contract FixDeliveryPriceTest is ClearingTest {
    DeliveryPrice internal good = DeliveryPrice(1, EXPIRY, 100_000 * USD, EXPIRY + DAY);

    /// @dev An index of 100,000 was posted at both ends of the window.
    function setUp() public override {
        super.setUp();
        postIndex(EXPIRY - 30 minutes);
        postIndex(EXPIRY);
    }

    function postIndex(uint64 time) internal {
        vm.warp(time);
        IndexSample memory sample = IndexSample(1, time, 100_000 * USD, time);
        oracle.postIndex(sample, quorum(oracle.hashIndexSample(sample)));
    }

    function test_a_price_is_fixed_by_anyone_who_has_the_signatures(address caller, uint64 ticks)
        public
    {
        good.price = uint64(bound(ticks, 9_900_000, 10_100_000)) * 1e4;
        bytes[] memory signatures = quorum(oracle.hashDeliveryPrice(good));
        vm.expectEmit(address(oracle));
        emit IOracle.DeliveryPriceFixed(1, EXPIRY, good.price);
        vm.prank(caller);
        oracle.fixDeliveryPrice(good, signatures);
        assertEq(good.price, oracle.deliveryPrice(1, EXPIRY), "price");
    }

    /// @dev What a few signers could gain by a false price is bounded by what they posted before.
    function test_a_price_far_from_the_average_needs_every_signer(uint64 ticks) public {
        ticks = uint64(bound(ticks, 1, type(uint64).max / 1e4));
        vm.assume(ticks < 9_900_000 || ticks > 10_100_000);
        good.price = ticks * 1e4;
        refusedWith(IOracle.NotEnoughSignatures.selector);
        oracle.fixDeliveryPrice(good, unanimous(oracle.hashDeliveryPrice(good)));
        assertEq(good.price, oracle.deliveryPrice(1, EXPIRY), "price");
    }

    /// @dev No sample at all, none at the beginning of the window, or none at its end.
    function test_a_price_without_samples_needs_every_signer() public {
        good.underlying = 2;
        refusedWith(IOracle.NotEnoughSignatures.selector);
        good.underlying = 1;
        uint64[2] memory expiries = [EXPIRY + 45 minutes, EXPIRY + 11 minutes];
        for (uint256 i = 0; i < 2; i++) {
            good.expiry = expiries[i];
            vm.warp(good.expiry);
            refusedWith(IOracle.NotEnoughSignatures.selector);
        }
        good.expiry = EXPIRY + 10 minutes; // fresh to the second at both ends
        vm.warp(good.expiry);
        oracle.fixDeliveryPrice(good, quorum(oracle.hashDeliveryPrice(good)));
    }

    function test_a_price_is_fixed_once(uint64 ticks) public {
        fixPrice(1, EXPIRY, 100_000 * USD);
        good.price = uint64(bound(ticks, 1, type(uint64).max / 1e4)) * 1e4;
        refusedWith(IOracle.AlreadyFixed.selector);
    }

    function test_an_early_expiry_has_no_window(uint32 expiry) public {
        good.expiry = expiry % 30 minutes;
        refusedWith(IOracle.NotEnoughSignatures.selector);
    }

    function test_a_price_is_not_fixed_before_the_expiry(uint32 early) public {
        vm.warp(EXPIRY - bound(early, 1, DAY));
        refusedWith(IOracle.NotExpired.selector);
    }

    function test_a_late_post_is_refused(uint32 late) public {
        vm.warp(good.deadline + 1 + uint256(late));
        refusedWith(IOracle.DeadlinePassed.selector);
    }

    function test_zero_and_off_tick_prices_are_refused(uint64 price) public {
        vm.assume(price == 0 || price % 1e4 != 0);
        good.price = price;
        refusedWith(IOracle.PriceOffTick.selector);
    }

    function test_a_missing_price_reverts(uint32 underlying, uint64 expiry) public {
        vm.expectPartialRevert(IOracle.NotFixed.selector);
        oracle.deliveryPrice(underlying, expiry);
    }

    // ---- signatures

    function test_fewer_than_the_threshold_are_refused() public {
        refusedFor(one(11), IOracle.NotEnoughSignatures.selector);
    }

    function test_a_duplicate_signer_is_refused(uint8 who) public {
        uint256 key = 11 + who % 3;
        refusedFor(two(key, key), IOracle.SignersNotAscending.selector);
    }

    function test_unsorted_signers_are_refused() public {
        (uint256 low, uint256 high) = vm.addr(11) < vm.addr(12) ? (11, 12) : (12, 11);
        refusedFor(two(high, low), IOracle.SignersNotAscending.selector);
    }

    function test_a_stranger_is_refused(uint64 key) public {
        vm.assume(key != 0 && (key < 11 || key > 13));
        (uint256 low, uint256 high) =
            vm.addr(11) < vm.addr(key) ? (uint256(11), uint256(key)) : (uint256(key), uint256(11));
        refusedFor(two(low, high), IOracle.UnknownSigner.selector);
    }

    function test_a_broken_signature_is_refused() public {
        bytes[] memory signatures = quorum(oracle.hashDeliveryPrice(good));
        signatures[1] = new bytes(64);
        refusedFor(signatures, IOracle.InvalidSignature.selector);
    }

    function test_signatures_of_another_price_are_refused(uint64 ticks) public {
        bytes[] memory signatures = quorum(oracle.hashDeliveryPrice(good));
        good.price = uint64(bound(ticks, 1, type(uint64).max / 1e4)) * 1e4;
        vm.assume(good.price != 100_000 * USD);
        (bool done,) =
            address(oracle).call(abi.encodeCall(IOracle.fixDeliveryPrice, (good, signatures)));
        assertTrue(!done, "refused");
    }

    function test_signatures_of_another_chain_are_refused() public {
        bytes[] memory signatures = quorum(oracle.hashDeliveryPrice(good));
        vm.chainId(77);
        (bool done,) =
            address(oracle).call(abi.encodeCall(IOracle.fixDeliveryPrice, (good, signatures)));
        assertTrue(!done, "refused");
    }

    function refusedWith(bytes4 selector) internal {
        refusedFor(quorum(oracle.hashDeliveryPrice(good)), selector);
    }

    function refusedFor(bytes[] memory signatures, bytes4 selector) internal {
        vm.expectPartialRevert(selector);
        oracle.fixDeliveryPrice(good, signatures);
    }

    function one(uint256 key) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](1);
        signatures[0] = signatureOf(key, oracle.hashDeliveryPrice(good));
    }

    function two(uint256 a, uint256 b) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](2);
        signatures[0] = signatureOf(a, oracle.hashDeliveryPrice(good));
        signatures[1] = signatureOf(b, oracle.hashDeliveryPrice(good));
    }
}

contract PostRiskRootTest is ClearingTest {
    bytes internal marks = indexOnly();
    bytes32 internal marksRoot = marksRootOf(marks);

    function test_a_newer_root_replaces_the_last(uint64 epoch, uint32 age, bytes32 root) public {
        epoch = uint64(bound(epoch, 1, type(uint64).max));
        uint64 time = START - uint64(bound(age, 0, START - 1));
        RiskRoot memory risk = RiskRoot(epoch, time, root, marksRoot, START);
        bytes[] memory signatures = quorum(oracle.hashRiskRoot(risk));
        vm.expectEmit(address(oracle));
        emit IOracle.RiskRootPosted(epoch, time, root, marksRoot);
        vm.expectEmit(address(oracle));
        emit IOracle.MarksPosted(epoch, marks);
        oracle.postRiskRoot(risk, marks, signatures);
        (uint64 e, uint64 t, bytes32 r) = oracle.latestRiskRoot();
        assertEq(epoch, e, "epoch");
        assertEq(time, t, "time");
        assertEq(root, r, "root");
        (e, t, r) = oracle.latestMarks();
        assertEq(epoch, e, "epoch of the marks");
        assertEq(time, t, "time of the marks");
        assertEq(marksRoot, r, "root of the marks");
    }

    /// @dev A batch names an epoch, which need not be the latest when it settles.
    function test_marks_of_earlier_epochs_stay(uint64 other) public {
        post(risk_(3, START));
        marks = abi.encodePacked(marks, call, int64(5e6));
        marksRoot = marksRootOf(marks);
        vm.warp(START + 5);
        post(risk_(7, START + 5));
        (uint64 time, bytes32 root) = oracle.marksOf(3);
        assertEq(START, time, "time");
        assertEq(marksRootOf(indexOnly()), root, "root");
        (time, root) = oracle.marksOf(7);
        assertEq(START + 5, time, "later time");
        assertEq(marksRoot, root, "later root");
        vm.assume(other != 3 && other != 7);
        vm.expectRevert(abi.encodeWithSelector(IOracle.MarksNotPosted.selector, other));
        oracle.marksOf(other);
    }

    function test_an_epoch_is_posted_once(uint64 first, uint64 second) public {
        first = uint64(bound(first, 1, type(uint64).max));
        post(risk_(first, START));
        bytes memory error_ = abi.encodeWithSelector(IOracle.EpochPosted.selector, first);
        bytes[] memory signatures = quorum(oracle.hashRiskRoot(risk_(first, START)));
        vm.expectRevert(error_);
        oracle.postRiskRoot(risk_(first, START), marks, signatures);
        second = uint64(bound(second, 0, type(uint64).max));
        vm.assume(second != first);
        post(risk_(second, START));
        (uint64 epoch,,) = oracle.latestRiskRoot();
        assertEq(first > second ? first : second, epoch, "the latest is the highest");
    }

    /// @dev A reorganisation may bring a later epoch first; the batch before it still needs its
    /// own.
    function test_a_lower_epoch_adds_its_marks_and_changes_nothing_else() public {
        vm.warp(START + 10);
        post(risk_(9, START + 10));
        RiskRoot memory late = risk_(4, START + 11);
        refusedWith(late, IOracle.TimeFell.selector);
        late.time = START + 5;
        late.root = "another";
        post(late);
        (uint64 time, bytes32 root) = oracle.marksOf(4);
        assertEq(START + 5, time, "time");
        assertEq(marksRoot, root, "marks");
        (uint64 epoch, uint64 latest, bytes32 rows) = oracle.latestRiskRoot();
        assertEq(9, epoch, "epoch");
        assertEq(START + 10, latest, "time of the latest");
        assertEq(bytes32("root"), rows, "rows");
    }

    function test_time_never_falls_nor_leads_the_block() public {
        refusedWith(risk_(1, 0), IOracle.TimeFell.selector);
        post(risk_(1, START));
        refusedWith(risk_(2, START - 1), IOracle.TimeFell.selector);
        refusedWith(risk_(2, START + 61), IOracle.TimeTooLate.selector);
        post(risk_(2, START + 60));
    }

    function test_a_late_post_is_refused() public {
        RiskRoot memory risk = risk_(1, START);
        risk.deadline = START - 1;
        refusedWith(risk, IOracle.DeadlinePassed.selector);
    }

    function test_too_few_signatures_are_refused() public {
        vm.expectPartialRevert(IOracle.NotEnoughSignatures.selector);
        oracle.postRiskRoot(risk_(1, START), marks, new bytes[](0));
    }

    // ---- marks

    function test_other_marks_than_the_signed_ones_are_refused(int64 price) public {
        vm.assume(price != 100_000e6);
        marks = abi.encodePacked(MarksLib.indexId(1), price);
        refusedWith(risk_(1, START), IOracle.WrongMarksRoot.selector);
    }

    function test_the_root_over_any_number_of_marks_is_that_of_the_twin(uint8 count) public {
        for (uint64 i = 0; i < count % 70; i++) {
            marks = abi.encodePacked(marks, call + i, int64(i * 1e4) - 5e4);
        }
        marksRoot = marksRootOf(marks);
        post(risk_(1, START));
    }

    function test_marks_ascend_and_are_whole() public {
        bytes[4] memory wrong = [
            bytes(""),
            abi.encodePacked(marks, uint64(1)),
            abi.encodePacked(marks, marks),
            abi.encodePacked(call, int64(1), marks)
        ];
        for (uint256 i = 0; i < wrong.length; i++) {
            marks = wrong[i];
            refusedWith(risk_(1, START), MarksLib.MarksMalformed.selector);
        }
    }

    function risk_(uint64 epoch, uint64 time) internal view returns (RiskRoot memory) {
        return RiskRoot(epoch, time, "root", marksRoot, START + DAY);
    }

    function post(RiskRoot memory risk) internal {
        oracle.postRiskRoot(risk, marks, quorum(oracle.hashRiskRoot(risk)));
    }

    function refusedWith(RiskRoot memory risk, bytes4 selector) internal {
        bytes[] memory signatures = quorum(oracle.hashRiskRoot(risk));
        vm.expectRevert(selector);
        oracle.postRiskRoot(risk, marks, signatures);
    }
}

contract PostFundingTest is ClearingTest {
    int64 internal constant PER_SECOND = 100_000;

    function test_indices_are_posted_one_after_the_other_by_anyone(address caller, int32 quanta)
        public
    {
        int64 index = int64(quanta % 1e7) * 1e4;
        FundingIndex memory first = FundingIndex(perpetual, 1, START, index);
        bytes[] memory signatures = quorum(oracle.hashFundingIndex(first));
        vm.expectEmit(address(oracle));
        emit IOracle.FundingPosted(perpetual, 1, START, index);
        vm.prank(caller);
        oracle.postFunding(first, signatures);
        assertEq(index, oracle.fundingIndex(perpetual, 1), "index");
        refusedWith(first, IOracle.OrdinalNotNext.selector);
        refusedWith(FundingIndex(perpetual, 3, START, index), IOracle.OrdinalNotNext.selector);
        refusedWith(FundingIndex(perpetual, 0, START, index), IOracle.OrdinalNotNext.selector);
        post(FundingIndex(perpetual, 2, START, index));
        vm.expectPartialRevert(IOracle.FundingNotPosted.selector);
        oracle.fundingIndex(perpetual, 3);
    }

    function test_an_index_moves_no_faster_than_the_cap(uint32 elapsed, bool down) public {
        elapsed = uint32(bound(elapsed, 0, DAY));
        post(FundingIndex(perpetual, 1, START, 0));
        vm.warp(START + elapsed);
        int64 most = PER_SECOND * (int64(uint64(elapsed)) + 1);
        int64 over = most + 1e4;
        refusedWith(
            FundingIndex(perpetual, 2, START + elapsed, down ? -over : over),
            IOracle.FundingTooFast.selector
        );
        post(FundingIndex(perpetual, 2, START + elapsed, down ? -most : most));
    }

    function test_the_first_index_is_capped_too() public {
        int64 most = PER_SECOND * (30 * int64(DAY) + 1);
        refusedWith(FundingIndex(perpetual, 1, START, most + 1e4), IOracle.FundingTooFast.selector);
        post(FundingIndex(perpetual, 1, START, most));
    }

    function test_time_never_falls_nor_leads_the_block() public {
        refusedWith(FundingIndex(perpetual, 1, 0, 0), IOracle.TimeFell.selector);
        post(FundingIndex(perpetual, 1, START, 0));
        refusedWith(FundingIndex(perpetual, 2, START - 1, 0), IOracle.TimeFell.selector);
        refusedWith(FundingIndex(perpetual, 2, START + 61, 0), IOracle.TimeTooLate.selector);
    }

    function test_an_index_is_whole_quanta_of_a_perpetual(uint16 units) public {
        vm.assume(units % 1e4 != 0);
        refusedWith(
            FundingIndex(perpetual, 1, START, int64(uint64(units))), IOracle.PriceOffTick.selector
        );
        refusedWith(FundingIndex(future, 1, START, 0), IOracle.NotPerpetual.selector);
        refusedWith(FundingIndex(7, 1, START, 0), InstrumentLib.UnsupportedInstrument.selector);
    }

    function test_too_few_and_foreign_signatures_are_refused() public {
        FundingIndex memory first = FundingIndex(perpetual, 1, START, 0);
        vm.expectPartialRevert(IOracle.NotEnoughSignatures.selector);
        oracle.postFunding(first, new bytes[](0));
        bytes[] memory signatures = quorum(oracle.hashFundingIndex(first));
        first.index = 1e4;
        vm.prank(relayer);
        try oracle.postFunding(first, signatures) {
            revert("posted");
        } catch {}
    }

    function post(FundingIndex memory next) internal {
        oracle.postFunding(next, quorum(oracle.hashFundingIndex(next)));
    }

    function refusedWith(FundingIndex memory next, bytes4 selector) internal {
        bytes[] memory signatures = quorum(oracle.hashFundingIndex(next));
        vm.expectPartialRevert(selector);
        oracle.postFunding(next, signatures);
    }
}

contract PostFundingsTest is ClearingTest {
    function test_several_are_posted_at_once_in_their_order(uint8 count) public {
        count = uint8(bound(count, 1, 20));
        (FundingIndex[] memory fundings, bytes[][] memory signatures) = indices(count);
        oracle.postFundings(fundings, signatures);
        for (uint64 ordinal = 1; ordinal <= count; ordinal++) {
            assertEq(int64(ordinal) * 1e4, oracle.fundingIndex(perpetual, ordinal), "index");
        }
    }

    function test_those_that_somebody_posted_before_are_passed_over(uint8 before) public {
        (FundingIndex[] memory fundings, bytes[][] memory signatures) = indices(5);
        before = uint8(bound(before, 0, 5));
        for (uint256 i = 0; i < before; i++) {
            oracle.postFunding(fundings[i], signatures[i]);
        }
        oracle.postFundings(fundings, signatures);
        assertEq(5e4, oracle.fundingIndex(perpetual, 5), "the last");
        oracle.postFundings(fundings, signatures);
    }

    function test_all_or_none() public {
        (FundingIndex[] memory fundings, bytes[][] memory signatures) = indices(3);
        fundings[1].index += 1e4;
        vm.expectPartialRevert(IOracle.UnknownSigner.selector);
        oracle.postFundings(fundings, signatures);
        vm.expectPartialRevert(IOracle.FundingNotPosted.selector);
        oracle.fundingIndex(perpetual, 1);
    }

    function test_an_index_that_is_there_never_changes() public {
        (FundingIndex[] memory fundings, bytes[][] memory signatures) = indices(1);
        oracle.postFundings(fundings, signatures);
        fundings[0].index += 1e4;
        signatures[0] = quorum(oracle.hashFundingIndex(fundings[0]));
        vm.expectRevert(IOracle.OrdinalNotNext.selector);
        oracle.postFundings(fundings, signatures);
    }

    function test_each_needs_its_signatures() public {
        (FundingIndex[] memory fundings, bytes[][] memory signatures) = indices(2);
        signatures[1] = new bytes[](0);
        vm.expectPartialRevert(IOracle.NotEnoughSignatures.selector);
        oracle.postFundings(fundings, signatures);
        vm.expectPartialRevert(IOracle.NotEnoughSignatures.selector);
        oracle.postFundings(fundings, new bytes[][](1));
    }

    /// @dev The first `count` indices of the perpetual, a quantum each.
    function indices(uint64 count)
        internal
        view
        returns (FundingIndex[] memory fundings, bytes[][] memory signatures)
    {
        fundings = new FundingIndex[](count);
        signatures = new bytes[][](count);
        for (uint64 i = 0; i < count; i++) {
            fundings[i] = FundingIndex(perpetual, i + 1, START, int64(i + 1) * 1e4);
            signatures[i] = quorum(oracle.hashFundingIndex(fundings[i]));
        }
    }
}
