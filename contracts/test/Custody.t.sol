// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Custody} from "../src/Custody.sol";
import {IClearingBase, Withdraw, Withdrawal} from "../src/interfaces/IClearing.sol";
import {ICustody, ILedger, TokenRules} from "../src/interfaces/ICustody.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";
import {FalseToken, NoReturnToken, RebasingToken, SenderFeeToken} from "./Tokens.sol";

/// @dev Words for tokens other than USDC.
abstract contract CustodyTest is ClearingTest {
    uint80 internal constant NONE = type(uint80).max;

    function list(MockToken token) internal returns (MockToken) {
        custody.setRules(address(token), rulesOf(NONE, NONE, NONE));
        return token;
    }

    function listed(uint8 decimals) internal returns (MockToken) {
        return list(new MockToken("Token", "TOK", decimals));
    }

    function rulesOf(uint80 totalCap, uint80 hourCap, uint80 dayCap)
        internal
        pure
        returns (TokenRules memory)
    {
        return TokenRules({open: true, totalCap: totalCap, hourCap: hourCap, dayCap: dayCap});
    }

    function withdrawToken(MockToken token, uint256 amount, uint64 nonce)
        internal
        view
        returns (Batch memory)
    {
        Withdrawal memory w = withdrawOf(alice, ALICE_KEY, amount, nonce).withdrawal;
        w.token = address(token);
        return withdrawBatch(resigned(w, ALICE_KEY));
    }

    function held(MockToken token) internal view returns (uint256) {
        return custody.heldFor(address(token), aliceAddress);
    }
}

