// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Funding, IClearingBase, Payoff, Position} from "../src/interfaces/IClearing.sol";
import {IOracle} from "../src/interfaces/IOracle.sol";
import {InstrumentLib} from "../src/libraries/InstrumentLib.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

/// @dev Perpetuals and futures: what a position costs, what closing it pays, funding, delivery.
contract SettleLinearTest is ClearingTest {
    int64 internal constant PRICE = 100_000 * int64(USD);
    uint64 internal nonce = 1;

    /// @dev The slow twin: a position and the cash that it realised.
    struct Twin {
        int256 quantity;
        int256 cost;
        int256 cash;
    }

    // ---- cost

    function test_opening_moves_no_cash_but_the_fee() public {
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        settle(buy(perpetual, 2 * ONE, PRICE));
        expect(alice, perpetual, 2 * int64(ONE), 2 * PRICE);
        expect(bob, perpetual, -2 * int64(ONE), -2 * PRICE);
        assertEq(a, cashOf(alice), "buyer");
        assertEq(b, cashOf(bob), "seller");
    }

    function test_closing_pays_the_difference() public {
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        settle(buy(perpetual, 2 * ONE, PRICE));
        settle(sell(perpetual, ONE, PRICE + 500e6));
        expect(alice, perpetual, int64(ONE), PRICE);
        assertEq(a + 500e6, cashOf(alice), "long");
        assertEq(b - 500e6, cashOf(bob), "short");
        settle(sell(perpetual, ONE, PRICE - 700e6));
        expect(alice, perpetual, 0, 0);
        expect(bob, perpetual, 0, 0);
        assertEq(a - 200e6, cashOf(alice), "long");
    }

    function test_a_fill_that_crosses_zero_closes_all_and_opens_the_rest() public {
        int256 a = cashOf(alice);
        settle(buy(perpetual, ONE, PRICE));
        settle(sell(perpetual, 3 * ONE, PRICE + 100e6));
        expect(alice, perpetual, -2 * int64(ONE), -2 * (PRICE + 100e6));
        expect(bob, perpetual, 2 * int64(ONE), 2 * (PRICE + 100e6));
        assertEq(a + 100e6, cashOf(alice), "cash");
    }

    function test_what_a_close_releases_is_rounded_up_and_comes_back_at_the_end() public {
        int256 a = cashOf(alice);
        settle(buy(perpetual, 1, 10_000)); // costs 1
        settle(buy(perpetual, 2, 20_000)); // costs 4: 5 for 3
        settle(sell(perpetual, 1, 20_000));
        expect(alice, perpetual, 2, 3); // 5/3 up
        assertEq(a + 2 - 2, cashOf(alice), "long");
        expect(bob, perpetual, -2, -4); // -5/3 up is -1
        settle(sell(perpetual, 2, 20_000));
        assertEq(a + 6 - 5, cashOf(alice), "all of it");
    }

    function test_random_fills_equal_the_twin_and_make_nothing(uint256 seed, bool together) public {
        Twin memory a = Twin(0, 0, cashOf(alice));
        Twin memory b = Twin(0, 0, cashOf(bob));
        int256 sum = a.cash + b.cash;
        Batch memory whole = batchOf(12, 6, 0, 0);
        for (uint256 i = 0; i < 6; i++) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            uint64 quantity = uint64(1 + (dice >> 8) % 50_000);
            int64 price = int64(uint64(1e4 * (1 + (dice >> 64) % 1e7)));
            bool buys = dice % 2 == 0;
            Batch memory one = buys ? buy(future, quantity, price) : sell(future, quantity, price);
            (whole.orders[2 * i], whole.orders[2 * i + 1]) = (one.orders[0], one.orders[1]);
            whole.fills[i] = copyOf(one.fills[0]);
            (whole.fills[i].maker, whole.fills[i].taker) = (uint32(2 * i), uint32(2 * i + 1));
            if (!together) settle(one);
            fill(a, buys ? int256(uint256(quantity)) : -int256(uint256(quantity)), price);
            fill(b, buys ? -int256(uint256(quantity)) : int256(uint256(quantity)), price);
        }
        if (together) settle(whole);
        expect(alice, future, a.quantity, a.cost);
        expect(bob, future, b.quantity, b.cost);
        assertEq(a.cash, cashOf(alice), "cash of alice");
        assertEq(b.cash, cashOf(bob), "cash of bob");
        assertEq(sum, a.cash + b.cash - a.cost - b.cost, "cash less cost");
    }

    function test_reduce_only_holds_for_perpetuals() public {
        settle(buy(perpetual, ONE, PRICE));
        Batch memory batch = buy(perpetual, ONE, PRICE);
        batch.orders[0].order.reduceOnly = true;
        batch.orders[0] = signed(batch.orders[0].order, ALICE_KEY);
        refused(batch, IClearingBase.NotReducing.selector);
    }

    function test_a_perpetual_never_expires(uint32 wait) public {
        vm.warp(START + wait / 2);
        settle(buy(perpetual, ONE, PRICE));
        fixPrice(1, 0, 5 * USD); // signers can, and it means nothing
        uint64[] memory list = new uint64[](1);
        list[0] = perpetual;
        vm.expectRevert(IClearingBase.InstrumentNotExpired.selector);
        clearing.realise(alice, list);
        Batch memory batch = batchOf(0, 0, 1, 0);
        batch.payoffs[0] = Payoff(0, alice, perpetual);
        refused(batch, IClearingBase.InstrumentNotExpired.selector);
    }

    // ---- delivery

    function test_a_future_pays_its_value_less_its_cost(uint64 ticks) public {
        uint64 price = uint64(bound(ticks, 1, 1e8)) * 1e4;
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        settle(buy(future, 3 * ONE, PRICE));
        vm.warp(EXPIRY);
        fixPrice(1, EXPIRY, price);
        int256 gain = 3 * (int256(uint256(price)) - PRICE);
        assertEq(gain, clearing.previewPayoff(alice, future), "preview");
        Batch memory batch = batchOf(0, 0, 2, 0);
        (batch.payoffs[0], batch.payoffs[1]) = (Payoff(0, alice, future), Payoff(0, bob, future));
        settle(batch);
        assertEq(a + gain, cashOf(alice), "long");
        assertEq(b - gain, cashOf(bob), "short");
        expect(alice, future, 0, 0);
        expect(bob, future, 0, 0);
    }

    function test_anyone_realises_a_future_that_the_operator_left() public {
        settle(buy(future, ONE, PRICE));
        vm.warp(EXPIRY + DAY + 1);
        fixPrice(1, EXPIRY, uint64(PRICE) + 40 * USD);
        uint64[] memory list = new uint64[](1);
        list[0] = future;
        int256 a = cashOf(alice);
        clearing.realise(alice, list);
        assertEq(a + 40e6, cashOf(alice), "cash");
        expect(alice, future, 0, 0);
    }

    function test_an_expired_future_does_not_trade() public {
        vm.warp(EXPIRY);
        refused(buy(future, ONE, PRICE), IClearingBase.InstrumentExpired.selector);
    }

    // ---- funding

    function test_a_touched_position_pays_what_the_index_moved() public {
        settle(buy(perpetual, 2 * ONE, PRICE));
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        post(1, 30_000);
        settle(funded(buy(perpetual, ONE, PRICE), 1));
        assertEq(a - 60_000, cashOf(alice), "long pays");
        assertEq(b + 60_000, cashOf(bob), "short receives");
        assertEq(30_000, held(alice).fundingIndex, "index");
        post(2, -10_000);
        settle(funded(sell(perpetual, 3 * ONE, PRICE), 2));
        assertEq(a - 60_000 + 120_000, cashOf(alice), "and back");
        expect(alice, perpetual, 0, 0);
        assertEq(0, held(alice).fundingIndex, "nothing is left of a closed position");
    }

    function test_a_position_opened_later_pays_no_earlier_funding() public {
        post(1, 30_000);
        settle(funded(batchOf(0, 0, 0, 0), 1));
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        settle(buy(perpetual, ONE, PRICE));
        assertEq(30_000, held(alice).fundingIndex, "index");
        settle(sell(perpetual, ONE, PRICE));
        assertEq(a, cashOf(alice), "long");
        assertEq(b, cashOf(bob), "short");
    }

    function test_every_fill_of_a_batch_sees_one_index() public {
        settle(buy(perpetual, ONE, PRICE));
        int256 a = cashOf(alice);
        post(1, 20_000);
        Batch memory batch = funded(doubled(), 1);
        settle(batch);
        assertEq(a - 20_000, cashOf(alice), "once, for what was held before");
    }

    function test_an_index_must_be_newer_and_posted() public {
        refused(funded(batchOf(0, 0, 0, 0), 1), IOracle.FundingNotPosted.selector);
        post(1, 10_000);
        post(2, 20_000);
        vm.expectEmit(address(clearing));
        emit IClearingBase.FundingApplied(perpetual, 2, 20_000);
        settle(funded(batchOf(0, 0, 0, 0), 2));
        (uint64 ordinal, int64 index) = clearing.funding(perpetual);
        assertEq(2, ordinal, "ordinal");
        assertEq(20_000, index, "index");
        refused(funded(batchOf(0, 0, 0, 0), 2), IClearingBase.FundingNotNewer.selector);
        refused(funded(batchOf(0, 0, 0, 0), 1), IClearingBase.FundingNotNewer.selector);
    }

    function test_funding_sums_to_zero_and_equity_is_kept(uint256 seed) public {
        int256 sum = cashOf(alice) + cashOf(bob);
        int64 index = 0;
        for (uint64 i = 1; i <= 6; i++) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            index += (int64(uint64(dice % 200)) - 100) * 1e4;
            vm.warp(block.timestamp + 60);
            post(i, index);
            uint64 quantity = uint64(1 + (dice >> 8) % 50_000);
            int64 price = int64(uint64(1e4 * (1 + (dice >> 64) % 1e7)));
            settle(
                funded(
                    dice >> 200 & 1 == 0
                        ? buy(perpetual, quantity, price)
                        : sell(perpetual, quantity, price),
                    i
                )
            );
            int256 costs = int256(held(alice).cost) + held(bob).cost;
            assertEq(sum, cashOf(alice) + cashOf(bob) - costs, "cash less cost");
            assertEq(0, int256(held(alice).quantity) + held(bob).quantity, "positions");
        }
    }

    /// @dev An option is paid for; the others cost when they close, and funding when touched.
    function test_holdings_are_net_of_costs_and_funding() public {
        post(1, 30_000);
        settle(funded(buy(perpetual, 2 * ONE, PRICE), 1));
        settle(buy(future, ONE, PRICE + 10e6));
        settle(buy(call, 3 * ONE, 5e6));
        post(2, 50_000);
        settle(funded(batchOf(0, 0, 0, 0), 2));
        uint64[] memory list = new uint64[](3);
        (list[0], list[1], list[2]) = (call, perpetual, future);
        int256 owed = 3 * int256(PRICE) + 10e6 + 2 * 20_000;
        for (uint256 i = 0; i < 2; i++) {
            int256 sign = i == 0 ? int256(1) : int256(-1);
            uint64 id = i == 0 ? alice : bob;
            (int256 net, uint256 count, int256[] memory quantities) = clearing.holdings(id, list);
            assertEq(cashOf(id) - sign * owed, net, "net cash");
            assertEq(3, count, "positions");
            assertEq(sign * int64(3 * ONE), quantities[0], "call");
            assertEq(sign * int64(2 * ONE), quantities[1], "perpetual");
            assertEq(sign * int64(ONE), quantities[2], "future");
        }
    }

    // ---- words

    function buy(uint64 instrument, uint64 quantity, int64 price) internal returns (Batch memory) {
        return traded(instrument, quantity, price, BUY);
    }

    function sell(uint64 instrument, uint64 quantity, int64 price) internal returns (Batch memory) {
        return traded(instrument, quantity, price, SELL);
    }

    /// @dev Alice on `side` against bob, with fresh nonces.
    function traded(uint64 instrument, uint64 quantity, int64 price, uint8 side)
        internal
        returns (Batch memory batch)
    {
        batch = batchOf(2, 1, 0, 0);
        batch.orders[0].order = orderOf(alice, side, quantity, price, ++nonce);
        batch.orders[1].order = orderOf(bob, 1 - side, quantity, price, nonce);
        batch.orders[0].order.instrument = instrument;
        batch.orders[1].order.instrument = instrument;
        batch.orders[0] = signed(batch.orders[0].order, ALICE_KEY);
        batch.orders[1] = signed(batch.orders[1].order, BOB_KEY);
        batch.fills[0] = fillOf(quantity, price);
    }

    function doubled() internal returns (Batch memory batch) {
        batch = batchOf(4, 2, 0, 0);
        for (uint256 i = 0; i < 2; i++) {
            Batch memory one = buy(perpetual, ONE, PRICE);
            (batch.orders[2 * i], batch.orders[2 * i + 1]) = (one.orders[0], one.orders[1]);
            batch.fills[i] = one.fills[0];
            (batch.fills[i].maker, batch.fills[i].taker) = (uint32(2 * i), uint32(2 * i + 1));
        }
    }

    function post(uint64 ordinal, int64 index) internal {
        postFunding(perpetual, ordinal, uint64(block.timestamp), index);
    }

    function funded(Batch memory batch, uint64 ordinal) internal view returns (Batch memory) {
        batch.fundings = new Funding[](1);
        batch.fundings[0] = Funding(perpetual, ordinal);
        return batch;
    }

    function held(uint64 id) internal view returns (Position memory) {
        return positionOf(id, perpetual);
    }

    function expect(uint64 id, uint64 instrument, int256 quantity, int256 cost) internal view {
        Position memory found = positionOf(id, instrument);
        assertEq(quantity, found.quantity, "quantity");
        assertEq(cost, found.cost, "cost");
    }

    /// @dev docs/margin.md in the plainest form: unit by unit of sign.
    function fill(Twin memory twin, int256 quantity, int256 price) internal pure {
        int256 closes = 0;
        if (twin.quantity > 0 && quantity < 0) {
            closes = -quantity < twin.quantity ? quantity : -twin.quantity;
        }
        if (twin.quantity < 0 && quantity > 0) {
            closes = quantity < -twin.quantity ? quantity : -twin.quantity;
        }
        if (closes != 0) {
            int256 released = ceil(twin.cost * -closes, twin.quantity);
            twin.cash += -price * closes / 1e4 - released;
            twin.cost -= released;
        }
        twin.cost += price * (quantity - closes) / 1e4;
        twin.quantity += quantity;
    }

    function ceil(int256 a, int256 b) internal pure returns (int256 c) {
        if (b < 0) (a, b) = (-a, -b);
        c = a / b;
        if (c * b < a) c++;
    }
}
