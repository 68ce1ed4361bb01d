// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice A value that changes at a known time.
struct Delayed {
    uint64 current; // in force before effectiveAt
    uint64 next; // in force from effectiveAt on
    uint64 effectiveAt;
    uint64 tag; // whatever else its owner keeps in this slot; not delayed
}

/// @title DelayedLib: owner's controls that bind the contract only after a delay
library DelayedLib {
    function valueAt(Delayed storage self, uint256 time) internal view returns (uint64) {
        return time < self.effectiveAt ? self.current : self.next;
    }

    /// @dev The same of a copy in memory.
    function loadedValueAt(Delayed memory self, uint256 time) internal pure returns (uint64) {
        return time < self.effectiveAt ? self.current : self.next;
    }

    /// @dev A change that is still pending is replaced, and its delay starts again.
    function schedule(Delayed storage self, uint64 value, uint256 delay) internal {
        uint64 inForce = valueAt(self, block.timestamp);
        (self.current, self.next) = (inForce, value);
        self.effectiveAt = SafeCast.toUint64(block.timestamp + delay);
    }

    /// @dev Holds for past times too, so a clock that lags the chain's cannot miss it.
    function setNow(Delayed storage self, uint64 value) internal {
        (self.current, self.next, self.effectiveAt) = (value, value, 0);
    }
}