contract CustodyTokensTest is CustodyTest {
    /// @dev 0 to 24 decimals come in as ledger units and leave to the last unit.
    function test_tokens_of_all_decimals_come_and_go(uint8 decimals, uint256 amount) public {
        decimals = uint8(bound(decimals, 0, 24));
        MockToken token = listed(decimals);
        uint256 unit = decimals > 8 ? 10 ** (decimals - 8) : 1;
        assertEq(unit, custody.unit(address(token)), "unit");
        amount = bound(amount, unit, uint256(1e12) * 10 ** decimals);

        token.mint(aliceAddress, amount);
        vm.prank(aliceAddress);
        token.approve(address(custody), amount);
        vm.expectEmit(address(clearing));
        emit IClearingBase.Deposited(alice, address(token), amount / unit);
        vm.prank(aliceAddress);
        custody.deposit(alice, address(token), amount);
        assertEq(amount / unit, clearing.collateralOf(alice, address(token)), "credited");
        assertEq(amount / unit, custody.total(address(token)), "total");
        assertEq(amount % unit, token.balanceOf(aliceAddress), "dust stays with the owner");
        assertEq(1_000_000 * int256(uint256(USD)), cashOf(alice), "cash is not touched");

        settle(withdrawToken(token, amount / unit, 5));
        assertEq(amount, token.balanceOf(aliceAddress), "all back");
        assertEq(0, token.balanceOf(address(custody)), "nothing left");
        assertEq(0, custody.total(address(token)), "total");
    }

    function test_more_than_24_decimals_are_refused(uint8 decimals) public {
        decimals = uint8(bound(decimals, 25, 255));
        MockToken token = new MockToken("Token", "TOK", decimals);
        vm.expectRevert(ICustody.TooManyDecimals.selector);
        custody.setRules(address(token), rulesOf(NONE, NONE, NONE));
    }

    function test_an_unlisted_token_is_refused() public {
        MockToken token = new MockToken("Token", "TOK", 18);
        vm.expectPartialRevert(ICustody.NotListed.selector);
        custody.deposit(alice, address(token), 1e18);
    }

    function test_dust_below_a_ledger_unit_is_refused(uint256 amount) public {
        MockToken token = listed(18);
        amount = bound(amount, 0, 1e10 - 1);
        token.mint(aliceAddress, amount);
        vm.prank(aliceAddress);
        token.approve(address(custody), amount);
        vm.prank(aliceAddress);
        vm.expectRevert(ICustody.NothingArrived.selector);
        custody.deposit(alice, address(token), amount);
    }

    function test_only_what_is_there_is_withdrawn() public {
        MockToken token = listed(18);
        fundWith(token, aliceAddress, alice, 1e18);
        refused(withdrawToken(token, 1e8 + 1, 5), IClearingBase.InsufficientCollateral.selector);
        fundWith(token, bobAddress, bob, 1e18);
        refused(withdrawToken(token, 1e8 + 1, 5), IClearingBase.InsufficientCollateral.selector);
    }

    function test_a_token_that_returns_nothing_works() public {
        MockToken token = list(MockToken(address(new NoReturnToken())));
        fundWith(token, aliceAddress, alice, 1e6);
        settle(withdrawToken(token, 1e6, 5));
        assertEq(1e6, token.balanceOf(aliceAddress), "back");
    }

    function test_false_means_refused() public {
        FalseToken token = new FalseToken();
        list(token);
        fundWith(token, aliceAddress, alice, 1e18);
        token.setRefused(aliceAddress);
        settle(withdrawToken(token, 1e8, 5));
        assertEq(1e8, held(token), "held");
        assertEq(1e8, custody.total(address(token)), "still here");

        vm.expectPartialRevert(SafeERC20.SafeERC20FailedOperation.selector);
        custody.claim(address(token), aliceAddress);
        token.setRefused(address(0));
        custody.claim(address(token), aliceAddress);
        assertEq(1e18, token.balanceOf(aliceAddress), "arrived");
    }

    function test_false_on_the_way_in_is_refused() public {
        FalseToken token = new FalseToken();
        list(token);
        token.setRefused(address(custody));
        token.mint(address(this), 1e18);
        token.approve(address(custody), 1e18);
        vm.expectPartialRevert(SafeERC20.SafeERC20FailedOperation.selector);
        custody.deposit(alice, address(token), 1e18);
    }

    /// @dev A new depositor must not fill the hole that a rebase left.
    function test_a_token_that_shrank_takes_no_deposits_and_grew_gives_nothing() public {
        RebasingToken token = new RebasingToken();
        list(token);
        fundWith(token, aliceAddress, alice, 1e18);
        token.rebase(99);
        token.mint(bobAddress, 1e18);
        vm.prank(bobAddress);
        token.approve(address(custody), 1e18);
        vm.prank(bobAddress);
        vm.expectPartialRevert(ICustody.TokenShort.selector);
        custody.deposit(bob, address(token), 1e17);

        token.rebase(200);
        assertEq(1e8, clearing.collateralOf(alice, address(token)), "no gift");
        settle(withdrawToken(token, 1e8, 5));
        assertEq(1e8, held(token), "this one moves twice what it is told: held");
    }

    function test_a_token_that_takes_from_the_sender_never_takes_from_others() public {
        SenderFeeToken token = new SenderFeeToken();
        list(token);
        token.mint(bobAddress, 1e16); // for the tax
        fundWith(token, bobAddress, bob, 1e18);
        token.mint(aliceAddress, 1e16);
        fundWith(token, aliceAddress, alice, 1e18);
        settle(withdrawToken(token, 1e8, 5));
        assertEq(1e8, held(token), "held");
        assertEq(2e18, token.balanceOf(address(custody)), "nothing left");
        vm.expectRevert(ICustody.WrongAmountMoved.selector);
        custody.claim(address(token), aliceAddress);
    }

    function test_money_for_the_custody_itself_is_held() public {
        Withdrawal memory w = withdrawOf(alice, ALICE_KEY, 7, 5).withdrawal;
        w.recipient = address(custody);
        settle(withdrawBatch(resigned(w, ALICE_KEY)));
        assertEq(7, custody.heldFor(address(usdc), address(custody)), "held");
    }
}

