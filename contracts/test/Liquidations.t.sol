// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Liquidations} from "../src/Liquidations.sol";
import {IBatchAge, ILiquidations} from "../src/interfaces/ILiquidations.sol";
import {IMargin, MarginProof} from "../src/interfaces/IMargin.sol";
import {MarginTest} from "./Margin.t.sol";

/// @dev Forty calls sold at 20,000: bob has 1.8 million, and needs 46,300 a contract.
contract LiquidationsTest is MarginTest {
    uint64 internal constant SHORT = 40 * ONE;
    int64 internal constant PRICE = int64(20_000 * USD);

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

    function test_a_second_flag_does_not_renew_the_first() public {
        flagged();
        vm.warp(START + 60);
        vm.expectRevert(ILiquidations.AlreadyFlagged.selector);
        flags.flag(bob, call_());
        (uint64 since,) = flags.flagOf(bob);
        assertEq(START, since, "since");
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
