// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Index, IndexLib} from "./IndexLib.sol";

/// @notice Running cash and positions of everybody a batch touches.
struct Ledger {
    Index accountIndex; // key: subaccountId
    Index positionIndex; // key: positionKey
    address[] owners; // by place in accountIndex
    int256[] cash; // by place in accountIndex
    int256[] quantities; // by place in positionIndex
}

/// @title LedgerLib: netted deltas in memory
/// @dev A batch loads each word once, moves it any number of times here, and stores it once. Knows
/// neither storage nor rules: Clearing fills it, checks against it and writes it back.
library LedgerLib {
    using IndexLib for Index;

    function create(uint256 accounts, uint256 positions)
        internal
        pure
        returns (Ledger memory self)
    {
        self.accountIndex = IndexLib.create(accounts);
        self.positionIndex = IndexLib.create(positions);
        self.owners = new address[](accounts);
        self.cash = new int256[](accounts);
        self.quantities = new int256[](positions);
    }

    function positionKey(uint64 subaccountId, uint64 instrument) internal pure returns (uint256) {
        return uint256(subaccountId) << 64 | instrument;
    }

    function splitKey(uint256 key) internal pure returns (uint64 subaccountId, uint64 instrument) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return (uint64(key >> 64), uint64(key));
    }
}
