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
    error NotFlagged();
    error NotClearing();
    /// @notice Its takers got as much off as the last proof allows.
    error BudgetSpent(uint64 subaccountId);

    event Flagged(
        uint64 indexed subaccountId, address indexed by, uint64 maturesAt, int256 maintenance
    );
    event Lapsed(uint64 indexed subaccountId, address indexed by, int256 maintenance);
    /// @notice Forced fills settle up to `until`.
    /// @param budget what takers may get off in all, since the first proof ever
    event ForceGranted(
        uint64 indexed subaccountId, uint64 until, uint256 contracts, uint256 budget
    );

    /// @notice Flags a subaccount whose settled holdings lie below maintenance under the latest
    /// root, and lets Clearing take forced fills for FORCE_TIME from now. Anybody; once more renews
    /// what it allows, not the flag.
    /// @param proof as Margin.health wants it: every position, under the latest root
    function flag(uint64 subaccountId, MarginProof calldata proof) external;

    /// @notice Takes the flag away with a proof that maintenance is covered. Anybody. What the last
    /// proof allows runs out by itself: fills that relied on it may still be under way.
    function lapse(uint64 subaccountId, MarginProof calldata proof) external;

    /// @notice Takes a discount from what takers may still get off. Clearing.
    function spend(uint64 subaccountId, uint256 discount) external;

    /// @return since block time of the flag, 0 without one
    /// @return by who proved it
    function flagOf(uint64 subaccountId) external view returns (uint64 since, address by);

    /// @notice What the last proof allows.
    /// @return until the last second, by the journal's clock, of forced fills and takeovers; 0
    /// without a proof
    /// @return contracts all that it held: no hedge may be larger
    /// @return budget what takers may still get off
    function forceOf(uint64 subaccountId)
        external
        view
        returns (uint64 until, uint256 contracts, uint256 budget);

    /// @notice Whether a flag is there and older than any fill that may still settle.
    /// @dev Whoever acts on it must prove again that maintenance is negative: a flag says that it
    /// was, and that nobody showed otherwise.
    function isMature(uint64 subaccountId) external view returns (bool);

    /// @notice Seconds for which a proof allows forced fills.
    function FORCE_TIME() external view returns (uint64);
}
