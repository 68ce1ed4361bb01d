// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice What left lately, against a cap for an hour and one for a day.
struct Flow {
    uint96 hour; // as of `time`; drains by the hour's cap within an hour
    uint96 day; // as of `time`; drains by the day's cap within a day
    uint64 time;
}

/// @title FlowLib: leaky buckets
/// @dev In any span of T hours at most (T + 1) hourly caps leave, and likewise for days. A window
/// that starts anew on the hour would let twice the cap leave within minutes.
library FlowLib {
    /// @dev A cap of this size is none, and costs no storage.
    uint80 internal constant NONE = type(uint80).max;

    /// @return what may leave now
    function room(Flow storage self, uint256 hourCap, uint256 dayCap)
        internal
        view
        returns (uint256)
    {
        (uint256 hour, uint256 day) = _drained(self, hourCap, dayCap);
        return Math.min(Math.saturatingSub(hourCap, hour), Math.saturatingSub(dayCap, day));
    }

    /// @dev The caller keeps `amount` within `room`, so both sums stay below 2**96.
    function add(Flow storage self, uint256 amount, uint256 hourCap, uint256 dayCap) internal {
        if (hourCap == NONE && dayCap == NONE) return;
        (uint256 hour, uint256 day) = _drained(self, hourCap, dayCap);
        // forge-lint: disable-next-line(unsafe-typecast)
        (self.hour, self.day) = (uint96(hour + amount), uint96(day + amount));
        self.time = uint64(block.timestamp);
    }

    /// @dev Rounded against the one who waits: the drain down, so what left counts longer.
    function _drained(Flow storage self, uint256 hourCap, uint256 dayCap)
        private
        view
        returns (uint256 hour, uint256 day)
    {
        uint256 passed = block.timestamp - self.time;
        hour = Math.saturatingSub(self.hour, hourCap * passed / 1 hours);
        day = Math.saturatingSub(self.day, dayCap * passed / 1 days);
    }
}
