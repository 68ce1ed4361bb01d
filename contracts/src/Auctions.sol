// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {AuctionTerms} from "./AuctionTerms.sol";
import {Handovers} from "./Handovers.sol";
import {Storage} from "./Storage.sol";
import {Auction, AuctionBid, AuctionRules, SoldLeg} from "./interfaces/IAuctions.sol";
import {TakenToken, Terms} from "./interfaces/IClearing.sol";
import {IHoldings, MarginParameters, MarginProof, Portfolio} from "./interfaces/IMargin.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {AccountNow} from "./libraries/LedgerLib.sol";
import {MarginLib} from "./libraries/MarginLib.sol";
import {RiskProofLib} from "./libraries/RiskProofLib.sol";

/// @title Auctions: parts of a subaccount for whoever pays most, without the operator
/// @dev A module of Clearing. The operator has a notice; then the account is frozen, and once no
/// batch can touch it any more, bids are taken from wallets, each into a new subaccount that the
/// journal does not know: so nothing that is under way can be refused for a bid.
contract Auctions is Handovers, AuctionTerms {
    using InstrumentLib for uint64;
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @dev A sale stops where equity covers so much more than the maintenance requirement.
    uint256 private constant BUFFER = 0.2e18;
    uint256 private constant FRACTION_STEP = 1e14;
    /// @dev The smallest of the venue, 0.01 contracts: nobody is left with what no order can trade.
    uint256 private constant LOT = 100;

    /// @dev A bid as it is carried out.
    struct Sale {
        uint64 sellerId;
        uint64 takerId;
        uint256 fraction;
        int256 maintenance; // of the seller, before
        uint256 discount;
        int256 value; // of all that moves, at its prices
        uint64[] instruments; // as in the proof
        SoldLeg[] legs;
        TakenToken[] tokens;
        uint256[] amounts; // of tokens, in the order of the parameters
    }

    constructor(Terms memory terms_) Storage(terms_) {}

    // ---- its steps

    /// @notice As IAuctions.announceAuction.
    function announceAuction(uint64 subaccountId) external notEscaped {
        if (subaccountId == _fundId()) revert NotForSale(subaccountId);
        _requireProven(subaccountId, block.timestamp);
        Auction storage auction = _auctions[subaccountId];
        if (auction.announcedAt != 0) revert AuctionIsOpen();

        uint64 now_ = uint64(block.timestamp);
        auction.announcedAt = now_;
        emit AuctionAnnounced(subaccountId, msg.sender, now_ + _rules().notice);
    }

    /// @notice As IAuctions.startAuction.
    function startAuction(uint64 subaccountId) external notEscaped {
        Auction storage auction = _auctions[subaccountId];
        uint64 announcedAt = auction.announcedAt;
        if (announcedAt == 0 || _lapsed(subaccountId, announcedAt)) revert NoAuction();
        if (auction.frozenFrom != 0) revert AuctionRuns();
        uint64 from = announcedAt + _rules().notice;
        if (block.timestamp < from) revert TooEarly(from);
        if (block.timestamp > from + OPEN_FOR) revert AuctionIsOver();
        _requireProven(subaccountId, from + _liquidations.FORCE_TIME());

        auction.frozenFrom = uint64(block.timestamp) + FREEZE_DELAY;
        _nonceFloors[subaccountId].tag = auction.frozenFrom;
        emit AuctionStarted(subaccountId, msg.sender, auction.frozenFrom, _bidsFrom(auction));
    }

    /// @notice As IAuctions.endAuction.
    function endAuction(uint64 subaccountId) external notEscaped {
        Auction memory auction = _auctions[subaccountId];
        if (auction.announcedAt == 0) revert NoAuction();
        uint256 until = auction.frozenFrom == 0
            ? uint256(auction.announcedAt) + _rules().notice + OPEN_FOR
            : uint256(_bidsFrom(auction)) + OPEN_FOR;
        bool over = block.timestamp > until || _lapsed(subaccountId, auction.announcedAt);
        if (!over) revert AuctionRuns();

        delete _auctions[subaccountId];
        _nonceFloors[subaccountId].tag = 0;
        emit AuctionEnded(subaccountId, msg.sender);
    }

    /// @notice As IAuctions.setAuctionRules.
    function setAuctionRules(AuctionRules calldata rules) external {
        bool within = rules.notice >= 1 hours && rules.notice <= 7 days
            && rules.length >= 10 minutes && rules.length <= OPEN_FOR
            && rules.discountMax >= 0.01e18 && rules.discountMax <= 0.5e18 && rules.lot != 0
            && rules.lot % LOT == 0 && rules.lot <= 1e4;
        if (!within) revert RulesOutOfBounds();

        _auctionRules = rules;
        emit AuctionRulesSet(rules);
    }

    /// @notice As IAuctions.bid.
    /// @dev The bidder's money comes first: a token that calls back meets nothing half done.
    function bid(AuctionBid calldata offer, MarginProof calldata proof)
        external
        notEscaped
        returns (uint64 takerId)
    {
        uint64 waited = _checkTurn(offer);
        takerId = _openFunded(offer.deposit);
        Sale memory sale;
        (sale.sellerId, sale.takerId) = (offer.liquidatedId, takerId);
        sale.fraction = offer.fraction;
        _price(sale, waited, proof);
        _sell(sale, proof);
        int256 price = sale.value - sale.discount.toInt256();
        if (price > offer.priceLimit) revert PriceAboveLimit(price);
        _checkSeller(sale, proof);
        _checkTaker(sale, proof);

        uint64 bids = ++_auctions[sale.sellerId].bids;
        emit AuctionTaken(
            sale.sellerId,
            takerId,
            bids,
            offer.fraction,
            sale.legs,
            sale.tokens,
            sale.discount.toUint128()
        );
    }

    // ---- inside: may it be

    /// @dev Proven so that force lasts up to `until`: an hour from the proof.
    function _requireProven(uint64 subaccountId, uint256 until) private view {
        if (address(_liquidations) == address(0)) revert NotProvenNow(subaccountId);
        (uint64 proven,,) = _liquidations.forceOf(subaccountId);
        if (proven < until || proven < block.timestamp) revert NotProvenNow(subaccountId);
    }

    /// @dev Somebody proved health since the announcement.
    function _lapsed(uint64 subaccountId, uint64 announcedAt) private view returns (bool) {
        (uint64 since,) = _liquidations.flagOf(subaccountId);
        return since == 0 || since > announcedAt;
    }

    /// @return waited seconds since bids are taken
    function _checkTurn(AuctionBid calldata offer) private view returns (uint64 waited) {
        Auction memory auction = _auctions[offer.liquidatedId];
        if (auction.frozenFrom == 0) revert NoAuction();
        uint64 from = _bidsFrom(auction);
        if (block.timestamp < from) revert TooEarly(from);
        waited = uint64(block.timestamp) - from;
        if (waited > OPEN_FOR) revert AuctionIsOver();
        if (offer.expectedBids != auction.bids) revert AnotherBidCame(auction.bids);
    }

    function _openFunded(uint256 amount) private returns (uint64 takerId) {
        if (block.timestamp < _pause.until) revert NewRiskPaused();
        takerId = _open(msg.sender, false);
        if (address(ACCESS_PASS) != address(0)) {
            _requirePass(takerId, msg.sender, block.timestamp);
        }
        if (amount != 0) _custody().depositFrom(msg.sender, takerId, USDC, amount);
    }

    // ---- inside: what it costs

    /// @dev The discount is a share of the requirement that goes along, and of an account with
    /// equity no more than its share of that: who owes nothing is not made a debtor.
    function _price(Sale memory sale, uint256 waited, MarginProof calldata proof) private view {
        if (address(_margin) == address(0)) revert MarginNotSet();
        (int256 equity, int256 maintenance,) = _margin.health(sale.sellerId, proof);
        if (maintenance >= 0) revert NotLiquidated(sale.sellerId);
        sale.maintenance = maintenance;
        AuctionRules memory rules = _rules();
        uint256 requirement = (equity - maintenance).toUint256();
        uint256 rate = Math.mulDiv(rules.discountMax, Math.min(waited, rules.length), rules.length);
        uint256 whole = Math.mulDiv(requirement, rate, RATIO_SCALE);
        if (equity > 0) whole = Math.min(whole, equity.toUint256());
        uint256 offered = _offered(requirement, equity, whole);
        if (sale.fraction == 0 || sale.fraction > offered) revert FractionTooLarge(offered);
        sale.discount = Math.mulDiv(whole, sale.fraction, RATIO_SCALE);
    }

    /// @dev The part whose sale restores the buffer: equity falls by the discount, the requirement
    /// by the fraction. Everything of an account without equity.
    function _offered(uint256 requirement, int256 equity, uint256 whole)
        private
        pure
        returns (uint256)
    {
        if (equity <= 0) return RATIO_SCALE;
        uint256 wanted = requirement + Math.mulDiv(requirement, BUFFER, RATIO_SCALE);
        if (wanted <= whole) return RATIO_SCALE;
        uint256 missing = wanted - equity.toUint256(); // below maintenance: so it is
        uint256 share = Math.mulDiv(missing, RATIO_SCALE, wanted - whole, Math.Rounding.Ceil);
        return Math.min(RATIO_SCALE, Math.ceilDiv(share, FRACTION_STEP) * FRACTION_STEP);
    }

    // ---- inside: what moves

    function _sell(Sale memory sale, MarginProof calldata proof) private {
        MarginParameters memory parameters = abi.decode(proof.parameters, (MarginParameters));
        AccountNow memory seller = _loadAccount(sale.sellerId);
        AccountNow memory taker = _loadAccount(sale.takerId);
        int256 before = seller.cash;
        _sellLegs(sale, seller, taker, proof, RiskProofLib.rowLength(parameters.weights.length));
        _sellTokens(sale, parameters, proof);
        int256 tokens = _tokensValue(sale);
        sale.value += tokens;
        int256 paid = tokens - sale.discount.toInt256();
        (seller.cash, taker.cash) = (seller.cash + paid, taker.cash - paid);
        _storeAccount(seller);
        _storeAccount(taker);
        // The journal may charge what was owed before.
        if (seller.cash > before) _remember(sale.sellerId, (seller.cash - before).toUint256());
    }

    function _sellLegs(
        Sale memory sale,
        AccountNow memory seller,
        AccountNow memory taker,
        MarginProof calldata proof,
        uint256 length
    ) private {
        uint256 count = proof.rows.length / length;
        sale.instruments = new uint64[](count);
        sale.legs = new SoldLeg[](count);
        uint256 lot = _rules().lot;
        for (uint256 i = 0; i < count; i++) {
            bytes calldata row = proof.rows[i * length:(i + 1) * length];
            uint64 instrument = uint64(bytes8(row));
            if (instrument.expiredAt(block.timestamp)) revert InstrumentExpired();
            SoldLeg memory leg = _leg(sale, instrument, int64(uint64(bytes8(row[8:]))), lot);
            (sale.instruments[i], sale.legs[i]) = (instrument, leg);
            int256 worth = int256(leg.price) * leg.quantity / QUANTITY_SCALE; // exact
            sale.value += worth;
            _touch(seller, instrument, -int256(leg.quantity), -worth);
            _touch(taker, instrument, leg.quantity, worth);
        }
    }

    /// @dev Up to whole lots; at the mark to 0.01 USDC, in the seller's favour.
    function _leg(Sale memory sale, uint64 instrument, int256 mark, uint256 lot)
        private
        view
        returns (SoldLeg memory leg)
    {
        int256 held = _positions[sale.sellerId][instrument].quantity;
        uint256 most = SignedMath.abs(held);
        uint256 part = Math.mulDiv(most, sale.fraction, RATIO_SCALE, Math.Rounding.Ceil);
        int256 quantity = Math.min(most, Math.ceilDiv(part, lot) * lot).toInt256();
        int256 ticks = mark / TICK;
        int256 rest = mark % TICK;
        if (rest > 0 && held > 0) ticks++;
        if (rest < 0 && held < 0) ticks--;
        leg.instrument = instrument;
        leg.quantity = (held > 0 ? quantity : -quantity).toInt64();
        leg.price = (ticks * TICK).toInt64();
        leg.fundingIndex = instrument.isPerpetual() ? _fundings[instrument].index : int64(0);
    }

    /// @dev The same fraction of each token that counts, at its index, rounded up.
    function _sellTokens(
        Sale memory sale,
        MarginParameters memory parameters,
        MarginProof calldata proof
    ) private {
        uint256 count = parameters.collaterals.length;
        sale.tokens = new TakenToken[](count);
        sale.amounts = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            address token = parameters.collaterals[i].token;
            uint256 held = _collateral[sale.sellerId][token];
            uint256 place =
                MarginLib.placeOf(proof.underlyings, parameters.collaterals[i].underlying);
            sale.tokens[i].token = token;
            if (held == 0 || place == MarginLib.NONE) continue;
            uint256 amount = Math.mulDiv(held, sale.fraction, RATIO_SCALE, Math.Rounding.Ceil);
            uint256 worth = Math.mulDiv(
                amount, proof.underlyings[place].indexPrice, ASSET_SCALE, Math.Rounding.Ceil
            );
            sale.amounts[i] = amount;
            sale.tokens[i] = TakenToken(token, amount.toUint128(), worth.toUint128());
            _collateral[sale.sellerId][token] = held - amount;
            _collateral[sale.takerId][token] += amount;
        }
    }

    function _tokensValue(Sale memory sale) private pure returns (int256 worth) {
        for (uint256 i = 0; i < sale.tokens.length; i++) {
            worth += uint256(sale.tokens[i].value).toInt256();
        }
    }

    // ---- inside: who can bear it

    /// @dev What the seller keeps needs no more than before: lots may have taken its hedges.
    function _checkSeller(Sale memory sale, MarginProof calldata proof) private view {
        Portfolio memory left = _portfolio(sale.sellerId, sale);
        for (uint256 i = 0; i < left.amounts.length; i++) {
            left.amounts[i] = _collateral[sale.sellerId][sale.tokens[i].token];
        }
        left.standard = _standard[sale.sellerId];
        for (uint256 i = 0; i < proof.expired.length; i++) {
            (, int256 payoff) = IHoldings(address(this)).payoffOf(sale.sellerId, proof.expired[i]);
            left.netCash += payoff;
        }
        (, int256 maintenance) = _margin.excessOf(left, proof);
        if (maintenance < sale.maintenance) revert RiskNotReduced();
    }

    function _checkTaker(Sale memory sale, MarginProof calldata proof) private view {
        Portfolio memory bought = _portfolio(sale.takerId, sale);
        bought.amounts = sale.amounts;
        (int256 initial,) = _margin.excessOf(bought, proof);
        if (initial < 0) revert BidderShort(initial);
    }

    function _portfolio(uint64 subaccountId, Sale memory sale)
        private
        view
        returns (Portfolio memory found)
    {
        (found.netCash,, found.quantities) =
            IHoldings(address(this)).holdings(subaccountId, sale.instruments);
        found.amounts = new uint256[](sale.amounts.length);
    }
}
