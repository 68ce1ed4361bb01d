// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IMargin, MarginProof, StandardRates} from "../interfaces/IMargin.sol";
import {InstrumentLib} from "./InstrumentLib.sol";
import {MarginLib} from "./MarginLib.sol";
import {RiskProofLib} from "./RiskProofLib.sol";

/// @title StandardLib: margin position by position, in the engine's integers
/// @dev The twin of margin/standard.py, to the last unit; tokens are MarginLib's, each by itself. A
/// long option is paid for and counts nothing. Sums are exact and rounded once, against the
/// account.
library StandardLib {
    using InstrumentLib for uint64;

    int256 internal constant RATIO_SCALE = 1e18;
    int256 internal constant SCALE = 1e4 * RATIO_SCALE;

    /// @param places of the rows that the quantities are of
    /// @return value of what counts, at the mark, 1e-10 USDC
    /// @return initial requirement beyond it, 1e-6 USDC
    /// @return maintenance requirement beyond it
    function requirements(
        int256[] memory quantities,
        uint256[] memory places,
        StandardRates calldata rates,
        MarginProof calldata proof,
        uint256 scenarios
    ) internal pure returns (int256 value, int256 initial, int256 maintenance) {
        bytes calldata rows = proof.rows;
        uint256 length = RiskProofLib.rowLength(scenarios);
        for (uint256 i = 0; i < quantities.length; i++) {
            if (quantities[i] == 0) continue;
            uint256 from = places[i] * length;
            uint64 instrument;
            int256 mark;
            assembly ("memory-safe") {
                let head := calldataload(add(rows.offset, from))
                instrument := shr(192, head)
                mark := signextend(7, shr(128, head))
            }
            int256 quantity = quantities[i];
            if (quantity > 0 && !InstrumentLib.isLinear(instrument)) continue;
            value += quantity * mark;
            if (quantity < 0) quantity = -quantity;
            (int256 more, int256 less) = _units(instrument, rates, _index(instrument, proof));
            initial += quantity * more;
            maintenance += quantity * less;
        }
        return (value, _up(initial), _up(maintenance));
    }

    function _index(uint64 instrument, MarginProof calldata proof) private pure returns (int256) {
        uint256 place = MarginLib.placeOf(proof.underlyings, instrument.underlyingOf());
        if (place == MarginLib.NONE) {
            revert IMargin.RiskMissing(instrument >> 25 & MarginLib.KEY_MASK);
        }
        return int256(uint256(proof.underlyings[place].indexPrice));
    }

    /// @dev Of one contract, short if an option, times 1e18.
    function _units(uint64 instrument, StandardRates calldata rates, int256 index)
        private
        pure
        returns (int256 initial, int256 maintenance)
    {
        if (InstrumentLib.isLinear(instrument)) {
            initial = index * int256(uint256(rates.perpetualInitial));
            return (initial, index * int256(uint256(rates.perpetualMaintenance)));
        }
        int256 away = int256(instrument.strikeOf()) - index;
        if (instrument.isPut()) away = -away;
        initial = index * int256(uint256(rates.optionInitial));
        if (away > 0) initial -= away * RATIO_SCALE;
        int256 least = index * int256(uint256(rates.optionInitialMin));
        if (initial < least) initial = least;
        maintenance = index * int256(uint256(rates.optionMaintenance));
    }

    function _up(int256 value) private pure returns (int256) {
        return (value + SCALE - 1) / SCALE;
    }
}