contract CustodyCapsTest is CustodyTest {
    MockToken internal token;

    function setUp() public override {
        super.setUp();
        token = listed(18);
        fundWith(token, aliceAddress, alice, 1000e18);
        custody.setRules(address(token), rulesOf(2000e8, 100e8, 250e8));
    }

    function test_what_exceeds_the_cap_waits(uint256 amount) public {
        amount = bound(amount, 1, 1000e8);
        uint256 paid = amount < 100e8 ? amount : 100e8;
        if (amount > paid) {
            vm.expectEmit(address(custody));
            emit ICustody.WithdrawalHeld(address(token), aliceAddress, amount - paid);
        }
        settle(withdrawToken(token, amount, 5));
        assertEq(paid * 1e10, token.balanceOf(aliceAddress), "paid");
        assertEq(amount - paid, held(token), "held");
    }

    function test_the_cap_refills_within_an_hour(uint256 seconds_) public {
        settle(withdrawToken(token, 300e8, 5));
        vm.expectRevert(ICustody.CapSpent.selector);
        custody.claim(address(token), aliceAddress);

        seconds_ = bound(seconds_, 1, 1 hours);
        vm.warp(block.timestamp + seconds_);
        uint256 room = 100e8 * seconds_ / 1 hours;
        assertEq(room, custody.releasable(address(token)), "room");
        vm.expectEmit(address(custody));
        emit ICustody.Claimed(address(token), aliceAddress, room);
        assertEq(room, custody.claim(address(token), aliceAddress), "claimed");
        assertEq(200e8 - room, held(token), "held");
        assertEq((100e8 + room) * 1e10, token.balanceOf(aliceAddress), "arrived");
    }

    /// @dev However often one asks: a day's cap and its refill bound a day.
    function test_the_days_cap_bounds_a_day() public {
        settle(withdrawToken(token, 1000e8, 5));
        for (uint256 i = 0; i < 23; i++) {
            vm.warp(START + (i + 1) * 1 hours);
            custody.claim(address(token), aliceAddress);
        }
        uint256 left = token.balanceOf(aliceAddress) / 1e10;
        assertTrue(left >= 450e8 && left <= 500e8, "cap and refill");
        for (uint256 i = 23; held(token) > 0; i++) {
            vm.warp(START + (i + 1) * 1 hours);
            custody.claim(address(token), aliceAddress);
        }
        assertEq(1000e18, token.balanceOf(aliceAddress), "all in the end");
        assertTrue(block.timestamp <= START + 4 days, "no later than the caps say");
    }

    function test_a_failed_transfer_spends_no_cap() public {
        FalseToken refusing = new FalseToken();
        list(refusing);
        fundWith(refusing, aliceAddress, alice, 100e18);
        custody.setRules(address(refusing), rulesOf(NONE, 10e8, 11e8));
        refusing.setRefused(aliceAddress);
        settle(withdrawToken(refusing, 10e8, 5));
        assertEq(10e8, custody.releasable(address(refusing)), "room");
    }

    function test_deposits_stop_at_the_total_cap() public {
        fundWith(token, bobAddress, bob, 1000e18);
        token.mint(bobAddress, 1e18);
        vm.prank(bobAddress);
        token.approve(address(custody), 1e18);
        vm.prank(bobAddress);
        vm.expectPartialRevert(ICustody.CapReached.selector);
        custody.deposit(bob, address(token), 1e10);
    }

    function test_a_closed_token_takes_nothing_and_pays_all() public {
        TokenRules memory rules = rulesOf(NONE, NONE, NONE);
        rules.open = false;
        custody.setRules(address(token), rules);
        vm.expectPartialRevert(ICustody.DepositsClosed.selector);
        custody.deposit(bob, address(token), 1e18);
        settle(withdrawToken(token, 1000e8, 5));
        assertEq(1000e18, token.balanceOf(aliceAddress), "all back");
    }

    /// @dev Governance cannot lock money in by a cap.
    function test_caps_let_a_hundredth_leave_in_an_hour_and_a_tenth_in_a_day() public {
        vm.expectRevert(ICustody.CapTooLow.selector);
        custody.setRules(address(token), rulesOf(NONE, 10e8, NONE));
        vm.expectRevert(ICustody.CapTooLow.selector);
        custody.setRules(address(token), rulesOf(NONE, NONE, 100e8));
        vm.expectEmit(address(custody));
        emit ICustody.TokenRulesSet(address(token), rulesOf(NONE, 10e8 + 1, 100e8 + 1));
        custody.setRules(address(token), rulesOf(NONE, 10e8 + 1, 100e8 + 1));
        TokenRules memory rules = custody.rules(address(token));
        assertEq(10e8 + 1, rules.hourCap, "hour");
        assertEq(100e8 + 1, rules.dayCap, "day");
    }
}

contract CustodyDoorsTest is CustodyTest {
    function test_only_governance_sets_rules(address who) public {
        vm.assume(who != address(this));
        vm.prank(who);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        custody.setRules(address(usdc), rulesOf(0, 0, 0));
    }

    function test_only_clearing_pays(address who) public {
        vm.assume(who != address(clearing));
        vm.prank(who);
        vm.expectRevert(ICustody.NotClearing.selector);
        custody.pay(address(usdc), who, 1);
    }

    function test_only_the_custody_sends(address who) public {
        vm.assume(who != address(custody));
        vm.prank(who);
        vm.expectRevert(ICustody.NotCustody.selector);
        Custody(address(custody)).send(address(usdc), who, 1);
    }

    function test_only_the_custody_credits(address who) public {
        vm.assume(who != address(custody));
        vm.prank(who);
        vm.expectRevert(ICustody.NotCustody.selector);
        ILedger(address(clearing)).credit(alice, address(usdc), 1);
    }

    function test_clearing_and_custody_know_each_other() public view {
        assertEq(address(clearing), Custody(address(custody)).CLEARING(), "clearing");
        assertEq(1, custody.unit(address(usdc)), "USDC is listed");
    }
}
