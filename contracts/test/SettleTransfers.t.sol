// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Withdraw, Withdrawal} from "../src/interfaces/IClearing.sol";
import {ICustody, TokenRules} from "../src/interfaces/ICustody.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

contract SettleTransfersTest is ClearingTest {
    uint64 internal savings; // alice's too
    MockToken internal weth;

    function setUp() public override {
        super.setUp();
        savings = open(aliceAddress, 0);
        weth = new MockToken("Wrapped Ether", "WETH", 18);
        uint80 none = type(uint80).max;
        custody.setRules(address(weth), TokenRules(true, none, none, none));
        fundWith(weth, aliceAddress, alice, 10e18);
    }

    function test_cash_reaches_the_owners_other_subaccount(uint256 amount) public {
        amount = bound(amount, 1, uint256(cashOf(alice)));
        uint256 held = usdc.balanceOf(address(custody));
        vm.expectEmit(address(clearing));
        emit IClearingBase.Transferred(alice, savings, address(usdc), amount, 5);
        settle(withdrawBatch(transferOf(alice, savings, ALICE_KEY, amount, 5)));
        assertEq(int256(amount), cashOf(savings), "arrived");
        assertEq(1_000_000 * int256(uint256(USD)), cashOf(alice) + cashOf(savings), "sum");
        assertEq(held, usdc.balanceOf(address(custody)), "nothing leaves");
    }

    function test_a_token_reaches_the_owners_other_subaccount(uint256 amount) public {
        amount = bound(amount, 1, 10e8);
        settle(withdrawBatch(tokenTransfer(amount, 5)));
        assertEq(amount, clearing.collateralOf(savings, address(weth)), "arrived");
        assertEq(10e8 - amount, clearing.collateralOf(alice, address(weth)), "left");
        assertEq(10e18, weth.balanceOf(address(custody)), "nothing leaves");
        assertEq(0, cashOf(savings), "no cash");
    }

    function test_no_more_than_is_held_moves(uint256 amount) public {
        amount = bound(amount, uint256(cashOf(alice)) + 1, type(uint256).max);
        Withdraw memory request = transferOf(alice, savings, ALICE_KEY, amount, 5);
        refused(withdrawBatch(request), IClearingBase.InsufficientCash.selector);
        refused(
            withdrawBatch(tokenTransfer(amount, 5)), IClearingBase.InsufficientCollateral.selector
        );
    }

    function test_what_arrived_can_leave_in_the_same_batch() public {
        Batch memory batch = batchOf(0, 0, 0, 2);
        batch.withdrawals[0] = transferOf(alice, savings, ALICE_KEY, 70, 5);
        batch.withdrawals[1] = withdrawOf(savings, ALICE_KEY, 70, 1);
        (batch.withdrawals[0].seqOffset, batch.withdrawals[1].seqOffset) = (4, 3);
        refused(batch, IClearingBase.NotSortedBySeq.selector);
        (batch.withdrawals[0], batch.withdrawals[1]) = (batch.withdrawals[1], batch.withdrawals[0]);
        refused(batch, IClearingBase.InsufficientCash.selector); // it leaves before it arrives
        (batch.withdrawals[0], batch.withdrawals[1]) = (batch.withdrawals[1], batch.withdrawals[0]);
        (batch.withdrawals[0].seqOffset, batch.withdrawals[1].seqOffset) = (3, 4);
        settle(batch);
        assertEq(70, usdc.balanceOf(aliceAddress), "arrived");
        assertEq(0, cashOf(savings), "and left");
    }

    function test_nothing_moves_to_another_owner_or_to_itself(uint64 to) public {
        vm.assume(to != savings && to != 0);
        Withdraw memory request = transferOf(alice, to, ALICE_KEY, 1, 5);
        // a subaccount that is not open cannot be loaded either
        bytes4 error_ = to <= clearing.subaccountCount()
            ? IClearingBase.InvalidRecipient.selector
            : IClearingBase.UnknownSubaccount.selector;
        refused(withdrawBatch(request), error_);
        Withdrawal memory w = tokenTransfer(1, 5).withdrawal;
        request = redirected(w, to, ALICE_KEY);
        refused(withdrawBatch(request), IClearingBase.InvalidRecipient.selector);
        request = transferOf(alice, bob, ALICE_KEY, 1, 5);
        refused(withdrawBatch(request), IClearingBase.InvalidRecipient.selector);
        request = transferOf(alice, alice, ALICE_KEY, 1, 5);
        refused(withdrawBatch(request), IClearingBase.InvalidRecipient.selector);
    }

    function test_only_the_owners_own_signature_moves_money() public {
        vm.prank(aliceAddress);
        clearing.setSessionKey(sessionAddress, type(uint64).max);
        Withdrawal memory w = transferOf(alice, savings, ALICE_KEY, 1, 5).withdrawal;
        refused(
            withdrawBatch(redirected(w, savings, SESSION_KEY)),
            IClearingBase.InvalidSignature.selector
        );
        w.signer = sessionAddress;
        refused(
            withdrawBatch(redirected(w, savings, SESSION_KEY)),
            IClearingBase.SignerNotAuthorised.selector
        );
        (w.signer, w.subaccountId) = (aliceAddress, bob);
        refused(
            withdrawBatch(redirected(w, savings, ALICE_KEY)),
            IClearingBase.InvalidRecipient.selector
        );
    }

    function test_an_altered_transfer_is_refused(uint8 field) public {
        uint64 third = open(aliceAddress, 0);
        Withdraw memory request = transferOf(alice, savings, ALICE_KEY, 100, 5);
        field = field % 4;
        if (field == 0) request.withdrawal.amount = 101;
        if (field == 1) request.withdrawal.nonce = 6;
        if (field == 2) request.withdrawal.deadline ^= 1;
        if (field == 3) request.toSubaccountId = third;
        refused(withdrawBatch(request), IClearingBase.InvalidSignature.selector);
    }

    function test_a_withdrawal_is_no_transfer_and_a_transfer_no_withdrawal() public {
        Withdraw memory request = withdrawOf(alice, ALICE_KEY, 100, 5);
        request.toSubaccountId = savings;
        refused(withdrawBatch(request), IClearingBase.InvalidSignature.selector);
        request = transferOf(alice, savings, ALICE_KEY, 100, 5);
        (request.toSubaccountId, request.withdrawal.recipient) = (0, aliceAddress);
        refused(withdrawBatch(request), IClearingBase.InvalidSignature.selector);
    }

    function test_a_transfer_happens_once_and_shares_nonces_with_all_else() public {
        Withdraw memory request = transferOf(alice, savings, ALICE_KEY, 100, 5);
        settle(withdrawBatch(request));
        refused(withdrawBatch(request), IClearingBase.NonceUsed.selector);
        refused(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 5)), IClearingBase.NonceUsed.selector);
        trade(call, ONE, 1e4, 6);
        request = transferOf(alice, savings, ALICE_KEY, 100, 6);
        refused(withdrawBatch(request), IClearingBase.NonceUsed.selector);
    }

    function test_nothing_deadline_and_floor() public {
        Withdraw memory request = transferOf(alice, savings, ALICE_KEY, 0, 5);
        refused(withdrawBatch(request), IClearingBase.ZeroAmount.selector);
        request = transferOf(alice, savings, ALICE_KEY, 1, 5);
        request.withdrawal.deadline = START - 1;
        request = redirected(request.withdrawal, savings, ALICE_KEY);
        refused(withdrawBatch(request), IClearingBase.DeadlinePassed.selector);
        vm.prank(aliceAddress);
        clearing.raiseNonceFloor(alice, 6);
        vm.warp(START + DAY + 1);
        request = transferOf(alice, savings, ALICE_KEY, 1, 5);
        refused(withdrawBatch(request), IClearingBase.NonceBelowFloor.selector);
        settle(withdrawBatch(transferOf(alice, savings, ALICE_KEY, 1, 6)));
    }

    function tokenTransfer(uint256 amount, uint64 nonce) internal view returns (Withdraw memory) {
        Withdrawal memory w = transferOf(alice, savings, ALICE_KEY, amount, nonce).withdrawal;
        w.token = address(weth);
        return redirected(w, savings, ALICE_KEY);
    }
}
