// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Payoffs} from "./Payoffs.sol";
import {Position} from "./interfaces/IClearing.sol";
import {Index, IndexLib} from "./libraries/IndexLib.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {AccountNow, Ledger, LedgerLib, PositionNow} from "./libraries/LedgerLib.sol";
import {SheetLib} from "./libraries/SheetLib.sol";

/// @title Books: accounts and positions between storage and memory
/// @dev Each word is read once and written once in a batch. Knows nothing of orders.
abstract contract Books is Payoffs {
    using IndexLib for Index;
    using SafeCast for int256;
    using SafeCast for uint256;

    uint256 internal constant NOT_LOADED = type(uint256).max;

    function _loadAccount(Ledger memory ledger, uint64 subaccountId)
        internal
        view
        returns (AccountNow memory)
    {
        (uint256 place, bool added) = ledger.accountIndex.findOrAdd(subaccountId);
        if (added) {
            Account memory stored = _accounts[subaccountId];
            if (stored.owner == address(0)) revert UnknownSubaccount(subaccountId);
            ledger.accounts[place] = AccountNow({
                id: subaccountId,
                owner: stored.owner,
                cash: stored.cash,
                positions: stored.positions,
                floor: _nonceFloors[subaccountId],
                sheet: 0,
                sheets: NOT_LOADED
            });
        }
        return ledger.accounts[place];
    }

    function _loadPosition(Ledger memory ledger, uint64 subaccountId, uint64 instrument)
        internal
        view
        returns (PositionNow memory)
    {
        uint256 key = LedgerLib.positionKey(subaccountId, instrument);
        (uint256 place, bool added) = ledger.positionIndex.findOrAdd(key);
        if (added) {
            Position memory stored = _positions[subaccountId][instrument];
            int256 index =
                InstrumentLib.isPerpetual(instrument) ? _fundings[instrument].index : int64(0);
            ledger.positions[place] = PositionNow(
                key, stored.quantity, stored.cost, stored.fundingIndex, index, stored.quantity != 0
            );
        }
        return ledger.positions[place];
    }

    function _storeLedger(Ledger memory ledger) internal {
        for (uint256 i = 0; i < ledger.positionIndex.count; i++) {
            PositionNow memory position = ledger.positions[i];
            (uint64 subaccountId, uint64 instrument) = LedgerLib.splitKey(position.key);
            int256 paid = position.quantity == 0 ? int256(0) : position.paid;
            _positions[subaccountId][instrument] =
                Position(position.quantity.toInt64(), paid.toInt64(), position.cost.toInt128());
            bool held = position.quantity != 0;
            if (held == position.stored) continue;
            AccountNow memory holder = _loadAccount(ledger, subaccountId);
            holder.positions = held ? holder.positions + 1 : holder.positions - 1;
        }
        for (uint256 i = 0; i < ledger.accountIndex.count; i++) {
            AccountNow memory account = ledger.accounts[i];
            _accounts[account.id] =
                Account(account.owner, account.cash.toInt80(), account.positions.toUint16());
            // A sheet that filled is not below the one before, so its word was loaded.
            if (account.sheet != 0 && account.sheet != SheetLib.highest(account.sheets)) {
                _sheets[account.id] = SheetLib.withHighest(account.sheets, account.sheet.toUint64());
            }
        }
    }
}
