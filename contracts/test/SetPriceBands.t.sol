// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IClearingBase, PriceBands} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";

contract SetPriceBandsTest is ClearingTest {
    function test_governance_sets_bands_inside_hard_bounds(
        uint64 optionRate,
        uint64 linearRate,
        uint64 maxAge
    ) public {
        PriceBands memory bands = PriceBands({
            optionRate: uint64(bound(optionRate, 1e15, 5e17)),
            linearRate: uint64(bound(linearRate, 1e15, 5e17)),
            maxAge: uint64(bound(maxAge, 1 minutes, 1 hours))
        });
        vm.expectEmit(address(clearing));
        emit IClearingBase.PriceBandsSet(bands);
        clearing.setPriceBands(bands);
        PriceBands memory found = clearing.priceBands();
        assertEq(bands.optionRate, found.optionRate, "options");
        assertEq(bands.linearRate, found.linearRate, "linear");
        assertEq(bands.maxAge, found.maxAge, "age");
    }

    /// @dev Zero would lift them.
    function test_other_bands_are_refused(uint64 value, uint8 field) public {
        bool ofAge = field % 3 == 2;
        if (ofAge) vm.assume(value < 1 minutes || value > 1 hours);
        else vm.assume(value < 1e15 || value > 5e17);
        PriceBands memory bands = PriceBands(1e17, 1e17, 900);
        if (field % 3 == 0) bands.optionRate = value;
        if (field % 3 == 1) bands.linearRate = value;
        if (ofAge) bands.maxAge = value;
        vm.expectRevert(IClearingBase.BandsOutOfBounds.selector);
        clearing.setPriceBands(bands);
    }

    function test_each_bound_is_itself_within() public {
        clearing.setPriceBands(PriceBands(1e15, 1e15, 1 minutes));
        clearing.setPriceBands(PriceBands(5e17, 5e17, 1 hours));
        refusedBands(PriceBands(1e15 - 1, 1e17, 900));
        refusedBands(PriceBands(5e17 + 1, 1e17, 900));
        refusedBands(PriceBands(1e17, 1e15 - 1, 900));
        refusedBands(PriceBands(1e17, 5e17 + 1, 900));
        refusedBands(PriceBands(1e17, 1e17, 1 minutes - 1));
        refusedBands(PriceBands(1e17, 1e17, 1 hours + 1));
    }

    function refusedBands(PriceBands memory bands) internal {
        vm.expectRevert(IClearingBase.BandsOutOfBounds.selector);
        clearing.setPriceBands(bands);
    }

    function test_others_are_refused(address caller) public {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        clearing.setPriceBands(PriceBands(1e17, 1e17, 900));
    }
}
