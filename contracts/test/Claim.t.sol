// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase} from "../src/interfaces/IClearing.sol";
import {TokenRules} from "../src/interfaces/ICustody.sol";
import {IExits, IExitsBase} from "../src/interfaces/IExits.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {EscapeTest} from "./EscapeTest.sol";
import {BlockingToken, ReentrantToken} from "./Tokens.sol";

contract ClaimTest is EscapeTest {
    function ready() internal {
        escaped();
        priced();
    }

    function test_an_owner_claims_to_any_address(address recipient) public {
        vm.assume(recipient != address(0) && recipient != address(clearing));
        vm.assume(recipient != address(custody));
        ready();
        valueAll();
        vm.expectEmit(address(clearing));
        emit IExitsBase.EscapeClaimed(alice, address(usdc), 1_000_000 * USD, recipient);
        vm.prank(aliceAddress);
        clearing.claim(alice, address(usdc), recipient);
        assertEq(1_000_000 * USD, usdc.balanceOf(recipient), "paid");
    }

    function test_only_the_owner_claims(address who) public {
        vm.assume(who != aliceAddress);
        ready();
        valueAll();
        vm.prank(who);
        vm.expectRevert(IClearingBase.NotOwner.selector);
        clearing.claim(alice, address(usdc), who);
    }

    function test_nobody_claims_before_all_are_valued() public {
        ready();
        clearing.value(1, new uint64[][](3));
        vm.prank(aliceAddress);
        vm.expectRevert(abi.encodeWithSelector(IExitsBase.NotValued.selector, carol));
        clearing.claim(alice, address(usdc), aliceAddress);
        clearing.value(carol, new uint64[][](1));
        claim(alice, address(usdc));
    }

    function test_nothing_is_claimed_twice() public {
        fundWith(weth, aliceAddress, alice, 3e18);
        ready();
        valueAll();
        claim(alice, address(weth));
        claim(alice, address(usdc));
        for (uint256 i = 0; i < 2; i++) {
            vm.prank(aliceAddress);
            vm.expectRevert(IExitsBase.NothingToClaim.selector);
            clearing.claim(alice, i == 0 ? address(weth) : address(usdc), aliceAddress);
        }
        assertEq(3e18, weth.balanceOf(aliceAddress), "once");
    }

    function test_the_last_unit_is_claimed_too() public {
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, 1_000_000 * USD - 1, 7)));
        settle(withdrawBatch(withdrawOf(bob, BOB_KEY, 1_000_000 * USD, 7)));
        settle(withdrawBatch(withdrawOf(carol, CAROL_KEY, 1_000_000 * USD, 7)));
        request(alice, 1);
        vm.warp(block.timestamp + clearing.EXIT_DEADLINE() + 1);
        clearing.startEscape(alice);
        priced();
        valueAll();
        uint256 before = usdc.balanceOf(aliceAddress);
        claim(alice, address(usdc));
        assertEq(before + 1, usdc.balanceOf(aliceAddress), "paid");
    }

    function test_own_tokens_are_paid_in_kind() public {
        fundWith(weth, aliceAddress, alice, 3e18);
        fundWith(wbtc, carolAddress, carol, 7);
        deal(alice, bob, call, 50 * ONE, 0, 1);
        ready();
        valueAll();
        vm.expectEmit(address(clearing));
        emit IExitsBase.EscapeClaimed(alice, address(weth), 3e8, aliceAddress);
        claim(alice, address(weth));
        claim(carol, address(wbtc));
        assertEq(3e18, weth.balanceOf(aliceAddress), "weth");
        assertEq(7, wbtc.balanceOf(carolAddress), "wbtc");
    }

    /// @dev Caps hold money back for hours, never for ever.
    function test_caps_delay_claims_and_lose_nothing() public {
        ready();
        valueAll();
        custody.setRules(address(usdc), TokenRules(true, NO_CAP, 400_000e6, 400_000e6));
        claim(alice, address(usdc));
        assertEq(400_000 * USD, usdc.balanceOf(aliceAddress), "as the cap allows");
        claim(bob, address(usdc));
        for (uint256 i = 0; i < 5; i++) {
            vm.warp(block.timestamp + DAY);
            (bool done,) = address(custody)
                .call(
                    abi.encodeCall(
                        custody.claim, (address(usdc), i < 2 ? aliceAddress : bobAddress)
                    )
                );
            assertTrue(done, "paid on");
        }
        assertEq(1_000_000 * USD, usdc.balanceOf(aliceAddress), "alice");
        assertEq(1_000_000 * USD, usdc.balanceOf(bobAddress), "bob");
    }
}

contract ClaimBlockedTest is EscapeTest {
    function makeToken() internal override returns (MockUSDC) {
        return new BlockingToken();
    }

    /// @dev The issuer blocks alice: nobody else waits, and she claims to another address.
    function test_a_blocked_recipient_stops_nobody() public {
        escaped();
        priced();
        valueAll();
        BlockingToken(address(usdc)).setBlocked(aliceAddress);
        claim(bob, address(usdc));
        assertEq(1_000_000 * USD, usdc.balanceOf(bobAddress), "bob");
        vm.prank(aliceAddress);
        clearing.claim(alice, address(usdc), relayer);
        assertEq(1_000_000 * USD, usdc.balanceOf(relayer), "elsewhere");
    }

    function test_a_claim_to_a_blocked_address_waits_in_custody() public {
        escaped();
        priced();
        valueAll();
        BlockingToken(address(usdc)).setBlocked(aliceAddress);
        claim(alice, address(usdc));
        assertEq(1_000_000 * USD, custody.heldFor(address(usdc), aliceAddress), "held");
        BlockingToken(address(usdc)).setBlocked(address(0));
        custody.claim(address(usdc), aliceAddress);
        assertEq(1_000_000 * USD, usdc.balanceOf(aliceAddress), "paid");
    }
}

contract ClaimReentrantTest is EscapeTest {
    function makeToken() internal override returns (MockUSDC) {
        return new ReentrantToken();
    }

    function test_a_token_that_calls_back_gets_nothing_more() public {
        escaped();
        priced();
        valueAll();
        bytes memory again = abi.encodeCall(IExits.claim, (alice, address(usdc), aliceAddress));
        ReentrantToken(address(usdc)).arm(address(clearing), again);
        claim(alice, address(usdc));
        assertTrue(ReentrantToken(address(usdc)).tried(), "tried");
        assertEq(1_000_000 * USD, usdc.balanceOf(aliceAddress), "once");
    }
}
