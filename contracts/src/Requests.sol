// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Storage} from "./Storage.sol";
import {Withdraw, Withdrawal} from "./interfaces/IClearing.sol";
import {ExitRequest} from "./interfaces/IExits.sol";

/// @title Requests: open requests for exit, as batches and Exits pay them
abstract contract Requests is Storage {
    /// @dev What the operator has to answer beyond the age of the oldest batch.
    uint64 private constant GRACE = 3 days;
    /// @dev How long after a request the journal may pay it.
    uint64 internal constant PAID_WITHIN = 1 hours;
    /// @dev How long an escape waits for marks and delivery prices.
    uint64 internal constant WINDOW = 7 days;

    /// @dev Of a withdrawal without a signer: the owner asked on chain, and the request says it
    /// all.
    function _payRequest(Withdraw calldata item) internal {
        Withdrawal calldata w = item.withdrawal;
        ExitRequest storage request = _exits[w.subaccountId];
        bool asked = request.requestedAt != 0 && request.ordinal == w.nonce
            && request.token == w.token && request.recipient == w.recipient && w.amount != 0
            && w.amount <= request.amount && item.toSubaccountId == 0;
        if (!asked) revert NoExit();
        if (item.time > request.requestedAt + PAID_WITHIN) revert PaidTooLate();
        uint256 left = request.amount - w.amount;
        if (left == 0) _close(request);
        else request.amount = left;
        emit ExitPaid(w.subaccountId, request.ordinal, w.amount, left);
    }

    function _deadline() internal view returns (uint64) {
        return MAX_BATCH_AGE + GRACE;
    }

    /// @dev The ordinal stays, so that none returns.
    function _close(ExitRequest storage request) internal {
        (request.token, request.requestedAt) = (address(0), 0);
        (request.recipient, request.amount) = (address(0), 0);
    }
}
