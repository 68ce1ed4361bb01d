// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, Order, QuoteSheet, SignedSheet} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

/// @dev What a relayer may try with the leaves of a sheet that its owner did not mean. Alice quotes
/// a bid and an ask in the call and in the put; bob takes the call's bid.
contract SettleSheetsTest is ClearingTest {
    uint256 internal constant CURVE_ORDER =
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    int64 internal constant PRICE = 1_000_000_000;

    Order internal taker;

    function setUp() public override {
        super.setUp();
        taker = orderOf(bob, SELL, 10 * ONE, PRICE, 7);
    }

    function test_a_leaf_fills_and_its_fills_count_by_nonce(uint64 quantity) public {
        quantity = uint64(bound(quantity, 1, 10 * ONE));
        settle(batchFor(1, quantity));
        assertEq(int64(quantity), clearing.position(alice, call), "position");
        assertEq(1, clearing.sheetNonce(alice), "sheet");
        (uint48 filled,) = clearing.orderState(alice, 100);
        assertEq(quantity == 10 * ONE ? type(uint48).max : quantity, filled, "filled");
        refused(batchFor(1, 10 * ONE - quantity + 1), IClearingBase.Overfilled.selector);
    }

    function test_one_signature_serves_every_leaf_of_a_batch(uint8 count) public {
        count = uint8(bound(count, 1, 40));
        (Order[] memory orders, bytes32[] memory tree) = sheetOrders(100, count, alice);
        Batch memory batch = batchOf(2 * uint256(count), count, 0, 0);
        batch.sheets = one(signedSheet(alice, 1, rootOf(tree), ALICE_KEY));
        for (uint256 i = 0; i < count; i++) {
            Order memory other = orderOf(bob, 1 - orders[i].side, ONE, PRICE, uint64(i));
            other.instrument = orders[i].instrument;
            batch.orders[2 * i] = leaf(orders[i], 0, proofOf(tree, i));
            batch.orders[2 * i + 1] = signed(other, BOB_KEY);
            batch.fills[i] = fillOf(ONE, PRICE);
            (batch.fills[i].maker, batch.fills[i].taker) = (uint32(2 * i), uint32(2 * i + 1));
        }
        settle(batch);
        assertEq(count % 2 == 1 ? int256(uint256(ONE)) : int256(0), net(), "position");
    }

    // ---- leaves

    function test_an_altered_leaf_is_refused(uint8 field, uint64 change) public {
        vm.assume(change != 0);
        Batch memory batch = batchFor(1, ONE);
        Order memory order = batch.orders[0].order;
        field = field % 9;
        if (field == 0) order.instrument = put;
        if (field == 1) order.side = SELL;
        if (field == 2) order.quantity = uint64((order.quantity ^ change) % (1 << 48));
        if (field == 3) order.limitPrice ^= int64(change);
        if (field == 4) order.maxFee ^= change;
        if (field == 5) order.reduceOnly = true;
        if (field == 6) order.triggerHash = bytes32(uint256(change));
        if (field == 7) order.nonce ^= change;
        if (field == 8) order.version = uint16(change) | 1;
        vm.assume(field != 2 || order.quantity != 10 * ONE);
        refused(batch, IClearingBase.NotInSheet.selector);
    }

    function test_account_deadline_and_signer_of_a_leaf_are_the_sheets() public {
        for (uint256 field = 0; field < 3; field++) {
            (Order[] memory orders, bytes32[] memory tree) = sheetOrders(100, 2, alice);
            if (field == 0) orders[0].subaccountId = bob;
            if (field == 1) orders[0].deadline++;
            if (field == 2) orders[0].signer = sessionAddress;
            tree[0] = structHash(orders[0]); // she did sign this leaf
            Batch memory batch = batchFor(1, ONE);
            batch.sheets = one(signedSheet(alice, 1, rootOf(tree), ALICE_KEY));
            batch.orders[0] = leaf(orders[0], 0, proofOf(tree, 0));
            refused(batch, IClearingBase.NotInSheet.selector);
        }
    }

    function test_a_leaf_of_another_sheet_is_refused() public {
        Batch memory batch = batchFor(1, ONE);
        (, bytes32[] memory other) = sheetOrders(200, 2, alice);
        SignedSheet[] memory sheets = new SignedSheet[](2);
        (sheets[0], sheets[1]) = (signedSheet(alice, 2, rootOf(other), ALICE_KEY), batch.sheets[0]);
        batch.sheets = sheets;
        refused(batch, IClearingBase.NotInSheet.selector);
        batch.orders[0].signature = abi.encodePacked(uint256(1), tail(batch.orders[0].signature));
        settle(batch);
    }

    function test_a_sheet_that_is_not_there_is_refused(uint16 place) public {
        vm.assume(place != 0);
        Batch memory batch = batchFor(1, ONE);
        batch.orders[0].signature =
            abi.encodePacked(uint256(place), tail(batch.orders[0].signature));
        refused(batch, IClearingBase.UnknownSheet.selector);
    }

    function test_an_altered_or_cut_proof_is_refused(uint256 change) public {
        vm.assume(change != 0);
        Batch memory batch = batchFor(1, ONE);
        (, bytes32[] memory tree) = sheetOrders(100, 4, alice);
        bytes32[] memory proof = proofOf(tree, 0);
        Order memory order = batch.orders[0].order;
        batch.orders[0] = leaf(order, 0, new bytes32[](0));
        refused(batch, IClearingBase.NotInSheet.selector);
        proof[1] = bytes32(uint256(proof[1]) ^ change);
        batch.orders[0] = leaf(order, 0, proof);
        refused(batch, IClearingBase.NotInSheet.selector);
    }

    function test_a_single_order_is_a_tree_of_its_own() public {
        Batch memory batch = batchFor(1, ONE);
        Order memory order = batch.orders[0].order;
        batch.sheets = one(signedSheet(alice, 1, structHash(order), ALICE_KEY));
        batch.orders[0] = leaf(order, 0, new bytes32[](0));
        settle(batch);
    }

    // ---- the sheet

    function test_an_altered_sheet_is_refused(uint8 field, uint64 change) public {
        vm.assume(change != 0);
        Batch memory batch = batchFor(1, ONE);
        QuoteSheet memory sheet = batch.sheets[0].sheet;
        field = field % 5;
        if (field == 0) sheet.subaccountId ^= change;
        if (field == 1) sheet.sheetNonce ^= change;
        if (field == 2) sheet.deadline ^= change;
        if (field == 3) sheet.root ^= bytes32(uint256(change));
        if (field == 4) sheet.signer = bobAddress;
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_a_high_s_signature_of_a_sheet_is_refused() public {
        Batch memory batch = batchFor(1, ONE);
        bytes32 digest = clearing.hashQuoteSheet(batch.sheets[0].sheet);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ALICE_KEY, digest);
        bytes32 high = bytes32(CURVE_ORDER - uint256(s));
        batch.sheets[0].signature = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        refused(batch, IClearingBase.InvalidSignature.selector);
    }

    function test_a_sheet_signed_by_a_stranger_moves_nobody() public {
        Batch memory batch = batchFor(1, ONE);
        (Order[] memory orders, bytes32[] memory tree) = sheetOrders(100, 2, alice);
        for (uint256 i = 0; i < 2; i++) {
            orders[i].signer = bobAddress;
            tree[i] = structHash(orders[i]);
        }
        QuoteSheet memory sheet = batch.sheets[0].sheet;
        (sheet.signer, sheet.root) = (bobAddress, rootOf(tree));
        batch.sheets[0].signature = signatureOf(BOB_KEY, clearing.hashQuoteSheet(sheet));
        batch.orders[0] = leaf(orders[0], 0, proofOf(tree, 0));
        refused(batch, IClearingBase.SignerNotAuthorised.selector);
    }

    function test_a_session_key_signs_sheets() public {
        vm.prank(aliceAddress);
        clearing.setSessionKey(sessionAddress, START + DAY);
        Batch memory batch = batchFor(1, ONE);
        Order memory order = batch.orders[0].order;
        order.signer = sessionAddress;
        QuoteSheet memory sheet = batch.sheets[0].sheet;
        (sheet.signer, sheet.root) = (sessionAddress, structHash(order));
        batch.sheets[0].signature = signatureOf(SESSION_KEY, clearing.hashQuoteSheet(sheet));
        batch.orders[0] = leaf(order, 0, new bytes32[](0));
        settle(batch);
    }

    function test_the_deadline_of_a_sheet_is_the_last_second(uint32 late) public {
        late = uint32(bound(late, 1, DAY));
        Batch memory batch = batchFor(1, ONE);
        taker.deadline = START + 3 * DAY;
        batch.orders[1] = signed(taker, BOB_KEY);
        vm.warp(START + DAY + late);
        batch.fills[0].time = uint32(START + DAY) + late;
        refused(batch, IClearingBase.DeadlinePassed.selector);
        batch.fills[0].time = uint32(START + DAY);
        settle(batch);
    }

    function test_the_nonce_floor_binds_leaves() public {
        Batch memory batch = batchFor(1, ONE);
        vm.prank(aliceAddress);
        clearing.raiseNonceFloor(alice, 101);
        settle(batch);
        vm.warp(START + DAY);
        batch = batchFor(1, ONE);
        refused(batch, IClearingBase.NonceBelowFloor.selector);
    }

    // ---- a higher sheet voids lower ones

    function test_a_lower_sheet_is_void_once_a_higher_one_filled(uint64 low, uint64 high) public {
        low = uint64(bound(low, 1, type(uint64).max - 1));
        high = uint64(bound(high, low + 1, type(uint64).max));
        settle(batchFor(low, ONE));
        settle(batchFor(high, ONE));
        refused(batchFor(low, ONE), IClearingBase.StaleSheet.selector);
        settle(batchFor(high, ONE));
        assertEq(high, clearing.sheetNonce(alice), "sheet");
        assertEq(0, clearing.sheetNonce(bob), "another account");
    }

    function test_sheets_of_one_batch_follow_each_other_in_seq_order() public {
        Batch memory batch = batchOf(3, 2, 0, 0);
        (Batch memory first, Batch memory second) = (batchFor(1, ONE), batchFor(2, ONE));
        batch.sheets = new SignedSheet[](2);
        (batch.sheets[0], batch.sheets[1]) = (first.sheets[0], second.sheets[0]);
        batch.orders[0] = first.orders[0];
        batch.orders[1] = second.orders[0];
        batch.orders[1].signature = abi.encodePacked(uint256(1), tail(batch.orders[1].signature));
        batch.orders[2] = first.orders[1];
        (batch.fills[0], batch.fills[1]) = (fillOf(ONE, PRICE), fillOf(ONE, PRICE));
        (batch.fills[0].taker, batch.fills[1].taker) = (2, 2);
        batch.fills[0].maker = 1; // the newer sheet first
        refused(batch, IClearingBase.StaleSheet.selector);
        (batch.fills[0].maker, batch.fills[1].maker) = (0, 1);
        settle(batch);
    }

    function test_an_unused_higher_sheet_voids_nothing() public {
        Batch memory batch = batchFor(1, ONE);
        SignedSheet[] memory sheets = new SignedSheet[](2);
        (sheets[0], sheets[1]) = (batch.sheets[0], batchFor(2, ONE).sheets[0]);
        batch.sheets = sheets;
        settle(batch);
        assertEq(1, clearing.sheetNonce(alice), "sheet");
    }

    function test_a_sheet_without_a_nonce_is_refused() public {
        refused(batchFor(0, ONE), IClearingBase.StaleSheet.selector);
    }

    function test_orders_signed_by_themselves_know_no_sheet() public {
        settle(batchFor(5, ONE));
        settle(tradeOf(orderOf(alice, BUY, ONE, PRICE, 1), taker, ONE, PRICE));
        assertEq(5, clearing.sheetNonce(alice), "sheet");
    }

    // ---- inside

    /// @dev Bob takes `quantity` of the call's bid in alice's sheet of four orders.
    function batchFor(uint64 sheetNonce, uint64 quantity)
        internal
        view
        returns (Batch memory batch)
    {
        (Order[] memory orders, bytes32[] memory tree) = sheetOrders(100, 4, alice);
        batch = batchOf(2, 1, 0, 0);
        batch.sheets = one(signedSheet(alice, sheetNonce, rootOf(tree), ALICE_KEY));
        batch.orders[0] = leaf(orders[0], 0, proofOf(tree, 0));
        batch.orders[1] = signed(taker, BOB_KEY);
        batch.fills[0] = fillOf(quantity, PRICE);
    }

    function sheetOrders(uint64 firstNonce, uint64 count, uint64 id)
        internal
        view
        returns (Order[] memory orders, bytes32[] memory tree)
    {
        orders = new Order[](count);
        tree = new bytes32[](count);
        for (uint64 i = 0; i < count; i++) {
            orders[i] = orderOf(id, uint8(i % 2), 10 * ONE, PRICE, firstNonce + i);
            if (i % 4 > 1) orders[i].instrument = put;
            orders[i].deadline = START + DAY;
            tree[i] = structHash(orders[i]);
        }
    }

    function net() internal view returns (int256) {
        return int256(clearing.position(alice, call)) + clearing.position(alice, put);
    }

    function tail(bytes memory signature) internal pure returns (bytes memory nodes) {
        nodes = new bytes(signature.length - 32);
        for (uint256 i = 0; i < nodes.length; i++) {
            nodes[i] = signature[i + 32];
        }
    }

    function one(SignedSheet memory sheet) internal pure returns (SignedSheet[] memory sheets) {
        sheets = new SignedSheet[](1);
        sheets[0] = sheet;
    }
}
