// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {Gateway} from "../src/gateway/Gateway.sol";
import {GatewayHub} from "../src/gateway/GatewayHub.sol";
import {WrappedToken} from "../src/gateway/WrappedToken.sol";
import {TokenRules} from "../src/interfaces/ICustody.sol";
import {IGateway, IGatewayHub} from "../src/interfaces/IGateway.sol";
import {IPassages, Passage} from "../src/interfaces/IPassages.sol";
import {GatewayTest} from "./GatewayTest.sol";
import {FeeToken, ReentrantToken} from "./Tokens.sol";

contract GatewayLockTest is GatewayTest {
    function test_locked_tokens_exist_on_the_hub_and_come_back(uint128 amount, uint128 back)
        public
    {
        amount = uint128(bound(amount, 1, NONE));
        back = uint128(bound(back, 1, amount));
        arrive(hub, lock(alice, amount, bob));
        assertEq(amount, wrapped.balanceOf(bob), "minted");
        arrive(gateway, burn(bob, back, alice));
        assertEq(back, token.balanceOf(alice), "released");
        assertEq(amount - back, wrapped.totalSupply(), "supply");
        assertEq(amount - back, gateway.total(address(token)), "locked");
    }

    function test_nothing_to_nobody_is_refused(uint128 amount) public {
        amount = uint128(bound(amount, 1, NONE));
        vm.expectRevert(IPassages.NoAmount.selector);
        gateway.lock(address(token), 0, bob);
        vm.expectRevert(IPassages.NoRecipient.selector);
        gateway.lock(address(token), amount, address(0));
        vm.expectRevert(IPassages.NoRecipient.selector);
        gateway.lock(address(token), amount, address(hub));
    }

    function test_unlisted_tokens_are_refused(address other) public {
        vm.assume(other != address(token));
        vm.expectPartialRevert(IPassages.Unlisted.selector);
        gateway.lock(other, 1, bob);
        vm.expectPartialRevert(IPassages.Unlisted.selector);
        hub.burn(other, 1, bob);
    }

    function test_locks_stop_at_the_cap(uint80 cap, uint128 amount) public {
        cap = uint80(bound(cap, 1, NONE - 1));
        amount = uint128(bound(amount, uint256(cap) + 1, type(uint128).max));
        gateway.setRules(address(token), TokenRules(true, cap, NONE, NONE));
        vm.expectPartialRevert(IGateway.TotalCapReached.selector);
        gateway.lock(address(token), amount, bob);
        lock(alice, cap, bob);
    }

    function test_a_token_that_keeps_a_fee_is_refused() public {
        FeeToken taxed = new FeeToken();
        gateway.setRules(address(taxed), TokenRules(true, NONE, NONE, NONE));
        taxed.mint(address(this), 1000);
        taxed.approve(address(gateway), 1000);
        vm.expectRevert(IGateway.WrongAmountReceived.selector);
        gateway.lock(address(taxed), 1000, bob);
    }

    function test_a_token_that_calls_back_cannot_lock_twice() public {
        ReentrantToken evil = new ReentrantToken();
        gateway.setRules(address(evil), TokenRules(true, NONE, NONE, NONE));
        evil.mint(address(this), 10);
        evil.approve(address(gateway), 10);
        evil.arm(address(gateway), abi.encodeCall(IGateway.lock, (address(evil), 1, bob)));
        gateway.lock(address(evil), 10, bob);
        assertTrue(evil.tried(), "tried");
        assertEq(1, gateway.departed(), "one departure");
    }

    function test_a_pause_stops_new_locks_and_nothing_else() public {
        Passage memory passage = lock(alice, 100, bob);
        arrive(hub, passage);
        vm.expectEmit(address(gateway));
        emit IPassages.RulesSet(address(token), TokenRules(false, NONE, NONE, NONE));
        gateway.pause(address(token));
        vm.expectPartialRevert(IGateway.LocksPaused.selector);
        gateway.lock(address(token), 1, bob);
        arrive(gateway, burn(bob, 100, alice));
        assertEq(100, token.balanceOf(alice), "released");
    }
}

