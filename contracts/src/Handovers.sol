// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Debts} from "./Debts.sol";
import {Position} from "./interfaces/IClearing.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {AccountNow, LedgerLib, PositionNow} from "./libraries/LedgerLib.sol";

/// @title Handovers: positions and cash that change hands outside of a batch's fills
/// @dev Straight in storage, one position after the other. Who may hand over what, and at which
/// price, is the heir's.
abstract contract Handovers is Debts {
    using InstrumentLib for uint64;
    using LedgerLib for AccountNow;
    using SafeCast for int256;
    using SafeCast for uint256;

    uint256 internal constant RATIO_SCALE = 1e18;
    uint256 internal constant ASSET_SCALE = 1e8;
    int256 internal constant TICK = 1e4;

    function _transfer(uint64 from, uint64 to, uint128 amount) internal {
        int256 signed = int256(uint256(amount));
        _requireOpen(from);
        _accounts[from].cash = (-signed + _accounts[from].cash).toInt80();
        _accounts[to].cash = (signed + _accounts[to].cash).toInt80();
    }

    function _loadAccount(uint64 subaccountId) internal view returns (AccountNow memory) {
        Account memory stored = _accounts[subaccountId];
        if (stored.owner == address(0)) revert UnknownSubaccount(subaccountId);
        return AccountNow({
            id: subaccountId,
            owner: stored.owner,
            cash: stored.cash,
            positions: stored.positions,
            floor: _nonceFloors[subaccountId],
            sheet: 0,
            sheets: 0
        });
    }

    function _storeAccount(AccountNow memory account) internal {
        _accounts[account.id] =
            Account(account.owner, account.cash.toInt80(), account.positions.toUint16());
    }

    function _touch(AccountNow memory account, uint64 instrument, int256 quantity, int256 value)
        internal
    {
        Position memory stored = _positions[account.id][instrument];
        PositionNow memory position = PositionNow({
            key: LedgerLib.positionKey(account.id, instrument),
            quantity: stored.quantity,
            cost: stored.cost,
            paid: stored.fundingIndex,
            index: instrument.isPerpetual() ? _fundings[instrument].index : int64(0),
            stored: stored.quantity != 0
        });
        account.move(position, quantity, value);
        int256 paid = position.quantity == 0 ? int256(0) : position.paid;
        _positions[account.id][instrument] =
            Position(position.quantity.toInt64(), paid.toInt64(), position.cost.toInt128());
        bool held = position.quantity != 0;
        if (held == position.stored) return;
        account.positions = held ? account.positions + 1 : account.positions - 1;
    }
}
