// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Storage} from "./Storage.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";

/// @title Payoffs: what expired positions bring at the delivery price
/// @dev Knows nothing of batches: Settler pays them there, Accounts on an owner's behalf.
abstract contract Payoffs is Storage {
    using InstrumentLib for uint64;
    using InstrumentLib for uint256;

    function _realise(uint64 subaccountId, uint64 instrument, int64 quantity, int256 cost)
        internal
        returns (int256 cash)
    {
        cash = _payoff(instrument, quantity, cost);
        emit Realised(subaccountId, instrument, quantity, cash);
    }

    function _payoff(uint64 instrument, int256 quantity, int256 cost)
        internal
        view
        returns (int256)
    {
        if (instrument.isPerpetual()) revert InstrumentNotExpired();
        uint256 price = ORACLE.deliveryPrice(instrument.underlyingOf(), instrument.expiryOf());
        return instrument.payoff(quantity, price) - cost;
    }
}
