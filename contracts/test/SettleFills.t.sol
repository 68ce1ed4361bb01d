// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Order} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch, Fill} from "./Codec.sol";

/// @dev What a good batch moves, and where its items must lie.
contract SettleFillsTest is ClearingTest {
    function test_a_fill_moves_cash_position_and_fees(
        uint64 quantity,
        uint32 ticks,
        uint32 makerFee,
        uint32 takerFee
    ) public {
        quantity = uint64(bound(quantity, 1, 1 << 40));
        int64 price = int64(uint64(ticks)) * 1e4;
        Order memory maker = orderOf(alice, BUY, quantity, price, 1);
        Order memory taker = orderOf(bob, SELL, quantity, price, 1);
        (maker.maxFee, taker.maxFee) = (type(uint64).max, type(uint64).max);
        Batch memory batch = tradeOf(maker, taker, quantity, price);
        batch.fills[0].makerFee = uint64(bound(makerFee, 0, quantity));
        batch.fills[0].takerFee = uint64(bound(takerFee, 0, quantity));
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        settle(batch);

        int256 notional = int256(uint256(ticks) * quantity);
        int256 fees = int256(uint256(batch.fills[0].makerFee) + batch.fills[0].takerFee);
        assertEq(a - notional - int256(uint256(batch.fills[0].makerFee)), cashOf(alice), "buyer");
        assertEq(b + notional - int256(uint256(batch.fills[0].takerFee)), cashOf(bob), "seller");
        assertEq(fees, cashOf(1), "fee account");
        assertEq(int64(quantity), clearing.position(alice, call), "long");
        assertEq(-int64(quantity), clearing.position(bob, call), "short");
    }

    function test_netted_fills_equal_fills_one_by_one(uint256 seed, uint8 count) public {
        count = uint8(bound(count, 1, 8));
        Batch memory whole = batchOf(2 * uint256(count), count, 0, 0);
        int256 cash = cashOf(alice);
        int256 quantity = 0;
        for (uint256 i = 0; i < count; i++) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            uint8 side = uint8(dice % 2);
            uint64 q = uint64(1 + (dice >> 8) % 1e6);
            int64 price = int64(uint64(1e4 * ((dice >> 64) % 1e6)));
            whole.orders[2 * i] = signed(orderOf(alice, side, q, price, uint64(i)), ALICE_KEY);
            whole.orders[2 * i + 1] = signed(orderOf(bob, 1 - side, q, price, uint64(i)), BOB_KEY);
            whole.fills[i] = fillOf(q, price);
            whole.fills[i].maker = uint32(2 * i);
            whole.fills[i].taker = uint32(2 * i + 1);
            int256 direction = side == BUY ? int256(1) : int256(-1);
            cash -= direction * int256(price) * int256(uint256(q)) / 1e4;
            quantity += direction * int256(uint256(q));
        }
        settle(whole);
        assertEq(cash, cashOf(alice), "cash");
        assertEq(quantity, clearing.position(alice, call), "long");
        assertEq(-quantity, clearing.position(bob, call), "short");
    }

    function test_a_trade_with_oneself_changes_nothing_but_fees() public {
        Order memory maker = orderOf(alice, BUY, ONE, 1e6, 1);
        Order memory taker = orderOf(alice, SELL, ONE, 1e6, 2);
        Batch memory batch = tradeOf(maker, taker, ONE, 1e6);
        batch.orders[1] = signed(taker, ALICE_KEY);
        batch.fills[0].takerFee = 5;
        int256 before = cashOf(alice);
        settle(batch);
        assertEq(before - 5, cashOf(alice), "cash");
        assertEq(0, clearing.position(alice, call), "position");
    }

    function test_the_treasury_trades_like_anybody_and_earns_its_own_fees() public {
        Order memory maker = orderOf(alice, BUY, ONE, 1e6, 1);
        Batch memory batch = tradeOf(maker, orderOf(1, SELL, ONE, 1e6, 1), ONE, 1e6);
        batch.orders[1] = signed(batch.orders[1].order, TREASURY_KEY);
        (batch.fills[0].makerFee, batch.fills[0].takerFee) = (7, 5);
        settle(batch);
        assertEq(1e6 + 7, cashOf(1), "cash");
    }

    function test_an_off_tick_price_is_refused(int64 price) public {
        vm.assume(price % 1e4 != 0);
        refused(simple(ONE, price), IClearingBase.PriceOffTick.selector);
    }

    function test_a_fill_of_nothing_is_refused() public {
        refused(simple(0, 1e4), IClearingBase.ZeroQuantity.selector);
    }

    function test_an_index_beyond_the_orders_panics(uint32 taker) public {
        Batch memory batch = simple(ONE, 1e4);
        batch.fills[0].taker = uint32(bound(taker, 2, type(uint24).max));
        refused(batch, bytes4(keccak256("Panic(uint256)")));
    }

    // ---- place

    function test_a_seq_beyond_the_header_is_refused(uint32 span, uint32 offset) public {
        Batch memory batch = simple(ONE, 1e4);
        batch.header.lastSeq = batch.header.firstSeq + span;
        batch.fills[0].seqOffset = offset;
        if (offset > span) return refused(batch, IClearingBase.SeqOutOfRange.selector);
        settle(batch);
    }

    function test_an_unsorted_list_is_refused(uint32 first, uint32 second) public {
        first = uint32(bound(first, 0, 1000 - 1));
        second = uint32(bound(second, 0, 1000 - 1));
        Batch memory batch = double();
        (batch.fills[0].seqOffset, batch.fills[1].seqOffset) = (first, second);
        if (second < first) return refused(batch, IClearingBase.NotSortedBySeq.selector);
        settle(batch);
    }

    // ---- time

    function test_time_lies_between_the_oldest_age_and_the_clock_skew(uint32 time) public {
        time = uint32(bound(time, START - 2 * DAY, START + DAY));
        Batch memory batch = simple(ONE, 1e4);
        batch.fills[0].time = time;
        if (time < START - DAY) return refused(batch, IClearingBase.TimeTooEarly.selector);
        if (time > START + 60) return refused(batch, IClearingBase.TimeTooLate.selector);
        settle(batch);
    }

    function test_time_never_falls_within_a_batch() public {
        Batch memory batch = double();
        batch.fills[1].time--;
        refused(batch, IClearingBase.TimeFell.selector);
    }

    function test_time_never_falls_between_batches() public {
        settle(simple(ONE, 1e4));
        settle(batchOf(0, 0, 0, 0));
        Batch memory batch = simple(ONE, 1e4);
        batch.fills[0].time--;
        refused(batch, IClearingBase.TimeFell.selector);
    }

    function simple(uint64 quantity, int64 price) internal view returns (Batch memory) {
        return tradeOf(
            orderOf(alice, BUY, 10 * ONE, price, 1),
            orderOf(bob, SELL, 10 * ONE, price, 1),
            quantity,
            price
        );
    }

    function double() internal view returns (Batch memory batch) {
        batch = simple(ONE, 1e4);
        Fill memory fill = batch.fills[0];
        batch.fills = new Fill[](2);
        batch.fills[0] = fill;
        batch.fills[1] = fillOf(ONE, 1e4);
    }
}
