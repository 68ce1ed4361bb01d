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

    function get(mapping(uint256 => uint256) storage states, uint64 nonce)
        internal
        view
        returns (uint256 filled, uint256 version)
    {
        uint256 state = uint64(states[nonce >> 2] >> _shift(nonce));
        return (state >> 16, state & VERSION_MAX);
    }

    /// @dev The caller keeps filled and version within their maxima.
    function set(
        mapping(uint256 => uint256) storage states,
        uint64 nonce,
        uint256 filled,
        uint256 version
    ) internal {
        uint256 shift = _shift(nonce);
        uint256 others = states[nonce >> 2] & ~(USED << shift);
        states[nonce >> 2] = others | ((filled << 16 | version) << shift);
    }

    function setUsed(mapping(uint256 => uint256) storage states, uint64 nonce) internal {
        states[nonce >> 2] |= USED << _shift(nonce);
    }

    function _shift(uint64 nonce) private pure returns (uint256) {
        return (nonce & 3) << 6;
    }
}
