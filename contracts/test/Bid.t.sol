// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {AuctionBid, IAuctions, IAuctionsBase} from "../src/interfaces/IAuctions.sol";
import {IClearingBase, TakenToken} from "../src/interfaces/IClearing.sol";
import {ICustody, TokenRules} from "../src/interfaces/ICustody.sol";
import {IExitsBase} from "../src/interfaces/IExits.sol";
import {
    CollateralTerms,
    IMargin,
    MarginParameters,
    MarginProof
} from "../src/interfaces/IMargin.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {AuctionTest} from "./AuctionTest.sol";
import {ReentrantToken} from "./Tokens.sol";

/// @dev What bids buy, at which price, and who may not bid.
contract BidTest is AuctionTest {
    function total() internal view returns (int256 sum) {
        for (uint64 id = 1; id <= clearing.subaccountCount(); id++) {
            sum += cashOf(id);
        }
    }

    // ---- what moves

    /// @dev Whatever part is bought, whenever: the slow twin of the price, to the last unit.
    /// forge-config: default.fuzz.runs = 32
    function test_a_bid_buys_a_fraction_at_the_mark_less_the_discount(uint64 part, uint64 wait)
        public
    {
        wait = uint64(bound(wait, 0, DAY));
        openAt(BIDS + wait);
        part = uint64(bound(part, 1, 0.2e18));
        (int256 equity, int256 before,) = margin.health(bob, proof());
        uint256 quantity = (uint256(SHORT) * part + WHOLE - 1) / WHOLE;
        quantity = (quantity + 99) / 100 * 100;
        uint256 rate = 0.25e18 * uint256(wait < LENGTH ? wait : LENGTH) / LENGTH;
        uint256 discount = uint256(equity - before) * rate / WHOLE;
        if (discount > uint256(equity)) discount = uint256(equity);
        discount = discount * part / WHOLE;
        int256 price = -int256(quantity * 30_000e6 / 1e4) - int256(discount);

        (int256 all, int256 seller) = (total(), cashOf(bob));
        AuctionBid memory offer = offerOf(part);
        offer.priceLimit = int128(price - 1);
        refusedBid(offer, IAuctionsBase.PriceAboveLimit.selector);
        offer.priceLimit = int128(price);
        expectTaken(part, quantity, new TakenToken[](0), discount);
        uint64 id = take(offer);
        assertEq(clearing.subaccountCount(), id, "a new subaccount");
        assertEq(bidder, ownerOf(id), "of the bidder");
        assertEq(all + int256(uint256(offer.deposit)), total(), "nothing is created");
        assertEq(seller + price, cashOf(bob), "the seller gets the price");
        assertEq(int256(uint256(offer.deposit)) - price, cashOf(id), "the bidder pays it");
        assertEq(-int256(quantity), clearing.position(id, call), "the bidder's calls");
        assertEq(int256(quantity) - int64(SHORT), clearing.position(bob, call), "bob's");
        assertEq(1, auctions.auctionOf(bob).bids, "counted");
        assertTrue(maintenanceOf(bob) >= before, "bob needs no more than before");
        (int256 initial,) = margin.excess(id, proof());
        assertTrue(initial >= 0, "the bidder has its margin");
    }

    /// @dev It stops where the buffer is restored, and then the account is healthy.
    /// forge-config: default.fuzz.runs = 32
    function test_no_more_is_sold_than_restores_the_account(uint64 wait) public {
        openAt(BIDS + uint64(bound(wait, 0, DAY)));
        (int256 equity, int256 maintenance,) = margin.health(bob, proof());
        assertTrue(equity > 0 && maintenance < 0, "below, with equity");
        refusedBid(offerOf(WHOLE), IAuctionsBase.FractionTooLarge.selector);
        refusedBid(offerOf(0), IAuctionsBase.FractionTooLarge.selector);
        bytes memory whole = abi.encodeCall(IAuctions.bid, (offerOf(WHOLE), proof()));
        vm.prank(bidder);
        (, bytes memory why) = address(auctions).call(whole);
        uint256 offered = uint256(word(abi.encodePacked(bytes28(0), why), 32));
        assertEq(0, offered % 1e14, "in steps");
        refusedBid(offerOf(uint64(offered + 1)), IAuctionsBase.FractionTooLarge.selector);
        take(offerOf(uint64(offered)));
        assertTrue(maintenanceOf(bob) > 0, "restored");
        refusedBid(offerOf(1), IClearingBase.NotLiquidated.selector);
    }

    /// @dev Bob sold at far below the mark: he owes, and all of it is for sale.
    function test_an_account_without_equity_is_sold_whole_and_its_debt_is_bounded() public {
        trade(call, 60 * ONE, int64(10_000 * USD), 2);
        flags.flag(bob, proof());
        trade(call, SHORT, PRICE, 1);
        flags.flag(bob, proof());
        auctions.announceAuction(bob);
        provenAt(START + NOTICE);
        auctions.startAuction(bob);
        vm.warp(BIDS + LENGTH);
        fresh();
        (int256 equity, int256 maintenance,) = margin.health(bob, proof());
        assertTrue(equity < 0, "a debtor");
        AuctionBid memory offer = offerOf(WHOLE);
        uint64 id = take(offer);
        int256 discount = (equity - maintenance) / 4;
        assertEq(equity - discount, cashOf(bob), "the debt");
        assertEq(-int256(100 * int64(ONE)), clearing.position(id, call), "all of it");
        assertEq(0, clearing.position(bob, call), "nothing left");
    }

    /// forge-config: default.fuzz.runs = 32
    function test_lots_are_whole_or_all_that_is_held(uint64 lot, uint64 part) public {
        lot = 100 * uint64(bound(lot, 1, 100));
        part = uint64(bound(part, 1, 0.2e18));
        auctions.setAuctionRules(rulesOf(LENGTH, 0.25e18, lot));
        openAt(BIDS);
        uint64 id = take(offerOf(part));
        int256 bought = -clearing.position(id, call);
        assertTrue(bought % int64(lot) == 0 || bought == int64(SHORT), "whole lots");
        assertTrue(bought * 1e18 >= int256(uint256(SHORT)) * int64(part), "not less");
        assertTrue((bought - int64(lot)) * 1e18 < int256(uint256(SHORT)) * int64(part), "nor more");
    }

    // ---- when

    /// forge-config: default.fuzz.runs = 32
    function test_bids_come_a_day_after_the_freeze_and_for_a_day(uint64 time) public {
        time = uint64(bound(time, START + NOTICE, BIDS + 2 * DAY));
        openAt(time);
        AuctionBid memory offer = offerOf(WHOLE / 100);
        if (time < BIDS) refusedBid(offer, IExitsBase.TooEarly.selector);
        else if (time > BIDS + DAY) refusedBid(offer, IAuctionsBase.AuctionIsOver.selector);
        else take(offer);
    }

    function test_nothing_is_sold_without_an_auction_that_started() public {
        AuctionBid memory offer = offerOf(WHOLE / 100);
        refusedBid(offer, IAuctionsBase.NoAuction.selector);
        announced();
        refusedBid(offer, IAuctionsBase.NoAuction.selector);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_a_healthy_account_is_not_sold(uint64 amount) public {
        openAt(BIDS);
        uint256 missing = uint256(-maintenanceOf(bob));
        fund(bobAddress, bob, bound(amount, missing, 2 * missing));
        refusedBid(offerOf(WHOLE / 100), IClearingBase.NotLiquidated.selector);
    }

    function test_an_account_that_just_meets_its_maintenance_is_not_sold() public {
        openAt(BIDS);
        fund(bobAddress, bob, uint256(-maintenanceOf(bob)));
        refusedBid(offerOf(WHOLE / 100), IClearingBase.NotLiquidated.selector);
    }

    function test_a_bid_needs_the_latest_root() public {
        started();
        vm.warp(BIDS);
        refusedBid(offerOf(WHOLE / 100), IMargin.RootTooOld.selector);
    }

    function test_a_pause_and_an_escape_stop_bids() public {
        openAt(BIDS);
        clearing.pause();
        refusedBid(offerOf(WHOLE / 100), IClearingBase.NewRiskPaused.selector);
        clearing.unpause();
        take(offerOf(WHOLE / 100));
        vm.prank(aliceAddress);
        clearing.requestExit(alice, address(usdc), 1, aliceAddress);
        vm.warp(BIDS + 30 * DAY);
        clearing.startEscape(alice);
        refusedBid(offerOf(WHOLE / 100), IExitsBase.Escaped.selector);
    }

    // ---- who cannot hijack or block it

    function test_another_bid_that_came_first_voids_one() public {
        openAt(BIDS);
        AuctionBid memory offer = offerOf(WHOLE / 100);
        take(offer);
        refusedBid(offer, IAuctionsBase.AnotherBidCame.selector);
        offer.expectedBids = 1;
        take(offer);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_dust_blocks_no_bid(uint64 amount) public {
        openAt(BIDS);
        AuctionBid memory offer = offerOf(WHOLE / 100);
        amount = uint64(bound(amount, 1, uint256(-maintenanceOf(bob)) - 1));
        fund(bobAddress, bob, amount);
        take(offer);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_who_cannot_bear_it_does_not_get_it(uint64 part) public {
        openAt(BIDS);
        part = uint64(bound(part, 0.01e18, 0.2e18));
        AuctionBid memory offer = offerOf(part);
        offer.deposit = 0;
        refusedBid(offer, IAuctionsBase.BidderShort.selector);
        offer.deposit = uint128(uint256(SHORT) * part / WHOLE * 10_000e6 / 1e4);
        refusedBid(offer, IAuctionsBase.BidderShort.selector);
    }

    function test_a_wallet_without_the_deposit_buys_nothing() public {
        openAt(BIDS);
        AuctionBid memory offer = offerOf(WHOLE / 100);
        offer.deposit = type(uint64).max;
        MarginProof memory proven = proof();
        vm.prank(bidder);
        (bool done,) = address(auctions).call(abi.encodeCall(IAuctions.bid, (offer, proven)));
        assertTrue(!done, "refused");
    }

    function test_custody_takes_from_others_only_for_clearing(address who) public {
        vm.assume(who != address(clearing));
        vm.prank(who);
        vm.expectRevert(ICustody.NotClearing.selector);
        custody.depositFrom(bidder, bob, address(usdc), 1);
    }
}

/// @dev A dollar that calls back.
contract BidReentrancyTest is AuctionTest {
    function makeToken() internal override returns (MockUSDC) {
        return new ReentrantToken();
    }

    function test_a_token_cannot_bid_inside_a_bid() public {
        openAt(BIDS);
        bytes memory data = abi.encodeCall(IAuctions.bid, (offerOf(WHOLE / 100), proof()));
        ReentrantToken(address(usdc)).arm(address(clearing), data);
        take(offerOf(WHOLE / 100));
        assertTrue(ReentrantToken(address(usdc)).tried(), "the token tried");
        assertEq(
            keccak256(abi.encodePacked(ReentrancyGuard.ReentrancyGuardReentrantCall.selector)),
            keccak256(ReentrantToken(address(usdc)).answer()),
            "refused by the guard"
        );
    }
}

/// @dev Bob has tokens too: the same fraction of them goes along.
contract BidTokensTest is AuctionTest {
    address internal constant WETH = address(0x3E74);

    function parameters() internal pure override returns (MarginParameters memory p) {
        p = super.parameters();
        p.collaterals = new CollateralTerms[](1);
        p.collaterals[0] = CollateralTerms(WETH, 1, false, 0.2e18, 0.1e18, type(uint80).max);
    }

    function setUp() public override {
        vm.etch(WETH, address(new MockToken("Wrapped Ether", "WETH", 18)).code);
        super.setUp();
        uint80 cap = type(uint80).max;
        custody.setRules(WETH, TokenRules(true, cap, cap, cap));
        fundWith(MockToken(WETH), bobAddress, bob, 0.1 ether);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_tokens_go_along_at_their_index(uint64 part) public {
        part = uint64(bound(part, 1, 0.1e18));
        openAt(BIDS);
        int256 seller = cashOf(bob);
        uint256 amount = (uint256(1e7) * part + WHOLE - 1) / WHOLE;
        int256 worth = int256((amount * 100_000e6 + 1e8 - 1) / 1e8);
        TakenToken[] memory tokens = new TakenToken[](1);
        tokens[0] = TakenToken(WETH, uint128(amount), uint128(uint256(worth)));
        uint256 quantity = (uint256(SHORT) * part + WHOLE - 1) / WHOLE;
        expectTaken(part, (quantity + 99) / 100 * 100, tokens, 0);
        uint64 id = take(offerOf(part));
        assertEq(amount, clearing.collateralOf(id, WETH), "bought");
        assertEq(1e7 - amount, clearing.collateralOf(bob, WETH), "left");
        int256 calls = int256(clearing.position(id, call)) * 30_000e6 / 1e4;
        assertEq(seller + calls + worth, cashOf(bob), "paid for");
    }
}

/// @dev Bob is short of a put too, which gains more than a call loses where calls lose most; lots
/// are whole contracts.
contract BidHedgesTest is AuctionTest {
    function row(uint64 instrument) internal view override returns (bytes memory packed) {
        packed = super.row(instrument);
        if (instrument != put) return packed;
        for (uint256 i = packed.length - 8; i < packed.length; i++) {
            packed[i] = 0; // worth nothing where calls are worth most
        }
    }

    function proof() internal view override returns (MarginProof memory) {
        return whole();
    }

    /// @dev The smallest fraction takes a whole contract of each, so most of the hedge.
    function test_lots_cannot_take_the_hedge_and_leave_the_risk() public {
        auctions.setAuctionRules(rulesOf(LENGTH, 0.25e18, 1e4));
        trade(put, ONE, PRICE, 2);
        trade(call, SHORT, PRICE, 1);
        flags.flag(bob, proof());
        auctions.announceAuction(bob);
        provenAt(START + NOTICE);
        auctions.startAuction(bob);
        vm.warp(BIDS);
        fresh();
        refusedBid(offerOf(1), IAuctionsBase.RiskNotReduced.selector);
        refusedBid(offerOf(WHOLE / 40), IAuctionsBase.RiskNotReduced.selector);
        int256 before = maintenanceOf(bob);
        uint64 id = take(offerOf(WHOLE / 10));
        assertEq(-4 * int64(ONE), clearing.position(id, call), "four calls");
        assertEq(-int64(ONE), clearing.position(id, put), "and the put");
        (, int256 left) = margin.excess(bob, call_());
        assertTrue(left >= before, "with less risk left");
    }
}
