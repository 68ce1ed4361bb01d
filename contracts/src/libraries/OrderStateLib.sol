// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title OrderStateLib: what the chain remembers of an order, four nonces to a slot
/// @dev State: filled quantity 48 bits | version 16 bits, high to low. Nonce n lives in slot n >> 2
/// at the 64 bits numbered n & 3 from the low end, so neighbouring nonces share the cost of a new
/// slot.
library OrderStateLib {
    uint256 internal constant QUANTITY_MAX = type(uint48).max;
    uint256 internal constant VERSION_MAX = type(uint16).max;
    /// @dev State of a nonce that can never fill again.
    uint256 internal constant USED = type(uint64).max;

    function slotOf(uint64 nonce) internal pure returns (uint256) {
        return nonce >> 2;
    }

    function read(uint256 word, uint64 nonce)
        internal
        pure
        returns (uint256 filled, uint256 version)
    {
        uint256 state = (word >> _shift(nonce)) & USED;
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
        return word & ~(USED << shift) | (filled << 16 | version) << shift;
    }

    function unused(uint256 word, uint64 nonce) internal pure returns (bool) {
        return (word >> _shift(nonce)) & USED == 0;
    }

    function used(uint256 word, uint64 nonce) internal pure returns (uint256) {
        return word | USED << _shift(nonce);
    }

    function _shift(uint64 nonce) private pure returns (uint256) {
        return (nonce & 3) << 6;
    }
}
