// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {Oracle} from "../src/Oracle.sol";
import {IOracle, IndexSample} from "../src/interfaces/IOracle.sol";
import {ClearingTest} from "./ClearingTest.sol";

contract OracleSignersTest is ClearingTest {
    function test_a_threshold_is_more_than_half_and_can_be_reached(uint8 count, uint8 threshold)
        public
    {
        count = count % 40;
        address[] memory list = new address[](count);
        for (uint160 i = 0; i < count; i++) {
            list[i] = address(i + 1);
        }
        bool sound = threshold <= count && 2 * uint256(threshold) > count && count <= 32;
        if (!sound) vm.expectRevert(IOracle.InvalidSignerSet.selector);
        Oracle made = new Oracle(address(manager), list, threshold);
        if (!sound) return;
        assertEq(uint256(threshold), made.threshold(), "threshold");
        assertEq(uint256(count), made.signers().length, "signers");
    }

    function test_unsorted_double_and_zero_signers_are_refused(address first, address second)
        public
    {
        address[] memory list = new address[](2);
        (list[0], list[1]) = (first, second);
        if (first == address(0) || second <= first) {
            vm.expectRevert(IOracle.InvalidSignerSet.selector);
        }
        new Oracle(address(manager), list, 2);
    }

    // ---- rotation

    function test_a_proposed_set_comes_into_force_after_the_delay(uint32 late) public {
        uint256 from = START + oracle.ROTATION_DELAY();
        vm.expectEmit(address(oracle));
        emit IOracle.SignersProposed(others(), 2, from);
        oracle.proposeSigners(others(), 2);
        (address[] memory list, uint256 threshold, uint256 acceptableAt) = oracle.proposal();
        assertEq(3, list.length, "proposed");
        assertEq(2, threshold, "threshold");
        assertEq(from, acceptableAt, "from when on");
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IOracle.TooEarly.selector, from));
        oracle.acceptSigners();
        assertTrue(posts(11, 12), "the old set signs meanwhile");

        vm.warp(from + bound(late, 0, oracle.ACCEPTANCE_WINDOW()));
        vm.expectEmit(address(oracle));
        emit IOracle.SignersSet(others(), 2);
        oracle.acceptSigners();
        assertTrue(posts(14, 15), "the new set signs");
        assertTrue(!posts(11, 12), "the old one no longer");
        assertTrue(!posts(11, 14), "nor with one of the new");
        vm.expectRevert(IOracle.NothingProposed.selector);
        oracle.acceptSigners();
    }

    /// @dev Whoever stays stays; who leaves is out.
    function test_a_signer_of_both_sets_stays() public {
        address[] memory list = new address[](3);
        (list[0], list[1], list[2]) = (vm.addr(11), vm.addr(14), vm.addr(15));
        oracle.proposeSigners(sorted(list), 3);
        vm.warp(START + oracle.ROTATION_DELAY());
        oracle.acceptSigners();
        assertTrue(oracle.isSigner(vm.addr(11)), "stays");
        assertTrue(!oracle.isSigner(vm.addr(12)), "left");
        assertTrue(!posts(11, 14), "the new threshold is three");
    }

    function test_a_proposal_lapses() public {
        oracle.proposeSigners(others(), 2);
        vm.warp(START + oracle.ROTATION_DELAY() + oracle.ACCEPTANCE_WINDOW() + 1);
        vm.expectRevert(IOracle.ProposalLapsed.selector);
        oracle.acceptSigners();
    }

    function test_a_proposal_can_be_canceled_and_replaced() public {
        oracle.proposeSigners(others(), 2);
        vm.expectEmit(address(oracle));
        emit IOracle.ProposalCanceled();
        oracle.cancelProposal();
        vm.expectRevert(IOracle.NothingProposed.selector);
        oracle.cancelProposal();
        vm.warp(START + oracle.ROTATION_DELAY());
        vm.expectRevert(IOracle.NothingProposed.selector);
        oracle.acceptSigners();

        oracle.proposeSigners(others(), 2);
        vm.warp(block.timestamp + 1 days);
        oracle.proposeSigners(others(), 3);
        vm.warp(START + 2 * oracle.ROTATION_DELAY());
        vm.expectPartialRevert(IOracle.TooEarly.selector);
        oracle.acceptSigners(); // the delay began anew
    }

    function test_an_unsound_set_cannot_be_proposed() public {
        vm.expectRevert(IOracle.InvalidSignerSet.selector);
        oracle.proposeSigners(others(), 1);
        vm.expectRevert(IOracle.InvalidSignerSet.selector);
        oracle.proposeSigners(new address[](0), 0);
    }

    /// @dev Signers cannot replace themselves, nor anybody else them.
    function test_only_governance_rotates(address caller) public {
        vm.assume(caller != address(this));
        bytes[3] memory calls = [
            abi.encodeCall(IOracle.proposeSigners, (others(), 2)),
            abi.encodeCall(IOracle.acceptSigners, ()),
            abi.encodeCall(IOracle.cancelProposal, ())
        ];
        for (uint256 i = 0; i < calls.length; i++) {
            vm.prank(caller);
            (bool done, bytes memory why) = address(oracle).call(calls[i]);
            assertTrue(!done, "refused");
            assertEq(
                bytes32(IAccessManaged.AccessManagedUnauthorized.selector),
                bytes32(bytes4(why)),
                "why"
            );
        }
    }

    function others() internal pure returns (address[] memory list) {
        list = new address[](3);
        (list[0], list[1], list[2]) = (vm.addr(14), vm.addr(15), vm.addr(16));
        return sorted(list);
    }

    /// @return done whether an index that these two signed is taken
    function posts(uint256 a, uint256 b) internal returns (bool done) {
        uint64 now_ = uint64(block.timestamp);
        (, uint64 last) = oracle.latestIndex(9);
        IndexSample memory sample =
            IndexSample(9, last >= now_ ? last + 1 : now_, 1_000 * USD, now_ + DAY);
        bytes32 digest = oracle.hashIndexSample(sample);
        if (vm.addr(a) > vm.addr(b)) (a, b) = (b, a);
        bytes[] memory signatures = new bytes[](2);
        (signatures[0], signatures[1]) = (signatureOf(a, digest), signatureOf(b, digest));
        (done,) = address(oracle).call(abi.encodeCall(IOracle.postIndex, (sample, signatures)));
    }
}
