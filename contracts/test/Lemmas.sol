// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccountNow, LedgerLib, PositionNow} from "../src/libraries/LedgerLib.sol";
import {OrderStateLib} from "../src/libraries/OrderStateLib.sol";
import {SheetLib} from "../src/libraries/SheetLib.sol";

/// @dev Lemmas that halmos proves for every value of their arguments (scripts/prove). No test by
/// themselves: forge looks for `test`, halmos for `check`.
contract Lemmas {
    using LedgerLib for AccountNow;

    /// @dev Whatever a fill does to a position, cash less cost changes by minus its value: what one
    /// side gains the other loses, also where a division rounds.
    function check_cash_less_cost_moves_by_minus_the_value(
        uint64 instrument,
        int64 held,
        int96 cost,
        int64 quantity,
        int96 value,
        int80 cash
    ) external pure {
        if (quantity == 0) return;
        AccountNow memory account;
        PositionNow memory position;
        (account.cash, position.key) = (cash, instrument);
        (position.quantity, position.cost) = (held, cost);
        int256 before = account.cash - position.cost;
        account.move(position, quantity, value);
        assert(account.cash - position.cost == before - value);
        assert(position.quantity == int256(held) + quantity);
    }

    /// @dev A mark replaces the one before, and touches no other nonce.
    function check_a_mark_is_its_nonces_alone(uint256 word, uint64 nonce, uint64 other, uint8 mark)
        external
        pure
    {
        if (mark > OrderStateLib.MARKS) return;
        uint256 marked = OrderStateLib.marked(word, nonce, mark);
        assert(OrderStateLib.marksOf(marked, nonce) == mark);
        if (nonce & 127 == other & 127) return;
        assert(OrderStateLib.marksOf(marked, other) == OrderStateLib.marksOf(word, other));
    }

    /// @dev So does a state.
    function check_a_state_is_its_nonces_alone(
        uint256 word,
        uint64 nonce,
        uint64 other,
        uint48 filled,
        uint16 version
    ) external pure {
        uint256 written = OrderStateLib.written(word, nonce, filled, version);
        (uint256 f, uint256 v) = OrderStateLib.read(written, nonce);
        assert(f == filled && v == version);
        if (nonce & 3 == other & 3) return;
        (f, v) = OrderStateLib.read(written, other);
        (uint256 g, uint256 w) = OrderStateLib.read(word, other);
        assert(f == g && v == w);
    }

    /// @dev A fill of a sheet leaves the floors, a floor leaves the highest sheet.
    function check_sheets_and_floors_keep_apart(
        uint256 word,
        uint64 nonce,
        uint64 floor,
        uint64 now_,
        uint64 from,
        uint64 time
    ) external pure {
        uint256 filled = SheetLib.withHighest(word, nonce);
        assert(SheetLib.highest(filled) == nonce);
        assert(SheetLib.floorAt(filled, time) == SheetLib.floorAt(word, time));
        uint256 raised = SheetLib.scheduled(word, floor, now_, from);
        assert(SheetLib.highest(raised) == SheetLib.highest(word));
        uint64 old = SheetLib.floorAt(word, now_);
        assert(SheetLib.floorAt(raised, time) == (time < from ? old : floor));
    }
}
