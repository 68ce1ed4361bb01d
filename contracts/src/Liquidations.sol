// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IBatchAge, ILiquidations} from "./interfaces/ILiquidations.sol";
import {IMargin, MarginProof} from "./interfaces/IMargin.sol";

/// @title Liquidations: flags on subaccounts below maintenance, and what each allows
/// @dev Holds no money, knows no administrator and no operator. A proof lets Clearing take forced
/// fills for an hour; a flag matures once every fill that could have covered the account has
/// settled or never will.
contract Liquidations is ILiquidations {
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @dev One slot.
    struct Flag {
        uint64 since;
        address by;
    }

    /// @dev Two slots. What a proof granted stays granted while fills that rely on it may come:
    /// until MATURITY after `until`, none of these figures falls.
    struct Force {
        uint64 until;
        uint96 contracts;
        uint96 spent; // of all budgets ever
        uint128 budget; // in the same sum: spent may rise up to it
    }

    IMargin public immutable MARGIN;
    address public immutable CLEARING;
    /// @notice Seconds from a flag to its maturity: the age of the oldest batch.
    uint64 public immutable MATURITY;
    /// @inheritdoc ILiquidations
    uint64 public constant FORCE_TIME = 1 hours;

    /// @inheritdoc ILiquidations
    mapping(uint64 subaccountId => Flag) public flagOf;
    mapping(uint64 subaccountId => Force) internal _forces;

    constructor(IMargin margin, IBatchAge clearing) {
        (MARGIN, CLEARING, MATURITY) = (margin, address(clearing), clearing.MAX_BATCH_AGE());
    }

    /// @inheritdoc ILiquidations
    function flag(uint64 subaccountId, MarginProof calldata proof) external {
        (int256 equity, int256 maintenance, uint256 contracts) = MARGIN.health(subaccountId, proof);
        if (maintenance >= 0) revert Healthy(maintenance);

        if (flagOf[subaccountId].since == 0) {
            uint64 since = uint64(block.timestamp);
            flagOf[subaccountId] = Flag(since, msg.sender);
            emit Flagged(subaccountId, msg.sender, since + MATURITY, maintenance);
        }
        _grant(subaccountId, contracts, (equity - maintenance).toUint256());
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
    function spend(uint64 subaccountId, uint256 discount) external {
        if (msg.sender != CLEARING) revert NotClearing();
        Force storage force = _forces[subaccountId];
        uint256 spent = force.spent + discount;
        if (spent > force.budget) revert BudgetSpent(subaccountId);
        force.spent = spent.toUint96();
    }

    /// @inheritdoc ILiquidations
    function forceOf(uint64 subaccountId)
        external
        view
        returns (uint64 until, uint256 contracts, uint256 budget)
    {
        Force memory force = _forces[subaccountId];
        return (force.until, force.contracts, force.budget - force.spent);
    }

    /// @inheritdoc ILiquidations
    function isMature(uint64 subaccountId) external view returns (bool) {
        uint64 since = flagOf[subaccountId].since;
        return since != 0 && block.timestamp > since + MATURITY;
    }

    /// @dev The budget is the requirement: no discount below it leaves less than the account needs
    /// now, and what it has beyond is not there.
    function _grant(uint64 subaccountId, uint256 contracts, uint256 requirement) private {
        Force memory force = _forces[subaccountId];
        uint256 budget = force.spent + requirement;
        if (block.timestamp <= uint256(force.until) + MATURITY) {
            contracts = Math.max(contracts, force.contracts);
            budget = Math.max(budget, force.budget);
        }
        force.until = uint64(block.timestamp) + FORCE_TIME;
        (force.contracts, force.budget) = (contracts.toUint96(), budget.toUint128());
        _forces[subaccountId] = force;
        emit ForceGranted(subaccountId, force.until, force.contracts, force.budget);
    }
}
