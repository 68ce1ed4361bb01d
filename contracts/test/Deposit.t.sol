// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {IClearingBase} from "../src/interfaces/IClearing.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {FeeToken, ReentrantToken} from "./Tokens.sol";

contract DepositTest is ClearingTest {
    function test_a_deposit_is_credited_and_logged(uint256 amount) public {
        amount = bound(amount, 1, type(uint64).max);
        int256 before = cashOf(alice);
        usdc.mint(aliceAddress, amount);
        vm.prank(aliceAddress);
        usdc.approve(address(custody), amount);

        vm.expectEmit(address(clearing));
        emit IClearingBase.Deposited(alice, address(usdc), amount);
        vm.prank(aliceAddress);
        assertEq(amount, custody.deposit(alice, address(usdc), amount), "received");
        assertEq(before + int256(amount), cashOf(alice), "cash");
    }

    function test_anyone_may_fund_a_subaccount(uint64 amount) public {
        vm.assume(amount != 0);
        int256 before = cashOf(alice);
        fund(bobAddress, alice, amount);
        assertEq(before + int256(uint256(amount)), cashOf(alice), "cash");
    }

    function test_an_unopened_subaccount_is_refused(uint64 id) public {
        vm.assume(id == 0 || id > clearing.subaccountCount());
        usdc.mint(address(this), 1);
        usdc.approve(address(custody), 1);
        vm.expectPartialRevert(IClearingBase.UnknownSubaccount.selector);
        custody.deposit(id, address(usdc), 1);
    }

    function test_nothing_is_refused() public {
        vm.expectRevert(ICustody.NothingArrived.selector);
        custody.deposit(alice, address(usdc), 0);
    }

    function test_money_that_the_caller_lacks_is_refused(uint128 amount) public {
        vm.assume(amount != 0);
        vm.prank(bobAddress);
        usdc.approve(address(custody), amount);
        vm.prank(bobAddress);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientBalance.selector);
        custody.deposit(bob, address(usdc), amount);
    }

    function test_more_than_the_caps_word_holds_is_refused(uint256 amount) public {
        amount = bound(amount, uint256(1) << 80, type(uint128).max);
        usdc.mint(address(this), amount);
        usdc.approve(address(custody), amount);
        vm.expectPartialRevert(ICustody.CapReached.selector);
        custody.deposit(alice, address(usdc), amount);
    }
}

contract DepositOfFeeTokenTest is ClearingTest {
    function makeToken() internal override returns (MockUSDC) {
        return new FeeToken();
    }

    function test_only_what_arrived_is_credited(uint64 amount) public {
        vm.assume(amount != 0);
        int256 before = cashOf(alice);
        fund(aliceAddress, alice, amount);
        assertEq(int256(uint256(amount - amount / 100)), cashOf(alice) - before, "credited");
        assertEq(
            usdc.balanceOf(address(custody)),
            uint256(cashOf(alice) + cashOf(bob)),
            "balance equals the ledger"
        );
    }
}

contract DepositReentrancyTest is ClearingTest {
    function makeToken() internal override returns (MockUSDC) {
        return new ReentrantToken();
    }

    function test_a_token_cannot_deposit_inside_a_deposit() public {
        attack(abi.encodeCall(ICustody.deposit, (alice, address(usdc), 1)));
    }

    function test_a_token_cannot_claim_inside_a_deposit() public {
        attack(abi.encodeCall(ICustody.claim, (address(usdc), aliceAddress)));
    }

    function attack(bytes memory data) internal {
        ReentrantToken token = ReentrantToken(address(usdc));
        usdc.mint(aliceAddress, 2);
        vm.prank(aliceAddress);
        usdc.approve(address(custody), 2);
        token.arm(address(custody), data);
        vm.prank(aliceAddress);
        custody.deposit(alice, address(usdc), 2);
        assertTrue(token.tried(), "the token tried");
        assertEq(
            keccak256(abi.encodePacked(ReentrancyGuard.ReentrancyGuardReentrantCall.selector)),
            keccak256(token.answer()),
            "refused by the guard"
        );
    }
}
