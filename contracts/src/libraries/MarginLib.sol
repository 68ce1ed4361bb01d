// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    CollateralTerms,
    ExpiryRisk,
    IMargin,
    MarginParameters,
    MarginProof,
    Portfolio,
    UnderlyingRisk
} from "../interfaces/IMargin.sol";
import {RiskProofLib} from "./RiskProofLib.sol";
import {SpotLib} from "./SpotLib.sol";
import {StandardLib} from "./StandardLib.sol";

/// @title MarginLib: scenario margin in the engine's integers
/// @dev The twin of margin/portfolio.py, account.py and collateral.py, to the last unit. Knows
/// neither roots nor accounts: Margin brings proven rows and what is held. Sums of quantity times
/// price are exact, in 1e-10 USDC; each division rounds against the account.
library MarginLib {
    int256 internal constant QUANTITY_SCALE = 1e4;
    int256 internal constant ASSET_SCALE = 1e8;
    int256 internal constant RATIO_SCALE = 1e18;
    uint256 internal constant OPTION = 1;
    uint256 internal constant NONE = type(uint256).max;
    /// @dev Where an instrument has its underlying and expiry, from bit 25 on.
    uint256 internal constant KEY_MASK = (1 << 35) - 1;
    /// @dev Keeps every product far inside 256 bits.
    uint256 internal constant RATIO_MAX = 1 << 62;

    /// @dev One computation under way. A bucket is one expiry of one underlying: its scenario sums,
    /// then its value at the mark, then its net options.
    struct Work {
        uint256 scenarios;
        uint256 bucketWords;
        int256[] buckets; // in the order of proof.expiries
        uint256[] lanes; // packed sums of the bucket under way
        uint256 tailMask; // the prices of a row's last word
        int256[] groups; // of each underlying that leads a group: its results, then the basis
        uint256[] keys; // bucket -> underlying 9 bits | expiry 26 bits, as in an instrument
        uint256[] underlyingOf; // bucket -> place in proof.underlyings
        uint256[] leaderOf; // place in proof.underlyings -> place of its group's first
        int256[] naked; // short options without a long of the same strike, by underlying
        int256 value; // of all positions at the mark
        int256 initialAddon;
        int256 maintenanceAddon;
        int256 collateralValue;
        int256 isolatedInitial; // worst results of isolated tokens, with the factors
        int256 isolatedMaintenance;
        int256 initialFactor;
        int256[] weights;
        uint256 skew;
        uint256 basisUp;
        uint256 basisDown;
        int256 maintenanceFactor;
    }

    /// @dev The options of one strike, before their sum is known.
    struct Strike {
        uint256 key;
        uint256 underlying;
        int256 quantity;
    }

    /// @dev What the rows of one expiry add to its bucket besides scenario sums.
    struct Sums {
        int256 value;
        int256 options;
    }

    /// @notice The two excesses and equity of a portfolio, whose quantities are those of the rows
    /// at `places`.
    /// @param work as `start` made it from the same parameters and proof; it may serve again
    function excess(
        Work memory work,
        Portfolio memory portfolio,
        uint256[] memory places,
        MarginParameters calldata parameters,
        MarginProof calldata proof
    ) internal pure returns (int256 initial, int256 maintenance, int256 equity) {
        _clear(work);
        if (portfolio.standard) {
            _addSeparate(work, portfolio.quantities, places, parameters, proof);
        } else {
            _addPositions(work, portfolio.quantities, places, parameters, proof);
            _addShortOptions(work, parameters, proof);
            _addResults(work, proof);
        }
        _addCollateral(work, portfolio, parameters, proof);
        return _finish(work, portfolio.netCash);
    }

    /// @notice What is the same for every portfolio of a proof.
    function start(MarginParameters calldata parameters, MarginProof calldata proof)
        internal
        pure
        returns (Work memory work)
    {
        work.scenarios = parameters.weights.length;
        work.bucketWords = work.scenarios + 2;
        uint256 underlyings = proof.underlyings.length;
        work.buckets = new int256[](proof.expiries.length * work.bucketWords);
        work.lanes = new uint256[](2 * ((work.scenarios + 3) / 4));
        work.tailMask = type(uint256).max << 64 * ((4 - work.scenarios % 4) % 4);
        work.groups = new int256[](underlyings * (work.scenarios + 1));
        work.naked = new int256[](underlyings);
        work.weights = _signed(parameters.weights);
        (work.skew, work.basisUp, work.basisDown) =
        (parameters.skew, parameters.basisUp, parameters.basisDown);
        work.maintenanceFactor = int256(uint256(parameters.maintenanceFactor));
        _findLeaders(work, parameters, proof);
        _findUnderlyings(work, proof);

        int256 gap =
            int256(uint256(parameters.depegThreshold)) - int256(uint256(proof.stablecoinPrice));
        work.initialFactor = int256(uint256(parameters.initialFactor));
        if (gap > 0) {
            work.initialFactor += int256(uint256(parameters.depegFactor)) * gap / RATIO_SCALE;
        }
    }

    /// @dev The lanes are empty between two portfolios.
    function _clear(Work memory work) private pure {
        _zero(work.buckets);
        _zero(work.groups);
        _zero(work.naked);
        (work.value, work.initialAddon, work.maintenanceAddon) = (0, 0, 0);
        (work.collateralValue, work.isolatedInitial, work.isolatedMaintenance) = (0, 0, 0);
    }

    function _zero(int256[] memory list) private pure {
        assembly ("memory-safe") {
            calldatacopy(add(list, 0x20), calldatasize(), shl(5, mload(list)))
        }
    }

    function _findLeaders(
        Work memory work,
        MarginParameters calldata parameters,
        MarginProof calldata proof
    ) private pure {
        uint256 count = proof.underlyings.length;
        work.leaderOf = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 group = _groupOf(parameters, proof.underlyings[i].underlying);
            work.leaderOf[i] = i;
            for (uint256 j = 0; j < i && group != 0; j++) {
                if (_groupOf(parameters, proof.underlyings[j].underlying) == group) {
                    work.leaderOf[i] = j;
                    break;
                }
            }
        }
    }

    /// @return group 0 of an underlying that stands alone
    function _groupOf(MarginParameters calldata parameters, uint32 underlying)
        private
        pure
        returns (uint256)
    {
        for (uint256 i = 0; i < parameters.groups.length; i++) {
            if (parameters.groups[i].underlying == underlying) return parameters.groups[i].group;
        }
        return 0;
    }

    function _findUnderlyings(Work memory work, MarginProof calldata proof) private pure {
        uint256 count = proof.expiries.length;
        work.underlyingOf = new uint256[](count);
        work.keys = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            ExpiryRisk calldata risk = proof.expiries[i];
            if (risk.discountLong > RATIO_MAX || risk.discountShort > RATIO_MAX) {
                revert IMargin.RatioTooLarge();
            }
            work.underlyingOf[i] = placeOf(proof.underlyings, risk.underlying);
            bool whole = risk.expiry % 60 == 0 && work.underlyingOf[i] != NONE;
            work.keys[i] = whole ? uint256(risk.underlying) << 26 | risk.expiry / 60 : NONE;
        }
    }

    /// @return place NONE if it is not among them
    function placeOf(UnderlyingRisk[] calldata underlyings, uint32 underlying)
        internal
        pure
        returns (uint256)
    {
        for (uint256 i = 0; i < underlyings.length; i++) {
            if (underlyings[i].underlying == underlying) return i;
        }
        return NONE;
    }

    // ---- positions

    /// @dev `_finish` takes both add-ons from the initial excess.
    function _addSeparate(
        Work memory work,
        int256[] memory quantities,
        uint256[] memory places,
        MarginParameters calldata parameters,
        MarginProof calldata proof
    ) private pure {
        int256 initial;
        (work.value, initial, work.maintenanceAddon) = StandardLib.requirements(
            quantities, places, parameters.standard, proof, work.scenarios
        );
        work.initialAddon = initial - work.maintenanceAddon;
    }

    /// @dev Rows ascend by instrument, so the two options of a strike are neighbours, and those of
    /// an expiry stand together, options apart from the rest.
    function _addPositions(
        Work memory work,
        int256[] memory quantities,
        uint256[] memory places,
        MarginParameters calldata parameters,
        MarginProof calldata proof
    ) private pure {
        bytes calldata rows = proof.rows;
        uint256 length = RiskProofLib.rowLength(work.scenarios);
        Strike memory strike;
        Sums memory sums;
        (uint256 bucket, uint256 open) = (NONE, NONE);
        unchecked {
            for (uint256 i = 0; i < quantities.length; i++) {
                (uint256 from, uint256 instrument, int256 value, int256 quantity) =
                    _leg(rows, length, places, quantities, i);
                if (quantity == 0) continue;
                uint256 key = instrument >> 25 & KEY_MASK;
                if (key != open) {
                    if (bucket != NONE) _close(work, bucket, sums);
                    (bucket, open) = (_bucketOf(work.keys, key), key);
                }
                _addRow(work.lanes, work.tailMask, from, quantity);
                sums.value += value;
                if (instrument >> 60 == OPTION) {
                    sums.options += quantity;
                    if (instrument >> 1 != strike.key) {
                        _endStrike(work, strike);
                        (strike.key, strike.quantity) = (instrument >> 1, 0);
                        strike.underlying = work.underlyingOf[bucket];
                    }
                    strike.quantity += quantity;
                } else {
                    _addLinear(
                        work, parameters, proof.underlyings[work.underlyingOf[bucket]], value
                    );
                }
            }
        }
        if (bucket != NONE) _close(work, bucket, sums);
        _endStrike(work, strike);
    }

    /// @return from where the row begins in calldata
    /// @return instrument that it is of
    /// @return value of what is held of it, at the mark
    /// @return quantity held
    function _leg(
        bytes calldata rows,
        uint256 length,
        uint256[] memory places,
        int256[] memory quantities,
        uint256 i
    ) private pure returns (uint256 from, uint256 instrument, int256 value, int256 quantity) {
        assembly ("memory-safe") {
            let step := shl(5, add(i, 1))
            quantity := mload(add(quantities, step))
            from := add(rows.offset, mul(mload(add(places, step)), length))
            let head := calldataload(from)
            instrument := shr(192, head)
            value := mul(signextend(7, shr(128, head)), quantity)
        }
    }

    /// @dev All rows of an expiry, or of its options, are summed.
    function _close(Work memory work, uint256 bucket, Sums memory sums) private pure {
        _unpack(work, bucket);
        uint256 to = bucket * work.bucketWords + work.scenarios;
        work.value += sums.value;
        work.buckets[to] += sums.value;
        work.buckets[to + 1] += sums.options;
        (sums.value, sums.options) = (0, 0);
    }

    function _bucketOf(uint256[] memory keys, uint256 key) private pure returns (uint256) {
        for (uint256 bucket = 0; bucket < keys.length; bucket++) {
            if (keys[bucket] == key) return bucket;
        }
        revert IMargin.RiskMissing(key);
    }

    function _endStrike(Work memory work, Strike memory strike) private pure {
        if (strike.quantity < 0) work.naked[strike.underlying] -= strike.quantity;
    }

    /// @dev sums += quantity * shocked price, two scenarios to a word: a price has 50 bits, a
    /// quantity 63 and 4,096 rows 12 more, so each signed sum fits one half. Of the four prices in
    /// a word the odd ones go to the first sum, the even ones to the second.
    function _addRow(uint256[] memory lanes, uint256 tail, uint256 from, int256 quantity)
        private
        pure
    {
        assembly ("memory-safe") {
            let low := 0xffffffffffffffff0000000000000000ffffffffffffffff
            let to := add(lanes, 0x20)
            from := add(from, 40) // behind the head
            for { let last := add(lanes, sub(shl(5, mload(lanes)), 0x20)) } lt(to, last) {} {
                let prices := calldataload(from)
                mstore(to, add(mload(to), mul(quantity, and(prices, low))))
                let odd := add(to, 0x20)
                mstore(odd, add(mload(odd), mul(quantity, and(shr(64, prices), low))))
                to := add(to, 0x40)
                from := add(from, 0x20)
            }
            let prices := and(calldataload(from), tail) // behind it lies the next row
            mstore(to, add(mload(to), mul(quantity, and(prices, low))))
            to := add(to, 0x20)
            mstore(to, add(mload(to), mul(quantity, and(shr(64, prices), low))))
        }
    }

    /// @dev Adds the sums of one expiry's rows to its bucket, and begins anew.
    function _unpack(Work memory work, uint256 bucket) private pure {
        int256[] memory buckets = work.buckets;
        uint256[] memory lanes = work.lanes;
        uint256 from = bucket * work.bucketWords;
        uint256 scenarios = work.scenarios;
        assembly ("memory-safe") {
            let to := add(add(buckets, 0x20), shl(5, from))
            let end := add(to, shl(5, scenarios))
            function put(at, until, sum) {
                if lt(at, until) { mstore(at, add(mload(at), sum)) }
            }
            let lane := add(lanes, 0x20)
            for {} lt(to, end) {} {
                let even := mload(lane)
                let evenLow := signextend(15, even)
                let odd := mload(add(lane, 0x20))
                let oddLow := signextend(15, odd)
                put(to, end, sar(128, sub(odd, oddLow)))
                put(add(to, 0x20), end, sar(128, sub(even, evenLow)))
                put(add(to, 0x40), end, oddLow)
                put(add(to, 0x60), end, evenLow)
                mstore(lane, 0)
                mstore(add(lane, 0x20), 0)
                lane := add(lane, 0x40)
                to := add(to, 0x80)
            }
        }
    }

    function _addLinear(
        Work memory work,
        MarginParameters calldata parameters,
        UnderlyingRisk calldata risk,
        int256 value
    ) private pure {
        int256 notional = value < 0 ? -value : value;
        int256 initialRate =
            int256(uint256(parameters.perpetualInitialRate)) + shortfall(parameters, risk);
        int256 maintenanceRate = int256(uint256(parameters.perpetualMaintenanceRate));
        work.initialAddon += _up(notional * initialRate, QUANTITY_SCALE * RATIO_SCALE);
        work.maintenanceAddon += _up(notional * maintenanceRate, QUANTITY_SCALE * RATIO_SCALE);
    }

    /// @return `1 - confidence` where that lies below its floor, else 0
    function shortfall(MarginParameters calldata parameters, UnderlyingRisk calldata risk)
        internal
        pure
        returns (int256)
    {
        if (risk.confidence >= parameters.confidenceFloor) return 0;
        return RATIO_SCALE - int256(uint256(risk.confidence));
    }

    function _addShortOptions(
        Work memory work,
        MarginParameters calldata parameters,
        MarginProof calldata proof
    ) private pure {
        int256 scale = QUANTITY_SCALE * RATIO_SCALE;
        for (uint256 i = 0; i < work.naked.length; i++) {
            int256 notional = work.naked[i] * int256(uint256(proof.underlyings[i].indexPrice));
            work.initialAddon += _up(
                notional * int256(uint256(parameters.shortOptionInitialRate)), scale
            );
            work.maintenanceAddon += _up(
                notional * int256(uint256(parameters.shortOptionMaintenanceRate)), scale
            );
        }
        for (uint256 b = 0; b < work.underlyingOf.length; b++) {
            int256 net = work.buckets[b * work.bucketWords + work.scenarios + 1];
            if (net >= 0) continue;
            UnderlyingRisk calldata risk = proof.underlyings[work.underlyingOf[b]];
            int256 notional = -net * int256(uint256(risk.indexPrice));
            work.initialAddon += _up(notional * shortfall(parameters, risk), scale);
        }
    }

    // ---- results

    /// @dev The only place where a scenario's result is rounded: down, once per expiry.
    function _addResults(Work memory work, MarginProof calldata proof) private pure {
        for (uint256 b = 0; b < work.underlyingOf.length; b++) {
            if (work.underlyingOf[b] == NONE) continue; // and so without a position
            ExpiryRisk calldata risk = proof.expiries[b];
            uint256 from = b * work.bucketWords;
            uint256 to = work.leaderOf[work.underlyingOf[b]] * (work.scenarios + 1);
            _addExpiry(work, risk, from, to);
            work.groups[to + work.scenarios] += _basis(work, risk, from);
        }
    }

    /// @dev Cannot overflow: sums are below 2**138, ratios at most 2**62 and weights 2**60, where
    /// prices are below 2**50 as the engine demands.
    function _addExpiry(Work memory work, ExpiryRisk calldata risk, uint256 from, uint256 to)
        private
        pure
    {
        (int256[] memory buckets, int256[] memory groups) = (work.buckets, work.groups);
        (int256[] memory weights, uint256 skew) = (work.weights, work.skew);
        (uint256 long, uint256 short) = (risk.discountLong, risk.discountShort);
        int256 value = buckets[from + work.scenarios] * RATIO_SCALE;
        int256 divisor = QUANTITY_SCALE * RATIO_SCALE * RATIO_SCALE;
        assembly ("memory-safe") {
            let sum := add(add(buckets, 0x20), shl(5, from))
            let result := add(add(groups, 0x20), shl(5, to))
            let weight := add(weights, 0x20)
            for { let end := add(weight, shl(5, mload(weights))) } lt(weight, end) {} {
                let moved := mload(sum)
                let discount := long
                if slt(moved, 0) { discount := short }
                let exact := sub(mul(moved, discount), value)
                if and(and(skew, 1), sgt(exact, 0)) { exact := sub(0, exact) }
                exact := mul(exact, mload(weight))
                exact := sub(sdiv(exact, divisor), slt(smod(exact, divisor), 0))
                mstore(result, add(mload(result), exact))
                skew := shr(1, skew)
                sum := add(sum, 0x20)
                result := add(result, 0x20)
                weight := add(weight, 0x20)
            }
        }
    }

    function _basis(Work memory work, ExpiryRisk calldata risk, uint256 from)
        private
        pure
        returns (int256)
    {
        int256 value = work.buckets[from + work.scenarios];
        int256 up = work.buckets[from + work.basisUp] - value;
        int256 down = work.buckets[from + work.basisDown] - value;
        int256 worse = up < down ? up : down;
        if (worse >= 0) return 0;
        return _down(worse * int256(uint256(risk.basisWeight)), QUANTITY_SCALE * RATIO_SCALE);
    }

    function _signed(uint64[] calldata ratios) private pure returns (int256[] memory list) {
        list = new int256[](ratios.length);
        for (uint256 i = 0; i < list.length; i++) {
            list[i] = int256(uint256(ratios[i]));
        }
    }

    // ---- tokens

    function _addCollateral(
        Work memory work,
        Portfolio memory portfolio,
        MarginParameters calldata parameters,
        MarginProof calldata proof
    ) private pure {
        uint256[] memory amounts = portfolio.amounts;
        for (uint256 i = 0; i < amounts.length; i++) {
            CollateralTerms calldata terms = parameters.collaterals[i];
            uint256 amount = amounts[i] < terms.accountCap ? amounts[i] : terms.accountCap;
            if (amount == 0) continue;
            uint256 place = placeOf(proof.underlyings, terms.underlying);
            if (place == NONE) revert IMargin.RiskMissing(0);
            UnderlyingRisk calldata risk = proof.underlyings[place];
            int256 notional = int256(amount) * int256(uint256(risk.indexPrice));
            work.collateralValue += notional / ASSET_SCALE;
            int256 rate = int256(uint256(terms.initialHaircut)) + shortfall(parameters, risk);
            work.initialAddon += _up(notional * rate, ASSET_SCALE * RATIO_SCALE);
            rate = int256(uint256(terms.maintenanceHaircut));
            work.maintenanceAddon += _up(notional * rate, ASSET_SCALE * RATIO_SCALE);
            int256[] memory spots = SpotLib.stretched(parameters, risk.scan);
            bool alone = terms.isolated || portfolio.standard;
            _addMoves(work, spots, notional, alone ? NONE : work.leaderOf[place]);
        }
    }

    /// @param leader where its results go; NONE: they offset nothing
    function _addMoves(Work memory work, int256[] memory spots, int256 notional, uint256 leader)
        private
        pure
    {
        int256 worst; // the basis entry of a token is 0
        uint256 to = leader == NONE ? 0 : leader * (work.scenarios + 1);
        for (uint256 s = 0; s < work.scenarios; s++) {
            int256 move = (spots[s] - RATIO_SCALE) * work.weights[s];
            if (move > 0 && work.skew >> s & 1 == 1) move = -move;
            int256 result = _down(notional * move, ASSET_SCALE * RATIO_SCALE * RATIO_SCALE);
            if (leader != NONE) work.groups[to + s] += result;
            else if (result < worst) worst = result;
        }
        if (worst == 0) return;
        work.isolatedInitial += _down(worst * work.initialFactor, RATIO_SCALE);
        work.isolatedMaintenance += _down(worst * work.maintenanceFactor, RATIO_SCALE);
    }

    // ---- the two excesses

    function _finish(Work memory work, int256 netCash)
        private
        pure
        returns (int256 initial, int256 maintenance, int256 equity)
    {
        equity = netCash + _down(work.value, QUANTITY_SCALE) + work.collateralValue;
        maintenance = equity - work.maintenanceAddon + work.isolatedMaintenance;
        initial = equity - work.maintenanceAddon - work.initialAddon + work.isolatedInitial;
        for (uint256 g = 0; g < work.leaderOf.length; g++) {
            if (work.leaderOf[g] != g) continue;
            int256 worst = _worst(work.groups, g * (work.scenarios + 1), work.scenarios);
            initial += _down(worst * work.initialFactor, RATIO_SCALE);
            maintenance += _down(worst * work.maintenanceFactor, RATIO_SCALE);
        }
    }

    /// @return worst never above 0: the basis, which comes behind the scenarios, is not
    function _worst(int256[] memory groups, uint256 from, uint256 scenarios)
        private
        pure
        returns (int256 worst)
    {
        assembly ("memory-safe") {
            let result := add(add(groups, 0x20), shl(5, from))
            let last := add(result, shl(5, scenarios))
            for {} iszero(gt(result, last)) { result := add(result, 0x20) } {
                let found := mload(result)
                if slt(found, worst) { worst := found }
            }
        }
    }

    function _down(int256 value, int256 divisor) private pure returns (int256 quotient) {
        assembly ("memory-safe") {
            quotient := sub(sdiv(value, divisor), slt(smod(value, divisor), 0))
        }
    }

    /// @dev Of values that are not negative.
    function _up(int256 value, int256 divisor) private pure returns (int256) {
        return (value + divisor - 1) / divisor;
    }
}
