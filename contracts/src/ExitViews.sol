// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Shares} from "./Shares.sol";
import {Escape, ExitRequest, IExits} from "./interfaces/IExits.sol";
import {IMargin} from "./interfaces/IMargin.sol";

/// @title ExitViews: what anyone may see of exits and of the escape
abstract contract ExitViews is Shares, IExits {
    /// @inheritdoc IExits
    function margin() external view returns (IMargin) {
        return _margin;
    }

    /// @inheritdoc IExits
    function exitOf(uint64 subaccountId) external view returns (ExitRequest memory) {
        return _exits[subaccountId];
    }

    /// @inheritdoc IExits
    function escape() external view returns (Escape memory) {
        return _escape;
    }

    /// @inheritdoc IExits
    function escapePrice(uint64 instrument) external view returns (bool known, uint256 price) {
        EscapePrice storage stored = _escapePrices[instrument];
        return (stored.known, stored.price);
    }

    /// @inheritdoc IExits
    function claimable(uint64 subaccountId, address token) external view returns (uint256) {
        return _claimable(subaccountId, token);
    }

    /// @inheritdoc IExits
    function PAY_WINDOW() external pure returns (uint64) {
        return PAID_WITHIN;
    }

    /// @inheritdoc IExits
    function EXIT_DEADLINE() external view returns (uint64) {
        return _deadline();
    }

    /// @inheritdoc IExits
    function PRICE_WINDOW() external pure returns (uint64) {
        return WINDOW;
    }
}
