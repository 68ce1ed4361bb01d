// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IClearingBase} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";

contract EighteenDecimals is ERC20("Other", "OTH") {}

contract OpenSubaccountTest is ClearingTest {
    function test_subaccount_one_is_the_treasurys() public view {
        (address owner, int96 cash) = clearing.account(1);
        assertEq(treasury, owner, "owner");
        assertEq(0, cash, "cash");
    }

    function test_ids_count_up_and_belong_to_the_caller(address caller, uint8 kinds) public {
        vm.assume(caller != address(0));
        uint64 last = clearing.subaccountCount();
        for (uint256 i = 0; i < 8; i++) {
            bool standard = kinds >> i & 1 == 1;
            vm.expectEmit(address(clearing));
            emit IClearingBase.SubaccountOpened(++last, caller, standard);
            vm.prank(caller);
            uint64 id = standard ? clearing.openStandardSubaccount() : clearing.openSubaccount();
            assertEq(last, id, "id");
            (address owner,) = clearing.account(last);
            assertEq(caller, owner, "owner");
            assertTrue(standard == clearing.isStandard(id), "how it is margined");
        }
        assertEq(last, clearing.subaccountCount(), "count");
    }

    function test_a_venue_needs_a_treasury() public {
        vm.expectRevert(IClearingBase.ZeroAddress.selector);
        deployClearing(address(usdc), address(0), DAY, DAY);
    }

    function test_a_cancel_may_not_bind_before_the_oldest_batch(uint64 delay) public {
        delay = uint64(bound(delay, 0, DAY - 1));
        vm.expectRevert(IClearingBase.CancelDelayTooShort.selector);
        deployClearing(address(usdc), treasury, DAY, delay);
    }

    function test_cash_units_are_those_of_usdc() public {
        ERC20 other = new EighteenDecimals();
        vm.expectRevert(IClearingBase.TokenNotSixDecimals.selector);
        deployClearing(address(other), treasury, DAY, DAY);
    }
}
