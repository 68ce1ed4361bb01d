// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AuctionHandler} from "./AuctionHandler.sol";
import {ForceHandler} from "./ForceHandler.sol";
import {Test} from "./Test.sol";

/// @dev Invariants.t.sol where withdrawals wait, are halted and released, force is used, and
/// anybody auctions.
contract ForceInvariantsTest is Test {
    /// @dev forge asks for this shape.
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    AuctionHandler internal handler;

    function setUp() public {
        handler = new AuctionHandler();
        handler.setUp();
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](19);
        selectors[0] = ForceHandler.deposit.selector;
        selectors[1] = ForceHandler.trade.selector;
        selectors[2] = ForceHandler.ruin.selector;
        selectors[3] = ForceHandler.withdraw.selector;
        selectors[4] = ForceHandler.takeBack.selector;
        selectors[5] = ForceHandler.release.selector;
        selectors[6] = ForceHandler.halt.selector;
        selectors[7] = ForceHandler.liftHalt.selector;
        selectors[8] = ForceHandler.flag.selector;
        selectors[9] = ForceHandler.pass.selector;
        selectors[10] = ForceHandler.force.selector;
        selectors[11] = ForceHandler.takeOver.selector;
        selectors[12] = ForceHandler.cover.selector;
        selectors[13] = AuctionHandler.announce.selector;
        selectors[14] = AuctionHandler.start.selector;
        selectors[15] = AuctionHandler.buy.selector;
        selectors[16] = AuctionHandler.end.selector;
        selectors[17] = AuctionHandler.lapse.selector;
        selectors[18] = ForceHandler.shareFees.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_force_and_waiting_create_nothing() public view {
        cash_waiting_and_held_money_are_what_came_in_less_what_left();
        the_token_balance_covers_the_ledger();
        positions_net_to_zero();
        no_money_leaves_without_margin();
        what_waits_is_known();
        no_batch_settles_twice();
        fees_are_shared_exactly();
        nobody_hijacks_or_blocks_an_auction();
    }

    function cash_waiting_and_held_money_are_what_came_in_less_what_left() internal view {
        int256 ledger = handler.cashTotal() + int256(handler.queued());
        assertEq(int256(handler.deposited()) - int256(handler.released()), ledger, "cash");
    }

    /// @dev What was released and could not be paid is held, and is covered too.
    function the_token_balance_covers_the_ledger() internal view {
        int256 owed = handler.cashTotal() + int256(handler.queued() + handler.unpaid());
        assertEq(owed, int256(handler.tokenBalance()), "balance");
    }

    function positions_net_to_zero() internal view {
        assertEq(0, handler.netPosition(), "net position");
    }

    function no_money_leaves_without_margin() internal view {
        assertTrue(!handler.leftWithoutMargin(), "left without margin, or while halted");
        assertTrue(!handler.heldForNothing(), "held though nothing speaks against it");
    }

    function what_waits_is_known() internal view {
        assertTrue(handler.allAreQueued(), "queue");
    }

    function no_batch_settles_twice() internal view {
        assertTrue(!handler.settledTwice(), "twice");
    }

    function fees_are_shared_exactly() internal view {
        assertTrue(!handler.sharedWrongly(), "another amount, or what the venue has not");
    }

    function nobody_hijacks_or_blocks_an_auction() internal view {
        assertTrue(!handler.hijacked(), "ended early, overtaken, or above its limit");
        assertTrue(!handler.blocked(), "a bid or an end that was due failed");
        assertTrue(!handler.reentered(), "bid inside a bid");
        assertTrue(!handler.harmed(), "the seller needs more than before");
        assertTrue(!handler.boughtWithoutMargin(), "the buyer has no margin");
        assertTrue(handler.bidsAreCounted(), "bids");
    }

    /// @dev After any history every action still acts: nothing above holds because nothing happens.
    function afterInvariant() public {
        handler.wind();
        handler.ruin(true);
        uint256 halted = handler.halted();
        handler.halt(true);
        assertEq(halted + 1, handler.halted(), "halted");
        handler.deposit(false, 1e6);
        handler.deposit(false, 1_000_000e6);
        handler.ruin(true);
        if (handler.isFlat(true)) handler.ruin(true);
        handler.withdraw(false, 1);
        uint256 flaggings = handler.flaggings();
        handler.flag(true);
        assertEq(flaggings + 1, handler.flaggings(), "flagged");
        uint256 forcedFills = handler.forcedFills();
        handler.force(true, 1);
        assertEq(forcedFills + 1, handler.forcedFills(), "forced");
        uint256 takeovers = handler.takeovers();
        handler.takeOver(true, 1e18 - 1, 0); // all of it
        assertEq(takeovers + 1, handler.takeovers(), "taken over");
        uint256 covers = handler.covers();
        handler.cover(true, 1);
        assertEq(covers + 1, handler.covers(), "covered");
        uint256 shares = handler.shares();
        handler.shareFees(1, 1);
        assertEq(shares + 1, handler.shares(), "shared");
        uint256 waiting = handler.queueLength();
        if (waiting != 0) {
            handler.takeBack(0);
            assertEq(waiting - 1, handler.queueLength(), "taken back");
        }
        auctioned();
        invariant_force_and_waiting_create_nothing();
    }

    function test_an_auction_is_held() public {
        auctioned();
        invariant_force_and_waiting_create_nothing();
    }

    /// @dev Half of what is offered, then the rest.
    function auctioned() internal {
        (uint256 announced, uint256 started) = (handler.announced(), handler.started());
        (uint256 sold, uint256 ended) = (handler.sold(), handler.ended());
        handler.ruin(true);
        if (handler.isFlat(true)) handler.ruin(true);
        handler.flag(true);
        handler.announce(true);
        handler.start(true);
        handler.buy(true, 0.5e18, 0, 1);
        handler.buy(true, 1e18, 1 hours, 0);
        handler.end(true, true);
        assertEq(announced + 1, handler.announced(), "announced");
        assertEq(started + 1, handler.started(), "started");
        assertEq(sold + 2, handler.sold(), "sold twice");
        assertEq(ended + 1, handler.ended(), "ended");
    }
}
