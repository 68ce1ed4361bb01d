// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Fills} from "./Fills.sol";
import {Storage} from "./Storage.sol";
import {Batch, Header, Payoff, Terms, Withdraw, Withdrawal} from "./interfaces/IClearing.sol";
import {ICustody} from "./interfaces/ICustody.sol";
import {DelayedLib} from "./libraries/DelayedLib.sol";
import {Delayed} from "./libraries/DelayedLib.sol";
import {AccountNow, Ledger, LedgerLib, PositionNow} from "./libraries/LedgerLib.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {OrderStateLib} from "./libraries/OrderStateLib.sol";
import {PackedLib} from "./libraries/PackedLib.sol";

/// @title Settler: a batch, checked and moved in memory in `seq` order, then stored
/// @dev A module of Clearing, which checks the caller. The relayer chooses what to send, but
/// nothing it sends can move an account without the owner's signature, or create cash or positions.
/// Called by itself it moves nothing: nobody has anything in its own storage.
contract Settler is Fills {
    using DelayedLib for Delayed;
    using LedgerLib for AccountNow;
    using OrderLib for Withdrawal;
    using PackedLib for bytes;
    using PackedLib for uint256;
    using SafeCast for int256;
    using SafeCast for uint256;

    constructor(Terms memory terms_) Storage(terms_) {}

    /// @notice As IClearing.settle.
    function settle(Batch calldata batch) external {
        _checkHeader(batch.header);
        bytes32 batchHash = _hashCalldata();

        Run memory run = _load(batch);
        run.seqOffsetMax = batch.header.lastSeq - batch.header.firstSeq;
        run.time = _tip.lastTime;
        _replay(run, batch);
        _store(run, batch, batchHash);

        emit BatchSettled(
            batch.header.number,
            batchHash,
            batch.header.firstSeq,
            batch.header.lastSeq,
            batch.header.stateRoot
        );
        _pay(batch.withdrawals);
    }

    // ---- checks

    function _checkHeader(Header calldata header) private view {
        Tip memory tip = _tip;
        if (header.number != tip.number + 1) revert WrongNumber(tip.number + 1);
        if (header.previousHash != _lastHash) revert WrongPreviousHash(_lastHash);
        if (header.firstSeq != tip.lastSeq + 1) revert WrongFirstSeq(tip.lastSeq + 1);
        if (header.lastSeq < header.firstSeq) revert EmptySeqRange();
        if (header.riskEpoch < tip.riskEpoch) revert RiskEpochFell();
    }

    /// @dev settle has one argument, so what follows the selector is the abi-encoded Batch. The
    /// hash is made in free memory and that memory is not kept.
    function _hashCalldata() private pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            let length := sub(calldatasize(), 4)
            calldatacopy(free, 4, length)
            digest := keccak256(free, length)
        }
    }

    // ---- replay in seq order

    /// @dev Merges the three lists; on the same seq fills, then payoffs, then withdrawals.
    function _replay(Run memory run, Batch calldata batch) private {
        bytes calldata fills = batch.fills;
        uint256 count = fills.length / PackedLib.FILL_SIZE;
        if (fills.length != count * PackedLib.FILL_SIZE) revert Malformed();
        for (uint256 i = 0; i < count; i++) {
            (uint256 match_, uint256 fees) = fills.record(i, PackedLib.FILL_SIZE);
            uint256 seqOffset = match_.seqOffsetOf();
            if (run.nextOtherSeq < seqOffset) {
                _replayOthers(run, batch.payoffs, batch.withdrawals, seqOffset);
            }
            if (seqOffset != run.seqOffset) _advance(run, seqOffset);
            _advanceTime(run, match_.timeOf());
            _fill(run, match_, fees);
        }
        _replayOthers(run, batch.payoffs, batch.withdrawals, type(uint256).max);
        _closeCombos(run);
    }

    /// @dev Applies the payoffs and withdrawals that come before `seqOffset`.
    function _replayOthers(
        Run memory run,
        Payoff[] calldata payoffs,
        Withdraw[] calldata withdrawals,
        uint256 seqOffset
    ) private {
        while (true) {
            (uint256 p, uint256 w) = (run.nextPayoff, run.nextWithdrawal);
            uint256 payoffSeq = p < payoffs.length ? payoffs[p].seqOffset : type(uint256).max;
            uint256 withdrawSeq =
                w < withdrawals.length ? withdrawals[w].seqOffset : type(uint256).max;
            if (payoffSeq >= seqOffset && withdrawSeq >= seqOffset) {
                run.nextOtherSeq = payoffSeq < withdrawSeq ? payoffSeq : withdrawSeq;
                return;
            }
            if (payoffSeq <= withdrawSeq) {
                _advance(run, payoffSeq);
                _applyPayoff(run.ledger, payoffs[p]);
                run.nextPayoff = p + 1;
            } else {
                _advance(run, withdrawSeq);
                _withdraw(run, withdrawals[w]);
                run.nextWithdrawal = w + 1;
            }
        }
    }

    function _advance(Run memory run, uint256 seqOffset) private pure {
        if (seqOffset > run.seqOffsetMax) revert SeqOutOfRange();
        if (seqOffset < run.seqOffset) revert NotSortedBySeq();
        if (seqOffset != run.seqOffset) _closeCombos(run);
        run.seqOffset = seqOffset;
    }

    function _applyPayoff(Ledger memory ledger, Payoff calldata payoff) private {
        PositionNow memory position = _loadPosition(ledger, payoff.subaccountId, payoff.instrument);
        int256 quantity = position.quantity;
        if (quantity == 0) return; // paid before, by anyone
        AccountNow memory holder = _loadAccount(ledger, payoff.subaccountId);
        holder.cash += _realise(
            payoff.subaccountId, payoff.instrument, quantity.toInt64(), position.cost
        );
        (position.quantity, position.cost) = (0, 0);
    }

    function _withdraw(Run memory run, Withdraw calldata request) private {
        Withdrawal calldata w = request.withdrawal;
        _advanceTime(run, request.time);
        AccountNow memory holder = _loadAccount(run.ledger, w.subaccountId);
        if (w.amount == 0) revert ZeroAmount();
        if (w.recipient == address(0) || w.recipient == address(this)) revert InvalidRecipient();
        if (w.deadline < request.time) revert DeadlinePassed();
        if (w.nonce < holder.floor.loadedValueAt(request.time)) revert NonceBelowFloor();
        if (w.signer != holder.owner) revert SignerNotAuthorised();
        _requireSignature(w.hash(), w.signer, request.signature);

        _debit(holder, w);
        emit Withdrawn(w.subaccountId, w.token, w.amount, w.recipient, w.nonce);
    }

    /// @dev Collateral straight to storage: no fill moves it.
    function _debit(AccountNow memory holder, Withdrawal calldata w) private {
        if (w.token == USDC) {
            if (holder.cash < 0 || w.amount > holder.cash.toUint256()) revert InsufficientCash();
            holder.cash -= w.amount.toInt256();
        } else {
            uint256 balance = _collateral[w.subaccountId][w.token];
            if (w.amount > balance) revert InsufficientCollateral();
            _collateral[w.subaccountId][w.token] = balance - w.amount;
        }
    }

    // ---- write, then pay

    function _store(Run memory run, Batch calldata batch, bytes32 batchHash) private {
        _storeFilled(run.orders);
        _storeWithdrawn(batch.withdrawals);
        _storeLedger(run.ledger);
        Header calldata header = batch.header;
        _tip = Tip(header.number, header.lastSeq, header.riskEpoch, uint64(run.time));
        _lastHash = batchHash;
    }

    /// @dev After the orders' marks, so that a nonce which fills in the same batch counts as used.
    function _storeWithdrawn(Withdraw[] calldata withdrawals) private {
        for (uint256 i = 0; i < withdrawals.length; i++) {
            uint64 nonce = withdrawals[i].withdrawal.nonce;
            uint256 window = OrderStateLib.windowOf(nonce);
            mapping(uint256 => uint256) storage stored =
                _orderMarks[withdrawals[i].withdrawal.subaccountId];
            uint256 marks = stored[window];
            if (OrderStateLib.marksOf(marks, nonce) != 0) revert NonceUsed();
            stored[window] = OrderStateLib.marked(marks, nonce, OrderStateLib.DONE);
        }
    }

    /// @dev What cannot be paid now waits in Custody: nobody's refusal stops the venue.
    function _pay(Withdraw[] calldata withdrawals) private {
        if (withdrawals.length == 0) return;
        ICustody custody = _custody();
        for (uint256 i = 0; i < withdrawals.length; i++) {
            Withdrawal calldata w = withdrawals[i].withdrawal;
            custody.pay(w.token, w.recipient, w.amount);
        }
    }
}
