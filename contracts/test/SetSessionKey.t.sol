// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Order} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

contract SetSessionKeyTest is ClearingTest {
    uint64 internal nonce;

    function test_a_session_key_trades_for_its_owner() public {
        set(START + DAY);
        settle(sessionTrade(START));
        assertEq(int64(ONE), clearing.position(alice, call), "position");
    }

    function test_setting_is_logged(address key, uint64 deadline) public {
        vm.assume(key != address(0));
        vm.expectEmit(address(clearing));
        emit IClearingBase.SessionKeySet(aliceAddress, key, deadline);
        vm.prank(aliceAddress);
        clearing.setSessionKey(key, deadline);
    }

    function test_an_unknown_key_is_refused() public {
        refused(sessionTrade(START), IClearingBase.SignerNotAuthorised.selector);
    }

    function test_a_key_of_another_owner_is_refused() public {
        vm.prank(bobAddress);
        clearing.setSessionKey(sessionAddress, START + DAY);
        refused(sessionTrade(START), IClearingBase.SignerNotAuthorised.selector);
    }

    function test_the_deadline_is_the_last_second() public {
        set(START + 100);
        vm.warp(START + 200);
        settle(sessionTrade(START + 100));
        refused(sessionTrade(START + 101), IClearingBase.SignerNotAuthorised.selector);
    }

    function test_a_revoked_key_is_refused_for_fills_after_the_delay() public {
        set(START + 10 * DAY);
        vm.warp(START + DAY);
        set(0);
        vm.warp(START + 2 * DAY);
        settle(sessionTrade(START + 2 * DAY - 1)); // released before the engine saw the revocation
        refused(sessionTrade(START + 2 * DAY), IClearingBase.SignerNotAuthorised.selector);
    }

    function test_a_longer_deadline_holds_at_once_and_a_shorter_one_after_the_delay(
        uint64 first,
        uint64 second
    ) public {
        first = uint64(bound(first, START, type(uint64).max));
        set(first);
        assertEq(first, deadlineAt(START), "first");
        set(second);
        assertEq(second > first ? second : first, deadlineAt(START), "at once");
        assertEq(second, deadlineAt(START + DAY), "after the delay");
    }

    function test_a_revoked_key_comes_never_back(uint64 deadline) public {
        set(START + DAY);
        set(0);
        vm.prank(aliceAddress);
        vm.expectRevert(IClearingBase.KeyRevoked.selector);
        clearing.setSessionKey(sessionAddress, deadline);
    }

    function test_the_zero_key_is_refused() public {
        vm.expectRevert(IClearingBase.ZeroAddress.selector);
        clearing.setSessionKey(address(0), 1);
    }

    function set(uint64 deadline) internal {
        vm.prank(aliceAddress);
        clearing.setSessionKey(sessionAddress, deadline);
    }

    function deadlineAt(uint64 time) internal view returns (uint64) {
        return clearing.sessionKeyDeadline(aliceAddress, sessionAddress, time);
    }

    function sessionTrade(uint64 time) internal returns (Batch memory batch) {
        Order memory maker = orderOf(alice, BUY, ONE, 1e4, ++nonce);
        maker.signer = sessionAddress;
        batch = tradeOf(maker, orderOf(bob, SELL, ONE, 1e4, nonce), ONE, 1e4);
        batch.orders[0] = signed(maker, SESSION_KEY);
        batch.fills[0].time = uint32(time);
    }
}
