// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MarginProof} from "./IMargin.sol";

/// @notice A withdrawal that a batch debited and that waits until it is mature.
struct Queued {
    uint64 subaccountId;
    address token;
    uint256 amount; // in ledger units
    address recipient;
    uint64 nonce;
    bool requested; // on chain: the nonce is the ordinal of a forced exit
}

/// @notice An account whose equity was proven negative holds all withdrawals up, until a time.
struct Halt {
    uint64 subaccountId;
    uint64 until;
}

/// @title What releases refuse and log
interface IReleasesBase {
    error DelayOutOfBounds();
    error NotQueued();
    error NotMature(uint64 maturesAt);
    error WithdrawalsHalted(uint64 subaccountId, uint64 until);
    /// @notice What is left in the subaccount does not cover its initial margin.
    error MarginShort(int256 initialExcess);
    error MarginNotSet();
    error NotNegative(int256 equity);
    error StillNegative(int256 equity);
    error NotHalting(uint64 subaccountId);
    error TooManyHalts();

    event WithdrawalDelaySet(uint64 delay);
    event WithdrawalQueued(
        uint64 indexed subaccountId,
        address token,
        uint256 amount,
        address recipient,
        uint64 nonce,
        bool requested,
        uint64 maturesAt
    );
    event WithdrawalReleased(uint64 indexed subaccountId, uint64 nonce, bool requested);
    event WithdrawalTakenBack(uint64 indexed subaccountId, uint64 nonce, bool requested);
    event Halted(uint64 indexed subaccountId, address by, uint64 until, int256 equity);
    event HaltLifted(uint64 indexed subaccountId, address by, int256 equity);
}

/// @title Releases: what a batch paid leaves later, if nothing speaks against it
interface IReleases is IReleasesBase {
    /// @notice Pays a mature withdrawal. Anyone.
    /// @param proof that initial margin is covered by what the subaccount holds now; not read of a
    /// subaccount without positions and debts, nor in an escape
    function release(Queued calldata withdrawal, MarginProof calldata proof) external;

    /// @notice Puts a queued withdrawal back into its subaccount: the engine sees a deposit. Only
    /// the owner.
    function takeBack(Queued calldata withdrawal) external;

    /// @notice Holds all withdrawals up, by a proof that a subaccount's equity is negative. Anyone.
    /// @dev For HALT_TIME; a new proof starts it anew. Not in an escape, which a halt that runs
    /// outlives by HALT_TIME at most.
    function halt(uint64 subaccountId, MarginProof calldata proof) external;

    /// @notice Ends what `halt` began, by a proof that the equity is negative no more. Anyone.
    function liftHalt(uint64 subaccountId, MarginProof calldata proof) external;

    /// @notice How long withdrawals wait; governance, inside hard bounds. It holds for batches to
    /// come. Before it is set for the first time withdrawals do not wait.
    function setWithdrawalDelay(uint64 delay) external;

    // ---- views

    /// @return seconds that withdrawals wait
    function withdrawalDelay() external view returns (uint64);

    /// @return maturesAt 0 if it is not queued
    function maturesAt(Queued calldata withdrawal) external view returns (uint64);

    /// @return all halts that were not lifted, lapsed ones too
    function halts() external view returns (Halt[] memory);

    /// @return seconds after which a halt lapses
    function HALT_TIME() external view returns (uint64);
}
