// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Liquidations} from "../src/Liquidations.sol";
import {Order} from "../src/interfaces/IClearing.sol";
import {IBatchAge, ILiquidations} from "../src/interfaces/ILiquidations.sol";
import {IMargin, MarginProof} from "../src/interfaces/IMargin.sol";
import {MarginWorld} from "./MarginWorld.sol";

/// @dev Forty calls sold at 20,000: bob has 1.8 million, and needs 46,300 a contract.
contract LiquidationsTest is MarginWorld {
    uint64 internal constant SHORT = 40 * ONE;
    int64 internal constant PRICE = int64(20_000 * USD);
    int64 internal constant DEAR = int64(45_000 * USD);

    Liquidations internal flags;

    function setUp() public override {
        super.setUp();
        flags = new Liquidations(margin, IBatchAge(address(clearing)));
    }

    function below() internal {
        trade(call, SHORT, PRICE, 1);
    }

    function flagged() internal {
        below();
        flags.flag(bob, call_());
    }

    /// @dev The same marks under a root of now.
    function fresh() internal {
        post(2, root());
    }

    // ---- flag

    function test_anybody_flags_an_account_below_maintenance(address who) public {
        below();
        (, int256 maintenance) = margin.excess(bob, call_());
        assertTrue(maintenance < 0, "below");
        vm.expectEmit(address(flags));
        emit ILiquidations.Flagged(bob, who, START + DAY, maintenance);
        vm.prank(who);
        flags.flag(bob, call_());
        (uint64 since, address by) = flags.flagOf(bob);
        assertEq(START, since, "since");
        assertEq(who, by, "by");
        assertTrue(!flags.isMature(bob), "not mature");
    }

    /// @dev Whatever is sold: the flag follows the sign of what Margin computes.
    function test_exactly_the_accounts_below_maintenance_can_be_flagged(uint64 short) public {
        short = uint64(bound(short, 1, 60 * ONE));
        trade(call, short, PRICE, 1);
        uint64[2] memory ids = [alice, bob];
        for (uint256 i = 0; i < 2; i++) {
            (, int256 maintenance) = margin.excess(ids[i], call_());
            if (maintenance >= 0) {
                vm.expectRevert(abi.encodeWithSelector(ILiquidations.Healthy.selector, maintenance));
            }
            flags.flag(ids[i], call_());
            (uint64 since,) = flags.flagOf(ids[i]);
            assertEq(maintenance < 0 ? START : 0, since, "flagged");
        }
    }

    function test_an_empty_account_is_healthy(uint64 id) public {
        vm.assume(id != alice && id != bob);
        MarginProof memory proof = call_();
        (proof.rows, proof.places) = ("", hex"000000010002");
        proof.nodes = new bytes32[](2);
        (proof.nodes[0], proof.nodes[1]) = (leaves()[3], leaves()[4]);
        vm.expectRevert(abi.encodeWithSelector(ILiquidations.Healthy.selector, int256(0)));
        flags.flag(id, proof);
    }

    function test_a_second_proof_renews_what_it_allows_and_not_the_flag() public {
        flagged();
        vm.warp(START + 60);
        vm.prank(address(7));
        flags.flag(bob, call_());
        (uint64 since, address by) = flags.flagOf(bob);
        assertEq(START, since, "since");
        assertEq(address(this), by, "by");
        (uint64 until,,) = flags.forceOf(bob);
        assertEq(START + 60 + 1 hours, until, "until");
    }

    // ---- what a proof allows

    /// @dev The requirement: 40 calls need 16,000 and 300 each, and half the basis 4,000.
    function test_a_proof_allows_an_hour_and_its_requirement() public {
        (uint64 until, uint256 contracts, uint256 budget) = flags.forceOf(bob);
        assertEq(0, until, "nothing before");
        below();
        (int256 equity, int256 maintenance,) = margin.health(bob, call_());
        uint256 requirement = uint256(equity - maintenance);
        vm.expectEmit(address(flags));
        emit ILiquidations.ForceGranted(bob, START + 1 hours, SHORT, requirement);
        flags.flag(bob, call_());
        (until, contracts, budget) = flags.forceOf(bob);
        assertEq(START + 1 hours, until, "until");
        assertEq(SHORT, contracts, "contracts");
        assertEq(requirement, budget, "budget");
        assertEq(1_000_000e6 + 40 * (20_000e6 - 30_000e6), equity, "equity");
    }

    function test_clearing_alone_spends_and_no_more_than_the_budget(uint96 first) public {
        flagged();
        (,, uint256 budget) = flags.forceOf(bob);
        first = uint96(bound(first, 0, budget));
        vm.expectRevert(ILiquidations.NotClearing.selector);
        flags.spend(bob, first);
        spend(first);
        (,, uint256 left) = flags.forceOf(bob);
        assertEq(budget - first, left, "left");
        vm.prank(address(clearing));
        vm.expectRevert(abi.encodeWithSelector(ILiquidations.BudgetSpent.selector, bob));
        flags.spend(bob, left + 1);
        spend(left);
    }

    /// @dev Fills that relied on the first proof may still be under way.
    function test_a_renewal_takes_nothing_back_while_fills_may_come() public {
        flagged();
        (, uint256 contracts, uint256 budget) = flags.forceOf(bob);
        spend(5e6);
        buyBack(SHORT / 2);
        vm.warp(START + 1 hours + DAY);
        fresh();
        flags.flag(bob, call_());
        (, uint256 then, uint256 left) = flags.forceOf(bob);
        assertEq(contracts, then, "contracts");
        assertEq(budget - 5e6, left, "budget");
        vm.warp(2 * START);
        post(3, root());
        flags.flag(bob, call_());
        (, then, left) = flags.forceOf(bob);
        assertEq(SHORT / 2, then, "those of the last proof");
        (int256 equity, int256 maintenance,) = margin.health(bob, call_());
        assertEq(uint256(equity - maintenance), left, "its requirement");
    }

    function spend(uint256 amount) internal {
        vm.prank(address(clearing));
        flags.spend(bob, amount);
    }

    /// @dev Bob closes a part at a price that leaves him below.
    function buyBack(uint64 quantity) internal {
        Order memory maker = orderOf(alice, SELL, quantity, DEAR, 9);
        Order memory taker = orderOf(bob, BUY, quantity, DEAR, 9);
        settle(tradeOf(maker, taker, quantity, DEAR));
    }

    function test_lapsing_takes_the_flag_and_leaves_the_hour() public {
        flagged();
        fund(bobAddress, bob, 100_000 * USD);
        flags.lapse(bob, call_());
        (uint64 until,,) = flags.forceOf(bob);
        assertEq(START + 1 hours, until, "fills under way rely on it");
    }

    function test_a_stale_or_overtaken_root_flags_nobody() public {
        below();
        vm.warp(START + ROOT_AGE + 1);
        vm.expectRevert(IMargin.RootTooOld.selector);
        flags.flag(bob, call_());
        post(2, "another");
        vm.expectRevert(IMargin.WrongRoot.selector);
        flags.flag(bob, call_());
    }

    /// @dev Bob's long puts would carry him; a proof without them is none.
    function test_nobody_is_flagged_by_leaving_a_leg_out() public {
        below();
        trade(put, SHORT, PRICE, 2);
        vm.expectRevert(abi.encodeWithSelector(IMargin.PositionMissing.selector, 2));
        flags.flag(bob, call_());
        vm.expectRevert(abi.encodeWithSelector(IMargin.NotHeld.selector, call));
        flags.flag(1, whole());
    }

    function test_changed_rows_flag_nobody(uint256 bit) public {
        trade(call, ONE, PRICE, 1);
        MarginProof memory proof = call_();
        bit = bound(bit, 0, 8 * proof.rows.length - 1);
        proof.rows[bit / 8] ^= bytes1(uint8(1 << bit % 8));
        (bool done,) = address(flags).call(abi.encodeCall(ILiquidations.flag, (bob, proof)));
        assertTrue(!done, "refused");
        (uint64 since,) = flags.flagOf(bob);
        assertEq(0, since, "no flag");
    }

    // ---- maturity

    function test_a_flag_matures_after_the_oldest_batch(uint64 later) public {
        flagged();
        later = uint64(bound(later, 0, 10 * DAY));
        vm.warp(START + later);
        assertTrue((later > batchAge()) == flags.isMature(bob), "mature");
        assertTrue(!flags.isMature(alice), "without a flag never");
    }

    function batchAge() internal view returns (uint64) {
        return IBatchAge(address(clearing)).MAX_BATCH_AGE();
    }

    // ---- lapse

    function test_anybody_lapses_a_flag_with_a_proof_of_health(address who, uint64 later) public {
        flagged();
        vm.warp(START + bound(later, 0, 3 * DAY));
        fund(bobAddress, bob, 100_000 * USD);
        fresh();
        (, int256 maintenance) = margin.excess(bob, call_());
        assertTrue(maintenance >= 0, "covered");
        vm.expectEmit(address(flags));
        emit ILiquidations.Lapsed(bob, who, maintenance);
        vm.prank(who);
        flags.lapse(bob, call_());
        (uint64 since, address by) = flags.flagOf(bob);
        assertEq(0, since, "gone");
        assertEq(address(0), by, "gone");
        assertTrue(!flags.isMature(bob), "not mature");
        vm.expectRevert(ILiquidations.NotFlagged.selector);
        flags.lapse(bob, call_());
    }

    /// @dev The clock starts again.
    function test_a_flag_can_come_back() public {
        flagged();
        fund(bobAddress, bob, 100_000 * USD);
        flags.lapse(bob, call_());
        vm.warp(START + 600);
        trade(call, SHORT, PRICE, 2);
        flags.flag(bob, call_());
        (uint64 since,) = flags.flagOf(bob);
        assertEq(START + 600, since, "since");
    }

    function test_no_flag_lapses_without_health() public {
        flagged();
        (, int256 maintenance) = margin.excess(bob, call_());
        vm.expectRevert(abi.encodeWithSelector(ILiquidations.Unhealthy.selector, maintenance));
        flags.lapse(bob, call_());
        fund(bobAddress, bob, uint256(-maintenance) - 1);
        vm.expectRevert(abi.encodeWithSelector(ILiquidations.Unhealthy.selector, int256(-1)));
        flags.lapse(bob, call_());
        fund(bobAddress, bob, 1);
        flags.lapse(bob, call_());
    }

    /// @dev Nobody can show health by an old root or by hiding a short leg.
    function test_no_flag_lapses_by_a_stale_root_or_a_hidden_leg() public {
        flagged();
        trade(put, ONE, PRICE, 2);
        vm.expectRevert(abi.encodeWithSelector(IMargin.PositionMissing.selector, 2));
        flags.lapse(bob, call_());
        vm.warp(START + ROOT_AGE + 1);
        vm.expectRevert(IMargin.RootTooOld.selector);
        flags.lapse(bob, whole());
    }
}
