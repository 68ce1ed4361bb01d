// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {AuctionBid, IAuctions} from "../src/interfaces/IAuctions.sol";
import {
    Batch as PackedBatch,
    IClearing,
    IClearingBase,
    Order,
    Withdraw,
    Withdrawal
} from "../src/interfaces/IClearing.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {IExits} from "../src/interfaces/IExits.sol";
import {BatchProof, MarginProof} from "../src/interfaces/IMargin.sol";
import {IReleases, Queued} from "../src/interfaces/IReleases.sol";
import {ISolvency} from "../src/interfaces/ISolvency.sol";
import {MarksProof} from "../src/libraries/MarksLib.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";
import {BlockingToken, ReentrantToken} from "./Tokens.sol";

contract SettleWithdrawalsTest is ClearingTest {
    function test_a_withdrawal_reaches_its_recipient(uint256 amount, address recipient) public {
        vm.assume(recipient != address(0) && recipient != address(clearing));
        vm.assume(recipient != address(custody));
        amount = bound(amount, 1, uint256(cashOf(alice)));
        int256 before = cashOf(alice);
        Withdraw memory request = withdrawOf(alice, ALICE_KEY, amount, 5);
        request.withdrawal.recipient = recipient;
        request = resigned(request.withdrawal, ALICE_KEY);

        vm.expectEmit(address(clearing));
        emit IClearingBase.Withdrawn(alice, address(usdc), amount, recipient, 5);
        settle(withdrawBatch(request));
        assertEq(amount, usdc.balanceOf(recipient), "arrived");
        assertEq(before - int256(amount), cashOf(alice), "cash");
    }

    function test_a_withdrawal_is_never_paid_twice() public {
        Withdraw memory request = withdrawOf(alice, ALICE_KEY, 1, 5);
        settle(withdrawBatch(request));
        refused(withdrawBatch(request), IClearingBase.NonceUsed.selector);

        Batch memory batch = batchOf(0, 0, 0, 2);
        batch.withdrawals[0] = withdrawOf(alice, ALICE_KEY, 1, 6);
        batch.withdrawals[1] = batch.withdrawals[0];
        refused(batch, IClearingBase.NonceUsed.selector);
    }

    function test_a_withdrawal_and_an_order_never_share_a_nonce(uint16 version) public {
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 5)));
        Order memory maker = orderOf(alice, BUY, (1 << 48) - 1, 1e4, 5);
        maker.version = version;
        Batch memory batch = tradeOf(maker, orderOf(bob, SELL, ONE, 1e4, 5), ONE, 1e4);
        refused(batch, IClearingBase.Overfilled.selector);
        trade(call, ONE, 1e4, 6);
        refused(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, 6)), IClearingBase.NonceUsed.selector);
        batch = tradeOf(orderOf(alice, BUY, ONE, 1e4, 7), orderOf(bob, SELL, ONE, 1e4, 7), ONE, 1e4);
        batch.withdrawals = new Withdraw[](1);
        batch.withdrawals[0] = withdrawOf(alice, ALICE_KEY, 1, 7);
        refused(batch, IClearingBase.NonceUsed.selector); // in one batch neither
    }

    function test_no_more_than_the_cash_leaves(uint256 amount) public {
        amount = bound(amount, uint256(cashOf(alice)) + 1, type(uint256).max);
        refused(
            withdrawBatch(withdrawOf(alice, ALICE_KEY, amount, 5)),
            IClearingBase.InsufficientCash.selector
        );
    }

    function test_cash_counts_at_the_withdrawals_seq(uint32 withdrawSeq) public {
        withdrawSeq = uint32(bound(withdrawSeq, 0, 20));
        uint256 cash = uint256(cashOf(bob));
        Batch memory batch =
            tradeOf(orderOf(alice, BUY, ONE, 1e6, 1), orderOf(bob, SELL, ONE, 1e6, 1), ONE, 1e6);
        batch.fills[0].seqOffset = 10;
        batch.withdrawals = new Withdraw[](1);
        batch.withdrawals[0] = withdrawOf(bob, BOB_KEY, cash + 1e6, 2);
        batch.withdrawals[0].seqOffset = withdrawSeq;
        if (withdrawSeq < 10) return refused(batch, IClearingBase.InsufficientCash.selector);
        settle(batch);
        assertEq(0, cashOf(bob), "cash");
    }

    function test_a_withdrawal_signed_by_a_session_key_is_refused() public {
        vm.prank(aliceAddress);
        clearing.setSessionKey(sessionAddress, type(uint64).max);
        Withdrawal memory w = withdrawOf(alice, ALICE_KEY, 1, 5).withdrawal;
        refused(withdrawBatch(resigned(w, SESSION_KEY)), IClearingBase.InvalidSignature.selector);
        w.signer = sessionAddress;
        refused(withdrawBatch(resigned(w, SESSION_KEY)), IClearingBase.SignerNotAuthorised.selector);
    }

    function test_a_withdrawal_from_another_account_is_refused() public {
        Withdrawal memory w = withdrawOf(alice, ALICE_KEY, 1, 5).withdrawal;
        w.subaccountId = bob;
        refused(withdrawBatch(resigned(w, ALICE_KEY)), IClearingBase.SignerNotAuthorised.selector);
    }

    function test_an_altered_withdrawal_is_refused(uint8 field, uint160 change) public {
        vm.assume(change != 0);
        Withdraw memory request = withdrawOf(alice, ALICE_KEY, 100, 5);
        field = field % 3;
        if (field == 0) request.withdrawal.amount = 101;
        if (field == 1) request.withdrawal.nonce ^= uint64(change) | 1;
        if (field == 2) request.withdrawal.deadline ^= 1;
        refused(withdrawBatch(request), IClearingBase.InvalidSignature.selector);
    }

    function test_an_altered_recipient_is_refused(address recipient) public {
        vm.assume(
            recipient != address(0) && recipient != address(clearing) && recipient != aliceAddress
        );
        Withdraw memory request = withdrawOf(alice, ALICE_KEY, 100, 5);
        request.withdrawal.recipient = recipient;
        refused(withdrawBatch(request), IClearingBase.InvalidSignature.selector);
    }

    function test_the_deadline_is_the_last_second() public {
        Withdraw memory request = withdrawOf(alice, ALICE_KEY, 1, 5);
        request.withdrawal.deadline = START;
        request = resigned(request.withdrawal, ALICE_KEY);
        request.time++;
        refused(withdrawBatch(request), IClearingBase.DeadlinePassed.selector);
        request.time--;
        settle(withdrawBatch(request));
    }

    function test_bad_tokens_amounts_and_recipients_are_refused(address token) public {
        vm.assume(token != address(usdc));
        Withdrawal memory w = withdrawOf(alice, ALICE_KEY, 1, 5).withdrawal;
        w.token = token;
        refused(
            withdrawBatch(resigned(w, ALICE_KEY)), IClearingBase.InsufficientCollateral.selector
        );
        (w.token, w.amount) = (address(usdc), 0);
        refused(withdrawBatch(resigned(w, ALICE_KEY)), IClearingBase.ZeroAmount.selector);
        (w.amount, w.recipient) = (1, address(0));
        refused(withdrawBatch(resigned(w, ALICE_KEY)), IClearingBase.InvalidRecipient.selector);
        w.recipient = address(clearing);
        refused(withdrawBatch(resigned(w, ALICE_KEY)), IClearingBase.InvalidRecipient.selector);
    }

    function test_an_unopened_subaccount_is_refused() public {
        Withdrawal memory w = withdrawOf(alice, ALICE_KEY, 1, 5).withdrawal;
        w.subaccountId = 1000;
        refused(withdrawBatch(resigned(w, ALICE_KEY)), IClearingBase.UnknownSubaccount.selector);
    }
}

