// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Custody} from "./Custody.sol";
import {Payoffs} from "./Payoffs.sol";
import {
    Batch,
    Fill,
    Header,
    IClearing,
    Order,
    Payoff,
    QuoteSheet,
    SignedOrder,
    SignedSheet,
    Withdraw,
    Withdrawal
} from "./interfaces/IClearing.sol";
import {IOracle} from "./interfaces/IOracle.sol";
import {Delayed, DelayedLib} from "./libraries/DelayedLib.sol";
import {Index, IndexLib} from "./libraries/IndexLib.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {Ledger, LedgerLib} from "./libraries/LedgerLib.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {OrderStateLib} from "./libraries/OrderStateLib.sol";

/// @title Clearing: settles batches of signed orders
/// @dev A batch is checked and moved in memory in `seq` order, then stored. The relayer chooses
/// what to send, but nothing it sends can move an account without the owner's signature, or create
/// cash or positions.
contract Clearing is Payoffs, AccessManaged, ReentrancyGuard {
    using DelayedLib for Delayed;
    using IndexLib for Index;
    using OrderLib for Order;
    using OrderLib for QuoteSheet;
    using OrderLib for Withdrawal;
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @dev Where the chain of batches ends.
    struct Tip {
        uint64 number;
        uint64 lastSeq;
        uint64 riskEpoch;
        uint64 lastTime;
    }

    /// @dev One batch under way.
    struct Run {
        Ledger ledger;
        uint256[] accountOf; // order -> place of its account in the ledger
        uint256[] positionOf; // order -> place of its position in the ledger
        uint256[] sheetNonceOf; // order -> nonce of its sheet; 0 of an order signed by itself
        uint256 seqOffset;
        uint256 seqOffsetMax;
        uint256 time;
        uint256 nextPayoff;
        uint256 nextWithdrawal;
    }

    /// @notice Seconds by which a fill's time may be ahead of the block's.
    uint256 public constant MAX_CLOCK_SKEW = 60;
    int256 internal constant TICK = 1e4;
    int256 internal constant QUANTITY_SCALE = 1e4;
    uint256 internal constant SIGNATURE_LENGTH = 65;

    Tip internal _tip;
    bytes32 internal _lastHash;

    /// @param cancelDelay not below `maxBatchAge`, both in seconds
    constructor(
        address authority,
        IERC20Metadata usdc,
        IOracle oracle,
        address treasury,
        uint64 maxBatchAge,
        uint64 cancelDelay
    )
        Payoffs(
            oracle, usdc, new Custody(authority, address(usdc)), treasury, maxBatchAge, cancelDelay
        )
        AccessManaged(authority)
    {}

    /// @inheritdoc IClearing
    function settle(Batch calldata batch) external restricted nonReentrant {
        _checkHeader(batch.header);
        bytes32 batchHash = _hashCalldata();

        Run memory run = _load(batch);
        _replay(run, batch);
        _store(run, batch.header, batchHash);

        emit BatchSettled(
            batch.header.number,
            batchHash,
            batch.header.firstSeq,
            batch.header.lastSeq,
            batch.header.stateRoot
        );
        _pay(batch.withdrawals);
    }

    /// @inheritdoc IClearing
    function lastBatch() external view returns (uint64 number, bytes32 batchHash, uint64 lastSeq) {
        return (_tip.number, _lastHash, _tip.lastSeq);
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

    // ---- bring into memory

    function _load(Batch calldata batch) private view returns (Run memory run) {
        uint256 count = batch.orders.length;
        run.ledger = LedgerLib.create(
            1 + count + batch.payoffs.length + batch.withdrawals.length,
            count + batch.payoffs.length
        );
        run.accountOf = new uint256[](count);
        run.positionOf = new uint256[](count);
        run.sheetNonceOf = new uint256[](count);
        run.seqOffsetMax = batch.header.lastSeq - batch.header.firstSeq;
        run.time = _tip.lastTime;

        _loadAccount(run.ledger, FEE_ACCOUNT); // always at place 0
        SignedSheet[] calldata sheets = batch.sheets;
        for (uint256 i = 0; i < sheets.length; i++) {
            QuoteSheet calldata sheet = sheets[i].sheet;
            _requireSignature(sheet.hash(), sheet.signer, sheets[i].signature);
        }
        SignedOrder[] calldata orders = batch.orders;
        for (uint256 i = 0; i < count; i++) {
            _loadOrder(run, orders[i], sheets, i);
        }
    }

    /// @dev Everything about an order that no fill can change is checked here, once.
    function _loadOrder(
        Run memory run,
        SignedOrder calldata signed,
        SignedSheet[] calldata sheets,
        uint256 i
    ) private view {
        Order calldata order = signed.order;
        if (order.quantity > OrderStateLib.QUANTITY_MAX) revert QuantityTooLarge(i);
        if (order.version > OrderStateLib.VERSION_MAX) revert VersionTooLarge(i);
        if (order.side > OrderLib.SELL) revert InvalidSide(i);
        uint64 instrument = InstrumentLib.toOption(order.instrument);
        bytes calldata signature = signed.signature;
        if (signature.length == SIGNATURE_LENGTH) {
            _requireSignature(order.hash(), order.signer, signature);
        } else {
            run.sheetNonceOf[i] = _requireLeaf(order, signature, sheets, i);
        }

        run.accountOf[i] = _loadAccount(run.ledger, order.subaccountId);
        run.positionOf[i] = _loadPosition(run.ledger, order.subaccountId, instrument);
    }

    /// @return nonce of the leaf's sheet
    function _requireLeaf(
        Order calldata order,
        bytes calldata signature,
        SignedSheet[] calldata sheets,
        uint256 i
    ) private view returns (uint256 nonce) {
        bytes32 structHash = order.hash();
        if (signature.length == 0 || signature.length % 32 != 0) {
            revert InvalidSignature(_hashTypedDataV4(structHash));
        }
        (uint256 place, bytes32[] calldata proof) = OrderLib.sheetAndProof(signature);
        if (place >= sheets.length) revert UnknownSheet(i);
        QuoteSheet calldata sheet = sheets[place].sheet;
        if (!sheet.covers(order, structHash, proof)) revert NotInSheet(i);
        nonce = sheet.sheetNonce;
        if (nonce == 0) revert StaleSheet(i);
    }

    function _loadAccount(Ledger memory ledger, uint64 subaccountId)
        private
        view
        returns (uint256)
    {
        (uint256 place, bool added) = ledger.accountIndex.findOrAdd(subaccountId);
        if (added) {
            Account storage stored = _accounts[subaccountId];
            address owner = stored.owner;
            if (owner == address(0)) revert UnknownSubaccount(subaccountId);
            (ledger.owners[place], ledger.cash[place]) = (owner, stored.cash);
        }
        return place;
    }

    function _loadPosition(Ledger memory ledger, uint64 subaccountId, uint64 instrument)
        private
        view
        returns (uint256)
    {
        (uint256 place, bool added) =
            ledger.positionIndex.findOrAdd(LedgerLib.positionKey(subaccountId, instrument));
        if (added) ledger.quantities[place] = _positions[subaccountId][instrument].quantity;
        return place;
    }

    // ---- replay in seq order

    /// @dev Merges the three lists; on the same seq fills, then payoffs, then withdrawals.
    function _replay(Run memory run, Batch calldata batch) private {
        SignedOrder[] calldata orders = batch.orders;
        Fill[] calldata fills = batch.fills;
        for (uint256 i = 0; i < fills.length; i++) {
            Fill calldata fill = fills[i];
            _replayOthers(run, batch.payoffs, batch.withdrawals, fill.seqOffset);
            _advance(run, fill.seqOffset);
            _fill(run, orders, fill);
        }
        _replayOthers(run, batch.payoffs, batch.withdrawals, type(uint256).max);
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
            if (payoffSeq >= seqOffset && withdrawSeq >= seqOffset) return;
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
        run.seqOffset = seqOffset;
    }

    function _advanceTime(Run memory run, uint256 time) private view {
        if (time < run.time) revert TimeFell();
        if (time + MAX_BATCH_AGE < block.timestamp) revert TimeTooEarly();
        if (time > block.timestamp + MAX_CLOCK_SKEW) revert TimeTooLate();
        run.time = time;
    }

    function _fill(Run memory run, SignedOrder[] calldata orders, Fill calldata fill) private {
        _advanceTime(run, fill.time);
        Order calldata maker = orders[fill.maker].order;
        Order calldata taker = orders[fill.taker].order;
        if (fill.quantity == 0) revert ZeroQuantity();
        if (fill.price % TICK != 0) revert PriceOffTick();
        if (maker.instrument != taker.instrument) revert InstrumentMismatch();
        if (maker.side == taker.side) revert SameSide();
        if (InstrumentLib.expiryOf(uint64(maker.instrument)) <= fill.time) {
            revert InstrumentExpired();
        }

        int256 notional = fill.price * int256(uint256(fill.quantity)) / QUANTITY_SCALE; // exact
        _fillOrder(run, maker, fill.maker, fill, fill.makerFee, notional);
        _fillOrder(run, taker, fill.taker, fill, fill.takerFee, notional);
        run.ledger.cash[0] += int256(uint256(fill.makerFee) + fill.takerFee);
    }

    function _fillOrder(
        Run memory run,
        Order calldata order,
        uint256 i,
        Fill calldata fill,
        uint64 fee,
        int256 notional
    ) private {
        _checkOrderNow(order, run.ledger.owners[run.accountOf[i]], fill.time);
        _checkTerms(order, i, fill, fee);
        uint256 sheetNonce_ = run.sheetNonceOf[i];
        if (sheetNonce_ != 0) _advanceSheet(order.subaccountId, sheetNonce_, i);
        _addFilled(order, i, fill.quantity);
        bool buys = order.side == OrderLib.BUY;
        int256 quantity = int256(uint256(fill.quantity));
        if (order.reduceOnly) _checkReduces(run, i, buys, quantity);

        run.ledger.quantities[run.positionOf[i]] += buys ? quantity : -quantity;
        run.ledger.cash[run.accountOf[i]] += (buys ? -notional : notional) - int256(uint256(fee));
    }

    function _checkOrderNow(Order calldata order, address owner, uint256 time) private view {
        if (order.deadline < time) revert DeadlinePassed();
        if (order.nonce < _nonceFloors[order.subaccountId].valueAt(time)) revert NonceBelowFloor();
        if (!_authorised(owner, order.signer, time)) revert SignerNotAuthorised();
    }

    function _checkTerms(Order calldata order, uint256 i, Fill calldata fill, uint64 fee)
        private
        pure
    {
        if (order.crosses(fill.price)) revert LimitCrossed(i);
        if (fee > order.feeCapDown(fill.quantity)) revert FeeAboveCap(i);
    }

    /// @dev A fill of a sheet voids all lower ones, in `seq` order: so straight to storage, too.
    function _advanceSheet(uint64 subaccountId, uint256 nonce, uint256 i) private {
        uint256 highest = sheetNonce[subaccountId];
        if (nonce < highest) revert StaleSheet(i);
        if (nonce > highest) sheetNonce[subaccountId] = nonce.toUint64();
    }

    /// @dev Straight to storage: a second write to a slot in one transaction costs no more than
    /// memory.
    function _addFilled(Order calldata order, uint256 i, uint256 quantity) private {
        mapping(uint256 => uint256) storage states = _orderStates[order.subaccountId];
        uint256 slot = OrderStateLib.slotOf(order.nonce);
        uint256 word = states[slot];
        (uint256 filled, uint256 version) = OrderStateLib.read(word, order.nonce);
        if (order.version < version) revert StaleVersion(i);
        if (filled + quantity > order.quantity) revert Overfilled(i);
        states[slot] = OrderStateLib.written(word, order.nonce, filled + quantity, order.version);
    }

    /// @dev The running position counts, not the stored one: netting would hide the path.
    function _checkReduces(Run memory run, uint256 i, bool buys, int256 quantity) private pure {
        int256 held = run.ledger.quantities[run.positionOf[i]];
        if (quantity > (buys ? -held : held)) revert NotReducing(i);
    }

    function _applyPayoff(Ledger memory ledger, Payoff calldata payoff) private {
        uint256 place = _loadPosition(ledger, payoff.subaccountId, payoff.instrument);
        int256 quantity = ledger.quantities[place];
        if (quantity == 0) return; // paid before, by anyone
        ledger.quantities[place] = 0;
        uint256 holder = _loadAccount(ledger, payoff.subaccountId);
        ledger.cash[holder] += _realise(payoff.subaccountId, payoff.instrument, quantity.toInt64());
    }

    function _withdraw(Run memory run, Withdraw calldata request) private {
        Withdrawal calldata w = request.withdrawal;
        _advanceTime(run, request.time);
        uint256 place = _loadAccount(run.ledger, w.subaccountId);
        mapping(uint256 => uint256) storage states = _orderStates[w.subaccountId];
        uint256 slot = OrderStateLib.slotOf(w.nonce);
        if (w.amount == 0) revert ZeroAmount();
        if (w.recipient == address(0) || w.recipient == address(this)) revert InvalidRecipient();
        if (w.deadline < request.time) revert DeadlinePassed();
        if (w.nonce < _nonceFloors[w.subaccountId].valueAt(request.time)) revert NonceBelowFloor();
        if (w.signer != run.ledger.owners[place]) revert SignerNotAuthorised();
        _requireSignature(w.hash(), w.signer, request.signature);
        if (!OrderStateLib.unused(states[slot], w.nonce)) revert NonceUsed();

        states[slot] = OrderStateLib.used(states[slot], w.nonce);
        _debit(run.ledger, place, w);
        emit Withdrawn(w.subaccountId, w.token, w.amount, w.recipient, w.nonce);
    }

    /// @dev Collateral straight to storage: no fill moves it.
    function _debit(Ledger memory ledger, uint256 place, Withdrawal calldata w) private {
        if (w.token == USDC) {
            int256 cash = ledger.cash[place];
            if (cash < 0 || w.amount > cash.toUint256()) revert InsufficientCash();
            ledger.cash[place] = cash - w.amount.toInt256();
        } else {
            uint256 balance = collateralOf[w.subaccountId][w.token];
            if (w.amount > balance) revert InsufficientCollateral();
            collateralOf[w.subaccountId][w.token] = balance - w.amount;
        }
    }

    // ---- write, then pay

    function _store(Run memory run, Header calldata header, bytes32 batchHash) private {
        Ledger memory ledger = run.ledger;
        for (uint256 i = 0; i < ledger.accountIndex.count; i++) {
            uint64 subaccountId = uint64(ledger.accountIndex.keys[i]);
            _accounts[subaccountId] = Account(ledger.owners[i], ledger.cash[i].toInt96());
        }
        for (uint256 i = 0; i < ledger.positionIndex.count; i++) {
            (uint64 subaccountId, uint64 instrument) =
                LedgerLib.splitKey(ledger.positionIndex.keys[i]);
            _positions[subaccountId][instrument] = Position(ledger.quantities[i].toInt64());
        }
        _tip = Tip(header.number, header.lastSeq, header.riskEpoch, uint64(run.time));
        _lastHash = batchHash;
    }

    /// @dev What cannot be paid now waits in Custody: nobody's refusal stops the venue.
    function _pay(Withdraw[] calldata withdrawals) private {
        for (uint256 i = 0; i < withdrawals.length; i++) {
            Withdrawal calldata w = withdrawals[i].withdrawal;
            CUSTODY.pay(w.token, w.recipient, w.amount);
        }
    }
}
