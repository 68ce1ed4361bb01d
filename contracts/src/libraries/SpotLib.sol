// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MarginParameters} from "../interfaces/IMargin.sol";

/// @title SpotLib: spot shocks with the grid's moves stretched
/// @dev The twin of stretched_spots in margin/collateral.py. The grid are the scenarios of weight
/// 1; its moves stretch, but not beyond the nearest tails.
library SpotLib {
    int256 internal constant RATIO_SCALE = 1e18;

    /// @param scan 1e18 leaves everything as it is
    function stretched(MarginParameters calldata parameters, uint256 scan)
        internal
        pure
        returns (int256[] memory spots)
    {
        uint256 count = parameters.spots.length;
        spots = new int256[](count);
        for (uint256 s = 0; s < count; s++) {
            spots[s] = int256(uint256(parameters.spots[s]));
        }
        if (scan == uint256(RATIO_SCALE)) return spots;
        (int256 below, int256 above) = _tails(parameters, spots);
        for (uint256 s = 0; s < count; s++) {
            if (!_isGrid(parameters, s)) continue;
            int256 moved = RATIO_SCALE + _halfEven((spots[s] - RATIO_SCALE) * int256(scan));
            if (moved < below) moved = below;
            spots[s] = moved > above ? above : moved;
        }
    }

    /// @return below the nearest tail under the whole grid, or 0
    /// @return above the nearest tail over it, or without bound
    function _tails(MarginParameters calldata parameters, int256[] memory spots)
        private
        pure
        returns (int256 below, int256 above)
    {
        (int256 low, int256 high) = (type(int256).max, int256(0));
        for (uint256 s = 0; s < spots.length; s++) {
            if (!_isGrid(parameters, s)) continue;
            if (spots[s] < low) low = spots[s];
            if (spots[s] > high) high = spots[s];
        }
        above = type(int256).max;
        for (uint256 s = 0; s < spots.length; s++) {
            if (_isGrid(parameters, s)) continue;
            if (spots[s] < low && spots[s] > below) below = spots[s];
            if (spots[s] > high && spots[s] < above) above = spots[s];
        }
    }

    function _isGrid(MarginParameters calldata parameters, uint256 s) private pure returns (bool) {
        return parameters.weights[s] >= uint256(RATIO_SCALE);
    }

    /// @return quotient by 1e18, halves to the even neighbour
    function _halfEven(int256 value) private pure returns (int256 quotient) {
        quotient = value / RATIO_SCALE;
        int256 rest = value % RATIO_SCALE;
        if (rest < 0) (quotient, rest) = (quotient - 1, rest + RATIO_SCALE);
        int256 twice = 2 * rest - RATIO_SCALE;
        if (twice > 0 || (twice == 0 && quotient % 2 != 0)) quotient++;
    }
}
