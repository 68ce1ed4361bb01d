// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {InsuranceVault} from "../src/InsuranceVault.sol";
import {Due, DueKind, Order, Withdraw, Withdrawal} from "../src/interfaces/IClearing.sol";
import {ExitRequest, IExits} from "../src/interfaces/IExits.sol";
import {Batch} from "./Codec.sol";
import {ForcedTest} from "./ForcedTest.sol";

/// @dev The fund is a vault's. Carol and dave put dollars into it; alice and bob make it gain and
/// lose.
abstract contract VaultTest is ForcedTest {
    uint64 internal constant NOTICE = 6 hours;

    InsuranceVault internal vault;
    address internal carol = address(0xCA401);
    address internal dave = address(0xDA7E);
    uint64 internal epoch = 1;
    uint64 internal nonce = 1000;

    function setUp() public virtual override {
        super.setUp();
        IExits(address(clearing)).setMargin(margin);
        vm.warp(START + 3 * DAY); // what bob put in counts no more as not yet seen
    }

    function makeFund() internal virtual override returns (uint64) {
        vault = new InsuranceVault(clearing, NOTICE);
        return vault.SUBACCOUNT();
    }

    // ---- depositors

    function bring(address who, uint256 assets) internal returns (uint256 shares) {
        usdc.mint(who, assets);
        vm.prank(who);
        usdc.approve(address(vault), assets);
        vm.prank(who);
        return vault.deposit(assets, who);
    }

    function ask(address who, uint256 shares) internal returns (uint256 round) {
        vm.prank(who);
        return vault.requestRedeem(shares, who, who);
    }

    function askAll(address who) internal returns (uint256 round) {
        return ask(who, vault.balanceOf(who));
    }

    function take(address who) internal returns (uint256 assets) {
        uint256 shares = vault.maxRedeem(who);
        vm.prank(who);
        return vault.redeem(shares, who, who);
    }

    /// @dev Its notice is over, and the operator pays what the vault asks for.
    function payRound(uint256 round) internal {
        mature(round);
        vault.draw(round);
        serve();
        vault.pay(round);
    }

    function mature(uint256 round) internal {
        if (block.timestamp < vault.maturesAt(round)) vm.warp(vault.maturesAt(round));
    }

    /// @dev The batch that pays the fund's open request, whole.
    function serve() internal {
        uint256 asked = clearing.exitOf(fundAccount).amount;
        if (asked != 0) settle(withdrawBatch(payment(asked)));
    }

    function payment(uint256 amount) internal view returns (Withdraw memory item) {
        ExitRequest memory asked = clearing.exitOf(fundAccount);
        item.time = uint32(block.timestamp);
        item.withdrawal = Withdrawal(
            fundAccount, asked.token, amount, asked.recipient, asked.ordinal, 0, address(0)
        );
    }

    // ---- what befalls the fund

    function gain(uint256 amount) internal {
        fund(aliceAddress, fundAccount, amount);
    }

    /// @dev Bob is liquidated, is left owing about that much, and the fund pays it.
    function lose(uint256 amount) internal returns (uint128 lost) {
        lost = ruin(amount);
        cover(lost);
    }

    function cover(uint128 debt) internal {
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.dues = new Due[](1);
        batch.dues[0] = Due(uint32(block.timestamp), DueKind.COVER, bob, debt);
        settle(batch);
    }

    function ruin(uint256 amount) internal returns (uint128 debt) {
        post(++epoch, root());
        trade(call, SHORT, PRICE, ++nonce);
        flags.flag(bob, call_());
        int256 price = (cashOf(bob) + int256(amount)) / int256(uint256(SHORT)) * 1e4;
        Order memory maker = orderOf(alice, SELL, SHORT, int64(price), ++nonce);
        Order memory taker = orderOf(bob, BUY, SHORT, int64(price), nonce);
        settle(tradeOf(maker, taker, SHORT, int64(price)));
        return uint128(uint256(-cashOf(bob)));
    }

    function valueOf(address who) internal view returns (uint256) {
        return vault.convertToAssets(vault.balanceOf(who));
    }
}
