// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Leg, Order, PriceBands} from "../src/interfaces/IClearing.sol";
import {IOracle} from "../src/interfaces/IOracle.sol";
import {MarksLib} from "../src/libraries/MarksLib.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch, Fill} from "./Codec.sol";

/// @dev An index of 100,000 and bands of 10 % of it for options, 3 % for the rest: the call, marked
/// at 12,000, trades from 2,000 to 22,000, the perpetual at 100,500 from 97,500 to 103,500.
contract SettleBandsTest is ClearingTest {
    int64 internal constant MARK = int64(12_000 * USD);
    uint64 internal constant MAX_AGE = 900;

    bytes internal marks;

    function setUp() public virtual override {
        super.setUp();
        marks = abi.encodePacked(
            MarksLib.indexId(1),
            int64(100_000 * USD),
            MarksLib.indexId(2),
            int64(3_000 * USD),
            call,
            MARK,
            put,
            int64(300 * USD),
            perpetual,
            int64(100_500 * USD),
            future,
            int64(101_000 * USD)
        );
        postEpoch("rows", marks);
        clearing.setPriceBands(PriceBands(1e17, 3e16, MAX_AGE));
    }

    function test_a_fill_inside_the_band_settles(uint64 ticks) public {
        int64 price = int64(uint64(bound(ticks, 200_000, 2_200_000))) * 1e4;
        settle(proven(fillAt(call, price), places(0, 2)));
        assertEq(int256(uint256(ONE)), positionOf(alice, call).quantity, "position");
    }

    /// @dev Two accounts of one owner at an absurd price: the way to everybody's money.
    function test_a_price_outside_the_band_is_refused(uint64 ticks) public {
        int64 price = int64(uint64(bound(ticks, 1, 10_000_000))) * 1e4;
        vm.assume(price < int64(2_000 * USD) || price > int64(22_000 * USD));
        refused(proven(fillAt(call, price), places(0, 2)), IClearingBase.PriceOutsideBand.selector);
    }

    function test_the_edges_of_the_band_are_inside() public {
        settle(proven(fillAt(call, int64(2_000 * USD)), places(0, 2)));
        settle(proven(fillAt(call, int64(22_000 * USD)), places(0, 2)));
        refused(
            proven(fillAt(call, int64(22_000 * USD) + 1e4), places(0, 2)),
            IClearingBase.PriceOutsideBand.selector
        );
    }

    function test_linear_instruments_have_a_band_of_their_own() public {
        settle(proven(fillAt(perpetual, int64(103_500 * USD)), places(0, 4)));
        settle(proven(fillAt(future, int64(98_000 * USD)), places(0, 5)));
        refused(
            proven(fillAt(perpetual, int64(103_500 * USD) + 1e4), places(0, 4)),
            IClearingBase.PriceOutsideBand.selector
        );
    }

    /// @dev A put with a mark below the width trades from nothing on; no price is below zero.
    function test_a_cheap_option_trades_down_to_a_tick() public {
        settle(proven(fillAt(put, 1e4), places(0, 3)));
    }

    // ---- attacks on the proof

    function test_a_mark_of_another_instrument_proves_nothing() public {
        refused(proven(fillAt(call, MARK), places(0, 3)), MarksLib.MarkMissing.selector);
    }

    function test_the_index_of_another_underlying_proves_nothing() public {
        refused(proven(fillAt(call, MARK), places(1, 2)), MarksLib.MarkMissing.selector);
    }

    function test_marks_that_were_not_posted_are_refused(int64 mark) public {
        vm.assume(mark != MARK);
        Batch memory batch = proven(fillAt(call, MARK), places(0, 2));
        batch.marks.marks = abi.encodePacked(MarksLib.indexId(1), int64(100_000 * USD), call, mark);
        refused(batch, IClearingBase.WrongMarks.selector);
    }

    function test_a_batch_without_a_proof_is_refused() public {
        Batch memory batch = fillAt(call, MARK);
        batch.header.riskEpoch = 1;
        refused(batch, MarksLib.MarksMalformed.selector);
        batch = proven(fillAt(call, MARK), places(0, 2));
        batch.marks.nodes = new bytes32[](0);
        refused(batch, IClearingBase.WrongMarks.selector);
    }

    function test_an_epoch_that_was_not_posted_is_refused(uint64 epoch) public {
        vm.assume(epoch != 1);
        Batch memory batch = proven(fillAt(call, MARK), places(0, 2));
        batch.header.riskEpoch = epoch;
        refused(batch, IOracle.MarksNotPosted.selector);
    }

    /// @dev The proof of a later epoch does not serve an earlier one, and the other way round.
    function test_a_proof_is_of_the_batchs_epoch() public {
        bytes memory before = marks;
        marks = abi.encodePacked(MarksLib.indexId(1), int64(100_000 * USD), call, MARK + 1e4);
        postEpoch("rows", marks);
        Batch memory batch = proven(fillAt(call, MARK), places(0, 1));
        batch.header.riskEpoch = 1;
        refused(batch, IClearingBase.WrongMarks.selector);
        batch = proven(fillAt(call, MARK), places(0, 1));
        batch.marks = marksProof(before, places(0, 2));
        refused(batch, IClearingBase.WrongMarks.selector);
        settle(proven(fillAt(call, MARK), places(0, 1)));
        batch = fillAt(call, MARK);
        batch.header.riskEpoch = 1;
        batch.marks = marksProof(before, places(0, 2));
        refused(batch, IClearingBase.RiskEpochFell.selector);
    }

    /// @dev A mark from when the price was right, long ago, is no price of today.
    function test_fills_are_not_younger_than_their_marks_allow(uint32 late) public {
        late = uint32(bound(late, MAX_AGE + 1, DAY / 2));
        vm.warp(START + MAX_AGE);
        settle(proven(fillAt(call, MARK), places(0, 2)));
        vm.warp(START + late);
        refused(proven(fillAt(call, MARK), places(0, 2)), IClearingBase.MarksOfAnotherTime.selector);
    }

    function test_fills_are_not_older_than_their_marks(uint32 early) public {
        Batch memory batch = proven(fillAt(call, MARK), places(0, 2));
        batch.fills[0].time = uint32(START - bound(early, 1, DAY));
        refused(batch, IClearingBase.MarksOfAnotherTime.selector);
    }

    // ---- what fills where

    /// @dev Netting hides nothing: each fill is judged, not the sum.
    function test_each_fill_of_a_batch_is_judged() public {
        Batch memory batch = batchOf(2, 2, 0, 0);
        batch.orders[0] =
            signed(orderOf(alice, BUY, 2 * ONE, int64(22_000 * USD) + 1e4, 1), ALICE_KEY);
        batch.orders[1] = signed(orderOf(bob, SELL, 2 * ONE, 1e4, 1), BOB_KEY);
        batch.fills[0] = fillOf(ONE, MARK);
        batch.fills[1] = fillOf(ONE, int64(22_000 * USD) + 1e4);
        refused(proven(batch, places(0, 2)), IClearingBase.PriceOutsideBand.selector);
    }

    /// @dev A combo's net price may be fair while its legs pay somebody off.
    function test_each_leg_of_a_combo_is_judged() public {
        Leg[] memory legs = new Leg[](2);
        (legs[0], legs[1]) = (Leg(call, 1), Leg(put, -1));
        refused(combo(legs, 23_000, 11_300), IClearingBase.PriceOutsideBand.selector);
        settle(combo(legs, 12_500, 800));
        assertEq(int256(uint256(ONE)), positionOf(alice, call).quantity, "call");
        assertEq(-int256(uint256(ONE)), positionOf(alice, put).quantity, "put");
    }

    /// @dev Both sides trade the combo of `legs`, the call and the put at these prices.
    function combo(Leg[] memory legs, uint64 callPrice, uint64 putPrice)
        internal
        view
        returns (Batch memory batch)
    {
        int64 net = (int64(callPrice) - int64(putPrice)) * int64(USD);
        Order memory buyer = orderOf(alice, BUY, ONE, net, 1);
        Order memory seller = orderOf(bob, SELL, ONE, net, 1);
        (buyer.instrument, seller.instrument) = (legsHashOf(legs), legsHashOf(legs));
        batch = batchOf(2, 2, 0, 0);
        batch.combos = new Leg[][](1);
        batch.combos[0] = legs;
        (batch.orders[0], batch.orders[1]) = (signed(buyer, ALICE_KEY), signed(seller, BOB_KEY));
        batch.fills[0] = fillOf(ONE, int64(callPrice * USD));
        batch.fills[1] = fillOf(ONE, int64(putPrice * USD));
        batch.fills[1].leg = 1;
        batch = proven(batch, places(0, 2, 3));
    }

    function test_a_batch_without_fills_needs_no_marks() public {
        settle(withdrawBatch(withdrawOf(alice, ALICE_KEY, 5 * USD, 1)));
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.header.riskEpoch = 77;
        settle(batch);
    }

    // ---- words

    function fillAt(uint64 instrument, int64 price) internal returns (Batch memory) {
        Order memory maker = orderOf(alice, BUY, ONE, price, ++nonce);
        Order memory taker = orderOf(bob, SELL, ONE, price, nonce);
        (maker.instrument, taker.instrument) = (instrument, instrument);
        return tradeOf(maker, taker, ONE, price);
    }

    uint64 internal nonce = 100;

    /// @dev With the proof of the latest epoch's marks at these places.
    function proven(Batch memory batch, uint256[] memory at_) internal view returns (Batch memory) {
        (batch.header.riskEpoch,,) = oracle.latestMarks();
        batch.marks = marksProof(marks, at_);
        return batch;
    }

    function places(uint256 a, uint256 b) internal pure returns (uint256[] memory list) {
        list = new uint256[](2);
        (list[0], list[1]) = (a, b);
    }

    function places(uint256 a, uint256 b, uint256 c) internal pure returns (uint256[] memory list) {
        list = new uint256[](3);
        (list[0], list[1], list[2]) = (a, b, c);
    }
}
