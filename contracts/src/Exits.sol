// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Requests} from "./Requests.sol";
import {Storage} from "./Storage.sol";
import {Terms} from "./interfaces/IClearing.sol";
import {ExitRequest} from "./interfaces/IExits.sol";
import {MarginProof} from "./interfaces/IMargin.sol";

/// @title Exits: what an owner asks for on chain, and what happens if nobody answers
/// @dev A module of Clearing. What margin allows to leave is proven, under the latest root, by
/// whoever serves: so the operator cannot refuse what is free, and nobody can ask for more.
contract Exits is Requests {
    constructor(Terms memory terms_) Storage(terms_) {}

    /// @notice As IExits.requestExit.
    function requestExit(uint64 subaccountId, address token, uint256 amount, address recipient)
        external
        notEscaped
    {
        if (_accounts[subaccountId].owner != msg.sender) revert NotOwner();
        if (amount == 0) revert ZeroAmount();
        if (recipient == address(0) || recipient == address(this)) revert InvalidRecipient();
        ExitRequest storage request = _exits[subaccountId];
        if (request.requestedAt != 0) revert ExitIsOpen();
        if (amount > _held(subaccountId, token)) {
            if (token == USDC) revert InsufficientCash();
            revert InsufficientCollateral();
        }

        (request.token, request.requestedAt) = (token, uint64(block.timestamp));
        (request.recipient, request.amount) = (recipient, amount);
        uint64 ordinal = ++request.ordinal;
        emit ExitRequested(subaccountId, ordinal, token, amount, recipient, uint64(block.timestamp));
    }

    /// @notice As IExits.serveExit.
    function serveExit(uint64 subaccountId, uint256 paid, MarginProof calldata proof)
        external
        notEscaped
    {
        ExitRequest memory request = _exits[subaccountId];
        if (request.requestedAt == 0) revert NoExit();
        uint256 from = request.requestedAt + PAID_WITHIN + MAX_BATCH_AGE;
        if (block.timestamp <= from) revert TooEarly(from + 1);
        uint256 held = _held(subaccountId, request.token);
        uint256 wanted = request.amount < held ? request.amount : held;
        if (paid > wanted) revert PaysTooMuch(0);
        _checkPaid(subaccountId, request.token, paid, wanted, proof);

        _close(_exits[subaccountId]);
        emit ExitServed(subaccountId, request.ordinal, request.token, paid);
        if (paid != 0) _custody().pay(request.token, request.recipient, paid);
    }

    /// @notice As IExits.startEscape.
    function startEscape(uint64 subaccountId) external notEscaped {
        uint64 requestedAt = _exits[subaccountId].requestedAt;
        if (requestedAt == 0) revert NoExit();
        uint256 from = requestedAt + _deadline();
        if (block.timestamp <= from) revert TooEarly(from + 1);

        (,, bytes32 root) = ORACLE.latestMarks();
        _escape.startedAt = uint64(block.timestamp);
        (_escape.accounts, _escape.next) = (_subaccountCount, 1);
        _escape.marksRoot = root;
        if (address(_margin) == address(0)) _escape.tokensPriced = true;
        else _escape.parametersHash = _margin.parametersHash();
        emit EscapeStarted(subaccountId, _subaccountCount, root);
    }

    // ---- inside

    /// @dev Debits `paid`, which leaves no shortfall; one unit more of what is wanted would.
    function _checkPaid(
        uint64 subaccountId,
        address token,
        uint256 paid,
        uint256 wanted,
        MarginProof calldata proof
    ) private {
        Account storage account = _accounts[subaccountId];
        if (account.positions == 0 && account.cash >= 0) {
            if (paid != wanted) revert PaysTooLittle(account.cash);
            return _debit(subaccountId, token, paid);
        }
        if (paid != 0) {
            _debit(subaccountId, token, paid);
            int256 left = _initialExcess(subaccountId, proof);
            if (left < 0) revert PaysTooMuch(left);
        }
        if (paid == wanted) return;
        _debit(subaccountId, token, 1);
        int256 beyond = _initialExcess(subaccountId, proof);
        if (beyond >= 0) revert PaysTooLittle(beyond);
        _credit(subaccountId, token, 1);
    }

    function _initialExcess(uint64 subaccountId, MarginProof calldata proof)
        private
        view
        returns (int256 initial)
    {
        (initial,) = _margin.excess(subaccountId, proof);
    }

    function _held(uint64 subaccountId, address token) private view returns (uint256) {
        if (token != USDC) return _collateral[subaccountId][token];
        int256 cash = _accounts[subaccountId].cash;
        return cash > 0 ? uint256(cash) : 0;
    }

    /// @dev At most what is held, which fits.
    // forge-lint: disable-next-item(unsafe-typecast)
    function _debit(uint64 subaccountId, address token, uint256 amount) private {
        if (token == USDC) _accounts[subaccountId].cash -= int80(uint80(amount));
        else _collateral[subaccountId][token] -= amount;
    }

    // forge-lint: disable-next-item(unsafe-typecast)
    function _credit(uint64 subaccountId, address token, uint256 amount) private {
        if (token == USDC) _accounts[subaccountId].cash += int80(uint80(amount));
        else _collateral[subaccountId][token] += amount;
    }
}
