// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Leg} from "../interfaces/IClearing.sol";
import {Delayed} from "./DelayedLib.sol";
import {Index, IndexLib} from "./IndexLib.sol";
import {InstrumentLib} from "./InstrumentLib.sol";

/// @notice A subaccount as a batch goes on.
struct AccountNow {
    uint64 id;
    address owner;
    int256 cash;
    uint256 positions; // that are not zero in storage
    Delayed floor; // of nonces
    uint256 sheet; // highest sheet nonce that filled
    uint256 sheets; // SheetLib, as stored; NOT_LOADED until a sheet comes
}

/// @notice A position as a batch goes on.
struct PositionNow {
    uint256 key; // positionKey
    int256 quantity;
    int256 cost;
    int256 paid; // funding index of the last touch
    int256 index; // funding index in force
    bool stored; // whether it is not zero in storage
}

/// @notice What is filled of one nonce; all versions of an order share it.
struct FilledNow {
    uint256 first; // place of the first of its orders
    uint256 filled;
    uint256 version; // highest that filled
    uint256 quantity; // of the order that filled last
    uint256 stored;
    uint256 voidAt; // from when on its owner's cancel holds; 0: none
}

/// @notice What one command filled of a combo order.
struct ComboNow {
    Leg[] legs; // none of a plain order
    uint256[] filled; // by leg
    int256 paid; // cash out less cash in, fees aside
    uint256 fees;
    bool open; // a fill of the command under way touched it
}

/// @notice An order of the batch, with whatever its fills move.
struct OrderNow {
    AccountNow account;
    PositionNow position; // of a plain order
    FilledNow filled;
    ComboNow combo; // of a combo order
    address signer;
    Delayed authority; // last second in which its signer may sign
    uint256 head; // PackedLib
    uint256 terms; // PackedLib
    uint256 sheet; // nonce of its sheet; 0 of an order signed by itself
}

/// @notice Running cash and positions of everybody a batch touches.
struct Ledger {
    Index accountIndex; // key: subaccountId
    Index positionIndex; // key: positionKey
    AccountNow[] accounts; // by place in accountIndex
    PositionNow[] positions; // by place in positionIndex
}

/// @title LedgerLib: netted deltas in memory
/// @dev A batch loads each word once, moves it any number of times here, and stores it once. Knows
/// neither storage nor rules: Clearing fills it, checks against it and writes it back.
library LedgerLib {
    using IndexLib for Index;

    int256 internal constant QUANTITY_SCALE = 1e4;

    function create(uint256 accounts, uint256 positions)
        internal
        pure
        returns (Ledger memory self)
    {
        self.accountIndex = IndexLib.create(accounts);
        self.positionIndex = IndexLib.create(positions);
        self.accounts = _emptyAccounts(accounts);
        self.positions = _emptyPositions(positions);
    }

    function positionKey(uint64 subaccountId, uint64 instrument) internal pure returns (uint256) {
        return uint256(subaccountId) << 64 | instrument;
    }

    function splitKey(uint256 key) internal pure returns (uint64 subaccountId, uint64 instrument) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return (uint64(key >> 64), uint64(key));
    }

    /// @notice Pays the funding that a position owes up to the index in force.
    /// @dev Exact: an index is a multiple of 1e4.
    function payFunding(AccountNow memory account, PositionNow memory position) internal pure {
        if (position.paid == position.index) return;
        account.cash -= position.quantity * (position.index - position.paid) / QUANTITY_SCALE;
        position.paid = position.index;
    }

    /// @notice Moves a fill of signed `quantity` whose value at its price is the signed `value`.
    /// @dev An option's premium is cash. A linear position keeps what it cost: opening adds the
    /// value to the cost, closing releases the closed part of the cost, rounded up, and pays the
    /// difference. Either way cash less cost changes by exactly -value.
    function move(
        AccountNow memory account,
        PositionNow memory position,
        int256 quantity,
        int256 value
    ) internal pure {
        int256 held = position.quantity;
        if (!InstrumentLib.isLinear(uint64(position.key))) {
            account.cash -= value;
        } else {
            payFunding(account, position);
            if (held == 0 || (held > 0) == (quantity > 0)) {
                position.cost += value;
            } else {
                _close(account, position, quantity, value);
            }
        }
        position.quantity = held + quantity;
    }

    /// @dev A fill that crosses zero closes all and opens the rest.
    function _close(
        AccountNow memory account,
        PositionNow memory position,
        int256 quantity,
        int256 value
    ) private pure {
        (int256 held, int256 cost) = (position.quantity, position.cost);
        bool crosses = held > 0 ? quantity < -held : quantity > -held;
        int256 closed = crosses ? -held : quantity;
        int256 closedValue = value * closed / quantity; // exact: a price is a multiple of 1e4
        int256 released = crosses ? cost : _mulDivUp(cost, -closed, held);
        account.cash -= closedValue + released;
        position.cost = cost - released + value - closedValue;
    }

    /// @dev `part` and `whole` have one sign; rounds towards plus infinity.
    function _mulDivUp(int256 amount, int256 part, int256 whole) private pure returns (int256) {
        int256 product = amount * part;
        int256 quotient = product / whole; // towards zero: up already where it is negative
        bool up = product % whole != 0 && (product > 0) == (whole > 0);
        return up ? quotient + 1 : quotient;
    }

    /// @dev An array of pointers that are written before they are read: `new` would fill it with
    /// structs that nobody needs.
    function _emptyAccounts(uint256 length) private pure returns (AccountNow[] memory list) {
        assembly ("memory-safe") {
            list := mload(0x40)
            mstore(list, length)
            mstore(0x40, add(list, mul(0x20, add(length, 1))))
        }
    }

    function _emptyPositions(uint256 length) private pure returns (PositionNow[] memory list) {
        assembly ("memory-safe") {
            list := mload(0x40)
            mstore(list, length)
            mstore(0x40, add(list, mul(0x20, add(length, 1))))
        }
    }

    function emptyOrders(uint256 length) internal pure returns (OrderNow[] memory list) {
        assembly ("memory-safe") {
            list := mload(0x40)
            mstore(list, length)
            mstore(0x40, add(list, mul(0x20, add(length, 1))))
        }
    }
}