contract SettleBlockedWithdrawalTest is ClearingTest {
    function makeToken() internal override returns (MockUSDC) {
        return new BlockingToken();
    }

    function test_a_blocked_recipient_does_not_stop_the_batch(uint64 amount) public {
        amount = uint64(bound(amount, 1, 1_000_000 * USD));
        BlockingToken(address(usdc)).setBlocked(aliceAddress);
        Batch memory batch = batchOf(0, 0, 0, 2);
        batch.withdrawals[0] = withdrawOf(alice, ALICE_KEY, amount, 5);
        batch.withdrawals[1] = withdrawOf(bob, BOB_KEY, 7, 5);
        settle(batch);
        assertEq(amount, custody.heldFor(address(usdc), aliceAddress), "held");
        assertEq(7, usdc.balanceOf(bobAddress), "the next one is paid");

        vm.expectPartialRevert(bytes4(keccak256("Error(string)")));
        custody.claim(address(usdc), aliceAddress);
        BlockingToken(address(usdc)).setBlocked(address(0));
        assertEq(amount, custody.claim(address(usdc), aliceAddress), "claimed");
        assertEq(amount, usdc.balanceOf(aliceAddress), "arrived");
        vm.expectRevert(ICustody.NothingHeld.selector);
        custody.claim(address(usdc), aliceAddress);
    }
}

