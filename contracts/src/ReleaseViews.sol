// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Queues} from "./Queues.sol";
import {Halt, IReleases, Queued} from "./interfaces/IReleases.sol";

/// @title ReleaseViews: what anyone may see of withdrawals that wait
abstract contract ReleaseViews is Queues, IReleases {
    /// @inheritdoc IReleases
    function withdrawalDelay() external view returns (uint64) {
        return _withdrawalDelay;
    }

    /// @inheritdoc IReleases
    function maturesAt(Queued calldata withdrawal) external view returns (uint64) {
        return _queued[_key(withdrawal)];
    }

    /// @inheritdoc IReleases
    function halts() external view returns (Halt[] memory) {
        return _halts;
    }

    /// @inheritdoc IReleases
    function HALT_TIME() external pure returns (uint64) {
        return HALTED_FOR;
    }
}