contract GatewayAttestTest is GatewayTest {
    function test_only_attesters_attest(address who) public {
        vm.assume(uint160(who) == 0 || uint160(who) > 3);
        Passage memory passage = lock(alice, 100, bob);
        vm.chainId(HUB);
        vm.prank(who);
        vm.expectRevert(IPassages.NotAttester.selector);
        hub.attest(passage);
    }

    function test_too_few_votes_move_nothing() public {
        Passage memory passage = lock(alice, 100, bob);
        attest(hub, passage, 1);
        vm.expectPartialRevert(IPassages.NotAttested.selector);
        hub.complete(passage);
    }

    function test_nobody_votes_twice() public {
        Passage memory passage = lock(alice, 100, bob);
        attest(hub, passage, 1);
        vm.prank(attesters[0]);
        vm.expectRevert(IPassages.AttestedBefore.selector);
        hub.attest(passage);
    }

    function test_a_passage_completes_once() public {
        Passage memory passage = lock(alice, 100, bob);
        arrive(hub, passage);
        vm.expectRevert(IPassages.CompletedBefore.selector);
        hub.complete(passage);
        vm.prank(attesters[2]);
        vm.expectRevert(IPassages.CompletedBefore.selector);
        hub.attest(passage);
        vm.expectRevert(IPassages.NothingOwed.selector);
        hub.claim(address(token), bob);
    }

    function test_votes_are_for_one_content(uint64 nonce, uint128 amount, address to) public {
        Passage memory passage = lock(alice, 100, bob);
        attest(hub, passage, 2);
        Passage memory other = Passage(nonce, address(token), amount, to);
        bool same = nonce == passage.nonce && amount == 100 && to == bob;
        if (!same) vm.expectPartialRevert(IPassages.NotAttested.selector);
        hub.complete(other);
    }

    function test_votes_on_one_chain_count_on_no_other() public {
        Passage memory passage = lock(alice, 100, bob);
        attest(hub, passage, 2);
        vm.chainId(HUB + 5); // the hub's chain forked
        vm.expectPartialRevert(IPassages.NotAttested.selector);
        hub.complete(passage);
    }

    function test_a_lock_is_no_release(uint128 amount) public {
        // The same words on the other side are another passage.
        amount = uint128(bound(amount, 1, NONE));
        Passage memory passage = lock(alice, amount, bob);
        attest(hub, passage, 2);
        vm.chainId(SECOND);
        vm.expectPartialRevert(IPassages.NotAttested.selector);
        gateway.complete(passage);
    }

    function test_votes_of_removed_attesters_do_not_count() public {
        Passage memory passage = lock(alice, 100, bob);
        attest(hub, passage, 2);
        vm.expectEmit(address(hub));
        emit IPassages.AttestersSet(three(2, 4, 5), 2);
        hub.setAttesters(three(2, 4, 5), 2);
        assertEq(1, hub.votes(hub.idOf(passage)), "votes");
        vm.expectPartialRevert(IPassages.NotAttested.selector);
        hub.complete(passage);
    }

    function test_a_threshold_is_a_majority_of_ascending_attesters(uint8 threshold) public {
        bool fits = threshold == 2 || threshold == 3;
        if (!fits) vm.expectRevert(IPassages.InvalidAttesters.selector);
        hub.setAttesters(three(1, 2, 3), threshold);
        vm.expectRevert(IPassages.InvalidAttesters.selector);
        hub.setAttesters(three(1, 3, 3), 2);
        vm.expectRevert(IPassages.InvalidAttesters.selector);
        hub.setAttesters(three(0, 1, 2), 2);
        vm.expectRevert(IPassages.InvalidAttesters.selector);
        hub.setAttesters(new address[](0), 0);
        address[] memory crowd = new address[](17);
        for (uint160 i = 0; i < 17; i++) {
            crowd[i] = address(i + 1);
        }
        vm.expectRevert(IPassages.InvalidAttesters.selector);
        hub.setAttesters(crowd, 9);
    }

    function test_a_contract_is_no_peer_of_its_own_chain() public {
        vm.chainId(HUB);
        vm.expectRevert(IPassages.InvalidPeer.selector);
        new Gateway(address(manager), HUB, address(1), attesters, 2);
        vm.expectRevert(IPassages.InvalidPeer.selector);
        new GatewayHub(address(manager), SECOND, address(0), attesters, 2);
    }
}

contract GatewayClaimTest is GatewayTest {
    function test_a_lying_quorum_takes_no_more_than_is_locked(uint128 lie) public {
        lie = uint128(bound(lie, 101, NONE));
        lock(alice, 100, bob);
        arrive(gateway, Passage(7, address(token), lie, address(0xBAD)));
        assertEq(100, token.balanceOf(address(0xBAD)), "all there was");
        vm.expectRevert(IPassages.CapsSpent.selector);
        gateway.claim(address(token), address(0xBAD));
    }

    function test_a_lying_quorum_mints_no_more_than_the_cap(uint128 lie) public {
        lie = uint128(bound(lie, 1001, NONE));
        hub.setRules(address(token), TokenRules(true, 1000, NONE, NONE));
        arrive(hub, Passage(7, address(token), lie, address(0xBAD)));
        assertEq(1000, wrapped.totalSupply(), "supply");
    }

    function test_what_exceeds_the_hour_is_paid_later(uint80 cap) public {
        cap = uint80(bound(cap, 1_000, NONE / 4));
        arrive(hub, lock(alice, 2 * cap, bob));
        Passage memory passage = burn(bob, 2 * cap, alice);
        vm.chainId(SECOND);
        gateway.setRules(address(token), TokenRules(true, NONE, cap, NONE));
        arrive(gateway, passage);
        assertEq(cap, token.balanceOf(alice), "at once");
        vm.expectRevert(IPassages.CapsSpent.selector);
        gateway.claim(address(token), alice);
        vm.warp(block.timestamp + 1 hours);
        vm.expectEmit(address(gateway));
        emit IPassages.Paid(address(token), alice, cap);
        gateway.claim(address(token), alice);
        assertEq(2 * cap, token.balanceOf(alice), "an hour later");
        assertEq(0, gateway.owed(address(token), alice), "nothing left");
    }

    function test_caps_lock_nothing_in(uint80 hourCap, uint80 dayCap) public {
        lock(alice, 1_000_000, bob);
        bool opens = hourCap > 10_000 && dayCap > 100_000;
        TokenRules memory rules = TokenRules(false, 0, hourCap, dayCap);
        if (!opens) {
            vm.expectRevert(IPassages.CapsTooLow.selector);
        } else {
            vm.expectEmit(address(gateway));
            emit IPassages.RulesSet(address(token), rules);
        }
        gateway.setRules(address(token), rules);
    }
}

