// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title InstrumentLib: reads an instrument id without a registry
/// @dev The twin of model.py. 63 bits, high to low: kind 3 | underlying 9 | expiry 26 (UTC minutes)
/// | strike exponent 4 | strike mantissa 20 | put 1. Strike in 0.01 USDC = mantissa * 10**exponent.
library InstrumentLib {
    error UnsupportedInstrument(uint256 instrument);

    uint256 internal constant OPTION = 1;
    uint256 internal constant PERPETUAL = 2;
    uint256 internal constant FUTURE = 3;
    uint256 internal constant KIND_SHIFT = 60;
    uint256 internal constant STRIKE_MASK = (1 << 25) - 1; // exponent, mantissa and put
    uint256 internal constant EXPIRY_MASK = 0x3ff_ffff << 25;
    uint256 internal constant MANTISSA_LIMIT = 1 << 20;
    /// @dev Cash units (1e-6 USDC) in the strike's unit (0.01 USDC).
    uint256 internal constant STRIKE_SCALE = 1e4;
    /// @dev Quantity units in one contract.
    int256 internal constant QUANTITY_SCALE = 1e4;

    /// @notice Narrows a signed `instrument` to the id of an option, a perpetual or a future in its
    /// only accepted form: two encodings of one thing would be two instruments that never net.
    function toListed(uint256 instrument) internal pure returns (uint64) {
        uint256 kind = instrument >> KIND_SHIFT;
        bool canonical;
        if (kind == OPTION) {
            uint256 exponent = (instrument >> 21) & 0xf;
            uint256 mantissa = (instrument >> 1) & (MANTISSA_LIMIT - 1);
            canonical = mantissa != 0 && (exponent == 0 || mantissa * 10 >= MANTISSA_LIMIT);
        } else if (kind == FUTURE) {
            canonical = instrument & STRIKE_MASK == 0 && instrument & EXPIRY_MASK != 0;
        } else if (kind == PERPETUAL) {
            canonical = instrument & (STRIKE_MASK | EXPIRY_MASK) == 0;
        }
        if (!canonical) revert UnsupportedInstrument(instrument);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(instrument); // the kind is the highest field, so nothing lies above bit 62
    }

    /// @notice Whether positions carry an entry cost: all but options.
    function isLinear(uint256 instrument) internal pure returns (bool) {
        return instrument >> KIND_SHIFT != OPTION;
    }

    function isPerpetual(uint256 instrument) internal pure returns (bool) {
        return instrument >> KIND_SHIFT == PERPETUAL;
    }

    /// @notice Whether a fill at `time` (UTC second) comes too late. A perpetual never expires.
    function expiredAt(uint64 instrument, uint256 time) internal pure returns (bool) {
        return expiryOf(instrument) <= time && !isPerpetual(instrument);
    }

    function underlyingOf(uint64 instrument) internal pure returns (uint32) {
        return uint32((instrument >> 51) & 0x1ff);
    }

    /// @return UTC second
    function expiryOf(uint64 instrument) internal pure returns (uint64) {
        return ((instrument >> 25) & 0x3ff_ffff) * 60;
    }

    /// @return in 1e-6 USDC
    function strikeOf(uint64 instrument) internal pure returns (uint256) {
        uint256 mantissa = (instrument >> 1) & (MANTISSA_LIMIT - 1);
        return mantissa * 10 ** ((instrument >> 21) & 0xf) * STRIKE_SCALE;
    }

    function isPut(uint64 instrument) internal pure returns (bool) {
        return instrument & 1 == 1;
    }

    /// @notice Value of `quantity` at the delivery price: what longs receive, shorts pay. Of a
    /// future its entry cost is still to be taken off.
    /// @dev Exact: price and strike are multiples of 1e4, so nothing is rounded and payoffs sum to
    /// zero.
    function payoff(uint64 instrument, int256 quantity, uint256 price)
        internal
        pure
        returns (int256)
    {
        uint256 strike = strikeOf(instrument); // 0 of a future
        (uint256 high, uint256 low) = isPut(instrument) ? (strike, price) : (price, strike);
        if (high <= low) return 0;
        // forge-lint: disable-next-line(unsafe-typecast)
        return quantity * int256(high - low) / QUANTITY_SCALE;
    }
}
