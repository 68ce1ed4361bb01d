// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Debts} from "./Debts.sol";
import {Queues} from "./Queues.sol";
import {Requests} from "./Requests.sol";
import {Storage} from "./Storage.sol";
import {Batch, Terms, Withdraw, Withdrawal} from "./interfaces/IClearing.sol";
import {ICustody} from "./interfaces/ICustody.sol";
import {Queued} from "./interfaces/IReleases.sol";
import {Delayed, DelayedLib} from "./libraries/DelayedLib.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {OrderStateLib} from "./libraries/OrderStateLib.sol";

/// @title Payments: what owners signed to move out, or to another subaccount
/// @dev A module of Clearing. Called by itself it moves nothing: nobody has anything in its own
/// storage.
contract Payments is Requests, Queues, Debts {
    using DelayedLib for Delayed;
    using OrderLib for Withdrawal;
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @dev What a contract may use to say whether it signed.
    uint256 private constant SIGNATURE_GAS = 100_000;

    constructor(Terms memory terms_) Storage(terms_) {}

    /// @notice The part of IClearing.settle after Settler.
    /// @dev The withdrawals and transfers of a batch whose ledger is stored: cash has moved. Tokens
    /// move here, straight in storage, because no fill moves them; their order among themselves is
    /// that of the list. Orders have left their marks, so a nonce which fills in the same batch
    /// counts as used. External calls last.
    function settle(Batch calldata batch) external {
        Withdraw[] calldata list = batch.withdrawals;
        bool[] memory leaves = new bool[](list.length); // now
        for (uint256 i = 0; i < list.length; i++) {
            Withdrawal calldata w = list[i].withdrawal;
            bool requested = w.signer == address(0);
            _requireNotFrozen(w.subaccountId, list[i].time);
            if (requested) {
                _payRequest(list[i]);
            } else if (_check(list[i])) {
                _useNonce(w, list[i].time);
            } else {
                _giveBack(w);
                continue;
            }
            _move(w, list[i].toSubaccountId);
            if (list[i].toSubaccountId != 0) continue;
            leaves[i] = _withdrawalDelay == 0;
            if (leaves[i]) continue;
            _enqueue(Queued(w.subaccountId, w.token, w.amount, w.recipient, w.nonce, requested));
        }
        ICustody custody = _custody();
        for (uint256 i = 0; i < list.length; i++) {
            Withdrawal calldata w = list[i].withdrawal;
            // What cannot be paid now waits in Custody: nobody's refusal stops the venue.
            if (leaves[i]) custody.pay(w.token, w.recipient, w.amount);
        }
    }

    /// @return whether the owner signed; of a contract that no longer says so the withdrawal is
    /// void, and the batch goes on: otherwise the contract could stop it
    function _check(Withdraw calldata request) private view returns (bool) {
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
        bytes32 digest = _hashTypedDataV4(to == 0 ? w.hash() : w.hashTo(to));
        (address recovered, ECDSA.RecoverError fault,) =
            ECDSA.tryRecoverCalldata(digest, request.signature);
        if (fault == ECDSA.RecoverError.NoError && recovered == owner) return true;
        // A void transfer would have to be undone where it arrived: contracts cannot sign any.
        if (owner.code.length == 0 || to != 0) revert InvalidSignature(digest);
        return _approves(owner, digest, request.signature);
    }

    /// @dev EIP-1271 with bounded gas and answer.
    function _approves(address owner, bytes32 digest, bytes calldata signature)
        private
        view
        returns (bool approved)
    {
        if (gasleft() < 2 * SIGNATURE_GAS) revert TooLittleGas();
        bytes memory data = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
        uint256 gasCap = SIGNATURE_GAS;
        bytes32 magic = IERC1271.isValidSignature.selector;
        assembly ("memory-safe") {
            mstore(0, 0)
            approved := staticcall(gasCap, owner, add(data, 0x20), mload(data), 0, 0x20)
            approved := and(approved, and(gt(returndatasize(), 0x1f), eq(mload(0), magic)))
        }
    }

    /// @dev The engine debited it, so it has to see it come back; of tokens nothing has moved yet.
    function _giveBack(Withdrawal calldata w) private {
        if (w.token == USDC) {
            _accounts[w.subaccountId].cash += w.amount.toInt256().toInt80();
            _remember(w.subaccountId, w.amount);
        }
        emit WithdrawalRefused(w.subaccountId, w.nonce);
        emit Deposited(w.subaccountId, w.token, w.amount);
    }

    /// @dev A nonce that its owner canceled is still good for what came before that took effect.
    function _useNonce(Withdrawal calldata w, uint256 time) private {
        uint256 window = OrderStateLib.windowOf(w.nonce);
        mapping(uint256 => uint256) storage stored = _orderMarks[w.subaccountId];
        uint256 marks = stored[window];
        uint256 mark = OrderStateLib.marksOf(marks, w.nonce);
        if (mark == OrderStateLib.CANCELED) {
            uint256 word = _orderStates[w.subaccountId][OrderStateLib.slotOf(w.nonce)];
            (uint256 filled,) = OrderStateLib.read(word, w.nonce);
            bool before = time < _voidAt[w.subaccountId][w.nonce];
            if (!before || filled != 0) revert NonceUsed();
        } else if (mark != 0) {
            revert NonceUsed();
        }
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
