// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Batch as PackedBatch,
    IClearing,
    IClearingBase,
    Order
} from "../src/interfaces/IClearing.sol";
import {InstrumentLib} from "../src/libraries/InstrumentLib.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch, SignedOrder} from "./Codec.sol";

/// @dev What a relayer may try with an order that its owner did not mean.
contract SettleOrdersTest is ClearingTest {
    uint256 internal constant CURVE_ORDER =
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    int64 internal constant PRICE = 1_000_000_000;

    Order internal maker;
    Order internal taker;

    function setUp() public override {
        super.setUp();
        maker = orderOf(alice, BUY, 10 * ONE, PRICE, 7);
        taker = orderOf(bob, SELL, 10 * ONE, PRICE, 7);
    }

    // ---- signatures

    function test_an_altered_order_is_refused(uint8 field, uint64 change) public {
        vm.assume(change != 0);
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        Order memory order = batch.orders[0].order;
        field = field % 10;
        if (field == 0) order.subaccountId = bob;
        if (field == 1) order.instrument = put;
        if (field == 2) order.side = SELL;
        if (field == 3) order.quantity = uint64((order.quantity ^ change) % (1 << 48));
        if (field == 4) order.limitPrice ^= int64(change);
        if (field == 5) order.maxFee ^= change;
        if (field == 6) order.reduceOnly = true;
        if (field == 7) order.triggerHash = bytes32(uint256(change));
        if (field == 8) order.nonce ^= change;
        if (field == 9) order.deadline ^= change % (1 << 40);
        vm.assume(field != 3 || order.quantity != maker.quantity);
        vm.assume(field != 9 || order.deadline != maker.deadline);
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_an_altered_version_is_refused(uint16 version) public {
        vm.assume(version != 0);
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        batch.orders[0].order.version = version;
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_a_signature_of_a_stranger_is_refused(uint256 key) public {
        key = bound(key, 1, CURVE_ORDER - 1);
        vm.assume(key != ALICE_KEY);
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        batch.orders[0] = signed(maker, key);
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_an_order_of_another_account_is_refused() public {
        Order memory order = maker;
        order.subaccountId = bob;
        refused(tradeOf(order, taker, ONE, PRICE), IClearingBase.SignerNotAuthorised.selector);
    }

    function test_the_zero_signer_is_refused(bytes32 r, bytes32 s, uint8 v) public {
        maker.signer = address(0);
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        batch.orders[0].signature = abi.encodePacked(r, s, v);
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_a_high_s_signature_is_refused() public {
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ALICE_KEY, clearing.hashOrder(maker));
        bytes32 high = bytes32(CURVE_ORDER - uint256(s));
        batch.orders[0].signature = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_a_signature_with_v_of_zero_or_one_is_refused() public {
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ALICE_KEY, clearing.hashOrder(maker));
        batch.orders[0].signature = abi.encodePacked(r, s, v - 27);
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_tails_that_are_too_long_or_too_short_are_refused(uint8 length) public {
        PackedBatch memory batch = packed(tradeOf(maker, taker, ONE, PRICE));
        vm.assume(length != batch.tails.length);
        assertEq(130, batch.tails.length, "two signatures of owners");
        batch.tails = cut(batch.tails, length);
        vm.prank(relayer);
        try clearing.settle(batch) {
            revert("settled");
        } catch (bytes memory why) {
            bytes4 found = bytes4(why);
            bool known = found == IClearingBase.Malformed.selector
                || found == IClearingBase.InvalidSignature.selector; // of what lies behind the
            // tails
            assertTrue(known, "refused");
        }
    }

    function test_half_an_order_and_half_a_fill_are_refused(uint8 more) public {
        more = uint8(bound(more, 1, 47));
        PackedBatch memory batch = packed(tradeOf(maker, taker, ONE, PRICE));
        bytes memory orders = batch.orders;
        batch.orders = cut(orders, orders.length + more);
        malformed(batch);
        batch.orders = orders;
        batch.fills = cut(batch.fills, batch.fills.length + more);
        malformed(batch);
    }

    function test_an_order_signed_for_another_chain_is_refused(uint64 chain) public {
        vm.assume(chain != block.chainid && chain != 0);
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        vm.chainId(chain);
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_an_order_signed_for_another_clearing_is_refused() public {
        IClearing other = deployClearing(address(usdc), treasury, DAY, DAY);
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        batch.orders[0].signature = signatureOf(ALICE_KEY, other.hashOrder(maker));
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    // ---- shape

    function test_orders_that_do_not_ascend_are_refused() public {
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        SignedOrder[] memory orders = new SignedOrder[](2);
        (orders[0], orders[1]) = (batch.orders[1], batch.orders[0]);
        PackedBatch memory unsorted = packedAsIs(batch, orders, batch.fills);
        vm.prank(relayer);
        vm.expectPartialRevert(IClearingBase.OrdersNotSorted.selector);
        clearing.settle(unsorted);
    }

    function test_the_largest_quantity_and_version_settle() public {
        (maker.quantity, maker.version) = (type(uint48).max, type(uint16).max);
        settle(tradeOf(maker, taker, ONE, PRICE));
        (uint48 filled, uint16 version) = clearing.orderState(alice, 7);
        assertEq(ONE, filled, "filled");
        assertEq(type(uint16).max, version, "version");
    }

    function test_a_trigger_is_part_of_what_is_signed(bytes32 trigger) public {
        maker.triggerHash = trigger;
        settle(tradeOf(maker, taker, ONE, PRICE));
    }

    function test_what_no_instrument_is_called_is_refused(uint64 instrument) public {
        vm.assume(instrument >> 60 == 0 || instrument >> 60 > 3);
        maker.instrument = instrument;
        refused(tradeOf(maker, taker, ONE, PRICE), InstrumentLib.UnsupportedInstrument.selector);
    }

    function test_an_unopened_subaccount_is_refused() public {
        maker.subaccountId = 1000;
        refused(tradeOf(maker, taker, ONE, PRICE), IClearingBase.UnknownSubaccount.selector);
    }

    // ---- terms

    function test_a_limit_is_never_crossed(int64 limit, uint8 side) public {
        side = side % 2;
        limit = int64(int256(bound(uint64(limit), 1e4, 1e15) / 1e4 * 1e4));
        int64 worse = side == BUY ? limit + 1e4 : limit - 1e4;
        maker = orderOf(alice, side, ONE, limit, 7);
        taker = orderOf(bob, 1 - side, ONE, worse, 7);
        refused(tradeOf(maker, taker, ONE, worse), IClearingBase.LimitCrossed.selector);
        taker.limitPrice = limit;
        settle(tradeOf(maker, taker, ONE, limit));
    }

    function test_two_orders_of_one_side_are_refused(uint8 side) public {
        maker.side = side % 2;
        taker.side = side % 2;
        refused(tradeOf(maker, taker, ONE, PRICE), IClearingBase.SameSide.selector);
    }

    function test_an_order_cannot_fill_itself() public {
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        batch.fills[0].taker = 0;
        refused(batch, IClearingBase.SameSide.selector);
    }

    function test_two_instruments_do_not_match() public {
        taker.instrument = put;
        refused(tradeOf(maker, taker, ONE, PRICE), IClearingBase.InstrumentMismatch.selector);
    }

    function test_a_fee_above_the_cap_is_refused(uint64 maxFee, uint64 quantity, bool ofMaker)
        public
    {
        quantity = uint64(bound(quantity, 1, 10 * ONE));
        maker.maxFee = uint64(bound(maxFee, 0, 1e12));
        taker.maxFee = maker.maxFee;
        uint64 cap = uint64(uint256(maker.maxFee) * quantity / ONE);
        Batch memory batch = tradeOf(maker, taker, quantity, PRICE);
        (batch.fills[0].makerFee, batch.fills[0].takerFee) =
            ofMaker ? (cap + 1, cap) : (cap, cap + 1);
        refused(batch, IClearingBase.FeeAboveCap.selector);
        (batch.fills[0].makerFee, batch.fills[0].takerFee) = (cap, cap);
        settle(batch);
        assertEq(int256(2 * uint256(cap)), cashOf(1), "fee account");
    }

    function test_the_deadline_is_the_last_second(uint32 late) public {
        late = uint32(bound(late, 1, DAY));
        maker.deadline = START;
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        vm.warp(START + late);
        batch.fills[0].time = uint32(START) + late;
        refused(batch, IClearingBase.DeadlinePassed.selector);
        batch.fills[0].time = uint32(START);
        settle(batch);
    }

    function test_an_expired_option_does_not_trade() public {
        vm.warp(EXPIRY);
        (maker.deadline, taker.deadline) = (EXPIRY, EXPIRY);
        Batch memory batch = tradeOf(maker, taker, ONE, PRICE);
        refused(batch, IClearingBase.InstrumentExpired.selector);
        batch.fills[0].time = uint32(EXPIRY) - 1;
        settle(batch);
    }

    // ---- replay of orders

    function test_an_order_fills_no_more_than_its_quantity_over_batches(uint64 first) public {
        first = uint64(bound(first, 1, 10 * ONE));
        settle(tradeOf(maker, taker, first, PRICE));
        refused(
            tradeOf(maker, taker, 10 * ONE - first + 1, PRICE), IClearingBase.Overfilled.selector
        );
        (uint48 filled, uint16 version) = clearing.orderState(alice, 7);
        bool whole = first == 10 * ONE;
        assertEq(whole ? type(uint48).max : first, filled, "filled");
        assertEq(whole ? type(uint16).max : 0, version, "version");
        if (first < 10 * ONE) settle(tradeOf(maker, taker, 10 * ONE - first, PRICE));
    }

    function test_a_duplicate_of_an_order_in_one_batch_does_not_fill_twice() public {
        Batch memory batch = batchOf(4, 2, 0, 0);
        for (uint256 i = 0; i < 4; i++) {
            batch.orders[i] = i % 2 == 0 ? signed(maker, ALICE_KEY) : signed(taker, BOB_KEY);
        }
        batch.fills[0] = fillOf(10 * ONE, PRICE);
        batch.fills[1] = fillOf(1, PRICE);
        (batch.fills[1].maker, batch.fills[1].taker) = (2, 3);
        refused(batch, IClearingBase.Overfilled.selector);
    }

    function test_a_filled_version_voids_lower_ones_and_the_fills_count_on(uint16 version) public {
        version = uint16(bound(version, 1, type(uint16).max));
        settle(tradeOf(maker, taker, 4 * ONE, PRICE));
        Order memory old = maker;
        (maker.version, old.version) = (version, version - 1);
        maker.quantity = 6 * ONE;
        settle(tradeOf(maker, taker, ONE, PRICE));
        refused(tradeOf(old, taker, ONE, PRICE), IClearingBase.StaleVersion.selector);
        refused(tradeOf(maker, taker, ONE + 1, PRICE), IClearingBase.Overfilled.selector);
        (uint48 part, uint16 stored) = clearing.orderState(alice, 7);
        assertEq(5 * ONE, part, "filled");
        assertEq(version, stored, "version");
        settle(tradeOf(maker, taker, ONE, PRICE));
        (uint48 filled,) = clearing.orderState(alice, 7);
        assertEq(type(uint48).max, filled, "filled whole");
    }

    function test_versions_of_one_order_share_what_is_filled(uint16 version) public {
        version = uint16(bound(version, 1, type(uint16).max));
        Order memory newer = maker;
        newer.version = version;
        Batch memory batch = batchOf(3, 3, 0, 0);
        batch.orders[0] = signed(orderOf(alice, BUY, 10 * ONE, PRICE, 7), ALICE_KEY);
        batch.orders[1] = signed(newer, ALICE_KEY);
        batch.orders[2] = signed(taker, BOB_KEY);
        for (uint32 i = 0; i < 3; i++) {
            batch.fills[i] = fillOf(3 * ONE, PRICE);
            (batch.fills[i].maker, batch.fills[i].taker) = (i == 0 ? 0 : 1, 2);
        }
        batch.fills[2].maker = 0;
        refused(batch, IClearingBase.StaleVersion.selector);
        (batch.fills[2].maker, batch.fills[2].quantity) = (1, 4 * ONE + 1);
        refused(batch, IClearingBase.Overfilled.selector);
        batch.fills[2].quantity = 3 * ONE;
        settle(batch);
        (uint48 filled, uint16 stored) = clearing.orderState(alice, 7);
        assertEq(9 * ONE, filled, "filled");
        assertEq(version, stored, "version");
    }

    function test_neighbouring_nonces_share_a_slot_and_nothing_else(uint64 nonce) public {
        nonce = uint64(bound(nonce, 4, type(uint64).max - 4)) & ~uint64(3);
        for (uint64 i = 0; i < 4; i++) {
            maker = orderOf(alice, BUY, 8 * ONE, PRICE, nonce + i);
            taker = orderOf(bob, SELL, (i + 1) * ONE, PRICE, nonce + i);
            settle(tradeOf(maker, taker, (i + 1) * ONE, PRICE));
        }
        for (uint64 i = 0; i < 4; i++) {
            (uint48 filled,) = clearing.orderState(alice, nonce + i);
            assertEq((i + 1) * ONE, filled, "filled");
            (filled,) = clearing.orderState(bob, nonce + i);
            assertEq(type(uint48).max, filled, "filled whole");
        }
        (uint48 untouched,) = clearing.orderState(bob, nonce + 4);
        assertEq(0, untouched, "the next");
    }

    // ---- reduce only

    function test_reduce_only_never_opens_or_turns_a_position(uint64 held, uint64 quantity) public {
        held = uint64(bound(held, 1, 10 * ONE));
        quantity = uint64(bound(quantity, 1, 10 * ONE));
        trade(call, held, PRICE, 1); // alice long, bob short
        maker = orderOf(alice, SELL, 10 * ONE, PRICE, 8);
        taker = orderOf(bob, BUY, 10 * ONE, PRICE, 8);
        (maker.reduceOnly, taker.reduceOnly) = (true, true);
        Batch memory batch = tradeOf(maker, taker, quantity, PRICE);
        if (quantity > held) return refused(batch, IClearingBase.NotReducing.selector);
        settle(batch);
        assertEq(int64(held - quantity), clearing.position(alice, call), "position");
    }

    function test_reduce_only_does_not_add(bool ofMaker) public {
        trade(call, ONE, PRICE, 1);
        (maker.reduceOnly, taker.reduceOnly) = (ofMaker, !ofMaker);
        refused(tradeOf(maker, taker, 1, PRICE), IClearingBase.NotReducing.selector);
    }

    function test_reduce_only_counts_the_fills_of_its_own_batch() public {
        trade(call, ONE, PRICE, 1);
        maker = orderOf(alice, SELL, 10 * ONE, PRICE, 8);
        taker = orderOf(bob, BUY, 10 * ONE, PRICE, 8);
        maker.reduceOnly = true;
        Batch memory batch = batchOf(2, 2, 0, 0);
        batch.orders[0] = signed(maker, ALICE_KEY);
        batch.orders[1] = signed(taker, BOB_KEY);
        batch.fills[0] = fillOf(ONE, PRICE);
        batch.fills[1] = fillOf(1, PRICE);
        refused(batch, IClearingBase.NotReducing.selector);
    }

    function malformed(PackedBatch memory batch) internal {
        vm.prank(relayer);
        vm.expectRevert(IClearingBase.Malformed.selector);
        clearing.settle(batch);
    }

    /// @dev The first bytes, or all and zeros behind.
    function cut(bytes memory data, uint256 length) internal pure returns (bytes memory part) {
        part = new bytes(length);
        for (uint256 i = 0; i < length && i < data.length; i++) {
            part[i] = data[i];
        }
    }
}
