// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Payoff} from "../src/interfaces/IClearing.sol";
import {IOracle} from "../src/interfaces/IOracle.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

contract RealiseTest is ClearingTest {
    function test_anyone_pays_off_what_the_operator_left(address caller, uint32 wait) public {
        trade(call, ONE, 1e4, 1);
        trade(put, ONE, 1e4, 2);
        vm.warp(EXPIRY + DAY + 1 + wait);
        fixPrice(1, EXPIRY, 100_030 * USD);
        (int256 a, int256 b) = (cashOf(alice), cashOf(bob));
        vm.expectEmit(address(clearing));
        emit IClearingBase.Realised(alice, call, 1e4, 30e6);
        realise(caller, alice);
        realise(caller, bob);
        assertEq(a + 30e6, cashOf(alice), "long");
        assertEq(b - 30e6, cashOf(bob), "short");
        assertEq(0, clearing.position(alice, call), "call");
        assertEq(0, clearing.position(alice, put), "put");
    }

    function test_realising_again_pays_nothing() public {
        trade(call, ONE, 1e4, 1);
        vm.warp(EXPIRY + DAY + 1);
        fixPrice(1, EXPIRY, 100_030 * USD);
        realise(bobAddress, alice);
        int256 before = cashOf(alice);
        realise(bobAddress, alice);
        Batch memory batch = batchOf(0, 0, 1, 0);
        batch.payoffs[0] = Payoff(0, alice, call);
        settle(batch);
        assertEq(before, cashOf(alice), "cash");
    }

    function test_batches_under_way_come_first(uint32 wait) public {
        trade(call, ONE, 1e4, 1);
        vm.warp(EXPIRY + bound(wait, 0, DAY));
        fixPrice(1, EXPIRY, 100_030 * USD);
        vm.expectRevert(IClearingBase.InstrumentNotExpired.selector);
        clearing.realise(alice, both());
        vm.warp(EXPIRY + DAY); // the last second
        vm.expectRevert(IClearingBase.InstrumentNotExpired.selector);
        clearing.realise(alice, both());
    }

    function test_nothing_is_paid_without_a_delivery_price() public {
        trade(call, ONE, 1e4, 1);
        vm.warp(EXPIRY + DAY + 1);
        vm.expectPartialRevert(IOracle.NotFixed.selector);
        clearing.realise(alice, both());
    }

    function test_an_unopened_subaccount_is_refused(uint64 id) public {
        vm.assume(id == 0 || id > clearing.subaccountCount());
        vm.expectPartialRevert(IClearingBase.UnknownSubaccount.selector);
        clearing.realise(id, both());
    }

    function realise(address caller, uint64 id) internal {
        vm.prank(caller);
        clearing.realise(id, both());
    }

    function both() internal view returns (uint64[] memory instruments) {
        instruments = new uint64[](2);
        (instruments[0], instruments[1]) = (call, put);
    }
}
