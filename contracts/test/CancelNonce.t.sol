// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

contract CancelNonceTest is ClearingTest {
    function test_only_the_owner_cancels(address caller, uint64 nonce) public {
        vm.assume(caller != aliceAddress);
        vm.prank(caller);
        vm.expectRevert(IClearingBase.NotOwner.selector);
        clearing.cancelNonce(alice, nonce);
    }

    function test_a_cancel_is_logged_and_shown(uint64 nonce) public {
        vm.expectEmit(address(clearing));
        emit IClearingBase.NonceCanceled(alice, nonce, START + DAY);
        cancel(nonce);
        assertEq(START + DAY, clearing.nonceVoidAt(alice, nonce), "voidAt");
    }

    function test_a_canceled_order_fills_only_before_it_took_effect() public {
        cancel(5);
        vm.warp(START + DAY);
        settle(tradeAt(5, ONE, 2 * ONE, START + DAY - 1)); // released before the engine saw it
        refused(tradeAt(5, ONE, 2 * ONE, START + DAY), IClearingBase.OrderCanceled.selector);
        settle(tradeAt(6, ONE, ONE, START + DAY));
    }

    function test_a_partly_filled_order_is_canceled_for_its_rest() public {
        settle(tradeAt(5, ONE, 3 * ONE, START));
        cancel(5);
        settle(tradeAt(5, ONE, 3 * ONE, START));
        (uint48 filled,) = clearing.orderState(alice, 5);
        assertEq(2 * ONE, filled, "filled");
        vm.warp(START + DAY);
        refused(tradeAt(5, ONE, 3 * ONE, START + DAY), IClearingBase.OrderCanceled.selector);
    }

    function test_neighbours_are_untouched(uint8 place, uint8 other) public {
        vm.assume(place != other);
        cancel(place);
        vm.warp(START + DAY);
        settle(tradeAt(other, ONE, ONE, START + DAY));
    }

    function test_a_nonce_is_canceled_once_and_not_after_it_is_done() public {
        cancel(5);
        vm.prank(aliceAddress);
        vm.expectRevert(IClearingBase.CanceledBefore.selector);
        clearing.cancelNonce(alice, 5);
        settle(tradeAt(6, ONE, ONE, START));
        vm.prank(aliceAddress);
        vm.expectRevert(IClearingBase.NonceDone.selector);
        clearing.cancelNonce(alice, 6);
    }

    function test_an_order_that_fills_whole_in_time_is_done() public {
        cancel(5);
        settle(tradeAt(5, ONE, ONE, START));
        (uint48 filled,) = clearing.orderState(alice, 5);
        assertEq(type(uint48).max, filled, "done");
    }

    function test_a_canceled_withdrawal_is_refused_once_it_took_effect() public {
        cancel(5);
        cancel(6);
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 5)));
        refused(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 5)), IClearingBase.NonceUsed.selector);
        vm.warp(START + DAY);
        refused(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 6)), IClearingBase.NonceUsed.selector);
    }

    function test_a_canceled_nonce_that_filled_pays_nothing() public {
        settle(tradeAt(5, ONE, 2 * ONE, START));
        cancel(5);
        refused(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 5)), IClearingBase.NonceUsed.selector);
    }

    function cancel(uint64 nonce) internal {
        vm.prank(aliceAddress);
        clearing.cancelNonce(alice, nonce);
    }

    uint64 internal counterparty = 1000;

    function tradeAt(uint64 nonce, uint64 filled, uint64 quantity, uint64 time)
        internal
        returns (Batch memory batch)
    {
        batch = tradeOf(
            orderOf(alice, BUY, quantity, 1e4, nonce),
            orderOf(bob, SELL, filled, 1e4, ++counterparty),
            filled,
            1e4
        );
        batch.fills[0].time = uint32(time);
    }
}
