// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IGatewayHub} from "../interfaces/IGateway.sol";
import {Passages} from "./Passages.sol";
import {WrappedToken} from "./WrappedToken.sol";

/// @title GatewayHub: mints on the hub what is locked at the Gateway, and burns what goes back
/// @dev Clearing and Custody know nothing of it: governance lists a wrapped token there as any
/// other collateral, with its own caps and haircuts.
contract GatewayHub is IGatewayHub, Passages {
    /// @inheritdoc IGatewayHub
    mapping(address token => WrappedToken) public wrapped;

    constructor(
        address authority,
        uint256 peerChain,
        address peer,
        address[] memory list,
        uint256 threshold
    ) Passages(authority, peerChain, peer, list, threshold) {}

    /// @inheritdoc IGatewayHub
    function wrap(address token, string calldata name, string calldata symbol, uint8 decimals)
        external
        restricted
        returns (address)
    {
        if (address(wrapped[token]) != address(0)) revert WrappedBefore(token);
        wrapped[token] = new WrappedToken(name, symbol, decimals);
        emit Wrapped(token, address(wrapped[token]));
        return address(wrapped[token]);
    }

    /// @inheritdoc IGatewayHub
    function burn(address token, uint128 amount, address recipient) external nonReentrant {
        Token storage stored = _listed(token);
        wrapped[token].burn(msg.sender, amount); // reverts where the sender has less
        stored.total -= amount;
        _depart(token, amount, recipient);
    }

    /// @dev The cap on the total bounds what a quorum that lies can make.
    function _payable(Token storage stored) internal view override returns (uint256) {
        return Math.saturatingSub(stored.rules.totalCap, stored.total);
    }

    function _pay(address token, address recipient, uint256 amount) internal override {
        if (address(wrapped[token]) == address(0)) revert Unlisted(token);
        // forge-lint: disable-next-line(unsafe-typecast)
        _tokens[token].total += uint128(amount); // at most the cap
        wrapped[token].mint(recipient, amount);
    }
}
