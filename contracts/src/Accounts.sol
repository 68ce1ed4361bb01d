// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Debts} from "./Debts.sol";
import {Payoffs} from "./Payoffs.sol";
import {
    IClearing,
    KeyLimit,
    KeyScope,
    LiquidationBid,
    Order,
    Position,
    PriceBands,
    QuoteSheet,
    Withdrawal
} from "./interfaces/IClearing.sol";
import {ICustody, ILedger} from "./interfaces/ICustody.sol";
import {IHoldings} from "./interfaces/IMargin.sol";
import {Delayed, DelayedLib} from "./libraries/DelayedLib.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {KeyLib, KeyUse} from "./libraries/KeyLib.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {OrderStateLib} from "./libraries/OrderStateLib.sol";
import {SheetLib} from "./libraries/SheetLib.sol";

/// @title Accounts: what owners may do to the ledger, and what all may see of it
/// @dev Knows nothing of batches.
abstract contract Accounts is Payoffs, Debts, IClearing {
    using DelayedLib for Delayed;
    using InstrumentLib for uint64;
    using InstrumentLib for uint256;
    using OrderLib for LiquidationBid;
    using OrderLib for Order;
    using OrderLib for QuoteSheet;
    using OrderLib for Withdrawal;
    using KeyLib for KeyScope;
    using KeyLib for uint64;
    using SafeCast for int256;
    using SafeCast for uint256;
    using SheetLib for uint256;

    /// @inheritdoc IClearing
    ICustody public immutable CUSTODY;

    constructor(ICustody custody, address treasury) {
        if (treasury == address(0)) revert ZeroAddress();
        CUSTODY = custody;
        _interestWindow = InterestWindow(uint64(block.timestamp), uint64(block.timestamp), 0);
        _open(treasury, false);
    }

    // ---- owners

    /// @inheritdoc IClearing
    function openSubaccount() external returns (uint64 subaccountId) {
        return _open(msg.sender, false);
    }

    /// @inheritdoc IClearing
    function openStandardSubaccount() external returns (uint64 subaccountId) {
        return _open(msg.sender, true);
    }

    /// @inheritdoc ILedger
    function credit(uint64 subaccountId, address token, uint256 amount) external notEscaped {
        if (msg.sender != address(CUSTODY)) revert NotCustody();
        _requireOpen(subaccountId);
        if (block.timestamp < _pause.until) revert NewRiskPaused();
        if (address(ACCESS_PASS) != address(0)) {
            _requirePass(subaccountId, _accounts[subaccountId].owner, block.timestamp);
        }

        if (token == USDC) {
            _accounts[subaccountId].cash += amount.toInt256().toInt80();
            _remember(subaccountId, amount);
        } else {
            _collateral[subaccountId][token] += amount;
        }
        emit Deposited(subaccountId, token, amount);
    }

    /// @inheritdoc IClearing
    function setSessionKey(address key, uint64 deadline) external {
        if (key == address(0)) revert ZeroAddress();
        Delayed storage limit = _sessionKeys[msg.sender][key];
        if (limit.tag.isRevoked()) revert KeyRevoked();

        if (deadline == 0) limit.tag |= KeyLib.REVOKED;
        if (deadline >= limit.valueAt(block.timestamp)) limit.setNow(deadline);
        else limit.schedule(deadline, CANCEL_DELAY);
        emit SessionKeySet(msg.sender, key, deadline);
    }

    /// @inheritdoc IClearing
    function grantScopedKey(address key, uint64 deadline, KeyScope calldata scope) external {
        if (key == address(0)) revert ZeroAddress();
        Delayed storage limit = _sessionKeys[msg.sender][key];
        // A scope that came later would void fills of the past, so none ever changes.
        if (limit.next != 0 || limit.current != 0 || limit.tag != 0) revert KeyKnown();
        if (!scope.isWellFormed() || deadline == 0) revert InvalidScope();

        limit.setNow(deadline);
        limit.tag = scope.tagOf();
        for (uint256 i = 0; i < scope.limits.length; i++) {
            KeyLimit calldata one = scope.limits[i];
            _keyUses[msg.sender][key][one.underlying].dailyQuantity = one.dailyQuantity;
        }
        emit SessionKeyScoped(msg.sender, key, scope);
        emit SessionKeySet(msg.sender, key, deadline);
    }

    /// @inheritdoc IClearing
    function cancelNonce(uint64 subaccountId, uint64 nonce) external {
        if (_accounts[subaccountId].owner != msg.sender) revert NotOwner();
        mapping(uint256 => uint256) storage stored = _orderMarks[subaccountId];
        uint256 window = OrderStateLib.windowOf(nonce);
        uint256 mark = OrderStateLib.marksOf(stored[window], nonce);
        if (mark == OrderStateLib.DONE) revert NonceDone();
        if (mark == OrderStateLib.CANCELED) revert CanceledBefore();

        uint64 voidAt = (block.timestamp + CANCEL_DELAY).toUint64();
        stored[window] = OrderStateLib.marked(stored[window], nonce, OrderStateLib.CANCELED);
        _voidAt[subaccountId][nonce] = voidAt;
        emit NonceCanceled(subaccountId, nonce, voidAt);
    }

    /// @inheritdoc IClearing
    function raiseSheetFloor(uint64 subaccountId, uint64 floor) external {
        if (_accounts[subaccountId].owner != msg.sender) revert NotOwner();
        uint256 word = _sheets[subaccountId];
        if (floor <= word.nextFloor()) revert FloorNotRaised();

        uint64 effectiveAt = (block.timestamp + CANCEL_DELAY).toUint64();
        _sheets[subaccountId] = word.scheduled(floor, block.timestamp, effectiveAt);
        emit SheetFloorRaised(subaccountId, floor, effectiveAt);
    }

    /// @inheritdoc IClearing
    function raiseNonceFloor(uint64 subaccountId, uint64 floor) external {
        if (_accounts[subaccountId].owner != msg.sender) revert NotOwner();
        Delayed storage delayed = _nonceFloors[subaccountId];
        if (floor <= delayed.next) revert FloorNotRaised();

        delayed.schedule(floor, CANCEL_DELAY);
        emit NonceFloorRaised(subaccountId, floor, delayed.effectiveAt);
    }

    /// @inheritdoc IClearing
    function realise(uint64 subaccountId, uint64[] calldata instruments) external notEscaped {
        _requireOpen(subaccountId);
        int256 before = _accounts[subaccountId].cash;
        int256 cash = before;
        for (uint256 i = 0; i < instruments.length; i++) {
            uint64 instrument = instruments[i];
            if (!instrument.expiredAt(block.timestamp - 1 - MAX_BATCH_AGE)) {
                revert InstrumentNotExpired();
            }
            Position memory held = _positions[subaccountId][instrument];
            if (held.quantity == 0) continue;
            delete _positions[subaccountId][instrument];
            _accounts[subaccountId].positions--;
            cash += _realise(subaccountId, instrument, held.quantity, held.cost);
        }
        _accounts[subaccountId].cash = cash.toInt80();
        if (cash > before) _remember(subaccountId, (cash - before).toUint256());
    }

    // ---- views

    /// @inheritdoc IClearing
    function priceBands() external view returns (PriceBands memory) {
        return _priceBands;
    }

    /// @inheritdoc IClearing
    function account(uint64 subaccountId) external view returns (address owner, int96 cash) {
        Account storage stored = _accounts[subaccountId];
        return (stored.owner, stored.cash);
    }

    /// @inheritdoc IClearing
    function position(uint64 subaccountId, uint64 instrument) external view returns (int64) {
        return _positions[subaccountId][instrument].quantity;
    }

    /// @inheritdoc IClearing
    function cashAndPositions(uint64 subaccountId, uint64[] calldata instruments)
        external
        view
        returns (int96 cash, Position[] memory positions)
    {
        cash = _accounts[subaccountId].cash;
        positions = new Position[](instruments.length);
        for (uint256 i = 0; i < instruments.length; i++) {
            positions[i] = _positions[subaccountId][instruments[i]];
        }
    }

    /// @inheritdoc IHoldings
    function holdings(uint64 subaccountId, uint64[] calldata instruments)
        external
        view
        returns (int256 netCash, uint256 count, int256[] memory quantities)
    {
        Account storage stored = _accounts[subaccountId];
        (netCash, count) = (stored.cash, stored.positions);
        quantities = new int256[](instruments.length);
        mapping(uint64 instrument => Position) storage positions = _positions[subaccountId];
        for (uint256 i = 0; i < quantities.length; i++) {
            uint64 instrument = instruments[i];
            Position storage held = positions[instrument];
            int256 quantity = held.quantity;
            quantities[i] = quantity;
            if (!InstrumentLib.isLinear(instrument)) continue;
            netCash -= held.cost;
            if (!InstrumentLib.isPerpetual(instrument)) continue;
            // Exact: an index is a multiple of 1e4.
            int256 due = int256(_fundings[instrument].index) - held.fundingIndex;
            netCash -= quantity * due / QUANTITY_SCALE;
        }
    }

    /// @inheritdoc IClearing
    function orderState(uint64 subaccountId, uint64 nonce)
        external
        view
        returns (uint48 filled, uint16 version)
    {
        uint256 marks = _orderMarks[subaccountId][OrderStateLib.windowOf(nonce)];
        if (OrderStateLib.isDone(marks, nonce)) return (type(uint48).max, type(uint16).max);
        uint256 word = _orderStates[subaccountId][OrderStateLib.slotOf(nonce)];
        (uint256 f, uint256 v) = OrderStateLib.read(word, nonce);
        return (f.toUint48(), v.toUint16());
    }

    /// @inheritdoc IClearing
    function nonceFloor(uint64 subaccountId)
        external
        view
        returns (uint64 current, uint64 next, uint64 effectiveAt)
    {
        Delayed storage floor = _nonceFloors[subaccountId];
        return (floor.current, floor.next, floor.effectiveAt);
    }

    /// @inheritdoc IClearing
    function sessionKeyDeadline(address owner, address key, uint64 time)
        external
        view
        returns (uint64)
    {
        return _sessionKeys[owner][key].valueAt(time);
    }

    /// @inheritdoc IClearing
    function previewPayoff(uint64 subaccountId, uint64 instrument) external view returns (int256) {
        Position memory held = _positions[subaccountId][instrument];
        return _payoff(instrument, held.quantity, held.cost);
    }

    /// @inheritdoc IHoldings
    function payoffOf(uint64 subaccountId, uint64 instrument)
        external
        view
        returns (int256 quantity, int256 payoff)
    {
        Position memory held = _positions[subaccountId][instrument];
        return (held.quantity, _payoff(instrument, held.quantity, held.cost));
    }

    /// @inheritdoc IClearing
    function lastBatch() external view returns (uint64 number, bytes32 batchHash, uint64 lastSeq) {
        return (_tip.number, _lastHash, _tip.lastSeq);
    }

    /// @inheritdoc IClearing
    function subaccountCount() external view returns (uint64) {
        return _subaccountCount;
    }

    /// @inheritdoc IHoldings
    function isStandard(uint64 subaccountId) external view returns (bool) {
        return _standard[subaccountId];
    }

    /// @inheritdoc IHoldings
    function collateralOf(uint64 subaccountId, address token) external view returns (uint256) {
        return _collateral[subaccountId][token];
    }

    /// @inheritdoc IClearing
    function sheetNonce(uint64 subaccountId) external view returns (uint64) {
        return _sheets[subaccountId].highest();
    }

    /// @inheritdoc IClearing
    function sheetFloor(uint64 subaccountId)
        external
        view
        returns (uint64 current, uint64 next, uint64 effectiveAt)
    {
        uint256 word = _sheets[subaccountId];
        return (word.floorAt(0), word.nextFloor(), word.effectiveAt());
    }

    /// @inheritdoc IClearing
    function nonceVoidAt(uint64 subaccountId, uint64 nonce) external view returns (uint64) {
        return _voidAt[subaccountId][nonce];
    }

    /// @inheritdoc IClearing
    function sessionKeyTag(address owner, address key) external view returns (uint64) {
        return _sessionKeys[owner][key].tag;
    }

    /// @inheritdoc IClearing
    function keyUse(address owner, address key, uint32 underlying)
        external
        view
        returns (uint64, uint64, uint128)
    {
        KeyUse storage use = _keyUses[owner][key][underlying];
        return (use.dailyQuantity, use.day, use.used);
    }

    /// @inheritdoc IClearing
    function pausedBetween() external view returns (uint64 from, uint64 until) {
        return (_pause.from, _pause.until);
    }

    /// @inheritdoc IClearing
    function funding(uint64 instrument) external view returns (uint64 ordinal, int64 index) {
        FundingInForce storage stored = _fundings[instrument];
        return (stored.ordinal, stored.index);
    }

    /// @inheritdoc IClearing
    function hashOrder(Order calldata order) external view returns (bytes32) {
        return _hashTypedDataV4(order.hash());
    }

    /// @inheritdoc IClearing
    function hashQuoteSheet(QuoteSheet calldata sheet) external view returns (bytes32) {
        return _hashTypedDataV4(sheet.hash());
    }

    /// @inheritdoc IClearing
    function hashBid(LiquidationBid calldata bid) external view returns (bytes32) {
        return _hashTypedDataV4(bid.hash());
    }

    /// @inheritdoc IClearing
    function hashWithdrawal(Withdrawal calldata withdrawal) external view returns (bytes32) {
        return _hashTypedDataV4(withdrawal.hash());
    }

    /// @inheritdoc IClearing
    function hashTransfer(Withdrawal calldata transfer, uint64 toSubaccountId)
        external
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(transfer.hashTo(toSubaccountId));
    }

    /// @inheritdoc IClearing
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }
}
