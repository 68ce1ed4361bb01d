// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {IGateway} from "../interfaces/IGateway.sol";
import {Passages} from "./Passages.sol";

/// @title Gateway: holds, on a second chain, the tokens that exist as wrapped ones on the hub
/// @dev `total` is what was locked and not paid back: the token balance is never below it, whatever
/// the hub or its attesters do.
contract Gateway is IGateway, Passages {
    using SafeERC20 for IERC20;

    constructor(
        address authority,
        uint256 peerChain,
        address peer,
        address[] memory list,
        uint256 threshold
    ) Passages(authority, peerChain, peer, list, threshold) {}

    /// @inheritdoc IGateway
    function lock(address token, uint128 amount, address recipient) external nonReentrant {
        Token storage stored = _listed(token);
        if (!stored.rules.open) revert LocksPaused(token);
        if (stored.total + uint256(amount) > stored.rules.totalCap) revert TotalCapReached(token);

        stored.total += amount;
        _depart(token, amount, recipient);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        // A token that keeps a fee would leave wrapped ones uncovered.
        if (IERC20(token).balanceOf(address(this)) != before + amount) {
            revert WrongAmountReceived();
        }
    }

    /// @inheritdoc IGateway
    function pause(address token) external restricted {
        Token storage stored = _listed(token);
        stored.rules.open = false;
        emit RulesSet(token, stored.rules);
    }

    /// @dev A quorum that lies can empty this contract, at the caps' pace, and no more than it
    /// holds.
    function _payable(Token storage stored) internal view override returns (uint256) {
        return stored.total;
    }

    function _pay(address token, address recipient, uint256 amount) internal override {
        // forge-lint: disable-next-line(unsafe-typecast)
        _tokens[token].total -= uint128(amount); // at most the total
        IERC20(token).safeTransfer(recipient, amount);
    }
}
