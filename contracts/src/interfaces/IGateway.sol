// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {WrappedToken} from "../gateway/WrappedToken.sol";
import {IPassages} from "./IPassages.sol";

/// @title IGateway: the second chain's side
interface IGateway is IPassages {
    error LocksPaused(address token);
    error TotalCapReached(address token);
    error WrongAmountReceived();

    /// @notice Locks the caller's tokens; as many wrapped ones go to `recipient` on the hub.
    /// Warning: `recipient` is an address of the hub; a contract wallet may not exist there.
    function lock(address token, uint128 amount, address recipient) external;

    /// @notice Locks no more of a token. What left arrives, and what comes back is paid. The
    /// guardian; `setRules` opens again.
    function pause(address token) external;
}

/// @title IGatewayHub: the hub's side
interface IGatewayHub is IPassages {
    error WrappedBefore(address token);

    event Wrapped(address indexed token, address wrapped);

    /// @notice Makes the wrapped twin of a token of the second chain. Governance, once per token.
    function wrap(address token, string calldata name, string calldata symbol, uint8 decimals)
        external
        returns (address);

    /// @notice Burns the caller's wrapped tokens; as many are released to `recipient` on the second
    /// chain.
    function burn(address token, uint128 amount, address recipient) external;

    function wrapped(address token) external view returns (WrappedToken);
}
