// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice An index at a time; one slot.
struct Sample {
    uint40 time; // UTC second; 0: no sample
    uint64 price; // holds until the next
    uint152 cumulative; // of price times seconds from the first sample up to this one
}

/// @title SamplesLib: an index over time, and its sums
/// @dev All samples are kept, so any window that was posted can be averaged for ever.
library SamplesLib {
    using SafeCast for uint256;

    error NoSample(uint64 time);

    /// @return The newest sample; zeros before the first.
    function last(Sample[] storage self) internal view returns (Sample memory) {
        uint256 count = self.length;
        return count == 0 ? Sample(0, 0, 0) : self[count - 1];
    }

    /// @dev `time` is later than the last one's.
    function add(Sample[] storage self, uint64 time, uint64 price) internal {
        Sample memory before = last(self);
        uint256 held = before.time == 0 ? 0 : uint256(before.price) * (time - before.time);
        self.push(Sample(uint256(time).toUint40(), price, (held + before.cumulative).toUint152()));
    }

    /// @return The newest sample not later than `time`; zeros if there is none. O(log samples).
    function sampleAt(Sample[] storage self, uint64 time) internal view returns (Sample memory) {
        (uint256 low, uint256 high) = (0, self.length);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (self[middle].time <= time) low = middle + 1;
            else high = middle;
        }
        return low == 0 ? Sample(0, 0, 0) : self[low - 1];
    }

    /// @notice Price times seconds from the first sample up to `time`; the last price holds on.
    function cumulativeAt(Sample[] storage self, uint64 time) internal view returns (uint256) {
        Sample memory known = sampleAt(self, time);
        if (known.time == 0) revert NoSample(time);
        return known.cumulative + uint256(known.price) * (time - known.time);
    }
}
