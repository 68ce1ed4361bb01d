// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Closed, Round} from "../src/interfaces/IInsuranceVault.sol";
import {VaultTest} from "./VaultTest.sol";

/// @dev Random lawful histories of two depositors, the venue that pays them, and a fund that gains
/// and loses.
contract VaultHandler is VaultTest {
    uint256 internal constant VIRTUAL = 1e6;

    uint256[] internal rounds;
    uint256 public deposits;
    uint256 public requests;
    uint256 public payments;
    uint256 public claims;
    uint256 public losses;
    bool public priceFell;
    bool public priceRose;

    function bringIn(bool daves, uint256 assets) public {
        uint256 most = vault.maxDeposit(whoOf(daves));
        if (most == 0) return;
        assets = bound(assets, 1, most < 1e12 ? most : 1e12);
        if (vault.previewDeposit(assets) == 0) return;
        (uint256 worth, uint256 shares) = priceNow();
        bring(whoOf(daves), assets);
        compare(worth, shares, true);
        deposits++;
    }

    function request(bool daves, uint256 part) public {
        address who = whoOf(daves);
        uint256 held = vault.balanceOf(who);
        (uint256 open, uint256 left) = vault.requestOf(who);
        if (held == 0 || left != 0 && open != block.timestamp / NOTICE) return;
        uint256 round = ask(who, bound(part, 1, held));
        if (rounds.length == 0 || rounds[rounds.length - 1] != round) rounds.push(round);
        requests++;
    }

    /// @dev The next of the rounds: drawn, then paid by a batch, each as soon as it may.
    function settleRound() public {
        (uint256 round,,) = vault.drawn();
        if (round == 0) {
            round = firstUnpaid();
            if (round == 0 || vault.closed() != Closed.NOT) return;
            mature(round);
            vault.draw(round);
            return;
        }
        serve();
        if (vault.closed() != Closed.NOT) return;
        uint256 asked = askedFor();
        (uint256 worth, uint256 shares) = priceNow();
        bool whole = vault.convertToAssets(vault.roundOf(round).shares) <= asked;
        vault.pay(round);
        compare(worth, shares, whole);
        payments++;
    }

    function claimAll(bool daves) public {
        address who = whoOf(daves);
        if (vault.maxRedeem(who) == 0) return;
        (uint256 worth, uint256 shares) = priceNow();
        assertEq(vault.maxWithdraw(who), take(who), "what was promised");
        compare(worth, shares, true);
        claims++;
    }

    function earn(uint256 amount) public {
        gain(bound(amount, 1, 50_000 * USD));
    }

    function give(uint256 amount) public {
        usdc.mint(address(vault), bound(amount, 1, 1_000 * USD));
    }

    /// @dev Never below zero: what is asked for may be gone before the venue pays it.
    function suffer(uint256 amount) public {
        int256 cash = cashOf(fundAccount) - int256(clearing.exitOf(fundAccount).amount);
        if (cash < int256(1_000 * uint256(USD))) return;
        uint256 most = uint256(cash) / 2;
        lose(bound(amount, 100 * USD, most));
        losses++;
    }

    // ---- inside

    function whoOf(bool daves) internal view returns (address) {
        return daves ? dave : carol;
    }

    function firstUnpaid() internal view returns (uint256) {
        for (uint256 i = 0; i < rounds.length; i++) {
            Round memory one = vault.roundOf(rounds[i]);
            if (one.shares != 0 && !one.paid) return rounds[i];
        }
        return 0;
    }

    function askedFor() internal view returns (uint256 assets) {
        (, assets,) = vault.drawn();
    }

    /// @dev Virtual ones included.
    function priceNow() internal view returns (uint256 worth, uint256 shares) {
        return (vault.totalAssets() + 1, vault.totalSupply() + VIRTUAL);
    }

    /// @param exact whether it may not rise either, beyond a unit of dollars or of shares
    function compare(uint256 worth, uint256 shares, bool exact) internal {
        (uint256 worthNow, uint256 sharesNow) = priceNow();
        if (worthNow * shares < worth * sharesNow) priceFell = true;
        if (exact && worthNow * shares > worth * sharesNow + worth + shares) priceRose = true;
    }

    // ---- what holds

    function redeemable() public view returns (uint256) {
        uint256 held = vault.balanceOf(carol) + vault.balanceOf(dave);
        return vault.convertToAssets(held) + vault.convertToAssets(vault.balanceOf(address(vault)))
            + vault.maxWithdraw(carol) + vault.maxWithdraw(dave);
    }

    function there() public view returns (uint256) {
        int256 cash = cashOf(fundAccount);
        return usdc.balanceOf(address(vault)) + (cash > 0 ? uint256(cash) : 0);
    }

    function owes() public view returns (uint256 owed, uint256 claimable) {
        return (vault.owed(), vault.maxWithdraw(carol) + vault.maxWithdraw(dave));
    }

    function sharesAreKnown() public view returns (bool) {
        uint256 all =
            vault.balanceOf(carol) + vault.balanceOf(dave) + vault.balanceOf(address(vault));
        return all == vault.totalSupply() && vault.owed() <= usdc.balanceOf(address(vault));
    }
}
