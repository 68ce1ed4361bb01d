// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title OrderStateLib: what the chain remembers of an order
/// @dev Two marks for each nonce, 128 nonces to a slot: most orders fill whole at once and leave
/// nothing else. Of an order that is partly filled the state: filled quantity 48 bits | version 16
/// bits, high to low, four nonces to a slot, nonce n at the 64 bits numbered n & 3 from the low
/// end.
library OrderStateLib {
    uint256 internal constant QUANTITY_MAX = type(uint48).max;
    uint256 internal constant VERSION_MAX = type(uint16).max;
    uint256 internal constant PARTIAL = 1;
    /// @dev The nonce can never fill again; its state means nothing.
    uint256 internal constant DONE = 2;
    /// @dev The owner canceled it: void from a time on. Its state counts as of one partly filled.
    uint256 internal constant CANCELED = 3;
    uint256 internal constant MARKS = 3;
    uint256 internal constant STATE = type(uint64).max;

    function windowOf(uint64 nonce) internal pure returns (uint256) {
        return nonce >> 7;
    }

    function marksOf(uint256 word, uint64 nonce) internal pure returns (uint256) {
        return (word >> _place(nonce)) & MARKS;
    }

    function isDone(uint256 word, uint64 nonce) internal pure returns (bool) {
        return marksOf(word, nonce) == DONE;
    }

    /// @notice The word with this mark at this nonce, and no other.
    function marked(uint256 word, uint64 nonce, uint256 mark) internal pure returns (uint256) {
        uint256 place = _place(nonce);
        return word & ~(MARKS << place) | mark << place;
    }

    function slotOf(uint64 nonce) internal pure returns (uint256) {
        return nonce >> 2;
    }

    function read(uint256 word, uint64 nonce)
        internal
        pure
        returns (uint256 filled, uint256 version)
    {
        uint256 state = (word >> _shift(nonce)) & STATE;
        return (state >> 16, state & VERSION_MAX);
    }

    /// @notice The word with this nonce's state replaced.
    /// @dev The caller keeps filled and version within their maxima.
    function written(uint256 word, uint64 nonce, uint256 filled, uint256 version)
        internal
        pure
        returns (uint256)
    {
        uint256 shift = _shift(nonce);
        return word & ~(STATE << shift) | (filled << 16 | version) << shift;
    }

    function _place(uint64 nonce) private pure returns (uint256) {
        return (nonce & 127) << 1;
    }

    function _shift(uint64 nonce) private pure returns (uint256) {
        return (nonce & 3) << 6;
    }
}
