// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {
    Auction,
    AuctionBid,
    AuctionRules,
    IAuctions,
    IAuctionsBase
} from "../src/interfaces/IAuctions.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {ForceHandler} from "./ForceHandler.sol";
import {ReentrantToken} from "./Tokens.sol";

/// @dev ForceHandler where anybody auctions besides, and bidders are hostile: they send dust, call
/// back out of the token, and bid on what is sold already.
contract AuctionHandler is ForceHandler {
    uint64 internal constant NOTICE = 1 hours;
    uint64 internal constant LENGTH = 3 hours;
    /// @dev Later nothing waits for an auction any more: one that runs ends, and another is held,
    /// before the calls expire.
    uint64 internal constant LATEST = START + 80 hours;

    IAuctions internal auctions;
    address internal bidder = address(0xB1DDE4);
    mapping(uint64 id => uint64) internal bidsOf;
    bool internal winding; // the random part is over

    uint256 public announced;
    uint256 public started;
    uint256 public sold;
    uint256 public ended;
    bool public hijacked;
    bool public blocked;
    bool public reentered;
    bool public harmed;
    bool public boughtWithoutMargin;

    function setUp() public override {
        super.setUp();
        auctions = IAuctions(address(clearing));
        auctions.setAuctionRules(AuctionRules(NOTICE, LENGTH, 0.25e18, 100));
        vm.prank(bidder);
        usdc.approve(address(custody), type(uint256).max);
    }

    function makeToken() internal override returns (MockUSDC) {
        return new ReentrantToken();
    }

    // ---- steps

    /// @dev Proven before, or now.
    function announce(bool bobs) public {
        uint64 id = idOf(bobs);
        if (auctions.auctionOf(id).announcedAt != 0) return;
        if (!isForced(id)) {
            if (!isBelow(id)) return;
            flags.flag(id, proofOf(id));
        }
        auctions.announceAuction(id);
        announced++;
        bidsOf[id] = 0;
    }

    /// @dev With a proof of after the notice.
    function start(bool bobs) public {
        uint64 id = idOf(bobs);
        Auction memory auction = auctions.auctionOf(id);
        bool waits = auction.announcedAt != 0 && auction.frozenFrom == 0;
        if (!waits || isLapsed(id) || !reached(auction.announcedAt + NOTICE)) return;
        if (block.timestamp > auction.announcedAt + NOTICE + DAY) return;
        if (!isBelow(id)) return;
        flags.flag(id, proofOf(id));
        auctions.startAuction(id);
        started++;
    }

    /// @dev As much of it as was asked for, or as is offered; whatever the hostile do before.
    function buy(bool bobs, uint256 fraction, uint256 wait, uint256 dust) public {
        uint64 id = idOf(bobs);
        Auction memory auction = auctions.auctionOf(id);
        if (auction.frozenFrom == 0) return;
        uint64 from = auction.frozenFrom + DAY + 1;
        if (!reached(from + uint64(bound(wait, 0, LENGTH))) || block.timestamp > from + DAY) {
            return;
        }
        if (heldBy(id) == 0 || !isBelow(id)) return;
        AuctionBid memory offer = offerOf(id);
        offer.fraction = uint64(bound(fraction, 1, offeredBy(id)));
        sendDust(id, dust);
        if (!isBelow(id)) return; // it was more than dust
        if (offer.fraction > offeredBy(id)) offer.fraction = uint64(offeredBy(id));
        overtaken(offer);
        tooDear(offer);
        bought(offer);
    }

    /// @dev When its time is over, which may be waited for, or as soon as its flag lapsed.
    function end(bool bobs, bool waits) public {
        uint64 id = idOf(bobs);
        Auction memory auction = auctions.auctionOf(id);
        if (auction.announcedAt == 0) return;
        uint64 until = auction.frozenFrom == 0
            ? auction.announcedAt + NOTICE + DAY
            : auction.frozenFrom + 2 * DAY + 1;
        if (!isLapsed(id) && waits && !reached(until + 1)) return;
        bool over = block.timestamp > until || isLapsed(id);
        try auctions.endAuction(id) {
            if (!over) hijacked = true;
            ended++;
        } catch {
            if (over) blocked = true;
        }
    }

    /// @dev A proof of health.
    function lapse(bool bobs) public {
        uint64 id = idOf(bobs);
        (uint64 since,) = flags.flagOf(id);
        if (since == 0 || isBelow(id)) return;
        flags.lapse(id, proofOf(id));
    }

    // ---- the end of a run

    /// @dev Whatever runs ends, however long that takes.
    function wind() external {
        winding = true;
        end(true, true);
        end(false, true);
    }

    // ---- hostile

    /// @dev A gift to the liquidated blocks nobody.
    function sendDust(uint64 id, uint256 amount) internal {
        amount = bound(amount, 0, 1_000 * USD);
        if (amount == 0) return;
        fund(address(0xD057), id, amount);
        deposited += amount;
    }

    /// @dev What was signed for another state buys nothing.
    function overtaken(AuctionBid memory offer) internal {
        offer.expectedBids++;
        if (answerTo(offer) != IAuctionsBase.AnotherBidCame.selector) hijacked = true;
        offer.expectedBids--;
    }

    /// @dev Nor does anything cost more than its limit.
    function tooDear(AuctionBid memory offer) internal {
        offer.priceLimit = type(int128).min;
        if (answerTo(offer) != IAuctionsBase.PriceAboveLimit.selector) hijacked = true;
        offer.priceLimit = type(int128).max;
    }

    /// @dev While the token tries to bid again out of the deposit.
    function bought(AuctionBid memory offer) internal {
        uint64 id = offer.liquidatedId;
        (, int256 before,) = margin.health(id, proofOf(id));
        bytes memory data = abi.encodeCall(IAuctions.bid, (offer, proofOf(id)));
        ReentrantToken token = ReentrantToken(address(usdc));
        token.arm(address(clearing), data);
        vm.prank(bidder);
        (bool done, bytes memory answer) = address(clearing).call(data);
        if (!done) blocked = true;
        bytes4 refusal = ReentrancyGuard.ReentrancyGuardReentrantCall.selector;
        if (!token.tried() || bytes4(token.answer()) != refusal) reentered = true;
        if (!done) return;

        sold++;
        bidsOf[id]++;
        deposited += offer.deposit;
        (, int256 left,) = margin.health(id, proofOf(id));
        if (left < before) harmed = true;
        uint64 taker = abi.decode(answer, (uint64));
        if (!hasMargin(taker)) boughtWithoutMargin = true;
    }

    function answerTo(AuctionBid memory offer) internal returns (bytes4) {
        bytes memory data = abi.encodeCall(IAuctions.bid, (offer, proofOf(offer.liquidatedId)));
        vm.prank(bidder);
        (bool done, bytes memory answer) = address(clearing).call(data);
        return done ? bytes4(0) : bytes4(answer);
    }

    // ---- inside

    /// @return whether that time is here or may be waited for
    function reached(uint64 time) internal returns (bool) {
        if (block.timestamp >= time) return true;
        if (time > LATEST && !winding) return false;
        vm.warp(time);
        return true;
    }

    function isBelow(uint64 id) internal returns (bool) {
        fresh();
        (, int256 maintenance,) = margin.health(id, proofOf(id));
        return maintenance < 0;
    }

    function isLapsed(uint64 id) internal view returns (bool) {
        (uint64 since,) = flags.flagOf(id);
        return since == 0 || since > auctions.auctionOf(id).announcedAt;
    }

    /// @dev With the money for all of it at its worst.
    function offerOf(uint64 id) internal returns (AuctionBid memory offer) {
        (offer.liquidatedId, offer.expectedBids) = (id, bidsOf[id]);
        offer.priceLimit = type(int128).max;
        offer.deposit = uint128(uint256(heldBy(id)) * 60_000 * USD / ONE + 1_000 * USD);
        usdc.mint(bidder, offer.deposit);
    }

    /// @dev Found by asking for all of it, at a price that nobody pays.
    function offeredBy(uint64 id) internal returns (uint256) {
        AuctionBid memory offer = offerOf(id);
        (offer.fraction, offer.priceLimit) = (uint64(WHOLE), type(int128).min);
        bytes memory data = abi.encodeCall(IAuctions.bid, (offer, proofOf(id)));
        vm.prank(bidder);
        (, bytes memory why) = address(clearing).call(data);
        if (bytes4(why) == IAuctionsBase.PriceAboveLimit.selector) return WHOLE;
        if (bytes4(why) != IAuctionsBase.FractionTooLarge.selector) blocked = true;
        return uint256(word(abi.encodePacked(bytes28(0), why), 32));
    }

    function isFrozen(uint64 id) internal view override returns (bool) {
        uint64 from = auctions.auctionOf(id).frozenFrom;
        return from != 0 && block.timestamp >= from;
    }

    // ---- sums

    /// @dev Nothing but bids counted, and none of them twice.
    function bidsAreCounted() external view returns (bool) {
        for (uint256 i = 0; i < 2; i++) {
            Auction memory auction = auctions.auctionOf(idOf(i == 0));
            if (auction.announcedAt != 0 && auction.bids != bidsOf[idOf(i == 0)]) return false;
        }
        return true;
    }
}
