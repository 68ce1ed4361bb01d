// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {KeyScope} from "../interfaces/IClearing.sol";

/// @notice What a session key may trade of one underlying within a UTC day; one slot.
struct KeyUse {
    uint64 dailyQuantity; // 0: the underlying is not the key's to trade
    uint64 day; // of `used`
    uint128 used;
}

/// @title KeyLib: the tag beside a session key's deadline
/// @dev Low to high: kinds 8 bits, one for each kind of InstrumentLib | distance from the mark 24
/// bits, in 1e-6 of the index, which the engine keeps | then flags. A key without a scope has the
/// tag 0, so it costs nothing.
library KeyLib {
    uint64 internal constant SCOPED = 1 << 62;
    uint64 internal constant REVOKED = 1 << 63;
    uint256 internal constant LIMITS_MAX = 16;
    uint256 private constant KINDS = 1 << 1 | 1 << 2 | 1 << 3; // option, perpetual, future

    function tagOf(KeyScope calldata scope) internal pure returns (uint64) {
        return SCOPED | uint64(scope.band) << 8 | scope.kinds;
    }

    function isScoped(uint64 tag) internal pure returns (bool) {
        return tag & SCOPED != 0;
    }

    function isRevoked(uint64 tag) internal pure returns (bool) {
        return tag & REVOKED != 0;
    }

    function bandOf(uint64 tag) internal pure returns (uint24) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint24(tag >> 8);
    }

    function kindsOf(uint64 tag) internal pure returns (uint8) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint8(tag);
    }

    function allows(uint64 tag, uint64 instrument) internal pure returns (bool) {
        return tag >> (instrument >> 60) & 1 != 0;
    }

    /// @notice Whether a scope says something: some kind, and underlyings ascending.
    function isWellFormed(KeyScope calldata scope) internal pure returns (bool) {
        bool fits = scope.kinds != 0 && scope.kinds & ~KINDS == 0;
        fits = fits && scope.limits.length != 0 && scope.limits.length <= LIMITS_MAX;
        for (uint256 i = 0; fits && i < scope.limits.length; i++) {
            fits = scope.limits[i].dailyQuantity != 0
                && (i == 0 || scope.limits[i].underlying > scope.limits[i - 1].underlying);
        }
        return fits;
    }

    /// @return whether the day still had room for `quantity`; then it is counted
    function spend(KeyUse storage self, uint256 time, uint256 quantity) internal returns (bool) {
        KeyUse memory use = self;
        uint256 day = time / 1 days;
        uint256 used = quantity + (use.day == day ? use.used : 0);
        if (used > use.dailyQuantity) return false;
        // forge-lint: disable-next-line(unsafe-typecast)
        (self.day, self.used) = (uint64(day), uint128(used));
        return true;
    }
}