contract GatewayGovernanceTest is GatewayTest {
    function test_strangers_change_nothing(address who) public {
        vm.assume(who != address(this));
        TokenRules memory rules = TokenRules(true, NONE, NONE, NONE);
        refused(who, address(gateway), abi.encodeCall(IPassages.setRules, (address(token), rules)));
        refused(who, address(gateway), abi.encodeCall(IPassages.setAttesters, (attesters, 2)));
        refused(who, address(gateway), abi.encodeCall(IGateway.pause, (address(token))));
        refused(who, address(hub), abi.encodeCall(IGatewayHub.wrap, (address(9), "", "", 6)));
    }

    function test_a_token_is_wrapped_once() public {
        vm.expectPartialRevert(IGatewayHub.WrappedBefore.selector);
        hub.wrap(address(token), "again", "X", 18);
    }

    function test_what_nobody_wrapped_waits() public {
        hub.setRules(address(9), TokenRules(true, NONE, NONE, NONE));
        Passage memory passage = Passage(1, address(9), 5, bob);
        attest(hub, passage, 2);
        hub.complete(passage);
        vm.expectPartialRevert(IPassages.Unlisted.selector);
        hub.claim(address(9), bob);
        address twin = vm.computeCreateAddress(address(hub), vm.getNonce(address(hub)));
        vm.expectEmit(address(hub));
        emit IGatewayHub.Wrapped(address(9), twin);
        hub.wrap(address(9), "Nine", "NINE", 6);
        hub.claim(address(9), bob);
        assertEq(5, hub.wrapped(address(9)).balanceOf(bob), "minted");
    }

    function test_only_the_hub_mints_and_burns(address who) public {
        vm.assume(who != address(hub));
        vm.prank(who);
        vm.expectRevert(WrappedToken.NotHub.selector);
        wrapped.mint(who, 1);
        vm.prank(who);
        vm.expectRevert(WrappedToken.NotHub.selector);
        wrapped.burn(bob, 1);
        assertEq(18, wrapped.decimals(), "decimals");
    }

    function refused(address who, address target, bytes memory call_) internal {
        vm.prank(who);
        (bool done, bytes memory answer) = target.call(call_);
        assertTrue(!done, "done");
        assertEq(
            bytes32(IAccessManaged.AccessManagedUnauthorized.selector),
            bytes32(bytes4(answer)),
            "why"
        );
    }
}

/// @dev Random journeys: whatever the order, wrapped tokens, what is owed on the hub and what is on
/// its way are covered by locked ones to the unit.
contract GatewayJourneysTest is GatewayTest {
    function test_every_wrapped_token_is_covered(uint256[12] memory steps) public {
        Passage memory toHub;
        Passage memory home;
        uint256 onTheWay = 0; // to the hub
        uint256 onTheWayHome = 0;
        for (uint256 i = 0; i < steps.length; i++) {
            uint128 amount = uint128(bound(steps[i] >> 8, 1, 1e22));
            if (steps[i] % 4 == 0 && toHub.amount == 0) {
                toHub = lock(alice, amount, bob);
                onTheWay = amount;
            } else if (steps[i] % 4 == 1 && toHub.amount != 0) {
                arrive(hub, toHub);
                (toHub.amount, onTheWay) = (0, 0);
            } else if (steps[i] % 4 == 2 && wrapped.balanceOf(bob) != 0 && home.amount == 0) {
                home = burn(bob, uint128(bound(amount, 1, wrapped.balanceOf(bob))), alice);
                onTheWayHome = home.amount;
            } else if (home.amount != 0) {
                arrive(gateway, home);
                (home.amount, onTheWayHome) = (0, 0);
            }
            uint256 claims = wrapped.totalSupply() + onTheWay + onTheWayHome;
            assertEq(claims, gateway.total(address(token)), "covered");
            assertEq(claims, token.balanceOf(address(gateway)), "held");
        }
    }
}
