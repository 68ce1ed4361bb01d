// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {InsuranceVault} from "../src/InsuranceVault.sol";
import {Liquidations} from "../src/Liquidations.sol";
import {IClearingBase} from "../src/interfaces/IClearing.sol";
import {Closed, IInsuranceVault} from "../src/interfaces/IInsuranceVault.sol";
import {IBatchAge} from "../src/interfaces/ILiquidations.sol";
import {MarksLib} from "../src/libraries/MarksLib.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {EscapeTest} from "./EscapeTest.sol";
import {ReentrantToken} from "./Tokens.sol";

/// @dev A fund that holds tokens too, and the end of the venue: what is the fund's is its
/// shareholders', to the last unit.
contract InsuranceVaultEndTest is EscapeTest {
    uint256 internal constant MUCH = 300_000 * USD;
    uint64 internal constant NOTICE = 6 hours;

    InsuranceVault internal vault;
    uint64 internal fundAccount;
    address internal dave = address(0xDA7E);
    address internal erin = address(0xE419);

    function makeToken() internal override returns (MockUSDC) {
        return new ReentrantToken();
    }

    function setUp() public override {
        super.setUp();
        vault = new InsuranceVault(clearing, NOTICE);
        fundAccount = vault.SUBACCOUNT();
        Liquidations flags = new Liquidations(margin, IBatchAge(address(clearing)));
        clearing.setLiquidations(flags, fundAccount);
        vault.watch(abi.encode(parameters()));
        bring(dave, MUCH);
    }

    function bring(address who, uint256 assets) internal {
        usdc.mint(who, assets);
        vm.prank(who);
        usdc.approve(address(vault), assets);
        vm.prank(who);
        vault.deposit(assets, who);
    }

    function ask(address who, uint256 shares) internal returns (uint256 round) {
        vm.prank(who);
        return vault.requestRedeem(shares, who, who);
    }

    function leaving(address who, MockToken other) internal returns (uint256 dollars) {
        address[] memory tokens = new address[](2);
        (tokens[0], tokens[1]) = (address(usdc), address(other));
        if (tokens[0] > tokens[1]) (tokens[0], tokens[1]) = (tokens[1], tokens[0]);
        uint256 shares = vault.balanceOf(who);
        uint256 before = usdc.balanceOf(who);
        vm.prank(who);
        vault.quit(shares, tokens, who);
        return usdc.balanceOf(who) - before;
    }

    // ---- tokens

    function test_tokens_count_at_the_index(uint256 amount) public {
        amount = bound(amount, 1, 100e8);
        fundWith(weth, aliceAddress, fundAccount, amount * 1e10);
        assertEq(MUCH + amount * 4_000 * USD / 1e8, vault.totalAssets(), "with its ether");
        assertEq(uint256(Closed.NOT), uint256(vault.closed()), "open");
        vm.warp(block.timestamp + 1 days);
        assertEq(uint256(Closed.PRICE), uint256(vault.closed()), "at an old index nobody enters");
        assertEq(0, vault.maxDeposit(erin), "nobody");
    }

    /// @dev What it covers may leave it in debt. Nothing is worth less than nothing.
    function test_a_debt_is_taken_from_what_tokens_are_worth() public {
        fundWith(weth, aliceAddress, fundAccount, 1e18);
        inDebt(1_000 * USD);
        assertEq(3_000 * USD, vault.totalAssets(), "less the debt");
        inDebt(5_000 * USD);
        assertEq(0, vault.totalAssets(), "nothing");
    }

    function inDebt(uint64 debt) internal {
        bytes memory ledger = abi.encodeCall(clearing.holdings, (fundAccount, new uint64[](0)));
        bytes memory answer = abi.encode(-int256(uint256(debt)), uint256(0), new int256[](0));
        vm.mockCall(address(clearing), ledger, answer);
    }

    /// @dev The round waits for cash; others go on.
    function test_what_tokens_make_up_is_not_paid_in_cash() public {
        fundWith(weth, aliceAddress, fundAccount, 100e18);
        uint256 round = ask(dave, vault.balanceOf(dave) / 2);
        vm.warp(vault.maturesAt(round));
        mark(call, 31_000 * USD);
        postMarks();
        vm.expectRevert(IClearingBase.InsufficientCash.selector);
        vault.draw(round);
        fund(aliceAddress, fundAccount, MUCH);
        vault.draw(round);
    }

    function test_tokens_that_margin_no_longer_takes_are_forgotten() public {
        fundWith(weth, aliceAddress, fundAccount, 1e18);
        vm.expectRevert(IInsuranceVault.WrongParameters.selector);
        vault.watch(abi.encode(uint256(1)));
        address[] memory watched = new address[](2);
        (watched[0], watched[1]) = (address(weth), address(wbtc));
        vm.expectEmit(address(vault));
        emit IInsuranceVault.TokensWatched(watched);
        vault.watch(abi.encode(parameters()));
        assertEq(MUCH + 4_000 * USD, vault.totalAssets(), "once, though watched twice");
    }

    // ---- the end

    function ended() internal {
        escaped();
        priced();
        valueAll();
    }

    function test_after_an_escape_shareholders_get_what_is_the_funds(uint256 part) public {
        vm.warp(block.timestamp + 1);
        uint256 shares = vault.balanceOf(dave);
        part = bound(part, 1, shares - 1);
        vm.prank(dave);
        vault.transfer(erin, part);
        fundWith(weth, aliceAddress, fundAccount, 3e18);
        uint256 round = ask(erin, part / 2 + 1);
        ended();
        assertEq(uint256(Closed.ESCAPED), uint256(vault.closed()), "closed");
        assertEq(0, vault.maxDeposit(dave), "nobody enters");
        vm.prank(dave);
        vm.expectRevert(abi.encodeWithSelector(IInsuranceVault.FundClosed.selector, Closed.ESCAPED));
        vault.requestRedeem(1, dave, dave);
        assertEq(MUCH, vault.totalAssets(), "the fund is paid whole");
        vm.expectEmit(address(vault));
        emit IInsuranceVault.RequestVoid(erin, round, part / 2 + 1);
        vault.takeBack(erin); // by anyone, to her
        assertEq(part, vault.balanceOf(erin), "all of hers");
        assertEq(0, vault.pendingRedeemRequest(round, erin), "void");
        vm.expectRevert(IInsuranceVault.NothingToPay.selector);
        vault.takeBack(erin);

        uint256 toErin = leaving(erin, weth);
        assertEq(MUCH * part / shares, toErin, "her part");
        assertEq(3e18 * part / shares, weth.balanceOf(erin), "of the ether");
        assertEq(MUCH - toErin, leaving(dave, weth), "the rest");
        assertEq(3e18, weth.balanceOf(dave) + weth.balanceOf(erin), "to the last unit");
        assertEq(0, usdc.balanceOf(address(vault)), "nothing stays");
    }

    function test_rounds_that_were_paid_stay_paid() public {
        uint256 round = ask(dave, vault.balanceOf(dave) / 3);
        vm.warp(vault.maturesAt(round));
        vault.draw(round);
        vm.warp(block.timestamp + 2 * DAY);
        clearing.serveExit(fundAccount, MUCH / 3, noProof());
        vault.pay(round);
        ended();
        assertEq(MUCH * 2 / 3, leaving(dave, weth), "what was not asked for");
        uint256 claim_ = vault.maxRedeem(dave);
        vm.prank(dave);
        assertEq(MUCH / 3, vault.redeem(claim_, dave, dave), "and what was");
        assertEq(0, usdc.balanceOf(address(vault)), "nothing stays");
    }

    function test_nobody_leaves_before_the_fund_is_valued_or_twice() public {
        address[] memory tokens = new address[](2);
        (tokens[0], tokens[1]) = (address(usdc), address(usdc));
        escaped();
        vm.prank(dave);
        vm.expectRevert(IInsuranceVault.NotEscaped.selector);
        vault.quit(1, tokens, dave);
        priced();
        valueAll();
        vm.prank(dave);
        vm.expectRevert(IInsuranceVault.NotAscending.selector);
        vault.quit(1, tokens, dave);
        vm.prank(erin);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientBalance.selector);
        vault.quit(1, new address[](0), erin);
        vm.prank(dave);
        vm.expectRevert(IInsuranceVault.ZeroShares.selector);
        vault.quit(0, tokens, dave);
    }

    function test_who_leaves_may_send_it_elsewhere() public {
        ended();
        address[] memory tokens = new address[](1);
        tokens[0] = address(usdc);
        uint256 half = vault.balanceOf(dave) / 2;
        vm.expectEmit(address(vault));
        emit IInsuranceVault.Quit(dave, erin, half);
        vm.prank(dave);
        vault.quit(half, tokens, erin);
        assertEq(MUCH / 2, usdc.balanceOf(erin), "half of the fund");
    }

    function test_a_token_that_calls_back_does_not_leave_meanwhile() public {
        ReentrantToken token = ReentrantToken(address(usdc));
        vm.warp(block.timestamp + 1);
        vm.prank(dave);
        vault.transfer(address(token), 1);
        ended();
        address[] memory tokens = new address[](1);
        tokens[0] = address(token);
        token.arm(address(vault), abi.encodeCall(vault.quit, (1, tokens, address(token))));
        leaving(dave, weth);
        assertTrue(token.tried(), "tried");
        bytes4 refusal = ReentrancyGuard.ReentrancyGuardReentrantCall.selector;
        assertEq(refusal, bytes4(token.answer()), "refused");
    }
}
