// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Storage} from "./Storage.sol";

/// @title Debts: the bound on what a debt may be charged
/// @dev Bounds interest by the rate, the time since the accrual before, and what is owed; one
/// accrual may take several batches. What came
/// in lately by other ways than batches counts as owed still: the journal may not have seen it
/// where it charged, and a debtor who pays back must not stop the batch.
abstract contract Debts is Storage {
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @notice The most that a debt may be charged for a year, in 1e-18 of it.
    uint256 public constant MAX_INTEREST_RATE = 0.5e18;
    uint256 private constant RATE_YEAR = 1e18 * 365 days;

    /// @param cash of the debtor at the place of the charge
    /// @dev A second more than passed, because the journal's times are rounded down.
    function _boundInterest(uint64 subaccountId, int256 cash, uint256 amount, uint64 time)
        internal
    {
        InterestWindow memory window = _interestWindow;
        if (time > window.until) {
            window = InterestWindow(window.until, time, 0);
        } else if (time < window.until) {
            // before the first charge the chain's clock may be ahead of the journal's
            if (window.subaccountId != 0) revert TimeFell();
            window = InterestWindow(time, time, 0);
        }
        if (subaccountId <= window.subaccountId) revert InterestTwice(subaccountId);
        window.subaccountId = subaccountId;
        _interestWindow = window;

        int256 debt = _creditsLately(subaccountId).toInt256() - cash;
        uint256 rate = MAX_INTEREST_RATE * (window.until - window.since + 1);
        uint256 cap = debt <= 0 ? 0 : Math.ceilDiv(debt.toUint256() * rate, RATE_YEAR);
        if (amount > cap) revert InterestAboveCap(subaccountId);
        emit InterestPaid(subaccountId, amount);
    }

    /// @dev USDC came in, and the journal does not know it yet.
    function _remember(uint64 subaccountId, uint256 amount) internal {
        _credits[subaccountId] = Credits(
            _window(),
            (_creditsIn(subaccountId, 0) + amount).toUint96(),
            _creditsIn(subaccountId, 1).toUint96()
        );
    }

    /// @dev What came at least within CANCEL_DELAY, at most within twice that.
    function _creditsLately(uint64 subaccountId) internal view returns (uint256) {
        return _creditsIn(subaccountId, 0) + _creditsIn(subaccountId, 1);
    }

    /// @param ago 0 for the window now, 1 for the one before
    function _creditsIn(uint64 subaccountId, uint64 ago) private view returns (uint256) {
        Credits memory known = _credits[subaccountId];
        if (known.window + ago == _window()) return known.sum;
        return known.window + ago == _window() + 1 ? known.before : 0;
    }

    function _window() private view returns (uint64) {
        return uint64(block.timestamp) / CANCEL_DELAY;
    }
}
