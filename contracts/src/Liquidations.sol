// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchAge, ILiquidations} from "./interfaces/ILiquidations.sol";
import {IMargin, MarginProof} from "./interfaces/IMargin.sol";

/// @title Liquidations: flags on subaccounts below maintenance
/// @dev Holds no money, knows no administrator and no operator. A flag matures once every fill that
/// could have covered the account has settled or never will.
contract Liquidations is ILiquidations {
    /// @dev One slot.
    struct Flag {
        uint64 since;
        address by;
    }

    IMargin public immutable MARGIN;
    /// @notice Seconds from a flag to its maturity: the age of the oldest batch.
    uint64 public immutable MATURITY;

    /// @inheritdoc ILiquidations
    mapping(uint64 subaccountId => Flag) public flagOf;

    constructor(IMargin margin, IBatchAge clearing) {
        (MARGIN, MATURITY) = (margin, clearing.MAX_BATCH_AGE());
    }

    /// @inheritdoc ILiquidations
    function flag(uint64 subaccountId, MarginProof calldata proof) external {
        if (flagOf[subaccountId].since != 0) revert AlreadyFlagged();
        (, int256 maintenance) = MARGIN.excess(subaccountId, proof);
        if (maintenance >= 0) revert Healthy(maintenance);

        uint64 since = uint64(block.timestamp);
        flagOf[subaccountId] = Flag(since, msg.sender);
        emit Flagged(subaccountId, msg.sender, since + MATURITY, maintenance);
    }

    /// @inheritdoc ILiquidations
    function lapse(uint64 subaccountId, MarginProof calldata proof) external {
        if (flagOf[subaccountId].since == 0) revert NotFlagged();
        (, int256 maintenance) = MARGIN.excess(subaccountId, proof);
        if (maintenance < 0) revert Unhealthy(maintenance);

        delete flagOf[subaccountId];
        emit Lapsed(subaccountId, msg.sender, maintenance);
    }

    /// @inheritdoc ILiquidations
    function isMature(uint64 subaccountId) external view returns (bool) {
        uint64 since = flagOf[subaccountId].since;
        return since != 0 && block.timestamp > since + MATURITY;
    }
}
