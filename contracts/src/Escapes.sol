// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Shares} from "./Shares.sol";
import {Storage} from "./Storage.sol";
import {Position, Terms} from "./interfaces/IClearing.sol";
import {CashClaim, Escape} from "./interfaces/IExits.sol";
import {CollateralTerms, MarginParameters} from "./interfaces/IMargin.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {MarksLib, MarksProof} from "./libraries/MarksLib.sol";

/// @title Escapes: the end of the venue, by anyone and without anyone
/// @dev A module of Clearing. First prices, then accounts, one after the other, then claims: each
/// step only adds to what the last one fixed, so it does not matter who takes it, or when.
contract Escapes is Shares {
    using InstrumentLib for uint64;
    using SafeCast for int256;
    using SafeCast for uint256;

    uint256 private constant TICK = 1e4;
    uint256 private constant ASSET_SCALE = 1e8;
    /// @dev So that no list of tokens makes a debtor too dear to value.
    uint256 private constant TOKENS_MAX = 32;

    constructor(Terms memory terms_) Storage(terms_) {}

    // ---- prices

    /// @notice As IExits.fixMarks.
    function fixMarks(MarksProof calldata proof) external {
        _requireEscaped();
        if (MarksLib.rootOf(proof) != _escape.marksRoot) revert UnknownMarks();
        uint256 count = MarksLib.count(proof.marks);
        for (uint256 i = 0; i < count; i++) {
            (uint64 id, int64 mark) = MarksLib.markAt(proof.marks, i);
            if (_escapePrices[id].known || _waitsForDelivery(id)) continue;
            uint256 price = mark > 0 ? uint64(mark) : 0;
            _fix(id, price - price % TICK);
        }
    }

    /// @notice As IExits.fixMissing.
    function fixMissing(uint64[] calldata instruments) external {
        _requireEscaped();
        if (!_windowIsOver()) revert TooEarly(_escape.startedAt + WINDOW + 1);
        for (uint256 i = 0; i < instruments.length; i++) {
            uint64 id = instruments[i];
            if (_escapePrices[id].known || _waitsForDelivery(id)) continue;
            uint256 index = _escapePrices[MarksLib.indexId(id.underlyingOf())].price;
            _fix(id, _payoffOfOne(id, index));
        }
    }

    /// @notice As IExits.priceTokens.
    function priceTokens(bytes calldata parameters) external {
        _requireEscaped();
        if (_escape.tokensPriced) return;
        if (keccak256(parameters) != _escape.parametersHash) revert UnknownParameters();
        CollateralTerms[] memory terms = abi.decode(parameters, (MarginParameters)).collaterals;
        _escape.tokensPriced = true;
        for (uint256 i = 0; i < terms.length && i < TOKENS_MAX; i++) {
            uint64 id = MarksLib.indexId(terms[i].underlying);
            EscapePrice memory index = _escapePrices[id];
            if (!index.known && !_windowIsOver()) revert PriceMissing(id);
            if (index.price == 0) continue;
            _escapeTokens.push(EscapeToken(terms[i].token, uint256(index.price).toUint64()));
            emit TokenPriced(terms[i].token, index.price);
        }
    }

    // ---- accounts

    /// @notice As IExits.value.
    function value(uint64 first, uint64[][] calldata instruments) external {
        _requireEscaped();
        if (!_escape.tokensPriced) revert TokensNotPriced();
        Escape memory escape = _escape;
        if (first > escape.next) revert OutOfTurn(escape.next);
        for (uint256 i = escape.next - first; i < instruments.length; i++) {
            if (escape.next > escape.accounts) break;
            uint64 id = escape.next;
            escape.brought += _closePositions(id, instruments[i]);
            if (_accounts[id].positions != 0) {
                if (i + 1 < instruments.length) revert NotValued(id);
                break;
            }
            _valueAccount(id, escape);
            (escape.brought, escape.next) = (0, id + 1);
        }
        _escape = escape;
    }

    // ---- claims

    /// @notice As IExits.claim.
    function claim(uint64 subaccountId, address token, address recipient) external {
        if (_accounts[subaccountId].owner != msg.sender) revert NotOwner();
        if (recipient == address(0) || recipient == address(this)) revert InvalidRecipient();
        uint64 next = _escape.next;
        if (_escape.startedAt == 0 || next <= _escape.accounts) revert NotValued(next);
        uint256 amount = _claimable(subaccountId, token);
        if (amount == 0) revert NothingToClaim();

        _claimed[subaccountId][token] = true;
        if (token != USDC) _collateral[subaccountId][token] = 0;
        emit EscapeClaimed(subaccountId, token, amount, recipient);
        _custody().pay(token, recipient, amount);
    }

    // ---- inside: prices

    function _requireEscaped() private view {
        if (_escape.startedAt == 0) revert NotEscaped();
    }

    function _fix(uint64 instrument, uint256 price) private {
        _escapePrices[instrument] = EscapePrice(true, price.toUint128());
        emit PriceFixed(instrument, price);
    }

    function _hasExpired(uint64 instrument) private view returns (bool) {
        return instrument.expiredAt(_escape.startedAt);
    }

    function _windowIsOver() private view returns (bool) {
        return block.timestamp > _escape.startedAt + WINDOW;
    }

    /// @dev A delivery price counts from the moment it is fixed, for everybody: so nothing may be
    /// fixed beside it, and before that all wait for it.
    function _waitsForDelivery(uint64 id) private view returns (bool) {
        if (id >> InstrumentLib.KIND_SHIFT == 0) return false; // an index
        return _hasExpired(id) && (!_windowIsOver() || _delivered(id) != 0);
    }

    /// @return price 0 while it is not fixed
    function _delivered(uint64 instrument) private view returns (uint256 price) {
        try ORACLE.deliveryPrice(instrument.underlyingOf(), instrument.expiryOf()) returns (
            uint64 fixed_
        ) {
            return fixed_;
        } catch {
            return 0;
        }
    }

    // forge-lint: disable-next-item(unsafe-typecast)
    function _payoffOfOne(uint64 instrument, uint256 price) private pure returns (uint256) {
        return uint256(instrument.payoff(QUANTITY_SCALE, price)); // of a long: not negative
    }

    function _priceOf(uint64 instrument) private view returns (uint256) {
        EscapePrice memory stored = _escapePrices[instrument];
        if (stored.known) return stored.price;
        uint256 delivered = _hasExpired(instrument) ? _delivered(instrument) : 0;
        if (delivered == 0) revert PriceMissing(instrument);
        return _payoffOfOne(instrument, delivered);
    }

    // ---- inside: accounts

    /// @dev What is not held brings nothing: so a position counts once, whatever the lists say.
    /// @return cash exact: prices and funding indices are multiples of 1e4
    function _closePositions(uint64 subaccountId, uint64[] calldata instruments)
        private
        returns (int256 cash)
    {
        uint16 closed;
        for (uint256 i = 0; i < instruments.length; i++) {
            uint64 instrument = instruments[i];
            Position memory held = _positions[subaccountId][instrument];
            if (held.quantity == 0) continue;
            delete _positions[subaccountId][instrument];
            closed++;
            int256 worth = _priceOf(instrument).toInt256();
            if (instrument.isPerpetual()) {
                worth -= int256(_fundings[instrument].index) - held.fundingIndex;
            }
            cash += held.quantity * worth / QUANTITY_SCALE - held.cost;
        }
        _accounts[subaccountId].positions -= closed;
    }

    function _valueAccount(uint64 subaccountId, Escape memory escape) private {
        int256 cash = _accounts[subaccountId].cash + escape.brought;
        escape.cash += cash;
        uint256 covered;
        if (cash > 0) {
            bool venue = _isVenue(subaccountId);
            uint256 before = venue ? escape.junior : escape.senior;
            uint128 owed = cash.toUint256().toUint128();
            _cashClaims[subaccountId] = CashClaim(owed, before.toUint128());
            if (venue) escape.junior += owed;
            else escape.senior += owed;
        } else if (cash < 0) {
            covered = _seize(subaccountId, (-cash).toUint256());
            escape.seized += covered;
        }
        emit Valued(subaccountId, cash, covered);
    }

    /// @dev Rounded against the debtor: tokens up, what they are worth down.
    function _seize(uint64 subaccountId, uint256 debt) private returns (uint256 covered) {
        for (uint256 i = 0; i < _escapeTokens.length && covered < debt; i++) {
            EscapeToken memory one = _escapeTokens[i];
            uint256 held = _collateral[subaccountId][one.token];
            if (held == 0) continue;
            uint256 owed = debt - covered;
            uint256 taken =
                Math.min(held, Math.mulDiv(owed, ASSET_SCALE, one.price, Math.Rounding.Ceil));
            covered += Math.min(owed, Math.mulDiv(taken, one.price, ASSET_SCALE));
            _collateral[subaccountId][one.token] = held - taken;
            _seized[one.token] += taken;
        }
    }
}
