// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MarginProof} from "./IMargin.sol";

/// @title IBatchAge: how old a fill may be when it settles, as Clearing knows it
interface IBatchAge {
    /// @return seconds
    function MAX_BATCH_AGE() external view returns (uint64);
}

/// @title ILiquidations: who owes more than their margin, said by anybody who proves it
interface ILiquidations {
    /// @notice Its maintenance excess is not negative.
    error Healthy(int256 maintenance);
    /// @notice Its maintenance excess is negative still.
    error Unhealthy(int256 maintenance);
    error AlreadyFlagged();
    error NotFlagged();

    event Flagged(
        uint64 indexed subaccountId, address indexed by, uint64 maturesAt, int256 maintenance
    );
    event Lapsed(uint64 indexed subaccountId, address indexed by, int256 maintenance);

    /// @notice Flags a subaccount whose settled holdings lie below maintenance under the latest
    /// root. Anybody.
    /// @param proof as Margin.excess wants it: every position, under the latest root
    function flag(uint64 subaccountId, MarginProof calldata proof) external;

    /// @notice Takes the flag away with a proof that maintenance is covered. Anybody, at any time
    /// before the forced fills.
    function lapse(uint64 subaccountId, MarginProof calldata proof) external;

    /// @return since block time of the flag, 0 without one
    /// @return by who proved it
    function flagOf(uint64 subaccountId) external view returns (uint64 since, address by);

    /// @notice Whether a flag is there and older than any fill that may still settle.
    /// @dev Whoever acts on it must prove again that maintenance is negative: a flag says that it
    /// was, and that nobody showed otherwise.
    function isMature(uint64 subaccountId) external view returns (bool);
}
