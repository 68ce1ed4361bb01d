// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Debts} from "./Debts.sol";
import {Fills} from "./Fills.sol";
import {Storage} from "./Storage.sol";
import {
    Batch,
    Header,
    Interest,
    Payoff,
    Terms,
    Withdraw,
    Withdrawal
} from "./interfaces/IClearing.sol";
import {AccountNow, Ledger, LedgerLib, PositionNow} from "./libraries/LedgerLib.sol";
import {PackedLib} from "./libraries/PackedLib.sol";

/// @title Settler: a batch, checked and moved in memory in `seq` order, then stored
/// @dev A module of Clearing, which checks the caller. The relayer chooses what to send, but
/// nothing it sends can move an account without the owner's signature, or create cash or positions.
/// Called by itself it moves nothing: nobody has anything in its own storage.
contract Settler is Fills, Debts {
    using LedgerLib for AccountNow;
    using PackedLib for bytes;
    using PackedLib for uint256;
    using SafeCast for int256;
    using SafeCast for uint256;

    constructor(Terms memory terms_) Storage(terms_) {}

    /// @notice As IClearing.settle.
    function settle(Batch calldata batch) external notEscaped {
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

    /// @dev Merges the lists; on the same seq fills, then payoffs, withdrawals, interest.
    function _replay(Run memory run, Batch calldata batch) private {
        bytes calldata fills = batch.fills;
        uint256 count = fills.length / PackedLib.FILL_SIZE;
        if (fills.length != count * PackedLib.FILL_SIZE) revert Malformed();
        for (uint256 i = 0; i < count; i++) {
            (uint256 match_, uint256 fees) = fills.record(i, PackedLib.FILL_SIZE);
            uint256 seqOffset = match_.seqOffsetOf();
            if (run.nextOtherSeq < seqOffset) {
                _replayOthers(run, batch, seqOffset);
            }
            if (seqOffset != run.seqOffset) _advance(run, seqOffset);
            _advanceTime(run, match_.timeOf());
            _fill(run, match_, fees);
        }
        _replayOthers(run, batch, type(uint256).max);
        _closeCombos(run);
    }

    /// @dev Applies what is no fill and comes before `seqOffset`.
    function _replayOthers(Run memory run, Batch calldata batch, uint256 seqOffset) private {
        (Payoff[] calldata payoffs, Withdraw[] calldata withdrawals) =
            (batch.payoffs, batch.withdrawals);
        Interest[] calldata interests = batch.interests;
        while (true) {
            (uint256 p, uint256 w, uint256 i) =
                (run.nextPayoff, run.nextWithdrawal, run.nextInterest);
            uint256 payoffSeq = p < payoffs.length ? payoffs[p].seqOffset : type(uint256).max;
            uint256 withdrawSeq =
                w < withdrawals.length ? withdrawals[w].seqOffset : type(uint256).max;
            uint256 seq = i < interests.length ? interests[i].seqOffset : type(uint256).max;
            if (withdrawSeq <= seq) seq = withdrawSeq;
            if (payoffSeq <= seq) seq = payoffSeq;
            if (seq >= seqOffset) {
                run.nextOtherSeq = seq;
                return;
            }
            _advance(run, seq);
            if (seq == payoffSeq) {
                _applyPayoff(run.ledger, payoffs[p]);
                run.nextPayoff = p + 1;
            } else if (seq == withdrawSeq) {
                _moveCash(run, withdrawals[w]);
                run.nextWithdrawal = w + 1;
            } else {
                _charge(run, interests[i]);
                run.nextInterest = i + 1;
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

    /// @dev The cash of a withdrawal or transfer, at its place. Whether it was signed, and all
    /// else, Payments checks once the ledger is stored.
    function _moveCash(Run memory run, Withdraw calldata request) private view {
        _advanceTime(run, request.time);
        Withdrawal calldata w = request.withdrawal;
        if (w.token != USDC) return;
        AccountNow memory holder = _loadAccount(run.ledger, w.subaccountId);
        if (holder.cash < 0 || w.amount > holder.cash.toUint256()) revert InsufficientCash();
        int256 amount = w.amount.toInt256();
        holder.cash -= amount;
        if (request.toSubaccountId != 0) {
            _loadAccount(run.ledger, request.toSubaccountId).cash += amount;
        }
    }

    /// @dev Its time is that of the accrual, which may go on while others trade.
    function _charge(Run memory run, Interest calldata item) private {
        _requireRecent(item.time);
        AccountNow memory debtor = _loadAccount(run.ledger, item.subaccountId);
        _boundInterest(item.subaccountId, debtor.cash, item.amount, item.time);
        int256 amount = item.amount.toInt256();
        debtor.cash -= amount;
        run.ledger.accounts[0].cash += amount;
    }

    // ---- write

    function _store(Run memory run, Batch calldata batch, bytes32 batchHash) private {
        _storeFilled(run.orders);
        _storeLedger(run.ledger);
        Header calldata header = batch.header;
        _tip = Tip(header.number, header.lastSeq, header.riskEpoch, uint64(run.time));
        _lastHash = batchHash;
    }
}
