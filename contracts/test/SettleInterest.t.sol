// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Interest, Order} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

contract SettleInterestTest is ClearingTest {
    uint256 internal constant YEAR = 365 days;
    int256 internal constant OWED = 2_000_000 * int256(uint256(USD));
    uint64 internal start; // of the window

    /// @dev Alice owes two million, and no deposit is recent. Her debt was charged to the second.
    function setUp() public override {
        super.setUp();
        vm.warp(START + 3 * DAY);
        int64 price = int64(3_000_000 * USD);
        Order memory maker = orderOf(alice, BUY, ONE, price, 1);
        settle(tradeOf(maker, orderOf(bob, SELL, ONE, price, 1), ONE, price));
        assertEq(-OWED, cashOf(alice), "owed");
        start = uint64(block.timestamp);
        settle(charging(alice, 0));
    }

    function test_a_debtor_pays_the_venues_own_subaccount(uint32 elapsed) public {
        vm.warp(start + bound(elapsed, 1, YEAR));
        uint256 amount = capOf(uint256(OWED), block.timestamp - start);
        int256 before = cashOf(1);
        vm.expectEmit(address(clearing));
        emit IClearingBase.InterestPaid(alice, amount);
        settle(charging(alice, amount));
        assertEq(-OWED - int256(amount), cashOf(alice), "debt grew");
        assertEq(before + int256(amount), cashOf(1), "paid");
    }

    function test_no_more_than_the_rate_and_the_time_allow(uint32 elapsed, uint256 more) public {
        vm.warp(start + bound(elapsed, 1, YEAR));
        more = bound(more, 1, type(uint64).max);
        uint256 cap = capOf(uint256(OWED), block.timestamp - start);
        refused(charging(alice, cap + more), IClearingBase.InterestAboveCap.selector);
        settle(charging(alice, cap));
    }

    function test_who_owes_nothing_pays_nothing() public {
        vm.warp(start + YEAR);
        refused(charging(bob, 1), IClearingBase.InterestAboveCap.selector);
        refused(charging(uint64(1000), 1), IClearingBase.UnknownSubaccount.selector);
    }

    function test_one_second_is_charged_once() public {
        vm.warp(start + DAY);
        Batch memory batch = charging(alice, 7);
        settle(batch);
        refused(charging(alice, 0), IClearingBase.InterestTwice.selector);
        vm.warp(start + 2 * DAY);
        batch = batchOf(0, 0, 0, 0);
        batch.interests = new Interest[](2);
        batch.interests[0] = interestOf(alice, 1);
        batch.interests[1] = interestOf(alice, 1);
        refused(batch, IClearingBase.InterestTwice.selector);
    }

    function test_the_time_starts_anew_with_each_accrual() public {
        vm.warp(start + YEAR);
        settle(charging(alice, 0)); // what it does not charge is forgiven
        vm.warp(start + YEAR + 1 hours);
        uint256 cap = capOf(uint256(OWED), 1 hours);
        refused(charging(alice, cap + 1), IClearingBase.InterestAboveCap.selector);
        settle(charging(alice, cap));
    }

    function test_debtors_ascend_within_one_accrual() public {
        uint64 carol = open(vm.addr(0xCA401), 0);
        vm.warp(start + DAY);
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.interests = new Interest[](2);
        (batch.interests[0], batch.interests[1]) = (interestOf(carol, 0), interestOf(alice, 1));
        refused(batch, IClearingBase.InterestTwice.selector);
        (batch.interests[0], batch.interests[1]) = (interestOf(alice, 1), interestOf(carol, 0));
        settle(batch);
    }

    /// @dev The rest of a large venue's debtors, while others trade and time goes on.
    function test_one_accrual_may_take_several_batches() public {
        vm.warp(start + DAY);
        settle(charging(alice, 1));
        vm.warp(start + DAY + 100);
        int64 price = int64(6_000_000 * USD);
        Order memory maker = orderOf(alice, SELL, ONE, price, 2);
        settle(tradeOf(maker, orderOf(bob, BUY, ONE, price, 2), ONE, price));
        int256 owed = -cashOf(bob);
        assertTrue(owed > 0, "bob owes");
        Batch memory batch = charging(bob, capOf(uint256(owed), DAY) + 1);
        batch.interests[0].time = uint32(start + DAY);
        refused(batch, IClearingBase.InterestAboveCap.selector);
        batch.interests[0].amount--;
        settle(batch);
        assertEq(owed + int256(batch.interests[0].amount), -cashOf(bob), "charged");
    }

    function test_what_is_owed_counts_at_its_place() public {
        vm.warp(start + DAY);
        int64 price = int64(3_000_000 * USD);
        Order memory maker = orderOf(alice, SELL, ONE, price, 2);
        Batch memory batch = tradeOf(maker, orderOf(bob, BUY, ONE, price, 2), ONE, price);
        batch.fills[0].seqOffset = 10; // repays all
        batch.interests = new Interest[](1);
        batch.interests[0] = interestOf(alice, 1);
        batch.interests[0].seqOffset = 11;
        refused(batch, IClearingBase.InterestAboveCap.selector);
        batch.interests[0].seqOffset = 9;
        settle(batch);
    }

    /// @dev Otherwise a debtor could stop the venue by paying back between journal and chain.
    function test_a_deposit_does_not_stop_a_charge_of_before_it(uint256 wait) public {
        fund(aliceAddress, alice, uint256(OWED) + 50);
        wait = bound(wait, 1, DAY);
        vm.warp(block.timestamp + wait);
        settle(charging(alice, capOf(uint256(OWED), wait)));
    }

    function test_a_deposit_of_long_ago_repays() public {
        fund(aliceAddress, alice, uint256(OWED));
        vm.warp(block.timestamp + 2 * DAY);
        refused(charging(alice, 1), IClearingBase.InterestAboveCap.selector);
    }

    /// @dev Two days, each with a deposit: the first counts as owed still the day after.
    function test_deposits_of_two_days_are_forgotten_one_after_the_other() public {
        fund(aliceAddress, alice, 100_000 * USD);
        vm.warp(start + DAY);
        fund(aliceAddress, alice, 200_000 * USD);
        uint256 owed = charged(uint256(OWED));
        vm.warp(start + 2 * DAY);
        owed = charged(owed - 100_000 * USD);
        vm.warp(start + 3 * DAY);
        charged(owed - 200_000 * USD);
    }

    /// @return left what is owed after the charge
    function charged(uint256 owed) internal returns (uint256 left) {
        uint256 cap = capOf(owed, DAY);
        refused(charging(alice, cap + 1), IClearingBase.InterestAboveCap.selector);
        settle(charging(alice, cap));
        return owed + cap;
    }

    function test_a_batchs_age_and_place_bind_interest_too() public {
        Batch memory batch = charging(alice, 0);
        batch.interests[0].time = uint32(block.timestamp - 1);
        refused(batch, IClearingBase.TimeFell.selector);
        batch.interests[0].time = uint32(block.timestamp + 61);
        refused(batch, IClearingBase.TimeTooLate.selector);
        vm.warp(block.timestamp + 3 * DAY);
        batch = charging(alice, 0);
        batch.interests[0].time -= uint32(DAY + 1);
        refused(batch, IClearingBase.TimeTooEarly.selector);
        batch = charging(alice, 0);
        batch.interests[0].seqOffset = 1000;
        refused(batch, IClearingBase.SeqOutOfRange.selector);
    }

    function charging(uint64 id, uint256 amount) internal view returns (Batch memory batch) {
        batch = batchOf(0, 0, 0, 0);
        batch.interests = new Interest[](1);
        batch.interests[0] = interestOf(id, amount);
    }

    function interestOf(uint64 id, uint256 amount) internal view returns (Interest memory) {
        return Interest(0, uint32(block.timestamp), id, amount);
    }

    /// @dev Half of what is owed for a year, rounded up; the journal's seconds are rounded down.
    function capOf(uint256 owed, uint256 elapsed) internal pure returns (uint256) {
        return (owed * (elapsed + 1) + 2 * YEAR - 1) / (2 * YEAR);
    }
}

