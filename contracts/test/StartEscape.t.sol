// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Escape, IExitsBase} from "../src/interfaces/IExits.sol";
import {EscapeTest} from "./EscapeTest.sol";

contract StartEscapeTest is EscapeTest {
    function test_anyone_starts_it_after_the_deadline(address who, uint256 late) public {
        request(alice, USD);
        late = bound(late, 1, 3650 * DAY);
        vm.warp(START + clearing.EXIT_DEADLINE() + late);
        vm.expectEmit(address(clearing));
        emit IExitsBase.EscapeStarted(alice, 4, marksRootOf(packedMarks()));
        vm.prank(who);
        clearing.startEscape(alice);
        Escape memory found = clearing.escape();
        assertEq(block.timestamp, found.startedAt, "time");
        assertEq(4, found.accounts, "accounts");
        assertEq(1, found.next, "next");
        assertEq(marksRootOf(packedMarks()), found.marksRoot, "marks");
    }

    function test_nobody_starts_it_before_the_deadline(uint256 early) public {
        request(alice, USD);
        uint256 deadline = clearing.EXIT_DEADLINE();
        vm.warp(START + bound(early, 0, deadline));
        vm.expectRevert(abi.encodeWithSelector(IExitsBase.TooEarly.selector, START + deadline + 1));
        clearing.startEscape(alice);
    }

    function test_nobody_starts_it_without_an_open_request() public {
        vm.expectRevert(IExitsBase.NoExit.selector);
        clearing.startEscape(alice);
        request(alice, USD);
        vm.warp(START + clearing.EXIT_DEADLINE() + 1);
        clearing.serveExit(alice, USD, noProof());
        vm.expectRevert(IExitsBase.NoExit.selector);
        clearing.startEscape(alice);
    }

    /// @dev The deadline outlasts every fill of before the request.
    function test_the_deadline_is_longer_than_the_oldest_batch() public view {
        assertTrue(clearing.EXIT_DEADLINE() > DAY, "longer");
    }

    function test_it_happens_once() public {
        escaped();
        vm.expectRevert(IExitsBase.Escaped.selector);
        clearing.startEscape(carol);
    }

    // ---- what ends with it

    function test_no_batch_settles_any_more() public {
        escaped();
        refused(batchOf(0, 0, 0, 0), IExitsBase.Escaped.selector);
    }

    function test_nobody_deposits_asks_serves_or_realises() public {
        request(alice, USD);
        escaped();
        usdc.mint(aliceAddress, USD);
        vm.prank(aliceAddress);
        usdc.approve(address(custody), USD);
        vm.prank(aliceAddress);
        vm.expectRevert(IExitsBase.Escaped.selector);
        custody.deposit(alice, address(usdc), USD);
        assertEq(USD, usdc.balanceOf(aliceAddress), "not taken");

        vm.prank(bobAddress);
        vm.expectRevert(IExitsBase.Escaped.selector);
        clearing.requestExit(bob, address(usdc), USD, bobAddress);
        vm.expectRevert(IExitsBase.Escaped.selector);
        clearing.serveExit(alice, USD, noProof());
        vm.expectRevert(IExitsBase.Escaped.selector);
        clearing.realise(alice, new uint64[](0));
    }

    /// @dev Accounts opened later hold nothing, and are not waited for.
    function test_late_accounts_do_not_delay() public {
        escaped();
        open(relayer, 0);
        priced();
        valueAll();
        claim(alice, address(usdc));
        assertEq(1_000_000 * USD, usdc.balanceOf(aliceAddress), "paid");
    }

    function test_nothing_of_the_escape_works_before_it() public {
        vm.expectRevert(IExitsBase.NotEscaped.selector);
        clearing.fixMarks(proven(call));
        vm.expectRevert(IExitsBase.NotEscaped.selector);
        clearing.fixMissing(listed);
        vm.expectRevert(IExitsBase.NotEscaped.selector);
        clearing.priceTokens("");
        vm.expectRevert(IExitsBase.NotEscaped.selector);
        clearing.value(1, new uint64[][](4));
        vm.prank(aliceAddress);
        vm.expectPartialRevert(IExitsBase.NotValued.selector);
        clearing.claim(alice, address(usdc), aliceAddress);
        assertEq(0, clearing.claimable(alice, address(usdc)), "claimable");
    }
}
