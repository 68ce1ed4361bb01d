// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IClearing, IClearingBase, Order} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

contract PauseTest is ClearingTest {
    uint64 internal constant GUARDIAN_ROLE = 2;
    uint64 internal constant PAUSE_DELAY = 10 minutes;
    uint64 internal constant PAUSE_MAX = 7 days;
    address internal guardian = address(0x6A4D);
    uint64 internal nonce = 10;

    function setUp() public override {
        super.setUp();
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = IClearing.pause.selector;
        manager.setTargetFunctionRole(address(clearing), selectors, GUARDIAN_ROLE);
        manager.grantRole(GUARDIAN_ROLE, guardian, 0);
    }

    function test_only_the_guardian_pauses_and_only_governance_ends_it(address caller) public {
        vm.assume(caller != guardian && caller != address(this));
        vm.prank(caller);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        clearing.pause();
        pause();
        vm.prank(caller);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        clearing.unpause();
        vm.prank(guardian);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        clearing.unpause();
    }

    function test_a_pause_is_logged_and_shown() public {
        uint64 from = START + PAUSE_DELAY;
        vm.expectEmit(address(clearing));
        emit IClearingBase.RiskPaused(from, from + PAUSE_MAX);
        pause();
        (uint64 since, uint64 until) = clearing.pausedBetween();
        assertEq(from, since, "from");
        assertEq(from + PAUSE_MAX, until, "until");
    }

    function test_fills_that_were_released_before_it_settle(uint64 time) public {
        pause();
        vm.warp(START + PAUSE_DELAY);
        time = uint64(bound(time, START, START + PAUSE_DELAY + 60));
        Batch memory batch = tradeAt(time, false, false);
        if (time >= START + PAUSE_DELAY) refused(batch, IClearingBase.NewRiskPaused.selector);
        else settle(batch);
    }

    function test_only_fills_that_reduce_both_sides_go_on() public {
        settle(tradeAt(START, false, false)); // alice is long, bob is short
        pause();
        vm.warp(START + PAUSE_DELAY);
        Batch memory closing = closingAt(START + PAUSE_DELAY, true, false);
        refused(closing, IClearingBase.NewRiskPaused.selector);
        closing = closingAt(START + PAUSE_DELAY, false, true);
        refused(closing, IClearingBase.NewRiskPaused.selector);
        settle(closingAt(START + PAUSE_DELAY, true, true));
        assertEq(0, clearing.position(alice, call), "closed");
    }

    function test_deposits_stop_at_once_and_money_leaves_all_the_time() public {
        pause();
        usdc.mint(aliceAddress, 1);
        vm.prank(aliceAddress);
        usdc.approve(address(custody), 1);
        vm.prank(aliceAddress);
        vm.expectRevert(IClearingBase.NewRiskPaused.selector);
        custody.deposit(alice, address(usdc), 1);
        vm.warp(START + PAUSE_DELAY);
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, 5 * USD, 1)));
    }

    function test_owners_controls_work_while_it_lasts() public {
        pause();
        vm.warp(START + PAUSE_DELAY);
        vm.prank(aliceAddress);
        clearing.cancelNonce(alice, 5);
        vm.prank(aliceAddress);
        clearing.raiseNonceFloor(alice, 5);
        vm.prank(aliceAddress);
        clearing.setSessionKey(sessionAddress, 0);
    }

    function test_it_ends_by_itself() public {
        pause();
        vm.warp(START + PAUSE_DELAY + PAUSE_MAX - 1);
        vm.prank(guardian);
        vm.expectRevert(IClearingBase.PausedBefore.selector);
        clearing.pause();
        vm.warp(START + PAUSE_DELAY + PAUSE_MAX);
        settle(tradeAt(START + PAUSE_DELAY + PAUSE_MAX, false, false));
        vm.expectRevert(IClearingBase.NotPaused.selector);
        clearing.unpause();
        pause();
    }

    function test_governance_ends_it() public {
        pause();
        clearing.unpause();
        vm.warp(START + PAUSE_DELAY);
        settle(tradeAt(START + PAUSE_DELAY, false, false));
        fund(aliceAddress, alice, 1);
    }

    function pause() internal {
        vm.prank(guardian);
        clearing.pause();
    }

    function tradeAt(uint64 time, bool makerReduces, bool takerReduces)
        internal
        returns (Batch memory batch)
    {
        Order memory maker = orderOf(alice, BUY, ONE, 1e4, ++nonce);
        Order memory taker = orderOf(bob, SELL, ONE, 1e4, nonce);
        (maker.reduceOnly, taker.reduceOnly) = (makerReduces, takerReduces);
        maker.instrument = option(1, EXPIRY + 30 * DAY, 100_000_00, false);
        taker.instrument = maker.instrument;
        if (block.timestamp < EXPIRY) (maker.instrument, taker.instrument) = (call, call);
        batch = tradeOf(maker, taker, ONE, 1e4);
        batch.fills[0].time = uint32(time);
    }

    function closingAt(uint64 time, bool makerReduces, bool takerReduces)
        internal
        returns (Batch memory batch)
    {
        Order memory maker = orderOf(alice, SELL, ONE, 1e4, ++nonce);
        Order memory taker = orderOf(bob, BUY, ONE, 1e4, nonce);
        (maker.reduceOnly, taker.reduceOnly) = (makerReduces, takerReduces);
        batch = tradeOf(maker, taker, ONE, 1e4);
        batch.fills[0].time = uint32(time);
    }
}