/// @dev Before anybody was ever charged; deposits of today count as owed still.
contract FirstInterestTest is ClearingTest {
    uint256 internal constant DEBT = 3_000_000 * uint256(USD);

    function setUp() public override {
        super.setUp();
        int64 price = int64(3_000_000 * USD);
        Order memory maker = orderOf(alice, BUY, ONE, price, 1);
        settle(tradeOf(maker, orderOf(bob, SELL, ONE, price, 1), ONE, price));
    }

    function test_nothing_is_owed_for_the_time_before_the_venue() public {
        Batch memory batch = charging(START, secondsInterest() + 1);
        refused(batch, IClearingBase.InterestAboveCap.selector);
        settle(charging(START, secondsInterest()));
    }

    /// @dev The chain's clock may be ahead of the journal's, but not twice.
    function test_the_first_accrual_may_be_older_than_the_chains_clock(uint32 ahead) public {
        uint64 time = START - uint64(bound(ahead, 1, DAY - 2));
        Batch memory batch = charging(time, secondsInterest() + 1);
        refused(batch, IClearingBase.InterestAboveCap.selector);
        settle(charging(time, secondsInterest()));
        vm.warp(START + 1);
        refused(charging(time - 1, 0), IClearingBase.TimeFell.selector);
    }

    function secondsInterest() private pure returns (uint256) {
        return (DEBT + 2 * 365 days - 1) / (2 * 365 days); // at 50 % a year
    }

    function charging(uint64 time, uint256 amount) private view returns (Batch memory batch) {
        batch = batchOf(0, 0, 0, 0);
        batch.interests = new Interest[](1);
        batch.interests[0] = Interest(0, uint32(time), alice, amount);
    }
}
