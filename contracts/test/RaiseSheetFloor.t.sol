// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Order, SignedSheet} from "../src/interfaces/IClearing.sol";
import {SheetLib} from "../src/libraries/SheetLib.sol";
import {Batch} from "./Codec.sol";
import {FloorTest} from "./FloorTest.sol";

contract RaiseSheetFloorTest is FloorTest {
    uint64 internal nonce = 100;

    function test_a_sheet_below_the_floor_fills_only_before_it_took_effect() public {
        raiseByAlice(8);
        vm.warp(START + DAY);
        settle(quoted(7, START + DAY - 1));
        refused(quoted(7, START + DAY), IClearingBase.StaleSheet.selector);
        settle(quoted(8, START + DAY));
        assertEq(8, clearing.sheetNonce(alice), "sheet");
    }

    function test_single_orders_are_untouched() public {
        raiseByAlice(8);
        vm.warp(START + DAY);
        trade(call, ONE, 1e4, 7);
    }

    function test_a_fill_keeps_the_floor_and_a_floor_keeps_the_highest(uint64 floor) public {
        floor = uint64(bound(floor, 4, type(uint64).max));
        settle(quoted(3, START));
        raiseByAlice(floor);
        assertEq(3, clearing.sheetNonce(alice), "highest");
        settle(quoted(4, START));
        (, uint64 next,) = clearing.sheetFloor(alice);
        assertEq(floor, next, "floor");
    }

    function test_a_word_holds_what_was_put_in(uint64 high, uint64 a, uint64 b, uint32 time)
        public
        pure
    {
        uint256 word = SheetLib.withHighest(0, high);
        word = SheetLib.scheduled(word, a, time, uint64(time) + 100);
        word = SheetLib.scheduled(word, b, uint256(time) + 100, uint64(time) + 200);
        assertEq(high, SheetLib.highest(word), "highest");
        assertEq(a, SheetLib.floorAt(word, uint256(time) + 199), "before");
        assertEq(b, SheetLib.floorAt(word, uint256(time) + 200), "after");
    }

    function raise(uint64 floor) internal override {
        clearing.raiseSheetFloor(alice, floor);
    }

    function floorOf() internal view override returns (uint64, uint64, uint64) {
        return clearing.sheetFloor(alice);
    }

    function expectRaised(uint64 floor, uint64 at) internal override {
        vm.expectEmit(address(clearing));
        emit IClearingBase.SheetFloorRaised(alice, floor, at);
    }

    /// @dev Alice bids by a sheet of one leaf, bob sells.
    function quoted(uint64 sheetNonce, uint64 time) internal returns (Batch memory batch) {
        Order memory maker = orderOf(alice, BUY, ONE, 1e4, ++nonce);
        maker.deadline = START + DAY;
        batch = tradeOf(maker, orderOf(bob, SELL, ONE, 1e4, nonce), ONE, 1e4);
        batch.sheets = new SignedSheet[](1);
        batch.sheets[0] = signedSheet(alice, sheetNonce, structHash(maker), ALICE_KEY);
        batch.orders[0] = leaf(maker, 0, new bytes32[](0));
        batch.fills[0].time = uint32(time);
    }
}
