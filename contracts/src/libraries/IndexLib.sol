// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Distinct keys in order of arrival, found again in O(1).
struct Index {
    uint256[] keys; // only the first `count` are in use
    uint256[] table; // open addressing: 0 free, else 1 + position in keys; a power of two long
    uint256 count;
}

/// @title IndexLib: a hash index in memory
/// @dev Knows nothing of what the keys mean. A caller that chooses colliding keys only pays more
/// gas.
library IndexLib {
    function create(uint256 capacity) internal pure returns (Index memory self) {
        uint256 length = 4;
        while (length < 2 * capacity) length <<= 1;
        self.keys = new uint256[](capacity);
        self.table = new uint256[](length);
    }

    /// @return place position of the key
    /// @return added whether the key is new
    function findOrAdd(Index memory self, uint256 key)
        internal
        pure
        returns (uint256 place, bool added)
    {
        uint256[] memory table = self.table;
        uint256 mask = table.length - 1; // at most half of the table is in use: a free cell exists
        uint256 cell = _mix(key) & mask;
        for (uint256 entry = table[cell]; entry != 0; entry = table[cell]) {
            if (self.keys[entry - 1] == key) return (entry - 1, false);
            cell = (cell + 1) & mask;
        }
        place = self.count++;
        self.keys[place] = key;
        table[cell] = self.count;
        return (place, true);
    }

    function _mix(uint256 key) private pure returns (uint256 digest) {
        assembly ("memory-safe") {
            mstore(0, key)
            digest := keccak256(0, 32)
        }
    }
}
