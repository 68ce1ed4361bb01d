// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearing, IClearingBase, Order} from "../src/interfaces/IClearing.sol";
import {ILiquidations} from "../src/interfaces/ILiquidations.sol";
import {Batch, SignedOrder} from "./Codec.sol";
import {ForcedTest} from "./ForcedTest.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

/// @dev Orders that nobody signed: for a subaccount that was proven below maintenance.
contract SettleForcedTest is ForcedTest {
    int64 internal constant MARK = int64(30_000 * USD);

    /// @dev Alice sells `quantity` of the call to bob, who is forced to buy.
    function slice(uint64 quantity) internal view returns (Batch memory batch) {
        batch = batchOf(2, 1, 0, 0);
        batch.orders[0] = signed(orderOf(alice, SELL, quantity, MARK, 50), ALICE_KEY);
        batch.orders[1] = forced(bob, BUY, call, quantity, MARK);
        batch.fills[0] = fillOf(quantity, MARK);
    }

    function test_a_flagged_account_is_closed_without_its_signature(uint64 quantity) public {
        flagged();
        quantity = uint64(bound(quantity, 1, SHORT));
        int256 before = cashOf(bob);
        settle(slice(quantity));
        assertEq(-int256(uint256(SHORT - quantity)), clearing.position(bob, call), "closed");
        assertEq(before - int256(MARK) * int256(uint256(quantity)) / 1e4, cashOf(bob), "paid");
    }

    function test_a_healthy_account_cannot_be_touched(uint64 quantity) public {
        trade(call, ONE, PRICE, 1);
        quantity = uint64(bound(quantity, 1, ONE));
        refused(slice(quantity), IClearingBase.SignerNotAuthorised.selector);
        Batch memory batch = slice(quantity);
        batch.orders[0] = signed(orderOf(bob, SELL, quantity, MARK, 50), BOB_KEY);
        batch.orders[1] = forced(alice, BUY, call, quantity, MARK);
        refused(batch, IClearingBase.SignerNotAuthorised.selector);
    }

    /// @dev By the journal's clock: what was sequenced within the hour may settle later.
    function test_a_proof_allows_fills_of_one_hour(uint64 later) public {
        flagged();
        later = uint64(bound(later, 0, 3 hours));
        vm.warp(START + later);
        Batch memory batch = slice(ONE);
        if (later > 1 hours) refused(batch, IClearingBase.SignerNotAuthorised.selector);
        else settle(batch);
        vm.warp(START + 3 hours);
        (,, uint64 lastSeq) = clearing.lastBatch();
        batch = slice(ONE);
        batch.orders[0].order.nonce = 51;
        batch.orders[0] = signed(batch.orders[0].order, ALICE_KEY);
        batch.fills[0].time = uint32(START + 1 hours);
        if (later <= 1 hours) settle(batch);
        assertTrue(lastSeq > 0, "there were batches");
    }

    /// @dev In many ways: beyond what is held, the other way, in what it does not hold.
    function test_forced_fills_only_reduce(uint64 quantity) public {
        flagged();
        quantity = uint64(bound(quantity, SHORT + 1, 10 * SHORT));
        refused(slice(quantity), IClearingBase.NotReducing.selector);
        Batch memory batch = batchOf(2, 1, 0, 0);
        batch.orders[0] = signed(orderOf(alice, BUY, ONE, MARK, 50), ALICE_KEY);
        batch.orders[1] = forced(bob, SELL, call, ONE, MARK);
        batch.fills[0] = fillOf(ONE, MARK);
        refused(batch, IClearingBase.NotReducing.selector);
        Order memory seller = orderOf(alice, SELL, ONE, MARK, 50);
        seller.instrument = put;
        batch.orders[0] = signed(seller, ALICE_KEY);
        batch.orders[1] = forced(bob, BUY, put, ONE, MARK);
        refused(batch, IClearingBase.NotReducing.selector);
    }

    /// @dev Two slices of one batch share the running position.
    function test_slices_of_one_batch_reduce_together() public {
        flagged();
        Batch memory batch = batchOf(3, 2, 0, 0);
        batch.orders[0] = signed(orderOf(alice, SELL, SHORT, MARK, 50), ALICE_KEY);
        batch.orders[1] = forced(bob, BUY, call, SHORT / 2, MARK);
        batch.orders[2] = forced(bob, BUY, call, SHORT / 2, MARK);
        batch.orders[2].order.version = 1;
        batch.fills[0] = fillOf(SHORT / 2, MARK);
        batch.fills[1] = fillOf(SHORT / 2, MARK);
        batch.fills[1].taker = 2;
        settle(batch);
        assertEq(0, clearing.position(bob, call), "flat");
        assertTrue(!isDone(bob, type(uint64).max), "a forced order leaves no trace");
    }

    function isDone(uint64 id, uint64 nonce) internal view returns (bool) {
        (uint48 filled,) = clearing.orderState(id, nonce);
        return filled != 0;
    }

    function test_a_hedge_is_no_larger_than_what_was_held(uint64 quantity) public {
        flagged();
        quantity = uint64(bound(quantity, 1, 3 * SHORT));
        int64 price = int64(100_000 * USD);
        Batch memory batch = batchOf(2, 1, 0, 0);
        Order memory seller = orderOf(alice, SELL, quantity, price, 50);
        seller.instrument = perpetual;
        batch.orders[0] = signed(seller, ALICE_KEY);
        batch.orders[1] = forced(bob, BUY, perpetual, quantity, price);
        batch.fills[0] = fillOf(quantity, price);
        if (quantity > SHORT) {
            refused(batch, IClearingBase.HedgeTooLarge.selector);
            return;
        }
        settle(batch);
        assertEq(int256(uint256(quantity)), clearing.position(bob, perpetual), "hedged");
    }

    function test_the_fund_needs_no_proof_and_hedges_nothing() public {
        giveCallsTo(fundAccount, ONE);
        Batch memory batch = slice(ONE);
        batch.orders[1] = forced(fundAccount, BUY, call, ONE, MARK);
        settle(batch);
        assertEq(0, clearing.position(fundAccount, call), "flat");
        Order memory seller = orderOf(alice, SELL, ONE, MARK, 51);
        seller.instrument = perpetual;
        batch = batchOf(2, 1, 0, 0);
        batch.orders[0] = signed(seller, ALICE_KEY);
        batch.orders[1] = forced(fundAccount, BUY, perpetual, ONE, MARK);
        batch.fills[0] = fillOf(ONE, MARK);
        refused(batch, IClearingBase.NotReducing.selector);
    }

    function test_a_forced_fee_may_be_the_bound_itself() public {
        flagged();
        Batch memory batch = slice(ONE);
        uint64 most = uint64(uint64(MARK) / 8) + 1;
        (batch.orders[1].order.maxFee, batch.fills[0].takerFee) = (most + 1, most + 1);
        refused(batch, IClearingBase.FeeAboveCap.selector);
        (batch.orders[1].order.maxFee, batch.fills[0].takerFee) = (most, most);
        settle(batch);
    }

    /// @dev An eighth of the premium, rounded up once a fill.
    function test_a_forced_fee_is_bounded(uint64 fee) public {
        flagged();
        uint64 most = uint64(uint64(MARK) / 8) + 1;
        fee = uint64(bound(fee, 0, 2 * most));
        Batch memory batch = slice(ONE);
        batch.orders[1].order.maxFee = fee;
        batch.fills[0].takerFee = fee;
        if (fee > most) refused(batch, IClearingBase.FeeAboveCap.selector);
        else settle(batch);
    }

    function test_a_forced_order_keeps_its_limit() public {
        flagged();
        Batch memory batch = slice(ONE);
        batch.orders[1] = forced(bob, BUY, call, ONE, MARK - 1e4);
        refused(batch, IClearingBase.LimitCrossed.selector);
    }

    /// @dev The flags of other orders, another nonce, or without being reduce-only.
    function test_a_forced_order_has_one_form(uint256 which) public {
        flagged();
        Batch memory batch = slice(ONE);
        Order memory order = batch.orders[1].order;
        which %= 4;
        if (which == 0) order.reduceOnly = false;
        if (which == 1) order.nonce = 1;
        if (which == 2) order.triggerHash = bytes32(uint256(1));
        if (which == 3) order.instrument = 1 << 64;
        refused(batch, IClearingBase.NotForced.selector);
    }

    /// @dev Nothing else of an account may follow: what forced orders fill is not counted.
    function test_no_signed_order_hides_behind_a_forced_one() public {
        flagged();
        Order memory last = orderOf(bob, BUY, ONE, MARK, type(uint64).max);
        last.version = 9;
        Batch memory batch = batchOf(3, 2, 0, 0);
        batch.orders[0] = signed(orderOf(alice, SELL, 2 * ONE, MARK, 50), ALICE_KEY);
        batch.orders[1] = forced(bob, BUY, call, ONE, MARK);
        batch.orders[2] = signed(last, BOB_KEY);
        batch.fills[0] = fillOf(ONE, MARK);
        batch.fills[1] = fillOf(ONE, MARK);
        batch.fills[1].taker = 2;
        refused(batch, IClearingBase.OrdersNotSorted.selector);
    }

    // ---- who says what a proof allows

    function test_liquidations_are_set_once_by_governance(address who) public {
        vm.assume(who != address(this));
        vm.prank(who);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, who)
        );
        clearing.setLiquidations(flags, alice);
        vm.expectRevert(IClearingBase.AlreadySet.selector);
        clearing.setLiquidations(flags, alice);
        assertEq(address(flags), address(clearing.liquidations()), "set");
        assertEq(fundAccount, clearing.fundId(), "fund");
    }

    function test_without_them_nobody_is_forced() public {
        IClearing other = deployClearing(address(usdc), treasury, DAY, DAY);
        assertEq(1, other.fundId(), "the venue's own");
        assertEq(address(0), address(other.liquidations()), "none");
        vm.expectRevert(abi.encodeWithSelector(IClearingBase.UnknownSubaccount.selector, 7));
        other.setLiquidations(flags, 7);
        vm.expectRevert(IClearingBase.ZeroAddress.selector);
        other.setLiquidations(ILiquidations(address(0)), 1);
        vm.expectEmit(address(other));
        emit IClearingBase.LiquidationsSet(address(flags), 1);
        other.setLiquidations(flags, 1);
        assertEq(address(flags), address(other.liquidations()), "named later");
    }
}
