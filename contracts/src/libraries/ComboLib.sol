// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {Leg} from "../interfaces/IClearing.sol";
import {InstrumentLib} from "./InstrumentLib.sol";

/// @title ComboLib: what may be signed as one instrument of several legs
/// @dev The twin of matching/combos.py. Knows no order and no fill.
library ComboLib {
    uint256 internal constant LEGS_MIN = 2;
    uint256 internal constant LEGS_MAX = 17; // sixteen and a hedge

    /// @notice Whether the legs are in their only accepted form: ascending instruments, the first
    /// ratio positive, none zero, no common divisor.
    function isCanonical(Leg[] memory legs) internal pure returns (bool) {
        if (legs.length < LEGS_MIN || legs.length > LEGS_MAX || legs[0].ratio <= 0) return false;
        uint256 divisor = 0;
        uint64 previous = 0;
        for (uint256 i = 0; i < legs.length; i++) {
            uint64 instrument = InstrumentLib.toListed(legs[i].instrument);
            if (instrument <= previous || legs[i].ratio == 0) return false;
            previous = instrument;
            divisor = _gcd(SignedMath.abs(legs[i].ratio), divisor);
        }
        return divisor == 1;
    }

    /// @notice What an order for the combo signs as its `instrument`.
    function hash(Leg[] memory legs) internal pure returns (uint256) {
        bytes memory words = "";
        for (uint256 i = 0; i < legs.length; i++) {
            words = abi.encodePacked(words, uint256(legs[i].instrument), int256(legs[i].ratio));
        }
        return uint256(keccak256(words));
    }

    function _gcd(uint256 a, uint256 b) private pure returns (uint256) {
        while (b != 0) {
            (a, b) = (b, a % b);
        }
        return a;
    }
}
