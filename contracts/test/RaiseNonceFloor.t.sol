// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase} from "../src/interfaces/IClearing.sol";
import {Batch} from "./Codec.sol";
import {FloorTest} from "./FloorTest.sol";

contract RaiseNonceFloorTest is FloorTest {
    function test_a_nonce_below_the_floor_fills_only_before_it_took_effect() public {
        vm.warp(START + 1);
        raiseByAlice(10);
        vm.warp(START + DAY + 1);
        settle(tradeAt(8, uint32(START + DAY)));
        refused(tradeAt(9, uint32(START + DAY + 1)), IClearingBase.NonceBelowFloor.selector);
        settle(tradeAt(10, uint32(START + DAY + 1)));
    }

    function test_a_withdrawal_below_the_floor_is_refused() public {
        raiseByAlice(10);
        vm.warp(START + DAY);
        refused(
            withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 9)),
            IClearingBase.NonceBelowFloor.selector
        );
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 10)));
    }

    function raise(uint64 floor) internal override {
        clearing.raiseNonceFloor(alice, floor);
    }

    function floorOf() internal view override returns (uint64, uint64, uint64) {
        return clearing.nonceFloor(alice);
    }

    function expectRaised(uint64 floor, uint64 at) internal override {
        vm.expectEmit(address(clearing));
        emit IClearingBase.NonceFloorRaised(alice, floor, at);
    }

    function tradeAt(uint64 nonce, uint32 time) internal view returns (Batch memory batch) {
        batch = tradeOf(
            orderOf(alice, BUY, ONE, 1e4, nonce), orderOf(bob, SELL, ONE, 1e4, nonce), ONE, 1e4
        );
        batch.fills[0].time = time;
    }
}
