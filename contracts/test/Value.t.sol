// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Funding} from "../src/interfaces/IClearing.sol";
import {Escape, IExitsBase} from "../src/interfaces/IExits.sol";
import {MarksLib} from "../src/libraries/MarksLib.sol";
import {Batch} from "./Codec.sol";
import {EscapeTest} from "./EscapeTest.sol";

contract ValueTest is EscapeTest {
    function list(uint64 a, uint64 b) internal pure returns (uint64[][] memory lists) {
        lists = new uint64[][](1);
        lists[0] = new uint64[](2);
        (lists[0][0], lists[0][1]) = (a, b);
    }

    function valuedTo(uint64 id) internal {
        clearing.value(1, new uint64[][](id - 1));
        assertEq(id, clearing.escape().next, "next");
    }

    function ready() internal {
        escaped();
        priced();
    }

    /// @dev Bought at 20,000, marked at 30,000.
    function test_open_options_count_at_the_mark() public {
        deal(alice, bob, call, 3 * ONE, 20_000 * USD, 1);
        ready();
        valueAll();
        assertEq(1_030_000 * USD, clearing.claimable(alice, address(usdc)), "long");
        assertEq(970_000 * USD, clearing.claimable(bob, address(usdc)), "short");
    }

    /// @dev Longs paid 50 a contract since; the mark is 100,000.
    function test_perpetuals_count_with_cost_and_funding() public {
        deal(alice, bob, perpetual, 2 * ONE, 90_000 * USD, 1);
        postFunding(perpetual, 1, START, int64(50 * USD));
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.fundings = new Funding[](1);
        batch.fundings[0] = Funding(perpetual, 1);
        settle(batch);
        deal(carol, alice, perpetual, ONE, 95_000 * USD, 2);
        ready();
        valueAll();
        assertEq(1_014_900 * USD, clearing.claimable(alice, address(usdc)), "closed half");
        assertEq(980_100 * USD, clearing.claimable(bob, address(usdc)), "short");
        assertEq(1_005_000 * USD, clearing.claimable(carol, address(usdc)), "late");
    }

    function test_futures_count_at_the_mark_less_their_cost() public {
        deal(alice, bob, future, ONE, 90_000 * USD, 1);
        ready();
        valueAll();
        assertEq(1_011_000 * USD, clearing.claimable(alice, address(usdc)), "long");
        assertEq(989_000 * USD, clearing.claimable(bob, address(usdc)), "short");
    }

    function test_a_position_counts_once_however_often_it_is_listed() public {
        deal(alice, bob, call, ONE, 20_000 * USD, 1);
        ready();
        valuedTo(alice);
        clearing.value(alice, list(call, call));
        clearing.value(alice, list(call, call)); // valued: passed over
        valueAll();
        assertEq(1_010_000 * USD, clearing.claimable(alice, address(usdc)), "once");
    }

    function test_no_account_is_passed_over(uint64 first) public {
        ready();
        first = uint64(bound(first, 2, 100));
        vm.expectRevert(abi.encodeWithSelector(IExitsBase.OutOfTurn.selector, 1));
        clearing.value(first, new uint64[][](1));
    }

    /// @dev A short that its owner leaves out would be money for nothing.
    function test_no_position_is_left_out() public {
        deal(alice, bob, call, ONE, 20_000 * USD, 1);
        ready();
        vm.expectRevert(abi.encodeWithSelector(IExitsBase.NotValued.selector, alice));
        clearing.value(1, new uint64[][](4));
        vm.expectRevert(abi.encodeWithSelector(IExitsBase.NotValued.selector, alice));
        clearing.value(1, new uint64[][](alice + 1)); // one behind her
        valuedTo(alice);
        clearing.value(alice, list(put, put)); // not held: nothing happens
        assertEq(alice, clearing.escape().next, "still to value");
    }

    function test_an_account_is_valued_in_as_many_calls_as_it_takes() public {
        deal(alice, bob, call, ONE, 20_000 * USD, 1);
        deal(alice, bob, put, ONE, 20_000 * USD, 2);
        ready();
        valuedTo(alice);
        clearing.value(alice, list(put, 0));
        assertEq(alice, clearing.escape().next, "half");
        clearing.value(alice, list(call, 0));
        assertEq(bob, clearing.escape().next, "whole");
        valueAll();
        assertEq(995_000 * USD, clearing.claimable(alice, address(usdc)), "both");
    }

    function test_a_position_without_a_price_is_waited_for() public {
        deal(alice, bob, call, ONE, 20_000 * USD, 1);
        escaped();
        clearing.fixMarks(proven(MarksLib.indexId(1)));
        clearing.fixMarks(proven(MarksLib.indexId(2)));
        clearing.priceTokens(abi.encode(parameters()));
        valuedTo(alice);
        vm.expectRevert(abi.encodeWithSelector(IExitsBase.PriceMissing.selector, call));
        clearing.value(alice, list(call, 0));
    }

    /// @dev Bob owes 500,000 beyond his cash; his ether covers 400,000, his bitcoin the rest.
    function test_a_debtor_pays_with_tokens_at_their_prices() public {
        fundWith(weth, bobAddress, bob, 100e18);
        fundWith(wbtc, bobAddress, bob, 3e8);
        deal(alice, bob, call, 50 * ONE, 0, 1);
        ready();
        vm.expectEmit(address(clearing));
        emit IExitsBase.Valued(bob, -500_000e6, 500_000e6);
        valueAll();
        Escape memory found = clearing.escape();
        assertEq(500_000 * USD, found.seized, "covered");
        assertEq(0, clearing.claimable(bob, address(usdc)), "nothing");
        assertEq(0, clearing.claimable(bob, address(weth)), "ether taken");
        assertEq(2e8, clearing.claimable(bob, address(wbtc)), "the rest is his");
        assertEq(2_500_000e6 + 1_000_000e6, int256(found.senior), "owed to alice and carol");
    }

    /// @dev Everybody is paid the same part, in USDC and in what was seized.
    function test_a_shortfall_is_shared_at_one_ratio() public {
        fundWith(weth, bobAddress, bob, 25e18); // 100,000
        deal(alice, bob, call, 50 * ONE, 0, 1); // bob owes 500,000 beyond his cash
        ready();
        valueAll();
        uint256 owed = 3_500_000 * USD;
        uint256 alices = 2_500_000 * USD;
        uint256 there = 3_000_000 * USD;
        assertEq(there * alices / owed, clearing.claimable(alice, address(usdc)), "usdc");
        assertEq(25e8 * alices / owed, clearing.claimable(alice, address(weth)), "weth");
        assertEq(
            there,
            clearing.claimable(alice, address(usdc)) + clearing.claimable(carol, address(usdc)),
            "all of it"
        );
    }

    /// @dev The venue's own money, and fund, is the first to go and the last to be paid.
    function test_the_venue_pays_before_its_customers() public {
        fund(treasury, 1, 600_000 * USD);
        deal(alice, bob, call, 50 * ONE, 0, 1);
        ready();
        valueAll();
        assertEq(2_500_000 * USD, clearing.claimable(alice, address(usdc)), "whole");
        assertEq(1_000_000 * USD, clearing.claimable(carol, address(usdc)), "whole");
        assertEq(100_000 * USD, clearing.claimable(1, address(usdc)), "what is left");
    }

    /// @dev Ten thousand dust accounts cost their maker more than those who value them.
    function test_dust_accounts_cost_little() public {
        for (uint256 i = 0; i < 200; i++) {
            open(relayer, 0);
        }
        ready();
        uint256 before = gasleft();
        clearing.value(1, new uint64[][](204));
        assertTrue(before - gasleft() < 200 * 10_000, "cheap");
    }
}
