// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {Auction, AuctionRules, IAuctions, IAuctionsBase} from "../src/interfaces/IAuctions.sol";
import {
    IClearingBase,
    LiquidationBid,
    Order,
    TakenLeg,
    TakenToken,
    Takeover
} from "../src/interfaces/IClearing.sol";
import {IExitsBase} from "../src/interfaces/IExits.sol";
import {AuctionTest} from "./AuctionTest.sol";
import {Batch} from "./Codec.sol";

/// @dev From the announcement to the end, and what may still happen to the account meanwhile.
contract AuctionsTest is AuctionTest {
    // ---- announce

    /// forge-config: default.fuzz.runs = 32
    function test_anybody_announces_who_was_proven_within_the_hour(address who, uint64 later)
        public
    {
        flagged();
        later = uint64(bound(later, 0, 2 hours));
        vm.warp(START + later);
        vm.prank(who);
        if (later > 1 hours) {
            vm.expectRevert(abi.encodeWithSelector(IAuctionsBase.NotProvenNow.selector, bob));
            auctions.announceAuction(bob);
            return;
        }
        vm.expectEmit(address(clearing));
        emit IAuctionsBase.AuctionAnnounced(bob, who, START + later + NOTICE);
        auctions.announceAuction(bob);
        assertEq(START + later, auctions.auctionOf(bob).announcedAt, "announced");
        vm.expectRevert(IAuctionsBase.AuctionIsOpen.selector);
        auctions.announceAuction(bob);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_nobody_else_is_announced(uint64 id) public {
        flagged();
        vm.assume(id != bob && id != fundAccount);
        vm.expectRevert(abi.encodeWithSelector(IAuctionsBase.NotProvenNow.selector, id));
        auctions.announceAuction(id);
        vm.expectRevert(abi.encodeWithSelector(IAuctionsBase.NotForSale.selector, fundAccount));
        auctions.announceAuction(fundAccount);
    }

    // ---- start

    /// forge-config: default.fuzz.runs = 32
    function test_it_starts_after_the_notice_and_within_a_day(uint64 time) public {
        announced();
        time = uint64(bound(time, START, START + NOTICE + 2 * DAY));
        provenAt(time);
        if (time < START + NOTICE) {
            vm.expectRevert(abi.encodeWithSelector(IExitsBase.TooEarly.selector, START + NOTICE));
        } else if (time > START + NOTICE + DAY) {
            vm.expectRevert(IAuctionsBase.AuctionIsOver.selector);
        } else {
            vm.expectEmit(address(clearing));
            emit IAuctionsBase.AuctionStarted(
                bob, address(this), time + 1 hours, time + 1 hours + DAY + 1
            );
        }
        auctions.startAuction(bob);
        bool starts = time >= START + NOTICE && time <= START + NOTICE + DAY;
        assertEq(starts ? time + 1 hours : 0, auctions.auctionOf(bob).frozenFrom, "frozen");
    }

    /// @dev The operator may have helped since.
    /// forge-config: default.fuzz.runs = 32
    function test_a_start_needs_a_proof_of_after_the_notice(uint64 proven) public {
        announced();
        proven = uint64(bound(proven, START, START + NOTICE + 10 hours));
        provenAt(proven);
        vm.warp(START + NOTICE + 10 hours);
        bool fresh_ = proven >= START + NOTICE && proven + 1 hours >= START + NOTICE + 10 hours;
        if (!fresh_) {
            vm.expectRevert(abi.encodeWithSelector(IAuctionsBase.NotProvenNow.selector, bob));
        }
        auctions.startAuction(bob);
    }

    function test_it_starts_once_and_only_where_it_was_announced() public {
        vm.expectRevert(IAuctionsBase.NoAuction.selector);
        auctions.startAuction(bob);
        started();
        vm.expectRevert(IAuctionsBase.AuctionRuns.selector);
        auctions.startAuction(bob);
    }

    /// @dev Who recovered for a moment has a new notice before it.
    /// forge-config: default.fuzz.runs = 32
    function test_a_lapsed_flag_takes_the_announcement_along(bool again) public {
        announced();
        vm.warp(START + 60);
        fresh();
        fund(bobAddress, bob, 100_000 * USD);
        flags.lapse(bob, proof());
        if (again) {
            trade(call, 10 * ONE, PRICE, 2);
            flags.flag(bob, proof());
        }
        vm.warp(START + NOTICE);
        vm.expectRevert(IAuctionsBase.NoAuction.selector);
        auctions.startAuction(bob);
        vm.expectEmit(address(clearing));
        emit IAuctionsBase.AuctionEnded(bob, address(this));
        auctions.endAuction(bob);
    }

    // ---- frozen

    function settleOrRefuse(Batch memory batch, uint64 time) internal {
        if (time >= FROZEN) refused(batch, IAuctionsBase.Frozen.selector);
        else settle(batch);
    }

    /// @dev By the time of the item, not of the batch: so what the engine released before it saw
    /// the start settles, whenever the batch comes.
    /// forge-config: default.fuzz.runs = 32
    function test_no_fill_of_after_the_freeze_settles(uint64 time, bool forced_, uint64 late)
        public
    {
        started();
        time = uint64(bound(time, START + NOTICE, FROZEN + 1 hours));
        vm.warp(time);
        Order memory maker = orderOf(alice, SELL, ONE, PRICE, 7);
        Batch memory batch = tradeOf(maker, orderOf(bob, BUY, ONE, PRICE, 7), ONE, PRICE);
        if (forced_) batch.orders[1] = forced(bob, BUY, call, ONE, PRICE);
        if (forced_ && time > FROZEN) time = FROZEN;
        batch.fills[0].time = uint32(time);
        vm.warp(time + bound(late, 0, DAY));
        settleOrRefuse(batch, time);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_no_takeover_of_after_the_freeze_settles(uint64 time, bool asTaker) public {
        started();
        time = uint64(bound(time, START + NOTICE, FROZEN));
        vm.warp(time);
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.takeovers = new Takeover[](1);
        Takeover memory t = batch.takeovers[0];
        (t.time, t.liquidatedId, t.takerId) = (uint32(time), bob, fundAccount);
        (t.fraction, t.legs) = (WHOLE, new TakenLeg[](1));
        t.tokens = new TakenToken[](0);
        t.legs[0] = TakenLeg(call, -int64(SHORT), 30_000e6);
        if (asTaker) (t.liquidatedId, t.takerId) = (alice, bob);
        if (asTaker) refused(batch, IClearingBase.NotLiquidated.selector);
        else settleOrRefuse(batch, time);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_no_money_of_it_moves_after_the_freeze(uint64 time) public {
        started();
        time = uint64(bound(time, START + NOTICE, FROZEN + 1 hours));
        vm.warp(time);
        settleOrRefuse(withdrawBatch(withdrawOf(bob, BOB_KEY, USD, 9)), time);
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, USD, 9)));
    }

    /// forge-config: default.fuzz.runs = 32
    function test_a_nonce_floor_does_not_thaw(uint64 floor) public {
        started();
        vm.prank(bobAddress);
        clearing.raiseNonceFloor(bob, uint64(bound(floor, 1, 1e6)));
        vm.warp(FROZEN);
        Order memory maker = orderOf(alice, SELL, ONE, PRICE, 7);
        Order memory taker = orderOf(bob, BUY, ONE, PRICE, 1e6 + 1);
        refused(tradeOf(maker, taker, ONE, PRICE), IAuctionsBase.Frozen.selector);
    }

    // ---- end

    /// forge-config: default.fuzz.runs = 32
    function test_it_ends_when_its_time_is_over_and_bob_trades_again(uint64 time) public {
        started();
        time = uint64(bound(time, START + NOTICE, BIDS + 2 * DAY));
        vm.warp(time);
        if (time <= BIDS + DAY) {
            vm.expectRevert(IAuctionsBase.AuctionRuns.selector);
            auctions.endAuction(bob);
            return;
        }
        auctions.endAuction(bob);
        Auction memory gone = auctions.auctionOf(bob);
        assertEq(0, gone.announcedAt + gone.frozenFrom + gone.bids, "gone");
        fresh();
        Order memory maker = orderOf(alice, SELL, ONE, PRICE, 7);
        settle(tradeOf(maker, orderOf(bob, BUY, ONE, PRICE, 7), ONE, PRICE));
        vm.expectRevert(IAuctionsBase.NoAuction.selector);
        auctions.endAuction(bob);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_an_announcement_that_nobody_followed_ends(uint64 time) public {
        announced();
        time = uint64(bound(time, START, START + NOTICE + 2 * DAY));
        vm.warp(time);
        if (time <= START + NOTICE + DAY) {
            vm.expectRevert(IAuctionsBase.AuctionRuns.selector);
        }
        auctions.endAuction(bob);
    }

    function test_the_last_second_of_a_step_belongs_to_it() public {
        announced();
        uint64 last = START + NOTICE + DAY;
        provenAt(last);
        vm.expectRevert(IAuctionsBase.AuctionRuns.selector);
        auctions.endAuction(bob);
        auctions.startAuction(bob);
        last += 1 hours + DAY + 1 + DAY;
        vm.warp(last);
        vm.expectRevert(IAuctionsBase.AuctionRuns.selector);
        auctions.endAuction(bob);
        vm.warp(last + 1);
        auctions.endAuction(bob);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_a_proof_of_health_ends_it(address who) public {
        started();
        fund(bobAddress, bob, 100_000 * USD);
        flags.lapse(bob, proof());
        vm.prank(who);
        auctions.endAuction(bob);
        vm.warp(FROZEN);
        settle(withdrawBatch(withdrawOf(bob, BOB_KEY, USD, 9)));
    }

    // ---- rules

    /// forge-config: default.fuzz.runs = 32
    function test_rules_stay_inside_hard_bounds(AuctionRules memory rules) public {
        rules.notice = uint64(bound(rules.notice, 0, 8 days));
        rules.length = uint64(bound(rules.length, 0, 2 days));
        rules.discountMax = uint64(bound(rules.discountMax, 0, WHOLE));
        rules.lot = uint64(bound(rules.lot, 0, 2e4));
        if (rules.lot % 3 != 0) rules.lot -= rules.lot % 100;
        bool within = rules.notice >= 1 hours && rules.notice <= 7 days;
        within = within && rules.length >= 10 minutes && rules.length <= 1 days;
        within = within && rules.discountMax >= 0.01e18 && rules.discountMax <= 0.5e18;
        within = within && rules.lot != 0 && rules.lot % 100 == 0 && rules.lot <= 1e4;
        if (!within) {
            vm.expectRevert(IAuctionsBase.RulesOutOfBounds.selector);
        } else {
            vm.expectEmit(address(clearing));
            emit IAuctionsBase.AuctionRulesSet(rules);
        }
        auctions.setAuctionRules(rules);
        AuctionRules memory now_ = auctions.auctionRules();
        assertEq(within ? rules.notice : NOTICE, now_.notice, "notice");
        assertEq(within ? rules.discountMax : 0.25e18, now_.discountMax, "discount");
    }

    function test_each_bound_is_itself_within() public {
        auctions.setAuctionRules(AuctionRules(1 hours, 10 minutes, 0.01e18, 100));
        auctions.setAuctionRules(AuctionRules(7 days, 1 days, 0.5e18, 1e4));
        refusedRules(AuctionRules(1 hours - 1, LENGTH, 0.25e18, 100));
        refusedRules(AuctionRules(7 days + 1, LENGTH, 0.25e18, 100));
        refusedRules(AuctionRules(NOTICE, 10 minutes - 1, 0.25e18, 100));
        refusedRules(AuctionRules(NOTICE, 1 days + 1, 0.25e18, 100));
        refusedRules(AuctionRules(NOTICE, LENGTH, 0.01e18 - 1, 100));
        refusedRules(AuctionRules(NOTICE, LENGTH, 0.5e18 + 1, 100));
        refusedRules(AuctionRules(NOTICE, LENGTH, 0.25e18, 0));
        refusedRules(AuctionRules(NOTICE, LENGTH, 0.25e18, 101));
        refusedRules(AuctionRules(NOTICE, LENGTH, 0.25e18, 1e4 + 100));
    }

    function refusedRules(AuctionRules memory rules) internal {
        vm.expectRevert(IAuctionsBase.RulesOutOfBounds.selector);
        auctions.setAuctionRules(rules);
    }

    function test_only_governance_changes_rules(address who) public {
        vm.assume(who != address(this));
        vm.prank(who);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, who)
        );
        auctions.setAuctionRules(AuctionRules(NOTICE, LENGTH, 0.1e18, 1));
    }

    // ---- by itself

    function test_a_module_called_by_itself_auctions_nothing() public {
        started();
        IAuctions module = IAuctions(Module(address(clearing)).AUCTIONS());
        vm.expectRevert(abi.encodeWithSelector(IAuctionsBase.NotProvenNow.selector, bob));
        module.announceAuction(bob);
        vm.expectRevert(IAuctionsBase.NoAuction.selector);
        module.startAuction(bob);
        vm.expectRevert(IAuctionsBase.NoAuction.selector);
        module.endAuction(bob);
    }

    function test_after_an_escape_none_begins() public {
        flagged();
        vm.prank(aliceAddress);
        clearing.requestExit(alice, address(usdc), 1, aliceAddress);
        vm.warp(START + 30 * DAY);
        clearing.startEscape(alice);
        vm.expectRevert(IExitsBase.Escaped.selector);
        auctions.announceAuction(bob);
    }
}

interface Module {
    function AUCTIONS() external view returns (address);
}
