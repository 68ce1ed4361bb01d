// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Payoff} from "../src/interfaces/IClearing.sol";
import {IOracle} from "../src/interfaces/IOracle.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch, SignedOrder} from "./Codec.sol";

contract SettlePayoffsTest is ClearingTest {
    uint64 internal constant STRIKE = 100_000 * USD;

    function test_a_payoff_is_exact_and_sums_to_zero(uint64 quantity, uint64 price, bool isPut)
        public
    {
        quantity = uint64(bound(quantity, 1, 1e8));
        price = uint64(bound(price, 1, 1e8)) * 1e4;
        uint64 instrument = isPut ? put : call;
        trade(instrument, quantity, 1e4, 1);
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        expire(price);
        settle(payoffsOf(instrument));

        uint256 value = isPut ? floored(STRIKE, price) : floored(price, STRIKE);
        int256 expected = int256(value * quantity / 1e4);
        assertEq(0, value * quantity % 1e4, "nothing is rounded");
        assertEq(a + expected, cashOf(alice), "long");
        assertEq(b - expected, cashOf(bob), "short");
        assertEq(0, clearing.position(alice, instrument), "long position");
        assertEq(0, clearing.position(bob, instrument), "short position");
    }

    function test_a_payoff_is_logged() public {
        trade(call, 2 * ONE, 1e4, 1);
        expire(STRIKE + 50 * USD);
        vm.expectEmit(address(clearing));
        emit IClearingBase.Realised(alice, call, 2e4, 100e6);
        settle(payoffsOf(call));
    }

    function test_a_second_payoff_pays_nothing() public {
        trade(call, ONE, 1e4, 1);
        expire(STRIKE + 50 * USD);
        settle(payoffsOf(call));
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        settle(payoffsOf(call));
        assertEq(a, cashOf(alice), "long");
        assertEq(b, cashOf(bob), "short");
    }

    function test_a_payoff_twice_in_one_batch_pays_once() public {
        trade(call, ONE, 1e4, 1);
        expire(STRIKE + 50 * USD);
        int256 before = cashOf(alice);
        Batch memory batch = batchOf(0, 0, 2, 0);
        batch.payoffs[0] = Payoff(0, alice, call);
        batch.payoffs[1] = Payoff(0, alice, call);
        settle(batch);
        assertEq(before + 50e6, cashOf(alice), "cash");
    }

    function test_no_payoff_without_a_delivery_price() public {
        trade(call, ONE, 1e4, 1);
        vm.warp(EXPIRY);
        refused(payoffsOf(call), IOracle.NotFixed.selector);
    }

    function test_a_fill_before_the_payoff_in_seq_is_paid_off_and_one_after_it_is_not() public {
        vm.warp(EXPIRY - 1);
        SignedOrder memory buy = signed(orderOf(alice, BUY, 2 * ONE, 1e4, 1), ALICE_KEY);
        SignedOrder memory sell = signed(orderOf(bob, SELL, 2 * ONE, 1e4, 1), BOB_KEY);
        Batch memory batch = batchOf(2, 2, 1, 0);
        (batch.orders[0], batch.orders[1]) = (buy, sell);
        (batch.fills[0], batch.fills[1]) = (fillOf(ONE, 1e4), fillOf(ONE, 1e4));
        (batch.fills[0].seqOffset, batch.fills[1].seqOffset) = (3, 5);
        batch.payoffs[0] = Payoff(3, alice, call);
        int256 before = cashOf(alice);
        expire(STRIKE + 50 * USD);
        settle(batch);
        assertEq(before - 2e4 + 50e6, cashOf(alice), "one of two paid");
        assertEq(int64(ONE), clearing.position(alice, call), "one of two left");
    }

    function test_the_payoff_of_an_unopened_subaccount_is_nothing(uint64 id, uint64 instrument)
        public
    {
        vm.assume(id > clearing.subaccountCount());
        Batch memory batch = batchOf(0, 0, 1, 0);
        batch.payoffs[0] = Payoff(0, id, instrument);
        settle(batch);
    }

    function test_preview_tells_what_the_payoff_will_be(uint64 price) public {
        price = uint64(bound(price, 1, 1e8)) * 1e4;
        trade(put, 3 * ONE, 1e4, 1);
        expire(price);
        int256 preview = clearing.previewPayoff(bob, put);
        int256 before = cashOf(bob);
        settle(payoffsOf(put));
        assertEq(before + preview, cashOf(bob), "cash");
    }

    function expire(uint64 price) internal {
        vm.warp(EXPIRY);
        fixPrice(1, EXPIRY, price);
    }

    function payoffsOf(uint64 instrument) internal view returns (Batch memory batch) {
        batch = batchOf(0, 0, 2, 0);
        batch.payoffs[0] = Payoff(0, alice, instrument);
        batch.payoffs[1] = Payoff(0, bob, instrument);
    }

    function floored(uint256 a, uint256 b) internal pure returns (uint256) {
        return a > b ? a - b : 0;
    }
}
