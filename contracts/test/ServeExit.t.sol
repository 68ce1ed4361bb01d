// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ExitRequest, IExitsBase} from "../src/interfaces/IExits.sol";
import {IMargin, MarginProof} from "../src/interfaces/IMargin.sol";
import {MarginTest} from "./Margin.t.sol";

/// @dev Calls sold at 20,000 need 50,500 of initial margin each.
contract ServeExitTest is MarginTest {
    int64 internal constant PRICE = int64(20_000 * USD);

    function setUp() public override {
        super.setUp();
        clearing.setMargin(margin);
    }

    function ask(uint64 id, uint256 amount) internal {
        address owner = ownerOf(id);
        vm.prank(owner);
        clearing.requestExit(id, address(usdc), amount, owner);
    }

    /// @dev A root of now, when no batch of the request's time can settle any more.
    function later() internal {
        vm.warp(block.timestamp + DAY + 1 hours + 1);
        post(2, root());
    }

    function free(uint64 id) internal view returns (uint256) {
        (int256 initial,) = margin.excess(id, call_());
        return initial > 0 ? uint256(initial) : 0;
    }

    function noProof() internal pure returns (MarginProof memory proof) {}

    /// @dev Whoever serves pays exactly the smaller of the request and what margin leaves.
    function test_exactly_what_margin_allows_is_paid(uint64 short, uint256 amount, address who)
        public
    {
        trade(call, uint64(bound(short, 1, 40 * ONE)), PRICE, 1);
        amount = bound(amount, 1, 1_000_000 * USD);
        ask(bob, amount);
        later();
        uint256 free_ = free(bob);
        uint256 paid = free_ < amount ? free_ : amount;
        if (paid > 0) {
            vm.expectPartialRevert(IExitsBase.PaysTooLittle.selector);
            clearing.serveExit(bob, paid - 1, call_());
        }
        vm.expectPartialRevert(IExitsBase.PaysTooMuch.selector);
        clearing.serveExit(bob, paid + 1, call_());

        int256 before = cashOf(bob);
        vm.expectEmit(address(clearing));
        emit IExitsBase.ExitServed(bob, 1, address(usdc), paid);
        vm.prank(who);
        clearing.serveExit(bob, paid, call_());
        assertEq(paid, usdc.balanceOf(bobAddress), "paid");
        assertEq(before - int256(paid), cashOf(bob), "debited");
        assertEq(0, clearing.exitOf(bob).requestedAt, "closed");
        (int256 initial,) = margin.excess(bob, call_());
        assertTrue(initial >= 0 || paid == 0, "margin holds");
    }

    /// @dev That a unit more would be too much is tried on the books, and leaves nothing there.
    function test_less_than_was_asked_for_is_debited_to_the_unit() public {
        trade(call, 20 * ONE, PRICE, 1);
        ask(bob, 1_400_000 * USD);
        later();
        uint256 paid = free(bob);
        assertTrue(paid > 0 && paid < 1_000_000 * USD, "some of it");
        int256 before = cashOf(bob);
        clearing.serveExit(bob, paid, call_());
        assertEq(before - int256(paid), cashOf(bob), "debited");
    }

    /// @dev Who has no position owes no proof, and needs no oracle.
    function test_without_positions_all_is_paid_without_a_proof(uint256 amount) public {
        amount = bound(amount, 1, 1_000_000 * USD);
        ask(bob, amount);
        vm.warp(START + 2 * DAY);
        vm.expectPartialRevert(IExitsBase.PaysTooLittle.selector);
        clearing.serveExit(bob, amount - 1, noProof());
        clearing.serveExit(bob, amount, noProof());
        assertEq(amount, usdc.balanceOf(bobAddress), "paid");
    }

    /// @dev Money could leave before a fill or a payment that took it settles.
    function test_nothing_is_served_while_a_batch_may_pay(uint256 wait, bool pays) public {
        trade(call, pays ? ONE : 40 * ONE, PRICE, 1);
        ask(bob, USD);
        wait = bound(wait, 0, DAY + 1 hours);
        vm.warp(START + wait);
        vm.expectRevert(
            abi.encodeWithSelector(IExitsBase.TooEarly.selector, START + DAY + 1 hours + 1)
        );
        clearing.serveExit(bob, pays ? USD : 0, call_());
    }

    /// @dev An unpayable request cannot force the escape: the proof that nothing is free closes it.
    function test_an_unpayable_request_is_closed() public {
        trade(call, 40 * ONE, PRICE, 1);
        assertEq(0, free(bob), "nothing free");
        ask(bob, 500_000 * USD);
        later();
        clearing.serveExit(bob, 0, call_());
        assertEq(0, clearing.exitOf(bob).requestedAt, "closed");
        vm.warp(START + clearing.EXIT_DEADLINE() + 1);
        vm.expectRevert(IExitsBase.NoExit.selector);
        clearing.startEscape(bob);
    }

    function test_a_payable_request_is_not_closed_for_nothing() public {
        trade(call, ONE, PRICE, 1);
        ask(bob, USD);
        later();
        vm.expectPartialRevert(IExitsBase.PaysTooLittle.selector);
        clearing.serveExit(bob, 0, call_());
    }

    /// @dev Cash that is gone can be neither asked for nor waited for.
    function test_a_request_whose_cash_went_closes_without_a_proof() public {
        ask(alice, USD);
        trade(call, 60 * ONE, PRICE, 1);
        assertTrue(cashOf(alice) < 0, "spent");
        later();
        clearing.serveExit(alice, 0, noProof());
        assertEq(0, clearing.exitOf(alice).requestedAt, "closed");
    }

    function test_a_stale_root_or_another_account_proves_nothing() public {
        trade(call, ONE, PRICE, 1);
        ask(bob, USD);
        vm.warp(START + DAY + 1 hours + 1);
        vm.expectRevert(IMargin.RootTooOld.selector);
        clearing.serveExit(bob, USD, call_());
        post(2, root());
        MarginProof memory other = call_();
        (other.rows, other.places) = ("", hex"000000010002");
        other.nodes = new bytes32[](2);
        (other.nodes[0], other.nodes[1]) = (leaves()[3], leaves()[4]);
        vm.expectPartialRevert(IMargin.PositionMissing.selector);
        clearing.serveExit(bob, USD, other);
        clearing.serveExit(bob, USD, call_());
    }

    function test_nothing_is_served_twice_or_unasked() public {
        vm.expectRevert(IExitsBase.NoExit.selector);
        clearing.serveExit(bob, 0, noProof());
        ask(bob, USD);
        vm.warp(START + 2 * DAY);
        clearing.serveExit(bob, USD, noProof());
        vm.expectRevert(IExitsBase.NoExit.selector);
        clearing.serveExit(bob, USD, noProof());
        assertEq(USD, usdc.balanceOf(bobAddress), "once");
    }
}
