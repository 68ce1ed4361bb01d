// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {AccessPass} from "../src/AccessPass.sol";
import {InsuranceVault} from "../src/InsuranceVault.sol";
import {IAccessPass} from "../src/interfaces/IAccessPass.sol";
import {IClearingBase, Order} from "../src/interfaces/IClearing.sol";
import {IInsuranceVault} from "../src/interfaces/IInsuranceVault.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

/// @dev A venue that asks for passes; alice and bob have one, the treasury and carol have none.
contract AccessPassTest is ClearingTest {
    AccessPass internal pass;
    uint64 internal nonce = 10;
    address internal carolAddress = address(0xCA401);

    function accessPass() internal override returns (IAccessPass) {
        if (address(pass) == address(0)) {
            pass = new AccessPass(address(manager), DAY);
            pass.issue(aliceAddress, START + 3 * DAY);
            pass.issue(bobAddress, START + 300 * DAY);
        }
        return pass;
    }

    function test_deposits_need_a_pass_of_the_accounts_owner() public {
        uint64 carol = open(carolAddress, 0);
        usdc.mint(aliceAddress, 10);
        vm.prank(aliceAddress);
        usdc.approve(address(custody), 10);
        vm.prank(aliceAddress);
        vm.expectPartialRevert(IClearingBase.NoAccessPass.selector);
        custody.deposit(carol, address(usdc), 10);
        vm.expectEmit(address(pass));
        emit IAccessPass.AccessSet(carolAddress, START + DAY);
        vm.expectEmit(address(pass));
        emit IAccessPass.Locked(uint160(carolAddress));
        pass.issue(carolAddress, START + DAY);
        vm.prank(aliceAddress);
        custody.deposit(carol, address(usdc), 10);
    }

    function test_fills_need_passes_of_both_sides_at_their_time(uint32 late) public {
        late = uint32(bound(late, 0, 2 * DAY));
        settle(tradeAt(START, BUY, false));
        vm.warp(START + 2 * DAY + late);
        Batch memory batch = tradeAt(START + 2 * DAY + late, BUY, false);
        if (late > DAY) refused(batch, IClearingBase.NoAccessPass.selector);
        else settle(batch);
    }

    function test_a_revocation_holds_after_its_delay() public {
        pass.shorten(aliceAddress, 0);
        vm.warp(START + DAY);
        settle(tradeAt(START + DAY - 1, BUY, false)); // released before the engine saw it
        refused(tradeAt(START + DAY, BUY, false), IClearingBase.NoAccessPass.selector);
    }

    function test_shares_of_the_fund_need_a_pass_and_leaving_needs_none() public {
        InsuranceVault vault = new InsuranceVault(clearing, DAY);
        assertEq(0, vault.maxDeposit(aliceAddress), "the vault has none");
        pass.issue(address(vault), START + DAY);
        assertEq(0, vault.maxDeposit(carolAddress), "carol has none");
        usdc.mint(aliceAddress, 10);
        vm.prank(aliceAddress);
        usdc.approve(address(vault), 10);
        vm.prank(aliceAddress);
        uint256 shares = vault.deposit(10, aliceAddress);
        vm.prank(aliceAddress);
        vm.expectRevert(abi.encodeWithSelector(IInsuranceVault.NoAccessPass.selector, carolAddress));
        vault.transfer(carolAddress, shares);
        vm.prank(aliceAddress);
        vault.transfer(bobAddress, shares / 2);
        vm.warp(START + 30 * DAY);
        assertEq(0, vault.maxDeposit(bobAddress), "the vault's is over");
        vm.prank(aliceAddress);
        vault.requestRedeem(shares / 2, aliceAddress, aliceAddress);
    }

    function test_nobody_is_locked_in() public {
        settle(tradeAt(START, BUY, false));
        pass.shorten(aliceAddress, 0);
        vm.warp(START + DAY);
        settle(tradeAt(START + DAY, SELL, true));
        assertEq(0, clearing.position(alice, call), "closed");
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, 7 * USD, 1)));
        vm.prank(aliceAddress);
        clearing.cancelNonce(alice, 5);
    }

    function test_the_reduce_only_door_lets_nobody_open(uint64 quantity) public {
        settle(tradeAt(START, BUY, false));
        pass.shorten(aliceAddress, 0);
        vm.warp(START + DAY);
        quantity = uint64(bound(quantity, ONE + 1, 100 * ONE));
        Order memory maker = orderOf(alice, SELL, quantity, 1e4, ++nonce);
        maker.reduceOnly = true;
        Order memory taker = orderOf(bob, BUY, quantity, 1e4, nonce);
        refused(tradeOf(maker, taker, quantity, 1e4), IClearingBase.NotReducing.selector);
    }

    function test_a_pass_never_moves(address to) public {
        vm.assume(to != address(0));
        assertTrue(pass.locked(uint160(aliceAddress)), "locked");
        vm.prank(aliceAddress);
        vm.expectRevert(IAccessPass.Soulbound.selector);
        pass.transferFrom(aliceAddress, to, uint160(aliceAddress));
        assertTrue(pass.supportsInterface(0xb45a3c0e), "EIP-5192");
        assertTrue(pass.supportsInterface(0x80ac58cd), "EIP-721");
    }

    function test_only_the_issuer_issues_and_shortens(address caller) public {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        pass.issue(caller, START + DAY);
        vm.prank(caller);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        pass.shorten(aliceAddress, 0);
    }

    function test_issuing_only_prolongs_and_shortening_only_shortens(uint64 until) public {
        if (until < START + 3 * DAY) {
            vm.expectRevert(IAccessPass.NotLater.selector);
        } else {
            vm.expectEmit(address(pass));
            emit IAccessPass.AccessSet(aliceAddress, until);
        }
        pass.issue(aliceAddress, until);
        uint64 now_ = until < START + 3 * DAY ? START + 3 * DAY : until;
        vm.expectRevert(IAccessPass.NotLater.selector);
        pass.shorten(aliceAddress, now_);
        vm.expectEmit(address(pass));
        emit IAccessPass.AccessSet(aliceAddress, now_ - 1);
        pass.shorten(aliceAddress, now_ - 1);
        assertTrue(pass.isValidAt(aliceAddress, START + DAY - 1), "until the delay is over");
    }

    function tradeAt(uint64 time, uint8 side, bool reduceOnly)
        internal
        returns (Batch memory batch)
    {
        Order memory maker = orderOf(alice, side, ONE, 1e4, ++nonce);
        maker.reduceOnly = reduceOnly;
        batch = tradeOf(maker, orderOf(bob, 1 - side, ONE, 1e4, nonce), ONE, 1e4);
        batch.fills[0].time = uint32(time);
    }
}
