// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {
    BatchProof,
    CollateralTerms,
    Holder,
    IHoldings,
    IMargin,
    MarginParameters,
    MarginProof,
    Portfolio,
    StandardRates
} from "./interfaces/IMargin.sol";
import {IOracle} from "./interfaces/IOracle.sol";
import {MarginLib} from "./libraries/MarginLib.sol";
import {RiskProofLib} from "./libraries/RiskProofLib.sol";

/// @title Margin: checks a margin proof against root, parameters and holdings
/// @dev Holds no money and moves none.
contract Margin is IMargin, AccessManaged {
    uint256 internal constant SCENARIOS_MIN = 5;
    uint256 internal constant SCENARIOS_MAX = 128;
    uint64 internal constant ONE = 1e18;

    IHoldings public immutable CLEARING;
    IOracle public immutable ORACLE;
    /// @notice Seconds after which a root proves nothing.
    uint64 public immutable MAX_ROOT_AGE;

    /// @inheritdoc IMargin
    bytes32 public parametersHash;

    constructor(address authority, IHoldings clearing, IOracle oracle, uint64 maxRootAge)
        AccessManaged(authority)
    {
        (CLEARING, ORACLE, MAX_ROOT_AGE) = (clearing, oracle, maxRootAge);
    }

    /// @inheritdoc IMargin
    function excess(uint64 subaccountId, MarginProof calldata proof)
        external
        view
        returns (int256 initial, int256 maintenance)
    {
        MarginParameters calldata parameters = _check(proof);
        Portfolio memory portfolio = _portfolioOf(subaccountId, proof, parameters);
        (initial, maintenance,) = _excess(portfolio, parameters, proof);
    }

    /// @inheritdoc IMargin
    function health(uint64 subaccountId, MarginProof calldata proof)
        external
        view
        returns (int256 equity, int256 maintenance, uint256 contracts)
    {
        MarginParameters calldata parameters = _check(proof);
        Portfolio memory portfolio = _portfolioOf(subaccountId, proof, parameters);
        (, maintenance, equity) = _excess(portfolio, parameters, proof);
        for (uint256 i = 0; i < portfolio.quantities.length; i++) {
            contracts += SignedMath.abs(portfolio.quantities[i]);
        }
    }

    /// @inheritdoc IMargin
    function excessOf(Portfolio calldata portfolio, MarginProof calldata proof)
        external
        view
        returns (int256 initial, int256 maintenance)
    {
        MarginParameters calldata parameters = _check(proof);
        if (portfolio.quantities.length != _rows(proof, parameters)) revert RowsOfWrongLength();
        if (portfolio.amounts.length != parameters.collaterals.length) revert WrongParameters();
        (initial, maintenance,) = _excess(portfolio, parameters, proof);
    }

    /// @inheritdoc IMargin
    function excessesAt(uint64 epoch, BatchProof calldata batch)
        external
        view
        returns (int256[] memory initial, int256[] memory maintenance)
    {
        MarginProof calldata proof = batch.proof;
        MarginParameters calldata parameters = _parameters(proof.parameters);
        _checkRows(proof, parameters, ORACLE.riskRootOf(epoch));
        uint64[] memory instruments = _instruments(proof, parameters);
        uint256 count = batch.holders.length;
        (initial, maintenance) = (new int256[](count), new int256[](count));
        MarginLib.Work memory work = MarginLib.start(parameters, proof);
        for (uint256 i = 0; i < count; i++) {
            Holder calldata holder = batch.holders[i];
            (uint256[] memory places, uint64[] memory legs) = _legs(holder.places, instruments);
            Portfolio memory portfolio =
                _held(holder.subaccountId, legs, holder.expired, parameters.collaterals);
            (initial[i], maintenance[i],) =
                MarginLib.excess(work, portfolio, places, parameters, proof);
        }
    }

    /// @inheritdoc IMargin
    function setParameters(MarginParameters calldata parameters) external restricted {
        if (!_withinBounds(parameters)) revert ParametersOutOfBounds();
        parametersHash = keccak256(abi.encode(parameters));
        emit ParametersSet(parametersHash, parameters);
    }

    // ---- what is held

    /// @dev Distinct instruments, each held, as many as the account holds: so none is left out.
    function _portfolioOf(
        uint64 subaccountId,
        MarginProof calldata proof,
        MarginParameters calldata parameters
    ) private view returns (Portfolio memory portfolio) {
        return _held(
            subaccountId, _instruments(proof, parameters), proof.expired, parameters.collaterals
        );
    }

    /// @dev Some rows of a shared proof; ascending, so none comes twice.
    function _legs(bytes calldata packed, uint64[] memory instruments)
        private
        pure
        returns (uint256[] memory places, uint64[] memory legs)
    {
        uint256 count = packed.length / 2;
        if (packed.length != 2 * count) revert RowsOfWrongLength();
        (places, legs) = (new uint256[](count), new uint64[](count));
        (bool within, bool ascending) = (true, true);
        assembly ("memory-safe") {
            let rows := mload(instruments)
            let least := 0
            let from := packed.offset
            let to := add(places, 0x20)
            let step := sub(legs, places)
            for { let end := add(to, shl(5, count)) } lt(to, end) { to := add(to, 0x20) } {
                let place := shr(240, calldataload(from))
                within := and(within, lt(place, rows))
                ascending := and(ascending, iszero(lt(place, least)))
                mstore(to, place)
                mstore(add(to, step), mload(add(instruments, shl(5, add(place, 1)))))
                least := add(place, 1)
                from := add(from, 2)
            }
        }
        if (!within) revert RowsOfWrongLength();
        if (!ascending) revert NotAscending();
    }

    /// @dev Of all rows, in their order.
    function _excess(
        Portfolio memory portfolio,
        MarginParameters calldata parameters,
        MarginProof calldata proof
    ) private pure returns (int256 initial, int256 maintenance, int256 equity) {
        uint256[] memory places = new uint256[](portfolio.quantities.length);
        assembly ("memory-safe") {
            for { let i := mload(places) } i { i := sub(i, 1) } {
                mstore(add(places, shl(5, i)), sub(i, 1))
            }
        }
        MarginLib.Work memory work = MarginLib.start(parameters, proof);
        return MarginLib.excess(work, portfolio, places, parameters, proof);
    }

    function _held(
        uint64 subaccountId,
        uint64[] memory instruments,
        uint64[] calldata expired,
        CollateralTerms[] calldata terms
    ) private view returns (Portfolio memory portfolio) {
        uint256 count;
        (portfolio.netCash, count, portfolio.quantities) =
            CLEARING.holdings(subaccountId, instruments);
        for (uint256 i = 0; i < instruments.length; i++) {
            if (portfolio.quantities[i] == 0) revert NotHeld(instruments[i]);
        }
        portfolio.netCash += _payoffs(subaccountId, expired);
        portfolio.standard = CLEARING.isStandard(subaccountId);
        if (count != instruments.length + expired.length) revert PositionMissing(count);
        portfolio.amounts = new uint256[](terms.length);
        for (uint256 i = 0; i < terms.length; i++) {
            portfolio.amounts[i] = CLEARING.collateralOf(subaccountId, terms[i].token);
        }
    }

    function _payoffs(uint64 subaccountId, uint64[] calldata expired)
        private
        view
        returns (int256 cash)
    {
        uint64 previous;
        for (uint256 i = 0; i < expired.length; i++) {
            if (expired[i] <= previous) revert NotAscending();
            previous = expired[i];
            (int256 quantity, int256 payoff) = CLEARING.payoffOf(subaccountId, previous);
            if (quantity == 0) revert NotHeld(previous);
            cash += payoff;
        }
    }

    function _instruments(MarginProof calldata proof, MarginParameters calldata parameters)
        private
        pure
        returns (uint64[] memory list)
    {
        uint256 length = RiskProofLib.rowLength(parameters.weights.length);
        list = new uint64[](_rows(proof, parameters));
        bytes calldata rows = proof.rows;
        assembly ("memory-safe") {
            let from := rows.offset
            let to := add(list, 0x20)
            for { let end := add(to, shl(5, mload(list))) } lt(to, end) { to := add(to, 0x20) } {
                mstore(to, shr(192, calldataload(from)))
                from := add(from, length)
            }
        }
    }

    // ---- checks

    function _check(MarginProof calldata proof)
        private
        view
        returns (MarginParameters calldata parameters)
    {
        parameters = _parameters(proof.parameters);
        (, uint64 time, bytes32 root) = ORACLE.latestRiskRoot();
        if (time + MAX_ROOT_AGE < block.timestamp) revert RootTooOld();
        _checkRows(proof, parameters, root);
    }

    function _checkRows(
        MarginProof calldata proof,
        MarginParameters calldata parameters,
        bytes32 root
    ) private pure {
        _rows(proof, parameters);
        _checkAscending(proof);
        if (RiskProofLib.rootOf(proof, parameters.weights.length) != root) revert WrongRoot();
    }

    /// @dev What has this hash was encoded by setParameters: it can be read where it lies.
    function _parameters(bytes calldata encoded)
        private
        view
        returns (MarginParameters calldata parameters)
    {
        if (keccak256(encoded) != parametersHash) revert WrongParameters();
        assembly ("memory-safe") {
            parameters := add(encoded.offset, 0x20) // the first word says so
        }
    }

    /// @return count of whole rows
    function _rows(MarginProof calldata proof, MarginParameters calldata parameters)
        private
        pure
        returns (uint256 count)
    {
        uint256 length = RiskProofLib.rowLength(parameters.weights.length);
        count = proof.rows.length / length;
        if (count * length != proof.rows.length) revert RowsOfWrongLength();
    }

    /// @dev So nothing is there twice; rows are compared when they are hashed.
    function _checkAscending(MarginProof calldata proof) private pure {
        for (uint256 i = 1; i < proof.underlyings.length; i++) {
            if (proof.underlyings[i - 1].underlying >= proof.underlyings[i].underlying) {
                revert NotAscending();
            }
        }
        for (uint256 i = 1; i < proof.expiries.length; i++) {
            (uint256 u, uint256 v) =
                (proof.expiries[i - 1].underlying, proof.expiries[i].underlying);
            (uint256 e, uint256 f) = (proof.expiries[i - 1].expiry, proof.expiries[i].expiry);
            if (u > v || (u == v && e >= f)) revert NotAscending();
        }
    }

    /// @dev The hard bounds: what no governance can go beyond.
    function _withinBounds(MarginParameters calldata p) private pure returns (bool) {
        uint256 count = p.weights.length;
        if (count < SCENARIOS_MIN || count > SCENARIOS_MAX) return false;
        if (p.spots.length != count) return false;
        if (p.basisUp >= count || p.basisDown >= count) return false;
        for (uint256 s = 0; s < count; s++) {
            if (p.weights[s] == 0 || p.weights[s] > ONE || p.spots[s] > 10 * ONE) return false;
        }
        if (p.initialFactor < ONE / 2 || p.initialFactor > 4 * ONE) return false;
        if (p.maintenanceFactor < ONE / 2 || p.maintenanceFactor > p.initialFactor) return false;
        if (p.depegFactor > 16 * ONE || p.depegThreshold > ONE) return false;
        uint256 rates = uint256(p.shortOptionInitialRate) + p.shortOptionMaintenanceRate;
        rates += uint256(p.perpetualInitialRate) + p.perpetualMaintenanceRate;
        if (rates > ONE || p.confidenceFloor > ONE) return false;
        if (!_standardWithinBounds(p.standard)) return false;
        for (uint256 i = 0; i < p.collaterals.length; i++) {
            uint256 haircut =
                uint256(p.collaterals[i].initialHaircut) + p.collaterals[i].maintenanceHaircut;
            if (haircut > ONE) return false;
        }
        return true;
    }

    /// @dev Who may open a position must not be liquidated for it at once.
    function _standardWithinBounds(StandardRates calldata rates) private pure returns (bool) {
        if (rates.optionMaintenance == 0 || rates.perpetualMaintenance == 0) return false;
        if (rates.optionInitial > ONE || rates.perpetualInitial > ONE) return false;
        if (rates.optionMaintenance > rates.optionInitialMin) return false;
        if (rates.optionInitialMin > rates.optionInitial) return false;
        return rates.perpetualMaintenance <= rates.perpetualInitial;
    }
}
