// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";

import {InsuranceVault} from "../src/InsuranceVault.sol";
import {
    IClearingBase,
    Order,
    TakenLeg,
    TakenToken,
    Takeover
} from "../src/interfaces/IClearing.sol";
import {TokenRules} from "../src/interfaces/ICustody.sol";
import {
    Closed,
    IERC7540Operator,
    IERC7540Redeem,
    IInsuranceVault
} from "../src/interfaces/IInsuranceVault.sol";
import {MarginProof} from "../src/interfaces/IMargin.sol";
import {IReleases, IReleasesBase, Queued} from "../src/interfaces/IReleases.sol";
import {Batch} from "./Codec.sol";
import {VaultTest} from "./VaultTest.sol";

contract InsuranceVaultTest is VaultTest {
    uint256 internal constant MUCH = 100_000 * USD;
    uint80 internal constant NO_CAP = type(uint80).max;

    // ---- in

    function test_deposits_are_cash_of_the_fund(uint256 first, uint256 second) public {
        first = bound(first, 1, type(uint72).max);
        assertEq(first * 1e6, bring(carol, first), "shares");
        assertEq(int256(first), cashOf(fundAccount), "the fund's");
        assertEq(0, usdc.balanceOf(address(vault)), "nothing stays");
        second = bound(second, 1, vault.maxDeposit(dave));
        bring(dave, second);
        assertEq(first + second, vault.totalAssets(), "both");
        assertEq(first, valueOf(carol), "the first loses nothing");
        assertTrue(valueOf(dave) <= second && valueOf(dave) + 1 >= second, "nor the second");
    }

    function test_shares_follow_gains_and_losses(uint256 up, uint256 down) public {
        bring(carol, 3 * MUCH);
        bring(dave, MUCH / 2);
        gain(bound(up, 1, MUCH));
        uint256 lost = lose(bound(down, USD, MUCH));
        uint256 all = vault.totalAssets();
        assertEq(3 * MUCH + MUCH / 2 + bound(up, 1, MUCH) - lost, all, "what is there");
        assertTrue(valueOf(carol) <= all * 6 / 7 + 1 && valueOf(carol) + 2 >= all * 6 / 7, "six");
        assertTrue(valueOf(dave) <= all / 7 + 1 && valueOf(dave) + 2 >= all / 7, "of seven");
    }

    /// @dev Whoever gives to the fund to round the next depositor off loses a million times more.
    function test_nobody_gains_by_inflating_the_price(uint256 first, uint256 gift, uint256 next)
        public
    {
        first = bound(first, 1, 100);
        bring(carol, first);
        gift = bound(gift, 1, 1_000_000_000 * USD);
        gain(gift);
        next = bound(next, gift / 1e6 + 2, vault.maxDeposit(dave));
        bring(dave, next);
        uint256 lost = next - valueOf(dave);
        assertTrue(lost <= gift / 1e6 + 1, "a millionth of the gift");
        assertTrue(valueOf(carol) <= first + gift, "and the giver has no more than it gave");
    }

    function test_what_was_there_before_anybody_stays_the_funds(uint256 before) public {
        before = bound(before, 1, MUCH);
        gain(before);
        bring(carol, MUCH);
        assertTrue(valueOf(carol) <= MUCH && valueOf(carol) + 1 >= MUCH - before / 1e5, "her own");
    }

    function test_a_day_brings_a_quarter_of_what_is_there() public {
        assertEq(type(uint72).max, vault.maxDeposit(carol), "the first is free");
        bring(carol, 8 * MUCH);
        assertEq(2 * MUCH, vault.maxDeposit(dave), "a quarter");
        bring(dave, 2 * MUCH);
        assertEq(MUCH / 2, vault.maxDeposit(dave), "a quarter of more");
        vm.warp(block.timestamp + DAY);
        assertEq(10 * MUCH / 4, vault.maxDeposit(dave), "the next day");
        usdc.mint(dave, 3 * MUCH);
        vm.prank(dave);
        usdc.approve(address(vault), 3 * MUCH);
        vm.prank(dave);
        vm.expectPartialRevert(ERC4626.ERC4626ExceededMaxDeposit.selector);
        vault.deposit(10 * MUCH / 4 + 1, dave);
        uint256 most = vault.maxMint(dave);
        vm.prank(dave);
        vault.mint(most, dave);
    }

    function test_nothing_is_taken_for_no_share() public {
        bring(carol, 1);
        gain(10_000_000 * USD);
        usdc.mint(dave, 1);
        vm.prank(dave);
        usdc.approve(address(vault), 1);
        vm.prank(dave);
        vm.expectRevert(IInsuranceVault.ZeroShares.selector);
        vault.deposit(1, dave);
    }

    function test_custodys_rules_and_a_pause_bound_deposits() public {
        bring(carol, MUCH);
        uint128 there = custody.total(address(usdc));
        custody.setRules(address(usdc), TokenRules(true, uint80(there + 7), NO_CAP, NO_CAP));
        assertEq(7, vault.maxDeposit(dave), "up to the cap");
        bring(dave, 7);
        custody.setRules(address(usdc), TokenRules(false, NO_CAP, NO_CAP, NO_CAP));
        assertEq(0, vault.maxDeposit(dave), "closed");
        custody.setRules(address(usdc), TokenRules(true, NO_CAP, NO_CAP, NO_CAP));
        clearing.pause();
        assertEq(0, vault.maxDeposit(dave), "paused");
        assertEq(0, vault.maxMint(dave), "shares too");
        clearing.unpause();
        bring(dave, 1);
    }

    // ---- when nothing can be priced

    function test_while_it_holds_positions_nobody_enters_or_is_paid() public {
        bring(carol, 8 * MUCH);
        uint256 round = ask(carol, 1e6);
        mature(round);
        takeOver();
        assertEq(uint256(Closed.POSITIONS), uint256(vault.closed()), "why");
        assertEq(0, vault.maxDeposit(dave), "no deposits");
        refusedClosed(round, Closed.POSITIONS);
    }

    function test_a_round_that_is_drawn_waits_while_it_holds_positions() public {
        bring(carol, 8 * MUCH);
        uint256 round = ask(carol, vault.balanceOf(carol) / 2);
        mature(round);
        vault.draw(round);
        serve();
        takeOver();
        vm.expectRevert(
            abi.encodeWithSelector(IInsuranceVault.FundClosed.selector, Closed.POSITIONS)
        );
        vault.pay(round);
    }

    function test_while_its_cash_is_below_zero_nobody_enters_or_is_paid() public {
        bring(carol, MUCH);
        uint256 round = ask(carol, 1e6);
        mature(round);
        lose(2 * MUCH);
        assertEq(uint256(Closed.DEBT), uint256(vault.closed()), "why");
        assertEq(0, vault.maxDeposit(dave), "no deposits");
        assertEq(0, vault.totalAssets(), "worth nothing");
        refusedClosed(round, Closed.DEBT);
        gain(3 * MUCH);
        payRound(round);
    }

    function refusedClosed(uint256 round, Closed why) internal {
        vm.expectRevert(abi.encodeWithSelector(IInsuranceVault.FundClosed.selector, why));
        vault.draw(round);
    }

    /// @dev The fund takes all of bob over.
    function takeOver() internal {
        post(++epoch, root());
        trade(call, SHORT, PRICE, ++nonce);
        flags.flag(bob, call_());
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.takeovers = new Takeover[](1);
        Takeover memory t = batch.takeovers[0];
        (t.time, t.liquidatedId, t.takerId) = (uint32(block.timestamp), bob, fundAccount);
        t.fraction = RATIO;
        t.legs = new TakenLeg[](1);
        t.legs[0] = TakenLeg(call, -int64(SHORT), int64(30_000 * USD));
        t.tokens = new TakenToken[](0);
        settle(batch);
    }

    // ---- out

    function test_what_was_put_in_comes_out_after_the_notice(uint256 assets, uint256 part) public {
        assets = bound(assets, 1, 1_000_000_000 * USD);
        uint256 shares = bound(part, 1, bring(carol, assets));
        uint256 worth = vault.convertToAssets(shares);
        uint256 round = ask(carol, shares);
        assertEq(shares, vault.pendingRedeemRequest(round, carol), "pending");
        assertEq(0, vault.maxRedeem(carol), "not yet");
        vm.warp(vault.maturesAt(round) - 1);
        vm.expectPartialRevert(IInsuranceVault.NotMature.selector);
        vault.draw(round);
        mature(round);
        vm.expectEmit(address(vault));
        emit IInsuranceVault.RoundDrawn(round, shares, worth);
        vault.draw(round);
        serve();
        vm.expectEmit(address(vault));
        emit IInsuranceVault.RoundPaid(round, shares, worth);
        vault.pay(round);
        assertEq(0, vault.pendingRedeemRequest(round, carol), "no longer");
        assertEq(shares, vault.claimableRedeemRequest(round, carol), "claimable");
        assertEq(worth, vault.maxWithdraw(carol), "what it is worth");
        assertEq(worth, vault.owed(), "set apart");
        assertEq(worth, take(carol), "claimed");
        assertEq(worth, usdc.balanceOf(carol), "in her wallet");
        assertEq(0, vault.maxRedeem(carol), "once");
        assertEq(0, vault.owed(), "nothing more");
        assertEq(assets - worth, vault.totalAssets(), "the rest stays");
    }

    function test_the_notice_is_at_least_one_period(uint32 at) public {
        bring(carol, MUCH);
        vm.warp(block.timestamp + at);
        uint256 waits = vault.maturesAt(askAll(carol)) - block.timestamp;
        assertTrue(waits > NOTICE && waits <= 2 * NOTICE, "one to two");
    }

    /// @dev Who sees a loss coming and asks to leave bears it like everybody.
    function test_a_loss_after_the_request_is_borne(uint256 amount) public {
        bring(carol, MUCH);
        bring(dave, MUCH);
        uint256 round = askAll(carol);
        uint256 lost = lose(bound(amount, USD, MUCH));
        payRound(round);
        uint256 worth = vault.maxWithdraw(carol);
        uint256 fair = (2 * MUCH - lost) / 2;
        assertTrue(worth <= fair && worth + 1 >= fair, "half of what is left");
        assertTrue(valueOf(dave) + 1 >= worth && valueOf(dave) <= worth + 1, "like dave");
    }

    /// @dev The engine knew of it when it paid; the chain hears of it in the same batches.
    function test_a_loss_between_draw_and_payment_is_borne(uint256 amount) public {
        bring(carol, 2 * MUCH);
        bring(dave, MUCH);
        uint256 round = ask(carol, vault.balanceOf(carol) / 2);
        mature(round);
        vault.draw(round);
        uint128 debt = ruin(bound(amount, USD, MUCH));
        settle(withdrawBatch(payment(clearing.exitOf(fundAccount).amount)));
        cover(debt);
        vault.pay(round);
        uint256 fair = (3 * MUCH - debt) / 3;
        assertTrue(vault.owed() <= fair && vault.owed() + 1 >= fair, "at the lower price");
        assertEq(3 * MUCH - debt - vault.owed(), vault.totalAssets(), "the rest went back");
        assertEq(int256(vault.totalAssets()), cashOf(fundAccount), "into the fund");
    }

    function test_a_gain_between_draw_and_payment_stays(uint256 amount) public {
        bring(carol, MUCH);
        bring(dave, MUCH);
        uint256 round = askAll(carol);
        mature(round);
        vault.draw(round);
        gain(bound(amount, 1, MUCH));
        serve();
        vm.expectEmit(address(vault));
        emit IInsuranceVault.RoundPaid(round, MUCH * 1e6, MUCH);
        vault.pay(round);
        assertEq(MUCH, vault.maxWithdraw(carol), "what was asked for");
    }

    function test_a_gift_to_the_vault_counts_and_is_swept(uint256 amount) public {
        bring(carol, MUCH);
        amount = bound(amount, 1, MUCH);
        usdc.mint(address(vault), amount);
        assertEq(MUCH + amount, vault.totalAssets(), "counts");
        clearing.pause();
        vault.sweep(); // no deposits in a pause: it stays, and counts
        assertEq(MUCH + amount, vault.totalAssets(), "still");
        clearing.unpause();
        vault.sweep();
        assertEq(int256(MUCH + amount), cashOf(fundAccount), "the fund's");
    }

    function test_nothing_is_drawn_twice_or_paid_before_it_is_there() public {
        bring(carol, MUCH);
        bring(dave, MUCH);
        uint256 round = askAll(carol);
        vm.warp(block.timestamp + NOTICE);
        uint256 later = askAll(dave);
        mature(later);
        vm.expectRevert(IInsuranceVault.NotDrawn.selector);
        vault.pay(round);
        vault.draw(round);
        assertEq(0, vault.maxDeposit(carol), "nobody enters meanwhile");
        vm.expectRevert(abi.encodeWithSelector(IInsuranceVault.RoundIsDrawn.selector, round));
        vault.draw(later);
        vm.expectRevert(abi.encodeWithSelector(IInsuranceVault.RoundIsDrawn.selector, round));
        vault.sweep();
        vm.expectRevert(IInsuranceVault.NotArrived.selector);
        vault.pay(round);
        serve();
        vault.pay(round);
        vm.expectRevert(IInsuranceVault.NothingToPay.selector);
        vault.draw(round);
        payRound(later);
        assertEq(MUCH, take(carol), "carol's");
        assertEq(MUCH, take(dave), "dave's");
        assertEq(0, vault.totalSupply(), "nobody's is left");
    }

    /// @dev The engine could pay only a part, and by proof nothing more was free.
    function test_a_round_that_is_paid_short_is_drawn_again() public {
        bring(carol, 2 * MUCH);
        uint256 round = ask(carol, vault.balanceOf(carol) / 2);
        mature(round);
        vault.draw(round);
        settle(withdrawBatch(payment(MUCH / 4)));
        uint128 lost = lose(MUCH * 7 / 4);
        vm.warp(block.timestamp + clearing.PAY_WINDOW() + DAY + 1);
        clearing.serveExit(fundAccount, uint256(cashOf(fundAccount)), noProof());
        gain(MUCH);
        vm.expectEmit(address(vault));
        emit IInsuranceVault.RoundShort(round, 2 * MUCH - lost); // all that was there then
        vault.pay(round);
        (uint256 now_,,) = vault.drawn();
        assertEq(0, now_, "to be drawn again");
        payRound(round);
        uint256 fair = (3 * MUCH - lost) / 2;
        assertTrue(vault.owed() <= fair && vault.owed() + 1 >= fair, "at the price of then");
    }

    function noProof() internal pure returns (MarginProof memory proof) {}

    function test_what_waits_in_the_queue_is_waited_for() public {
        IReleases(address(clearing)).setWithdrawalDelay(DAY);
        bring(carol, MUCH);
        bring(dave, MUCH);
        uint256 round = askAll(carol);
        mature(round);
        vault.draw(round);
        Queued memory queued = Queued(fundAccount, address(usdc), MUCH, address(vault), 1, true);
        serve();
        vm.expectRevert(IInsuranceVault.NotArrived.selector);
        vault.pay(round);
        assertEq(0, vault.maxDeposit(dave), "its price would be wrong");
        vm.warp(block.timestamp + DAY);
        vm.expectEmit(address(clearing));
        emit IReleasesBase.WithdrawalReleased(fundAccount, 1, true);
        IReleases(address(clearing)).release(queued, noProof());
        vault.pay(round);
        assertEq(MUCH, take(carol), "whole");
    }

    function test_what_a_cap_holds_up_is_waited_for() public {
        bring(carol, 10_000 * MUCH);
        uint256 round = askAll(carol);
        mature(round);
        uint80 cap = uint80(custody.total(address(usdc)) / 5);
        custody.setRules(address(usdc), TokenRules(true, NO_CAP, cap, cap));
        vault.draw(round);
        serve();
        assertEq(10_000 * MUCH, vault.totalAssets(), "held money counts");
        for (uint256 i = 0; i < 5; i++) {
            vm.expectRevert(IInsuranceVault.NotArrived.selector);
            vault.pay(round);
            vm.warp(block.timestamp + DAY);
            if (custody.heldFor(address(usdc), address(vault)) != 0) {
                custody.claim(address(usdc), address(vault));
            }
            if (custody.heldFor(address(usdc), address(vault)) == 0) break;
        }
        vault.pay(round);
        assertEq(10_000 * MUCH, take(carol), "whole");
    }

    // ---- who may ask and claim

    function test_one_request_of_each_controller_is_open() public {
        bring(carol, MUCH);
        uint256 round = ask(carol, 1e6);
        assertEq(round, ask(carol, 1e6), "more into the same round");
        vm.warp(block.timestamp + NOTICE);
        vm.prank(carol);
        vm.expectRevert(abi.encodeWithSelector(IInsuranceVault.RequestIsOpen.selector, round));
        vault.requestRedeem(1e6, carol, carol);
        payRound(round);
        assertEq(2, take(carol), "two units");
        ask(carol, 1e6);
        vm.prank(carol);
        vm.expectRevert(IInsuranceVault.ZeroShares.selector);
        vault.requestRedeem(0, carol, carol);
    }

    function test_others_need_leave(address other) public {
        vm.assume(other != carol && other != address(0) && other != address(vault));
        bring(carol, MUCH);
        vm.prank(other);
        vm.expectPartialRevert(
            bytes4(keccak256("ERC20InsufficientAllowance(address,uint256,uint256)"))
        );
        vault.requestRedeem(1e6, carol, carol);
        vm.prank(carol);
        vm.expectRevert(IInsuranceVault.NotOperator.selector);
        vault.requestRedeem(1e6, other, carol); // would keep the other from asking
        vm.prank(carol);
        vault.approve(other, 1e6);
        vm.expectEmit(address(vault));
        emit IERC7540Redeem.RedeemRequest(other, carol, block.timestamp / NOTICE, other, 1e6);
        vm.prank(other);
        uint256 round = vault.requestRedeem(1e6, other, carol);
        payRound(round);
        vm.prank(carol);
        vm.expectRevert(IInsuranceVault.NotOperator.selector);
        vault.redeem(1e6, carol, other);
        vm.expectEmit(address(vault));
        emit IERC7540Operator.OperatorSet(other, carol, true);
        vm.prank(other);
        vault.setOperator(carol, true);
        vm.expectEmit(address(vault));
        emit IERC4626.Withdraw(carol, dave, other, 1, 1e6);
        vm.prank(carol);
        assertEq(1, vault.redeem(1e6, dave, other), "an operator may");
        vm.expectEmit(address(vault));
        emit IERC7540Redeem.RedeemRequest(other, carol, block.timestamp / NOTICE, carol, 1e6);
        vm.prank(carol);
        vault.requestRedeem(1e6, other, carol);
    }

    function test_claims_in_parts_take_the_whole_and_no_more(uint256 a, uint256 b, uint256 cut)
        public
    {
        bring(carol, bound(a, 2, MUCH));
        bring(dave, bound(b, 2, MUCH / 2));
        gain(777);
        uint256 round = askAll(carol);
        askAll(dave);
        payRound(round);
        uint256 all = vault.owed();
        cut = bound(cut, 0, vault.maxWithdraw(carol));
        vm.prank(carol);
        uint256 burnt = vault.withdraw(cut, carol, carol);
        assertTrue(burnt <= vault.balanceOf(carol) + burnt, "shares");
        uint256 paidOut = cut + take(carol);
        assertTrue(paidOut <= all, "no more");
        vm.prank(carol);
        vm.expectPartialRevert(ERC4626.ERC4626ExceededMaxWithdraw.selector);
        vault.withdraw(1, carol, carol);
        vm.prank(carol);
        vm.expectPartialRevert(ERC4626.ERC4626ExceededMaxRedeem.selector);
        vault.redeem(1, carol, carol);
        assertEq(all, paidOut + take(dave), "the whole");
        assertEq(0, vault.owed(), "nothing is kept");
    }

    function test_previews_of_leaving_revert_and_interfaces_are_told() public {
        vm.expectRevert(IInsuranceVault.PricedWhenPaid.selector);
        vault.previewRedeem(1);
        vm.expectRevert(IInsuranceVault.PricedWhenPaid.selector);
        vault.previewWithdraw(1);
        assertTrue(vault.supportsInterface(0x620ee8e4), "asynchronous redemption");
        assertTrue(vault.supportsInterface(0xe3bc4e65), "operators");
        assertTrue(vault.supportsInterface(0x2f0a18c5), "its own share");
        assertTrue(vault.supportsInterface(0x01ffc9a7), "ERC-165");
        assertTrue(!vault.supportsInterface(0xffffffff), "not everything");
        assertTrue(!vault.supportsInterface(0xce3bbe50), "deposits are at once");
        assertEq(address(vault), vault.share(), "share");
        assertEq(12, vault.decimals(), "decimals");
        vm.expectRevert(IInsuranceVault.ZeroNotice.selector);
        new InsuranceVault(clearing, 0);
        vm.expectRevert(IInsuranceVault.WrongParameters.selector);
        vault.watch(hex"00");
        vm.expectRevert(IInsuranceVault.NotEscaped.selector);
        vault.takeBack(carol);
        vm.expectRevert(IInsuranceVault.NotEscaped.selector);
        vault.quit(1, new address[](0), carol);
    }
}
