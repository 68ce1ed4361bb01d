// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Accounts} from "./Accounts.sol";
import {IClearing, Position} from "./interfaces/IClearing.sol";
import {ICustody} from "./interfaces/ICustody.sol";
import {IHoldings} from "./interfaces/IMargin.sol";
import {IOracle} from "./interfaces/IOracle.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";

/// @title Payoffs: what expired positions bring at the delivery price
/// @dev Knows nothing of batches; Clearing uses the same payoff inside them.
abstract contract Payoffs is Accounts {
    using InstrumentLib for uint64;
    using InstrumentLib for uint256;
    using SafeCast for int256;

    IOracle public immutable ORACLE;

    constructor(
        IOracle oracle,
        IERC20Metadata usdc,
        ICustody custody,
        address treasury,
        uint64 maxBatchAge,
        uint64 cancelDelay
    ) Accounts(usdc, custody, treasury, maxBatchAge, cancelDelay) {
        ORACLE = oracle;
    }

    /// @inheritdoc IClearing
    function realise(uint64 subaccountId, uint64[] calldata instruments) external {
        _requireOpen(subaccountId);
        int256 cash = _accounts[subaccountId].cash;
        for (uint256 i = 0; i < instruments.length; i++) {
            uint64 instrument = instruments[i];
            if (!instrument.expiredAt(block.timestamp - 1 - MAX_BATCH_AGE)) {
                revert InstrumentNotExpired();
            }
            Position memory held = _positions[subaccountId][instrument];
            if (held.quantity == 0) continue;
            delete _positions[subaccountId][instrument];
            _accounts[subaccountId].positions--;
            cash += _realise(subaccountId, instrument, held.quantity, held.cost);
        }
        _accounts[subaccountId].cash = cash.toInt80();
    }

    /// @inheritdoc IClearing
    function previewPayoff(uint64 subaccountId, uint64 instrument) external view returns (int256) {
        Position memory held = _positions[subaccountId][instrument];
        return _payoff(instrument, held.quantity, held.cost);
    }

    /// @inheritdoc IHoldings
    function payoffOf(uint64 subaccountId, uint64 instrument)
        external
        view
        returns (int256 quantity, int256 payoff)
    {
        Position memory held = _positions[subaccountId][instrument];
        return (held.quantity, _payoff(instrument, held.quantity, held.cost));
    }

    function _realise(uint64 subaccountId, uint64 instrument, int64 quantity, int256 cost)
        internal
        returns (int256 cash)
    {
        cash = _payoff(instrument, quantity, cost);
        emit Realised(subaccountId, instrument, quantity, cash);
    }

    function _payoff(uint64 instrument, int256 quantity, int256 cost)
        private
        view
        returns (int256)
    {
        if (instrument.isPerpetual()) revert InstrumentNotExpired();
        uint256 price = ORACLE.deliveryPrice(instrument.underlyingOf(), instrument.expiryOf());
        return instrument.payoff(quantity, price) - cost;
    }
}
