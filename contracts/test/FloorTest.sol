// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";

/// @dev What holds for every floor that an owner raises: its own tests say what it voids.
abstract contract FloorTest is ClearingTest {
    function raise(uint64 floor) internal virtual;
    function floorOf() internal view virtual returns (uint64 current, uint64 next, uint64 at);
    function expectRaised(uint64 floor, uint64 at) internal virtual;

    function test_only_the_owner_raises(address caller) public {
        vm.assume(caller != aliceAddress);
        vm.prank(caller);
        vm.expectRevert(IClearingBase.NotOwner.selector);
        raise(1);
    }

    function test_the_old_floor_holds_until_the_delay_is_over(uint64 floor) public {
        vm.assume(floor != 0);
        expectRaised(floor, START + DAY);
        raiseByAlice(floor);
        (uint64 current, uint64 next, uint64 effectiveAt) = floorOf();
        assertEq(0, current, "current");
        assertEq(floor, next, "next");
        assertEq(START + DAY, effectiveAt, "effectiveAt");
    }

    function test_a_floor_never_falls(uint64 first, uint64 second, uint32 wait) public {
        vm.assume(first != 0);
        raiseByAlice(first);
        vm.warp(START + wait);
        second = uint64(bound(second, 0, first));
        vm.prank(aliceAddress);
        vm.expectRevert(IClearingBase.FloorNotRaised.selector);
        raise(second);
    }

    function test_a_second_raise_restarts_the_delay() public {
        raiseByAlice(10);
        vm.warp(START + DAY / 2);
        raiseByAlice(20);
        (uint64 current, uint64 next, uint64 effectiveAt) = floorOf();
        assertEq(0, current, "current");
        assertEq(20, next, "next");
        assertEq(START + DAY + DAY / 2, effectiveAt, "effectiveAt");
    }

    function raiseByAlice(uint64 floor) internal {
        vm.prank(aliceAddress);
        raise(floor);
    }
}
