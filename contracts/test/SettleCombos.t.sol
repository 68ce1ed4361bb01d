// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Leg, Order} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch, Fill} from "./Codec.sol";

/// @dev Combos: one signature over legs, a net limit, all legs of a unit or none. Alice trades the
/// combo, bob the legs or the combo against her.
contract SettleCombosTest is ClearingTest {
    uint64 internal low = option(1, EXPIRY, 90_000_00, false);
    uint64 internal high = option(1, EXPIRY, 95_000_00, false);
    int64 internal constant LOW = 3_000 * int64(USD);
    int64 internal constant HIGH = 1_000 * int64(USD);
    int64 internal constant NET = 2 * LOW - HIGH; // two low calls bought, one high call sold

    // ---- what settles

    function test_a_combo_fills_against_the_books_of_its_legs() public {
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        settle(implied(3 * ONE, NET));
        assertEq(6 * int256(uint256(ONE)), clearing.position(alice, low), "low");
        assertEq(-3 * int256(uint256(ONE)), clearing.position(alice, high), "high");
        assertEq(-6 * int256(uint256(ONE)), clearing.position(bob, low), "other side");
        assertEq(a - 3 * NET, cashOf(alice), "paid");
        assertEq(b + 3 * NET, cashOf(bob), "received");
        (uint48 filled,) = clearing.orderState(alice, 7);
        assertEq(3 * ONE, filled, "units");
    }

    function test_a_combo_fills_against_a_combo() public {
        Batch memory batch = implied(ONE, NET);
        Order memory other = orderOf(bob, SELL, 5 * ONE, NET, 7);
        other.instrument = legsHashOf(legs());
        batch.orders[1] = signed(other, BOB_KEY);
        batch.fills[0].taker = 1;
        batch.fills[1].taker = 1;
        settle(batch);
        assertEq(2 * int256(uint256(ONE)), clearing.position(alice, low), "low");
        assertEq(int256(uint256(ONE)), clearing.position(bob, high), "high");
    }

    function test_units_add_up_over_commands_and_batches() public {
        settle(implied(4 * ONE, NET));
        settle(again(implied(6 * ONE, NET), 100));
        (uint48 filled,) = clearing.orderState(alice, 7);
        assertEq(type(uint48).max, filled, "filled whole");
        refused(again(implied(ONE, NET), 200), IClearingBase.Overfilled.selector);
    }

    function test_a_seller_of_the_combo_gets_the_legs_the_other_way_round() public {
        Batch memory batch = implied(ONE, NET);
        for (uint256 i = 0; i < 3; i++) {
            batch.orders[i].order.side = 1 - batch.orders[i].order.side;
            batch.orders[i] = signed(batch.orders[i].order, i == 0 ? ALICE_KEY : BOB_KEY);
        }
        settle(batch);
        assertEq(-2 * int256(uint256(ONE)), clearing.position(alice, low), "low");
        assertEq(int256(uint256(ONE)), clearing.position(alice, high), "high");
    }

    function test_a_leg_may_be_a_perpetual() public {
        Leg[] memory list = new Leg[](2);
        (list[0], list[1]) = (Leg(low, 1), Leg(perpetual, -1));
        Batch memory batch = impliedOf(list, ONE, LOW - HIGH);
        settle(batch);
        assertEq(-int256(uint256(ONE)), clearing.position(alice, perpetual), "perpetual");
        assertEq(-HIGH, positionOf(alice, perpetual).cost, "cost");
    }

    // ---- all or nothing

    function test_a_missing_leg_is_refused(bool first) public {
        Batch memory batch = implied(ONE, NET);
        Fill[] memory fills = new Fill[](1);
        fills[0] = batch.fills[first ? 0 : 1];
        batch.fills = fills;
        refused(batch, IClearingBase.PartialUnit.selector);
    }

    function test_legs_in_a_wrong_ratio_are_refused(uint8 leg, uint64 more) public {
        Batch memory batch = implied(ONE, NET);
        batch.fills[leg % 2].quantity += uint64(bound(more, 1, ONE));
        refused(batch, IClearingBase.PartialUnit.selector);
    }

    function test_part_of_a_unit_is_refused() public {
        Batch memory batch = implied(ONE, NET);
        (batch.fills[0].quantity, batch.fills[1].quantity) = (2 * ONE + 1, ONE);
        refused(batch, IClearingBase.PartialUnit.selector);
    }

    function test_legs_of_two_commands_make_no_unit() public {
        Batch memory batch = implied(ONE, NET);
        batch.fills[1].seqOffset = 1;
        refused(batch, IClearingBase.PartialUnit.selector);
    }

    function test_the_same_leg_twice_makes_no_unit() public {
        Batch memory batch = implied(ONE, NET);
        batch.fills[1] = batch.fills[0];
        refused(batch, IClearingBase.PartialUnit.selector);
    }

    function test_an_extra_leg_is_refused() public {
        Batch memory batch = implied(ONE, NET);
        batch.fills[1].leg = 2;
        refused(batch, IClearingBase.UnknownLeg.selector);
    }

    function test_a_plain_order_meets_its_own_leg_only() public {
        Batch memory batch = implied(ONE, NET);
        batch.fills[0].leg = 1; // the order in `low` for the leg `high`
        refused(batch, IClearingBase.InstrumentMismatch.selector);
        batch = implied(ONE, NET);
        batch.fills[0].taker = 2;
        refused(batch, IClearingBase.InstrumentMismatch.selector);
    }

    function test_a_leg_is_traded_on_its_own_side() public {
        Batch memory batch = implied(ONE, NET);
        batch.orders[2].order.side = SELL; // she sells this leg, too
        batch.orders[2] = signed(batch.orders[2].order, BOB_KEY);
        refused(batch, IClearingBase.SameSide.selector);
    }

    // ---- price, fee, terms

    function test_a_worse_net_price_is_refused(uint64 worse) public {
        worse = uint64(bound(worse, 1, 1000)) * 1e4;
        refused(implied(ONE, NET - int64(worse)), IClearingBase.LimitCrossed.selector);
        settle(implied(ONE, NET + int64(worse)));
    }

    function test_a_seller_gets_his_net_price_or_more(uint64 worse) public {
        worse = uint64(bound(worse, 1, 1000)) * 1e4;
        Batch memory batch = implied(ONE, NET);
        for (uint256 i = 0; i < 3; i++) {
            batch.orders[i].order.side = 1 - batch.orders[i].order.side;
            if (i == 0) batch.orders[i].order.limitPrice = NET + int64(worse);
            batch.orders[i] = signed(batch.orders[i].order, i == 0 ? ALICE_KEY : BOB_KEY);
        }
        refused(batch, IClearingBase.LimitCrossed.selector);
    }

    function test_a_net_price_may_be_negative() public {
        Leg[] memory list = new Leg[](2);
        (list[0], list[1]) = (Leg(low, 1), Leg(high, -4));
        settle(impliedOf(list, ONE, LOW - 4 * HIGH));
        refused(
            again(impliedOf(list, ONE, LOW - 4 * HIGH - 1e4), 100),
            IClearingBase.LimitCrossed.selector
        );
    }

    function test_the_fees_of_all_legs_count_against_one_cap(uint64 cap) public {
        cap = uint64(bound(cap, 1, 100 * USD));
        Batch memory batch = implied(2 * ONE, NET);
        batch.orders[0].order.maxFee = cap;
        batch.orders[0] = signed(batch.orders[0].order, ALICE_KEY);
        (batch.fills[0].makerFee, batch.fills[1].makerFee) = (cap, cap + 1);
        refused(batch, IClearingBase.FeeAboveCap.selector);
        batch.fills[1].makerFee = cap;
        settle(batch);
        assertEq(2 * uint256(cap), uint256(cashOf(1)), "fees");
    }

    function test_more_units_than_signed_are_refused() public {
        refused(implied(10 * ONE + 1, NET), IClearingBase.Overfilled.selector);
    }

    // ---- legs

    function test_other_legs_than_the_signed_ones_are_refused(int64 ratio) public {
        vm.assume(ratio != 2 && ratio > 0);
        Batch memory batch = implied(ONE, NET);
        (bytes32 was, bytes memory signature) =
            (bytes32(batch.orders[0].order.instrument), batch.orders[0].signature);
        batch.combos[0][0].ratio = ratio;
        batch.orders[0].order.instrument = legsHashOf(batch.combos[0]);
        assertTrue(was != bytes32(batch.orders[0].order.instrument), "another combo");
        batch.orders[0].signature = signature;
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_a_combo_that_is_not_revealed_is_refused() public {
        Batch memory batch = implied(ONE, NET);
        batch.combos = new Leg[][](0);
        refused(batch, IClearingBase.UnknownCombo.selector);
    }

    function test_legs_have_one_canonical_form() public {
        notCanonical(two(Leg(high, 1), Leg(low, 1)), "descending");
        notCanonical(two(Leg(low, 1), Leg(low, 1)), "twice");
        notCanonical(two(Leg(low, -1), Leg(high, 1)), "first ratio negative");
        notCanonical(two(Leg(low, 1), Leg(high, 0)), "ratio zero");
        notCanonical(two(Leg(low, 2), Leg(high, -4)), "common divisor");
        notCanonical(new Leg[](0), "none");
        Leg[] memory one = new Leg[](1);
        one[0] = Leg(low, 1);
        notCanonical(one, "one");
        notCanonical(strip(18), "eighteen");
    }

    /// @dev The longest structure that a request for quote may have: sixteen legs and a hedge.
    function test_seventeen_legs_settle_as_one_unit_at_bounded_gas() public {
        Leg[] memory list = strip(17);
        int64 net = 17 * HIGH;
        Batch memory batch = batchOf(2, 17, 0, 0);
        batch.combos = new Leg[][](1);
        batch.combos[0] = list;
        for (uint256 i = 0; i < 2; i++) {
            Order memory order = orderOf(i == 0 ? alice : bob, i == 0 ? BUY : SELL, ONE, net, 7);
            order.instrument = legsHashOf(list);
            order.maxFee = 100 * USD;
            batch.orders[i] = signed(order, i == 0 ? ALICE_KEY : BOB_KEY);
        }
        for (uint16 i = 0; i < 17; i++) {
            batch.fills[i] = fillOf(ONE, HIGH);
            (batch.fills[i].taker, batch.fills[i].leg) = (1, i);
        }
        Fill memory last = batch.fills[16];
        batch.fills[16] = batch.fills[15];
        refused(batch, IClearingBase.PartialUnit.selector); // sixteen legs are no unit
        batch.fills[16] = last;
        uint256 before = gasleft();
        settle(batch);
        assertTrue(before - gasleft() < 3_000_000, "gas of 34 new positions");
        for (uint256 i = 0; i < 17; i++) {
            assertEq(int256(uint256(ONE)), clearing.position(alice, list[i].instrument), "bought");
            assertEq(-int256(uint256(ONE)), clearing.position(bob, list[i].instrument), "sold");
        }
    }

    // ---- words

    function legs() internal view returns (Leg[] memory) {
        return two(Leg(low, 2), Leg(high, -1));
    }

    function two(Leg memory a, Leg memory b) internal pure returns (Leg[] memory list) {
        list = new Leg[](2);
        (list[0], list[1]) = (a, b);
    }

    function strip(uint64 count) internal pure returns (Leg[] memory list) {
        list = new Leg[](count);
        for (uint64 i = 0; i < count; i++) {
            list[i] = Leg(option(1, EXPIRY, (90_000 + 1_000 * i) * 100, false), 1);
        }
    }

    function notCanonical(Leg[] memory list, string memory) internal {
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.combos = new Leg[][](1);
        batch.combos[0] = list;
        refused(batch, IClearingBase.InvalidCombo.selector);
    }

    function implied(uint64 units, int64 limit) internal view returns (Batch memory) {
        return impliedOf(legs(), units, limit);
    }

    /// @dev Alice buys up to ten units at `limit`; bob's orders in the legs stand against her.
    function impliedOf(Leg[] memory list, uint64 units, int64 limit)
        internal
        view
        returns (Batch memory batch)
    {
        batch = batchOf(3, 2, 0, 0);
        batch.combos = new Leg[][](1);
        batch.combos[0] = list;
        Order memory combo = orderOf(alice, BUY, 10 * ONE, limit, 7);
        combo.instrument = legsHashOf(list);
        combo.maxFee = 100 * USD;
        batch.orders[0] = signed(combo, ALICE_KEY);
        for (uint64 i = 0; i < 2; i++) {
            int64 price = i == 0 ? LOW : HIGH;
            uint64 ratio = uint64(list[i].ratio < 0 ? -list[i].ratio : list[i].ratio);
            uint8 side = list[i].ratio > 0 ? SELL : BUY;
            Order memory leg = orderOf(bob, side, 100 * ONE, price, 8 + i);
            leg.instrument = list[i].instrument;
            batch.orders[1 + i] = signed(leg, BOB_KEY);
            batch.fills[i] = fillOf(units * ratio, price);
            (batch.fills[i].taker, batch.fills[i].leg) = (uint32(1 + i), uint16(i));
        }
    }

    /// @dev The same with fresh orders of bob.
    function again(Batch memory batch, uint64 nonce) internal view returns (Batch memory) {
        for (uint64 i = 1; i < 3; i++) {
            batch.orders[i].order.nonce = nonce + i;
            batch.orders[i] = signed(batch.orders[i].order, BOB_KEY);
        }
        return batch;
    }
}
