// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IClearingBase, Order, Withdrawal} from "../src/interfaces/IClearing.sol";
import {TokenRules} from "../src/interfaces/ICustody.sol";
import {IExits, IExitsBase} from "../src/interfaces/IExits.sol";
import {IMargin, MarginProof} from "../src/interfaces/IMargin.sol";
import {Halt, IReleases, IReleasesBase, Queued} from "../src/interfaces/IReleases.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {MarginTest} from "./Margin.t.sol";

/// @dev Withdrawals wait for an hour. Bob sells 40 calls to alice where one of them is to lose.
contract ReleasesTest is MarginTest {
    uint64 internal constant DELAY = 1 hours;
    uint64 internal constant SHORT = 40 * ONE;
    uint64 internal constant WEEK = 7 * DAY;

    IReleases internal gate;

    function setUp() public override {
        super.setUp();
        gate = IReleases(address(clearing));
        gate.setWithdrawalDelay(DELAY);
        IExits(address(clearing)).setMargin(margin);
    }

    /// @dev A batch debits `amount` of USDC; it waits.
    function queue(uint64 id, uint256 key, uint256 amount, uint64 nonce)
        internal
        returns (Queued memory)
    {
        settle(withdrawBatch(withdrawOf(id, key, amount, nonce)));
        return Queued(id, address(usdc), amount, ownerOf(id), nonce, false);
    }

    /// @dev At a root of now.
    function mature() internal {
        vm.warp(block.timestamp + DELAY);
        post(2, root());
    }

    function none() internal pure returns (MarginProof memory proof) {}

    /// @dev Bob loses all and more to alice; the marks say so.
    function rob() internal {
        trade(call, SHORT, int64(1 * 1e4), 1);
        int256 cash = cashOf(bob);
        settle(withdrawBatch(withdrawOf(bob, BOB_KEY, uint256(cash), 2)));
    }

    // ---- waiting

    function test_a_withdrawal_waits_and_is_paid_by_anyone(address who, uint256 amount) public {
        amount = bound(amount, 1, uint256(cashOf(alice)));
        int256 before = cashOf(alice);
        vm.expectEmit(address(clearing));
        emit IReleasesBase.WithdrawalQueued(
            alice, address(usdc), amount, aliceAddress, 5, false, START + DELAY
        );
        Queued memory w = queue(alice, ALICE_KEY, amount, 5);
        assertEq(before - int256(amount), cashOf(alice), "debited");
        assertEq(0, usdc.balanceOf(aliceAddress), "not paid");
        assertEq(START + DELAY, gate.maturesAt(w), "matures");

        vm.warp(START + DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(IReleasesBase.NotMature.selector, START + DELAY));
        gate.release(w, none());
        vm.warp(START + DELAY);
        vm.expectEmit(address(clearing));
        emit IReleasesBase.WithdrawalReleased(alice, 5, false);
        vm.prank(who);
        gate.release(w, none());
        assertEq(amount, usdc.balanceOf(aliceAddress), "paid");
        assertEq(0, gate.maturesAt(w), "gone");
        vm.expectRevert(IReleasesBase.NotQueued.selector);
        gate.release(w, none());
    }

    function test_nothing_else_than_what_was_signed_is_released(uint8 field) public {
        Queued memory w = queue(alice, ALICE_KEY, 100, 5);
        vm.warp(START + DELAY);
        field %= 6;
        if (field == 0) w.subaccountId = bob;
        if (field == 1) w.token = address(1);
        if (field == 2) w.amount++;
        if (field == 3) w.recipient = bobAddress;
        if (field == 4) w.nonce++;
        if (field == 5) w.requested = true;
        vm.expectRevert(IReleasesBase.NotQueued.selector);
        gate.release(w, none());
    }

    function test_transfers_do_not_wait() public {
        uint64 savings = open(aliceAddress, 0);
        settle(withdrawBatch(transferOf(alice, savings, ALICE_KEY, 7, 5)));
        assertEq(7, cashOf(savings), "there");
    }

    function test_governance_sets_the_delay_inside_hard_bounds(uint64 delay, address who) public {
        if (delay == 0 || delay > WEEK) {
            vm.expectRevert(IReleasesBase.DelayOutOfBounds.selector);
            gate.setWithdrawalDelay(delay);
            return;
        }
        Queued memory w = queue(alice, ALICE_KEY, 100, 5);
        vm.expectEmit(address(clearing));
        emit IReleasesBase.WithdrawalDelaySet(delay);
        gate.setWithdrawalDelay(delay);
        assertEq(delay, gate.withdrawalDelay(), "set");
        assertEq(START + DELAY, gate.maturesAt(w), "what waits already waits no longer");
        vm.assume(who != address(this));
        vm.prank(who);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        gate.setWithdrawalDelay(delay);
    }

    // ---- margin

    function test_with_positions_the_rest_must_cover_its_initial_margin() public {
        Queued memory w = queue(bob, BOB_KEY, 1_000 * USD, 9);
        trade(call, ONE, int64(20_000 * USD), 1);
        mature();
        vm.expectRevert(IMargin.WrongParameters.selector);
        gate.release(w, none());
        gate.release(w, call_());
        assertEq(1_000 * USD, usdc.balanceOf(bobAddress), "paid");
    }

    function test_what_margin_does_not_allow_waits_and_may_be_taken_back() public {
        Queued memory w = queue(bob, BOB_KEY, 100_000 * USD, 9);
        trade(call, SHORT, int64(20_000 * USD), 1);
        mature();
        (int256 initial,) = margin.excess(bob, call_());
        assertTrue(initial < 0, "short");
        vm.expectRevert(abi.encodeWithSelector(IReleasesBase.MarginShort.selector, initial));
        gate.release(w, call_());

        int256 before = cashOf(bob);
        vm.expectRevert(IClearingBase.NotOwner.selector);
        gate.takeBack(w);
        vm.expectEmit(address(clearing));
        emit IReleasesBase.WithdrawalTakenBack(bob, 9, false);
        vm.expectEmit(address(clearing));
        emit IClearingBase.Deposited(bob, address(usdc), 100_000 * USD);
        vm.prank(bobAddress);
        gate.takeBack(w);
        assertEq(before + int256(uint256(100_000 * USD)), cashOf(bob), "back");
        vm.prank(bobAddress);
        vm.expectRevert(IReleasesBase.NotQueued.selector);
        gate.takeBack(w);
    }

    function test_tokens_are_taken_back_where_they_came_from() public {
        MockToken weth = new MockToken("Wrapped Ether", "WETH", 18);
        custody.setRules(
            address(weth), TokenRules(true, type(uint80).max, type(uint80).max, type(uint80).max)
        );
        fundWith(weth, aliceAddress, alice, 10e18);
        Withdrawal memory w = withdrawOf(alice, ALICE_KEY, 3e8, 9).withdrawal;
        w.token = address(weth);
        settle(withdrawBatch(resigned(w, ALICE_KEY)));
        assertEq(7e8, clearing.collateralOf(alice, address(weth)), "debited");

        int256 cash = cashOf(alice);
        vm.prank(aliceAddress);
        gate.takeBack(Queued(alice, address(weth), 3e8, aliceAddress, 9, false));
        assertEq(10e8, clearing.collateralOf(alice, address(weth)), "back");
        assertEq(cash, cashOf(alice), "cash");
    }

    // ---- halt

    /// @dev Two colluding accounts: the loser is left below zero, the winner's money waits.
    function test_a_proof_of_negative_equity_holds_every_withdrawal_up(address who) public {
        Queued memory w = queue(alice, ALICE_KEY, 100 * USD, 9);
        rob();
        mature();
        (int256 equity,,) = margin.health(bob, call_());
        assertTrue(equity < 0, "negative");
        uint64 until = uint64(block.timestamp) + WEEK;
        vm.expectEmit(address(clearing));
        emit IReleasesBase.Halted(bob, who, until, equity);
        vm.prank(who);
        gate.halt(bob, call_());
        vm.expectRevert(
            abi.encodeWithSelector(IReleasesBase.WithdrawalsHalted.selector, bob, until)
        );
        gate.release(w, call_());
        assertEq(0, usdc.balanceOf(aliceAddress), "held");
    }

    function test_a_proof_of_cure_lifts_it() public {
        Queued memory w = queue(alice, ALICE_KEY, 100 * USD, 9);
        rob();
        mature();
        gate.halt(bob, call_());
        (int256 equity,,) = margin.health(bob, call_());
        fund(bobAddress, bob, uint256(-equity) - 1);
        vm.expectRevert(abi.encodeWithSelector(IReleasesBase.StillNegative.selector, int256(-1)));
        gate.liftHalt(bob, call_());
        fund(bobAddress, bob, 1);
        vm.expectEmit(address(clearing));
        emit IReleasesBase.HaltLifted(bob, relayer, 0);
        vm.prank(relayer); // as anyone
        gate.liftHalt(bob, call_());
        assertEq(0, gate.halts().length, "none");
        vm.expectRevert(abi.encodeWithSelector(IReleasesBase.NotHalting.selector, bob));
        gate.liftHalt(bob, call_());
        gate.release(w, call_());
        assertEq(100 * USD, usdc.balanceOf(aliceAddress), "paid");
    }

    /// @dev So that a release looks at so many; an account that halts already keeps its place.
    function test_no_more_than_sixteen_accounts_halt_at_a_time() public {
        uint64[17] memory ids;
        for (uint64 i = 0; i < 17; i++) {
            ids[i] = open(vm.addr(500 + i), 0);
            Order memory maker = orderOf(alice, BUY, ONE, 1e4, 100 + i);
            Order memory taker = orderOf(ids[i], SELL, ONE, 1e4, 1);
            settle(tradeOf(maker, ALICE_KEY, taker, 500 + i, ONE, 1e4));
        }
        mature();
        for (uint256 i = 0; i < 16; i++) {
            gate.halt(ids[i], call_());
        }
        vm.expectRevert(IReleasesBase.TooManyHalts.selector);
        gate.halt(ids[16], call_());
        gate.halt(ids[3], call_());
        fund(vm.addr(500), ids[0], 60_000 * USD);
        gate.liftHalt(ids[0], call_());
        gate.halt(ids[16], call_());
        assertEq(16, gate.halts().length, "full");
    }

    function test_a_halt_lapses_unless_it_is_proven_again() public {
        Queued memory w = queue(alice, ALICE_KEY, 100 * USD, 9);
        rob();
        mature();
        gate.halt(bob, call_());
        vm.warp(block.timestamp + DAY);
        post(3, root());
        gate.halt(bob, call_());
        Halt[] memory list = gate.halts();
        assertEq(1, list.length, "one of an account");
        assertEq(block.timestamp + WEEK, list[0].until, "anew");
        vm.warp(block.timestamp + WEEK);
        post(4, root());
        vm.expectPartialRevert(IReleasesBase.WithdrawalsHalted.selector);
        gate.release(w, call_());
        vm.warp(block.timestamp + 1);
        gate.release(w, call_());
    }

    /// @dev A forced exit is the way out of a venue that would halt for ever: it pays by margin,
    /// and whoever has a negative account of its own cannot stop it.
    function test_a_halt_stops_no_forced_exit() public {
        vm.prank(aliceAddress);
        clearing.requestExit(alice, address(usdc), 100 * USD, aliceAddress);
        rob();
        vm.warp(block.timestamp + DAY + 1 hours + 1);
        post(2, root());
        gate.halt(bob, call_());
        clearing.serveExit(alice, 100 * USD, call_());
        assertEq(100 * USD, usdc.balanceOf(aliceAddress), "paid");
    }

    // ---- escape

    /// @dev What a batch debited is no part of what an escape shares, whoever claims first: it is
    /// paid whole, without a proof, and a halt that runs delays it for the last time.
    function test_what_waits_is_paid_whole_in_an_escape(bool claimsFirst) public {
        Queued memory w = queue(alice, ALICE_KEY, 100 * USD, 9);
        rob();
        uint256 loot = 1_000_000 * USD + USD * 4 / 10; // bob's, who owes: nothing asks for a proof
        Queued memory other = Queued(bob, address(usdc), loot, bobAddress, 2, false);
        vm.prank(aliceAddress);
        clearing.requestExit(alice, address(usdc), 1, aliceAddress);
        vm.warp(block.timestamp + clearing.EXIT_DEADLINE());
        post(2, root());
        gate.halt(bob, call_());
        vm.warp(block.timestamp + 1);
        clearing.startEscape(alice);
        vm.expectRevert(IExitsBase.Escaped.selector);
        gate.halt(bob, call_());
        vm.prank(aliceAddress);
        vm.expectRevert(IExitsBase.Escaped.selector);
        gate.takeBack(w);
        vm.expectPartialRevert(IReleasesBase.WithdrawalsHalted.selector);
        gate.release(w, none());
        vm.warp(block.timestamp + WEEK);

        if (!claimsFirst) gate.release(w, none());
        claimAll();
        if (claimsFirst) {
            uint256 left = usdc.balanceOf(address(custody));
            assertEq(100 * USD + loot, left, "the rest is what waits");
            gate.release(w, none());
        }
        gate.release(other, none());
        assertEq(0, usdc.balanceOf(address(custody)), "all is paid out");
        assertEq(0, gate.maturesAt(w), "once");
    }

    function claimAll() internal {
        uint64[] memory list = new uint64[](1);
        list[0] = call;
        vm.warp(block.timestamp + clearing.PRICE_WINDOW());
        clearing.fixMissing(list);
        clearing.priceTokens(abi.encode(parameters()));
        uint64 count = clearing.subaccountCount();
        uint64[][] memory lists = new uint64[][](count);
        for (uint256 i = 0; i < count; i++) {
            lists[i] = list;
        }
        clearing.value(1, lists);
        for (uint64 id = 1; id <= count; id++) {
            if (clearing.claimable(id, address(usdc)) == 0) continue;
            address owner = ownerOf(id);
            vm.prank(owner);
            clearing.claim(id, address(usdc), owner);
        }
    }

    function test_nobody_is_halted_without_negative_equity() public {
        trade(call, ONE, int64(20_000 * USD), 1);
        (int256 equity,,) = margin.health(bob, call_());
        vm.expectRevert(abi.encodeWithSelector(IReleasesBase.NotNegative.selector, equity));
        gate.halt(bob, call_());
    }

    function test_a_venue_without_margin_can_prove_nothing() public {
        IReleases other = IReleases(address(deployClearing(address(usdc), treasury, DAY, DAY)));
        vm.expectRevert(IReleasesBase.MarginNotSet.selector);
        other.halt(1, none());
    }
}
