// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Auction,
    AuctionBid,
    AuctionRules,
    IAuctions,
    IAuctionsBase,
    SoldLeg
} from "../src/interfaces/IAuctions.sol";
import {TakenToken} from "../src/interfaces/IClearing.sol";
import {MarginProof} from "../src/interfaces/IMargin.sol";
import {ForcedTest} from "./ForcedTest.sol";

/// @dev Bob, below maintenance, up for auction; whoever bids has a wallet with dollars.
abstract contract AuctionTest is ForcedTest {
    uint64 internal constant WHOLE = 1e18;
    uint64 internal constant NOTICE = 6 hours;
    uint64 internal constant LENGTH = 3 hours;
    uint64 internal constant FROZEN = START + NOTICE + 1 hours;
    uint64 internal constant BIDS = FROZEN + DAY + 1;

    address internal bidder = address(0xB1DDE4);
    IAuctions internal auctions;

    function setUp() public virtual override {
        super.setUp();
        clearing.setMargin(margin);
        auctions = IAuctions(address(clearing));
        usdc.mint(bidder, 10_000_000 * USD);
        vm.prank(bidder);
        usdc.approve(address(custody), type(uint256).max);
    }

    function announced() internal {
        flagged();
        auctions.announceAuction(bob);
    }

    /// @dev A root of now, and a proof under it.
    function provenAt(uint64 time) internal {
        vm.warp(time);
        fresh();
        flags.flag(bob, proof());
    }

    function fresh() internal {
        (uint64 epoch,,) = oracle.latestRiskRoot();
        post(epoch + 1, root());
    }

    function proof() internal view virtual returns (MarginProof memory) {
        return call_();
    }

    function started() internal {
        announced();
        provenAt(START + NOTICE);
        auctions.startAuction(bob);
    }

    function openAt(uint64 time) internal {
        started();
        vm.warp(time);
        fresh();
    }

    function offerOf(uint64 fraction) internal view returns (AuctionBid memory offer) {
        offer.liquidatedId = bob;
        offer.fraction = fraction;
        offer.expectedBids = auctions.auctionOf(bob).bids;
        offer.priceLimit = type(int128).max;
        offer.deposit = uint128(2_000_000 * USD);
    }

    function take(AuctionBid memory offer) internal returns (uint64) {
        MarginProof memory proven = proof();
        vm.prank(bidder);
        return auctions.bid(offer, proven);
    }

    /// @dev The journal learns from it what a first bid took of bob's calls and tokens.
    function expectTaken(
        uint64 fraction,
        uint256 calls,
        TakenToken[] memory tokens,
        uint256 discount
    ) internal {
        uint64 taker = clearing.subaccountCount() + 1;
        SoldLeg[] memory legs = new SoldLeg[](1);
        legs[0] = SoldLeg(call, -int64(uint64(calls)), int64(30_000 * USD), 0);
        vm.expectEmit(address(clearing));
        emit IAuctionsBase.AuctionTaken(bob, taker, 1, fraction, legs, tokens, uint128(discount));
    }

    function refusedBid(AuctionBid memory offer, bytes4 why) internal {
        MarginProof memory proven = proof();
        vm.prank(bidder);
        vm.expectPartialRevert(why);
        auctions.bid(offer, proven);
    }

    function rulesOf(uint64 length, uint64 discountMax, uint64 lot)
        internal
        pure
        returns (AuctionRules memory)
    {
        return AuctionRules(NOTICE, length, discountMax, lot);
    }

    function maintenanceOf(uint64 id) internal view returns (int256 maintenance) {
        (, maintenance) = margin.excess(id, proof());
    }
}
