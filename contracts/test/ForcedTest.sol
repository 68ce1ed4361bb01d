// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Liquidations} from "../src/Liquidations.sol";
import {Order} from "../src/interfaces/IClearing.sol";
import {IBatchAge} from "../src/interfaces/ILiquidations.sol";
import {Batch, SignedOrder} from "./Codec.sol";
import {MarginWorld} from "./MarginWorld.sol";

/// @dev Bob is short of forty calls at 20,000, marked at 30,000: he has 1.8 million, and needs
/// 46,300 a contract.
abstract contract ForcedTest is MarginWorld {
    uint64 internal constant SHORT = 40 * ONE;
    int64 internal constant PRICE = int64(20_000 * USD);

    Liquidations internal flags;
    uint64 internal fundAccount;

    function setUp() public virtual override {
        super.setUp();
        flags = new Liquidations(margin, IBatchAge(address(clearing)));
        fundAccount = makeFund();
        clearing.setLiquidations(flags, fundAccount);
    }

    function makeFund() internal virtual returns (uint64) {
        return open(treasury, 500_000 * USD);
    }

    function flagged() internal {
        trade(call, SHORT, PRICE, 1);
        flags.flag(bob, call_());
    }

    function forced(uint64 id, uint8 side, uint64 instrument, uint64 quantity, int64 price)
        internal
        view
        returns (SignedOrder memory)
    {
        Order memory order = orderOf(id, side, quantity, price, type(uint64).max);
        (order.instrument, order.reduceOnly) = (instrument, true);
        order.deadline = type(uint40).max;
        return SignedOrder(order, "");
    }

    /// @dev The fund sells them to alice, by its own signature.
    function giveCallsTo(uint64 id, uint64 quantity) internal {
        Order memory seller = orderOf(id, SELL, quantity, PRICE, 1);
        Order memory buyer = orderOf(alice, BUY, quantity, PRICE, 49);
        Batch memory batch = tradeOf(buyer, seller, quantity, PRICE);
        batch.orders[1] = signed(seller, TREASURY_KEY);
        settle(batch);
    }
}
