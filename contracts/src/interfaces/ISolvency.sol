// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch} from "./IClearing.sol";
import {BatchProof} from "./IMargin.sol";

/// @notice What a batch must prove of each subaccount whose risk grew in it. NONE before governance
/// chose; MAINTENANCE and INITIAL: that much margin, of what it holds at the end of the batch.
enum BatchMargin {
    NONE,
    MAINTENANCE,
    INITIAL
}

/// @title What Solvency refuses and logs
interface ISolvencyBase {
    /// @notice A batch margin needs price bands, a withdrawal delay and Margin.
    error BatchMarginTooEarly();
    /// @notice Its risk grew in the batch and nothing was proven of it.
    error MarginNotProven(uint64 subaccountId);
    /// @notice What it holds at the end of the batch lacks so much margin.
    error BelowMargin(uint64 subaccountId, int256 excess);

    event BatchMarginSet(BatchMargin level);
}

/// @title Solvency: nobody takes risk in a batch without margin, where governance wants it so
/// @dev The risk of a subaccount grew in a batch if an order of it that is not reduce-only is among
/// the batch's orders, if it took over positions and is not the fund, or if it sent a transfer.
/// What a withdrawal takes is proven when it is released: a batch margin needs a withdrawal delay.
interface ISolvency is ISolvencyBase {
    /// @notice As IClearing.settle, with margin of whose risk grew, at the marks of the batch's
    /// epoch. The batch's hash does not know the proof.
    /// @param proof `holders` ascend by subaccount; without a batch margin it is not read
    function settleProven(Batch calldata batch, BatchProof calldata proof) external;

    /// @notice Sets what batches must prove. Governance.
    function setBatchMargin(BatchMargin level) external;

    /// @notice What batches must prove.
    function batchMargin() external view returns (BatchMargin);
}
