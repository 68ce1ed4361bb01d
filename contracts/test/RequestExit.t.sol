// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Withdraw, Withdrawal} from "../src/interfaces/IClearing.sol";
import {ExitRequest, IExitsBase} from "../src/interfaces/IExits.sol";
import {EscapeTest} from "./EscapeTest.sol";

contract RequestExitTest is EscapeTest {
    function ask(uint64 id, address token, uint256 amount, address recipient) internal {
        address owner = ownerOf(id);
        vm.prank(owner);
        clearing.requestExit(id, token, amount, recipient);
    }

    function unasked(address token, uint256 amount, address recipient, bytes4 reason) internal {
        vm.prank(aliceAddress);
        vm.expectRevert(reason);
        clearing.requestExit(alice, token, amount, recipient);
    }

    /// @dev What a batch pays of the open request.
    function payment(uint64 id, uint256 amount) internal view returns (Withdraw memory paid) {
        ExitRequest memory open_ = clearing.exitOf(id);
        paid.time = uint32(block.timestamp);
        paid.withdrawal =
            Withdrawal(id, open_.token, amount, open_.recipient, open_.ordinal, 0, address(0));
    }

    function test_a_request_is_remembered(uint256 amount, address recipient) public {
        vm.assume(recipient != address(0) && recipient != address(clearing));
        amount = bound(amount, 1, 1_000_000 * USD);
        vm.expectEmit(address(clearing));
        emit IExitsBase.ExitRequested(alice, 1, address(usdc), amount, recipient, START);
        ask(alice, address(usdc), amount, recipient);
        ExitRequest memory found = clearing.exitOf(alice);
        assertEq(address(usdc), found.token, "token");
        assertEq(recipient, found.recipient, "recipient");
        assertEq(amount, found.amount, "amount");
        assertEq(START, found.requestedAt, "time");
        assertEq(1, found.ordinal, "ordinal");
    }

    function test_only_the_owner_asks(address who) public {
        vm.assume(who != aliceAddress);
        vm.prank(who);
        vm.expectRevert(IClearingBase.NotOwner.selector);
        clearing.requestExit(alice, address(usdc), 1, who);
    }

    function test_one_request_of_each_subaccount_is_open() public {
        ask(alice, address(usdc), 1, aliceAddress);
        vm.prank(aliceAddress);
        vm.expectRevert(IExitsBase.ExitIsOpen.selector);
        clearing.requestExit(alice, address(usdc), 1, aliceAddress);
        ask(bob, address(usdc), 1, bobAddress);
    }

    function test_nobody_asks_for_what_is_not_there(uint256 beyond) public {
        beyond = bound(beyond, 1, type(uint128).max);
        unasked(
            address(usdc),
            1_000_000 * USD + beyond,
            aliceAddress,
            IClearingBase.InsufficientCash.selector
        );
        unasked(address(weth), beyond, aliceAddress, IClearingBase.InsufficientCollateral.selector);
        unasked(address(usdc), 0, aliceAddress, IClearingBase.ZeroAmount.selector);
        unasked(address(usdc), 1, address(0), IClearingBase.InvalidRecipient.selector);
        unasked(address(usdc), 1, address(clearing), IClearingBase.InvalidRecipient.selector);
    }

    // ---- the operator pays in a batch

    function test_a_batch_pays_without_a_signature(uint256 amount) public {
        amount = bound(amount, 1, 1_000_000 * USD);
        ask(alice, address(usdc), amount, carolAddress);
        settle(withdrawBatch(payment(alice, amount)));
        assertEq(amount, usdc.balanceOf(carolAddress), "paid");
        assertEq(int256(1_000_000 * USD - amount), cashOf(alice), "debited");
        assertEq(0, clearing.exitOf(alice).requestedAt, "closed");
        vm.warp(START + clearing.EXIT_DEADLINE() + 1);
        vm.expectRevert(IExitsBase.NoExit.selector);
        clearing.startEscape(alice);
    }

    function test_a_batch_pays_tokens() public {
        fundWith(weth, aliceAddress, alice, 2e18);
        ask(alice, address(weth), 2e8, aliceAddress);
        settle(withdrawBatch(payment(alice, 2e8)));
        assertEq(2e18, weth.balanceOf(aliceAddress), "paid");
    }

    /// @dev The rest stays asked for.
    function test_a_batch_may_pay_in_parts(uint256 part) public {
        part = bound(part, 1, 99);
        ask(alice, address(usdc), 100, aliceAddress);
        vm.expectEmit(address(clearing));
        emit IExitsBase.ExitPaid(alice, 1, part, 100 - part);
        settle(withdrawBatch(payment(alice, part)));
        assertEq(100 - part, clearing.exitOf(alice).amount, "left");
        vm.expectEmit(address(clearing));
        emit IExitsBase.ExitPaid(alice, 1, 100 - part, 0);
        settle(withdrawBatch(payment(alice, 100 - part)));
        assertEq(100, usdc.balanceOf(aliceAddress), "paid");
        ask(alice, address(usdc), 1, aliceAddress);
        assertEq(2, clearing.exitOf(alice).ordinal, "another");
    }

    /// @dev Without a signature nothing leaves but what was asked for, to where it was asked.
    function test_a_batch_pays_nothing_else(uint256 which) public {
        ask(alice, address(usdc), 100, aliceAddress);
        fundWith(weth, aliceAddress, alice, 1e18);
        Withdraw memory paid = payment(alice, 100);
        which %= 7;
        if (which == 0) paid.withdrawal.amount++;
        if (which == 1) paid.withdrawal.recipient = relayer;
        if (which == 2) paid.withdrawal.token = address(weth);
        if (which == 3) paid.withdrawal.nonce++;
        if (which == 4) paid.withdrawal.subaccountId = bob;
        if (which == 5) paid.toSubaccountId = bob;
        if (which == 6) paid.withdrawal.amount = 0;
        refused(withdrawBatch(paid), IExitsBase.NoExit.selector);
    }

    function test_a_batch_pays_a_request_once() public {
        ask(alice, address(usdc), 100, aliceAddress);
        Withdraw memory paid = payment(alice, 100);
        settle(withdrawBatch(paid));
        refused(withdrawBatch(paid), IExitsBase.NoExit.selector);
        paid.withdrawal.nonce = 0;
        refused(withdrawBatch(paid), IExitsBase.NoExit.selector);
    }

    /// @dev Whoever serves it by proof later must find no payment under way.
    function test_a_batch_pays_only_what_the_journal_paid_in_time(uint256 late) public {
        ask(alice, address(usdc), 100, aliceAddress);
        late = bound(late, 0, 2 hours);
        vm.warp(START + late);
        Withdraw memory paid = payment(alice, 100);
        if (late > clearing.PAY_WINDOW()) {
            refused(withdrawBatch(paid), IExitsBase.PaidTooLate.selector);
        } else {
            settle(withdrawBatch(paid));
        }
    }

    function test_a_batch_pays_no_more_than_the_cash() public {
        ask(alice, address(usdc), 1_000_000 * USD, aliceAddress);
        deal(alice, bob, call, ONE, USD, 1);
        refused(
            withdrawBatch(payment(alice, 1_000_000 * USD)), IClearingBase.InsufficientCash.selector
        );
    }

    function test_margin_is_named_once() public {
        vm.expectRevert(IExitsBase.MarginIsSet.selector);
        clearing.setMargin(margin);
        vm.prank(relayer);
        (bool done,) = address(clearing).call(abi.encodeCall(clearing.setMargin, (margin)));
        assertTrue(!done, "governance");
    }
}
