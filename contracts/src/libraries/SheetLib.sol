// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title SheetLib: what the chain remembers of a subaccount's quote sheets, in one word
/// @dev Low to high, 64 bits each: highest nonce that filled | floor | next floor | effectiveAt.
/// Sheets below the highest are void at once, those below a floor from its time on.
library SheetLib {
    uint256 private constant HIGHEST = type(uint64).max;

    function highest(uint256 word) internal pure returns (uint64) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(word);
    }

    function withHighest(uint256 word, uint64 nonce) internal pure returns (uint256) {
        return word & ~HIGHEST | nonce;
    }

    function nextFloor(uint256 word) internal pure returns (uint64) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(word >> 128);
    }

    function effectiveAt(uint256 word) internal pure returns (uint64) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(word >> 192);
    }

    function floorAt(uint256 word, uint256 time) internal pure returns (uint64) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return time < effectiveAt(word) ? uint64(word >> 64) : nextFloor(word);
    }

    /// @dev A floor that is still pending is replaced, and its delay starts again.
    function scheduled(uint256 word, uint64 floor, uint256 now_, uint64 from)
        internal
        pure
        returns (uint256)
    {
        return highest(word) | uint256(floorAt(word, now_)) << 64 | uint256(floor) << 128
            | uint256(from) << 192;
    }
}