/// @dev Cash may turn negative (docs/security.md); what then happens to the others is stated here.
contract SettleInsolventTest is ClearingTest {
    function test_money_that_the_contract_lacks_is_held_until_it_comes() public {
        Order memory maker = orderOf(alice, BUY, ONE, int64(3_000_000 * USD), 1);
        Order memory taker = orderOf(bob, SELL, ONE, int64(3_000_000 * USD), 1);
        settle(tradeOf(maker, taker, ONE, int64(3_000_000 * USD)));
        assertEq(-2_000_000 * int256(uint256(USD)), cashOf(alice), "negative");

        settle(withdrawBatch(withdrawOf(bob, BOB_KEY, 4_000_000 * USD, 2)));
        assertEq(4_000_000 * USD, custody.heldFor(address(usdc), bobAddress), "held");
        assertEq(0, usdc.balanceOf(bobAddress), "not paid in part");
        fund(aliceAddress, alice, 2_000_000 * USD);
        assertEq(4_000_000 * USD, custody.claim(address(usdc), bobAddress), "claimed");
        assertEq(0, usdc.balanceOf(address(custody)), "all that is left");
    }
}

contract SettleReentrancyTest is ClearingTest {
    function makeToken() internal override returns (MockUSDC) {
        return new ReentrantToken();
    }

    function test_a_token_cannot_settle_inside_a_withdrawal() public {
        Batch memory inner = batchOf(0, 0, 0, 1);
        inner.withdrawals[0] = withdrawOf(alice, ALICE_KEY, 2, 6);
        attack(address(clearing), abi.encodeCall(IClearing.settle, (packed(inner))));
    }

    function test_a_token_cannot_deposit_inside_a_withdrawal() public {
        attack(address(custody), abi.encodeCall(ICustody.deposit, (alice, address(usdc), 1)));
    }

    function test_a_token_cannot_claim_inside_a_withdrawal() public {
        attack(address(custody), abi.encodeCall(ICustody.claim, (address(usdc), aliceAddress)));
    }

    /// @dev Whoever may enter may enter afterwards only, even where nothing could be won.
    function test_a_token_can_enter_nothing_inside_a_withdrawal() public {
        MarginProof memory proof;
        Queued memory queued;
        AuctionBid memory offer;
        MarksProof memory marks;
        bytes[] memory calls = new bytes[](17);
        calls[0] = abi.encodeCall(IReleases.release, (queued, proof));
        calls[1] = abi.encodeCall(IReleases.takeBack, (queued));
        calls[2] = abi.encodeCall(IReleases.halt, (alice, proof));
        calls[3] = abi.encodeCall(IReleases.liftHalt, (alice, proof));
        calls[4] = abi.encodeCall(IExits.requestExit, (alice, address(usdc), 1, aliceAddress));
        calls[5] = abi.encodeCall(IExits.serveExit, (alice, 1, proof));
        calls[6] = abi.encodeCall(IExits.startEscape, (alice));
        calls[7] = abi.encodeCall(IExits.fixMarks, (marks));
        calls[8] = abi.encodeCall(IExits.fixMissing, (new uint64[](0)));
        calls[9] = abi.encodeCall(IExits.priceTokens, (""));
        calls[10] = abi.encodeCall(IExits.value, (1, new uint64[][](0)));
        calls[11] = abi.encodeCall(IExits.claim, (alice, address(usdc), aliceAddress));
        calls[12] = abi.encodeCall(IAuctions.announceAuction, (alice));
        calls[13] = abi.encodeCall(IAuctions.startAuction, (alice));
        calls[14] = abi.encodeCall(IAuctions.bid, (offer, proof));
        calls[15] = abi.encodeCall(IAuctions.endAuction, (alice));
        PackedBatch memory inner = packed(batchOf(0, 0, 0, 0));
        BatchProof memory shared;
        calls[16] = abi.encodeCall(ISolvency.settleProven, (inner, shared));
        for (uint64 i = 0; i < calls.length; i++) {
            attack(address(clearing), calls[i], 5 + i);
        }
    }

    function attack(address target, bytes memory data) internal {
        attack(target, data, 5);
    }

    function attack(address target, bytes memory data, uint64 nonce) internal {
        ReentrantToken token = ReentrantToken(address(usdc));
        uint256 before = token.balanceOf(aliceAddress);
        manager.grantRole(RELAYER_ROLE, address(token), 0);
        token.arm(target, data);
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1, nonce)));
        assertTrue(token.tried(), "the token tried");
        assertEq(
            keccak256(abi.encodePacked(ReentrancyGuard.ReentrancyGuardReentrantCall.selector)),
            keccak256(token.answer()),
            "refused by the guard"
        );
        assertEq(before + 1, usdc.balanceOf(aliceAddress), "paid once");
    }
}
