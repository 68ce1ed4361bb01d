// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {Handovers} from "./Handovers.sol";
import {Storage} from "./Storage.sol";
import {
    Batch,
    Due,
    DueKind,
    LiquidationBid,
    PriceBands,
    TakenLeg,
    TakenToken,
    Takeover,
    Terms
} from "./interfaces/IClearing.sol";
import {BandLib, BandsNow} from "./libraries/BandLib.sol";
import {Delayed, DelayedLib} from "./libraries/DelayedLib.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {AccountNow} from "./libraries/LedgerLib.sol";
import {MarksLib} from "./libraries/MarksLib.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {OrderStateLib} from "./libraries/OrderStateLib.sol";

/// @title Takeovers: parts of liquidated subaccounts that change hands, and who bears their losses
/// @dev A module of Clearing, for batches whose ledger is stored: what it does comes last in them.
/// Nothing moves but out of a subaccount that was proven below maintenance, at prices near the
/// marks, to whoever signed for it or to the fund; nobody pays a loss that the fund did not have,
/// and of fees the fund gets no more than the venue's own subaccount has.
contract Takeovers is Handovers {
    using BandLib for BandsNow;
    using DelayedLib for Delayed;
    using InstrumentLib for uint64;
    using OrderLib for LiquidationBid;
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @notice A leg is a fraction rounded up to lots, which the contract does not know: less than
    /// so much more, in 1e-4 contracts.
    uint256 public constant LOT_MAX = 1e4;
    uint256 internal constant MAX_CLOCK_SKEW = 60;

    constructor(Terms memory terms_) Storage(terms_) {}

    /// @notice As IClearing.settle: the takeovers of a batch in their order, then its dues.
    function settle(Batch calldata batch) external {
        uint64 time = _tip.lastTime;
        if (batch.takeovers.length != 0 && _priceBands.optionRate != 0) {
            _checkPrices(batch);
        }
        for (uint256 i = 0; i < batch.takeovers.length; i++) {
            time = _checkTime(time, batch.takeovers[i].time);
            _takeOver(batch.takeovers[i]);
        }
        for (uint256 i = 0; i < batch.dues.length; i++) {
            time = _checkTime(time, batch.dues[i].time);
            _pay(batch.dues[i]);
        }
        _tip.lastTime = time;
    }

    function _checkTime(uint64 before, uint64 time) private view returns (uint64) {
        if (time < before) revert TimeFell();
        if (time + MAX_BATCH_AGE < block.timestamp) revert TimeTooEarly();
        if (time > block.timestamp + MAX_CLOCK_SKEW) revert TimeTooLate();
        return time;
    }

    /// @dev Legs as fills; tokens by the index of their underlying, which governance named.
    function _checkPrices(Batch calldata batch) private view {
        PriceBands memory rules = _priceBands;
        BandsNow bands = BandLib.load(rules, ORACLE, batch.header.riskEpoch, batch.marks);
        for (uint256 i = 0; i < batch.takeovers.length; i++) {
            Takeover calldata t = batch.takeovers[i];
            for (uint256 j = 0; j < t.legs.length; j++) {
                bands.check(t.legs[j].instrument, t.legs[j].price, t.time);
            }
            for (uint256 j = 0; j < t.tokens.length; j++) {
                _checkValue(batch.marks.marks, t.tokens[j], rules.linearRate);
            }
        }
    }

    function _checkValue(bytes calldata marks, TakenToken calldata token, uint256 rate)
        private
        view
    {
        uint64 id = MarksLib.indexId(_tokenUnderlyings[token.token]);
        uint256 index = int256(MarksLib.priceOf(marks, id)).toUint256();
        uint256 worth = token.amount * index;
        uint256 width = worth * rate / RATIO_SCALE;
        uint256 value = uint256(token.value) * ASSET_SCALE;
        // The engine rounds values up.
        bool outside = value + width < worth || value > worth + width + ASSET_SCALE;
        if (outside) revert ValueOutsideBand(token.token);
    }

    // ---- a portfolio changes hands

    function _takeOver(Takeover calldata t) private {
        uint64 fund = _fundId();
        if (t.liquidatedId == t.takerId || t.liquidatedId == fund) revert InvalidTaker();
        _requireForce(t.liquidatedId, t.time);
        _requireNotFrozen(t.liquidatedId, t.time);
        _requireNotFrozen(t.takerId, t.time);
        AccountNow memory seller = _loadAccount(t.liquidatedId);
        AccountNow memory taker = _loadAccount(t.takerId);
        int256 value = _move(t, seller, taker);
        if (t.bid.subaccountId == 0) {
            if (t.takerId != fund) revert InvalidTaker();
        } else {
            _checkBid(t, taker, value);
        }
        _storeAccount(seller);
        _storeAccount(taker);

        uint64 payer = t.byFund ? fund : t.liquidatedId;
        _liquidations.spend(t.liquidatedId, t.discount);
        _transfer(payer, t.takerId, t.discount);
        if (t.byFund) _lossLeft += t.discount;
        emit TakenOver(t.liquidatedId, t.takerId, t.fraction, value, t.discount, t.byFund);
    }

    /// @return value of all that moved at its prices
    function _move(Takeover calldata t, AccountNow memory seller, AccountNow memory taker)
        private
        returns (int256 value)
    {
        // Distinct, as many as are held: so none is left out.
        if (t.legs.length != seller.positions) revert LegMissing(seller.positions);
        uint64 before = 0;
        for (uint256 i = 0; i < t.legs.length; i++) {
            TakenLeg calldata leg = t.legs[i];
            if (leg.instrument <= before) revert NotAscending();
            before = leg.instrument;
            _checkLeg(t, leg);
            int256 quantity = leg.quantity;
            int256 worth = leg.price * quantity / QUANTITY_SCALE; // exact
            _touch(seller, leg.instrument, -quantity, -worth);
            _touch(taker, leg.instrument, quantity, worth);
            value += worth;
        }
        for (uint256 i = 0; i < t.tokens.length; i++) {
            TakenToken calldata token = t.tokens[i];
            uint256 balance = _collateral[seller.id][token.token];
            if (token.amount > balance) revert InsufficientCollateral();
            _collateral[seller.id][token.token] = balance - token.amount;
            _collateral[taker.id][token.token] += token.amount;
            int256 worth = int256(uint256(token.value));
            (seller.cash, taker.cash) = (seller.cash + worth, taker.cash - worth);
            value += worth;
        }
    }

    /// @dev The same fraction of each position, up to a lot: neither the relayer nor a keeper
    /// chooses legs.
    function _checkLeg(Takeover calldata t, TakenLeg calldata leg) private view {
        int256 held = _positions[t.liquidatedId][leg.instrument].quantity;
        uint256 quantity = SignedMath.abs(leg.quantity);
        uint256 least =
            Math.mulDiv(SignedMath.abs(held), t.fraction, RATIO_SCALE, Math.Rounding.Ceil);
        bool fits = quantity <= SignedMath.abs(held) && (leg.quantity > 0) == (held > 0)
            && quantity >= least && quantity < least + LOT_MAX;
        if (!fits || quantity == 0) revert WrongFraction(leg.instrument);
        if (leg.price % TICK != 0) revert PriceOffTick();
        if (leg.instrument.expiredAt(t.time)) revert InstrumentExpired();
    }

    function _checkBid(Takeover calldata t, AccountNow memory taker, int256 value) private {
        LiquidationBid calldata bid = t.bid;
        bool same = bid.subaccountId == t.takerId && bid.liquidatedId == t.liquidatedId
            && t.fraction <= bid.fraction;
        if (!same) revert InvalidTaker();
        if (value - int256(uint256(t.discount)) > bid.priceLimit) revert BidTooLow();
        if (bid.deadline < t.time) revert DeadlinePassed();
        if (bid.nonce < taker.floor.loadedValueAt(t.time)) revert NonceBelowFloor();
        bool authorised = bid.signer == taker.owner
            || _sessionKeys[taker.owner][bid.signer].valueAt(t.time) >= t.time;
        if (!authorised) revert SignerNotAuthorised();
        _requireSignature(bid.hash(), bid.signer, t.signature);

        uint256 window = OrderStateLib.windowOf(bid.nonce);
        uint256 marks = _orderMarks[taker.id][window];
        if (OrderStateLib.marksOf(marks, bid.nonce) != 0) revert NonceUsed();
        _orderMarks[taker.id][window] = OrderStateLib.marked(marks, bid.nonce, OrderStateLib.DONE);
    }

    // ---- who bears a loss

    /// @dev Shares go to the fund, up to what the fund paid for others or lost itself.
    function _pay(Due calldata due) private {
        uint64 fund = _fundId();
        if (due.subaccountId == fund) revert InvalidTaker();
        if (due.kind == DueKind.COVER) {
            _requireForce(due.subaccountId, due.time);
            _requireLost(due.subaccountId, due.amount);
            _transfer(fund, due.subaccountId, due.amount);
            _lossLeft += due.amount;
            emit DebtCovered(due.subaccountId, due.amount);
        } else if (due.kind == DueKind.LOSS) {
            if (due.subaccountId != 0) revert InvalidTaker();
            _requireLost(fund, due.amount);
            _lossLeft = due.amount;
            emit LossDeclared(due.amount);
        } else if (due.kind == DueKind.FEES) {
            _shareFees(fund, due);
        } else {
            if (due.amount > _lossLeft) revert NoLossLeft(_lossLeft);
            _lossLeft -= due.amount;
            _transfer(due.subaccountId, fund, due.amount);
            emit LossShared(due.subaccountId, due.amount);
        }
    }

    /// @dev Out of cash that backs nothing: what the venue's own subaccount owed after it would be
    /// cash of the fund that nobody paid in, and its depositors could take that out.
    function _shareFees(uint64 fund, Due calldata due) private {
        if (due.subaccountId != FEE_ACCOUNT) revert InvalidTaker();
        Account memory payer = _accounts[FEE_ACCOUNT];
        bool free = payer.positions == 0 && payer.cash >= int256(uint256(due.amount));
        if (!free) revert InsufficientCash();
        _transfer(FEE_ACCOUNT, fund, due.amount);
        emit FeesShared(due.amount);
    }

    /// @dev It holds nothing more and owes that. What came in lately does not count: the journal
    /// may not have seen it, and nobody stops a batch by a deposit.
    function _requireLost(uint64 subaccountId, uint128 amount) private view {
        Account memory stored = _accounts[subaccountId];
        int256 left = stored.cash + int256(uint256(amount));
        bool lost = stored.positions == 0 && left <= _creditsLately(subaccountId).toInt256();
        if (!lost) revert NoDebt(subaccountId);
    }

    // ---- the ledger, straight in storage

    function _requireForce(uint64 subaccountId, uint64 time) private view {
        (uint64 until,,) = _liquidations.forceOf(subaccountId);
        if (until < time) revert NotLiquidated(subaccountId);
    }
}
