// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

contract RaiseNonceFloorTest is ClearingTest {
    function test_only_the_owner_raises(address caller) public {
        vm.assume(caller != aliceAddress);
        vm.prank(caller);
        vm.expectRevert(IClearingBase.NotOwner.selector);
        clearing.raiseNonceFloor(alice, 1);
    }

    function test_the_old_floor_holds_until_the_delay_is_over(uint64 floor) public {
        vm.assume(floor != 0);
        vm.expectEmit(address(clearing));
        emit IClearingBase.NonceFloorRaised(alice, floor, START + DAY);
        raise(floor);
        (uint64 current, uint64 next, uint64 effectiveAt) = clearing.nonceFloor(alice);
        assertEq(0, current, "current");
        assertEq(floor, next, "next");
        assertEq(START + DAY, effectiveAt, "effectiveAt");
    }

    function test_a_floor_never_falls(uint64 first, uint64 second, uint32 wait) public {
        vm.assume(first != 0);
        raise(first);
        vm.warp(START + wait);
        second = uint64(bound(second, 0, first));
        vm.prank(aliceAddress);
        vm.expectRevert(IClearingBase.FloorNotRaised.selector);
        clearing.raiseNonceFloor(alice, second);
    }

    function test_a_second_raise_restarts_the_delay() public {
        raise(10);
        vm.warp(START + DAY / 2);
        raise(20);
        (uint64 current, uint64 next, uint64 effectiveAt) = clearing.nonceFloor(alice);
        assertEq(0, current, "current");
        assertEq(20, next, "next");
        assertEq(START + DAY + DAY / 2, effectiveAt, "effectiveAt");
    }

    function test_a_nonce_below_the_floor_fills_only_before_it_took_effect() public {
        vm.warp(START + 1);
        raise(10);
        vm.warp(START + DAY + 1);
        settle(tradeAt(8, uint32(START + DAY)));
        refused(tradeAt(9, uint32(START + DAY + 1)), IClearingBase.NonceBelowFloor.selector);
        settle(tradeAt(10, uint32(START + DAY + 1)));
    }

    function test_a_withdrawal_below_the_floor_is_refused() public {
        raise(10);
        vm.warp(START + DAY);
        refused(
            withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 9)),
            IClearingBase.NonceBelowFloor.selector
        );
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 10)));
    }

    function raise(uint64 floor) internal {
        vm.prank(aliceAddress);
        clearing.raiseNonceFloor(alice, floor);
    }

    function tradeAt(uint64 nonce, uint32 time) internal view returns (Batch memory batch) {
        batch = tradeOf(
            orderOf(alice, BUY, ONE, 1e4, nonce), orderOf(bob, SELL, ONE, 1e4, nonce), ONE, 1e4
        );
        batch.fills[0].time = time;
    }
}
