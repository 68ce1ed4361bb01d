// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Requests} from "./Requests.sol";
import {Storage} from "./Storage.sol";
import {Batch, Terms, Withdraw, Withdrawal} from "./interfaces/IClearing.sol";
import {ICustody} from "./interfaces/ICustody.sol";
import {Delayed, DelayedLib} from "./libraries/DelayedLib.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {OrderStateLib} from "./libraries/OrderStateLib.sol";

/// @title Payments: what owners signed to move out, or to another subaccount
/// @dev A module of Clearing. Called by itself it moves nothing: nobody has anything in its own
/// storage.
contract Payments is Requests {
    using DelayedLib for Delayed;
    using OrderLib for Withdrawal;

    constructor(Terms memory terms_) Storage(terms_) {}

    /// @notice The part of IClearing.settle after Settler.
    /// @dev The withdrawals and transfers of a batch whose ledger is stored: cash has moved. Tokens
    /// move here, straight in storage, because no fill moves them; their order among themselves is
    /// that of the list. Orders have left their marks, so a nonce which fills in the same batch
    /// counts as used. External calls last.
    function settle(Batch calldata batch) external {
        Withdraw[] calldata list = batch.withdrawals;
        for (uint256 i = 0; i < list.length; i++) {
            Withdrawal calldata w = list[i].withdrawal;
            if (w.signer == address(0)) {
                _payRequest(list[i]);
            } else {
                _check(list[i]);
                _useNonce(w);
            }
            _move(w, list[i].toSubaccountId);
        }
        ICustody custody = _custody();
        for (uint256 i = 0; i < list.length; i++) {
            if (list[i].toSubaccountId != 0) continue;
            Withdrawal calldata w = list[i].withdrawal;
            // What cannot be paid now waits in Custody: nobody's refusal stops the venue.
            custody.pay(w.token, w.recipient, w.amount);
        }
    }

    function _check(Withdraw calldata request) private view {
        Withdrawal calldata w = request.withdrawal;
        uint64 to = request.toSubaccountId;
        _requireOpen(w.subaccountId);
        address owner = _accounts[w.subaccountId].owner;
        if (w.amount == 0) revert ZeroAmount();
        bool valid = to == 0
            ? w.recipient != address(0) && w.recipient != address(this)
            : to != w.subaccountId && _accounts[to].owner == owner;
        if (!valid) revert InvalidRecipient();
        if (w.deadline < request.time) revert DeadlinePassed();
        if (w.nonce < _nonceFloors[w.subaccountId].valueAt(request.time)) revert NonceBelowFloor();
        if (w.signer != owner) revert SignerNotAuthorised();
        _requireSignature(to == 0 ? w.hash() : w.hashTo(to), w.signer, request.signature);
    }

    function _useNonce(Withdrawal calldata w) private {
        uint256 window = OrderStateLib.windowOf(w.nonce);
        mapping(uint256 => uint256) storage stored = _orderMarks[w.subaccountId];
        uint256 marks = stored[window];
        if (OrderStateLib.marksOf(marks, w.nonce) != 0) revert NonceUsed();
        stored[window] = OrderStateLib.marked(marks, w.nonce, OrderStateLib.DONE);
    }

    function _move(Withdrawal calldata w, uint64 to) private {
        if (w.token != USDC) {
            uint256 balance = _collateral[w.subaccountId][w.token];
            if (w.amount > balance) revert InsufficientCollateral();
            _collateral[w.subaccountId][w.token] = balance - w.amount;
            if (to != 0) _collateral[to][w.token] += w.amount;
        }
        if (to == 0) emit Withdrawn(w.subaccountId, w.token, w.amount, w.recipient, w.nonce);
        else emit Transferred(w.subaccountId, to, w.token, w.amount, w.nonce);
    }
}
