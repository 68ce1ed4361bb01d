// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Batch as PackedBatch,
    Order,
    PriceBands,
    SignedSheet
} from "../src/interfaces/IClearing.sol";
import {RiskRoot} from "../src/interfaces/IOracle.sol";
import {MarksLib} from "../src/libraries/MarksLib.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch, Fill, SignedOrder} from "./Codec.sol";

/// @dev Whole receipts (intrinsic gas, calldata and execution), each batch as a transaction of its
/// own. Figures are logged; the one bound asserted is the budget, far enough from the figure not to
/// flake.
contract GasTest is ClearingTest {
    uint256 internal constant TRADERS = 20;
    uint256 internal constant INSTRUMENTS = 20;
    uint64[TRADERS] internal ids;
    uint64[TRADERS] internal nonces;
    uint64 internal sheetNonces;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < TRADERS; i++) {
            ids[i] = open(vm.addr(1000 + i), 100_000_000 * USD);
        }
        settle(randomBatch(200)); // positions and nonces that later batches touch are steady slots
        settle(randomBatch(200));
    }

    /// forge-config: default.isolate = true
    function test_settle_stays_inside_its_budget_per_fill() public {
        uint256[4] memory sizes = [uint256(1), 10, 50, 200];
        uint256 perFill;
        for (uint256 i = 0; i < sizes.length; i++) {
            PackedBatch memory batch = packed(randomBatch(sizes[i]));
            vm.prank(relayer);
            clearing.settle(batch);
            uint256 used = vm.lastCallGas().gasTotalUsed;
            perFill = used / sizes[i];
            emit log_named_uint(
                string.concat("gas per fill, fills=", vm.toString(sizes[i])), perFill
            );
            emit log_named_uint("  of it calldata", calldataGas(abi.encode(batch)) / sizes[i]);
        }
        assertTrue(perFill <= 60_000, "gas per fill of a batch of 200");
    }

    /// @dev The marks of 20 instruments among 432, each batch with one multiproof.
    /// forge-config: default.isolate = true
    function test_price_bands_are_logged() public {
        bytes memory marks = abi.encodePacked(MarksLib.indexId(1), int64(100_000e6));
        uint256[] memory places = new uint256[](1 + INSTRUMENTS);
        for (uint64 i = 0; i < 431; i++) {
            uint64 id = option(1, EXPIRY, 50_000_00 + 100_00 * i, false);
            if (i % 10 == 0 && i / 10 < INSTRUMENTS) places[1 + i / 10] = 1 + i;
            marks = abi.encodePacked(marks, id, int64(10_000e6));
        }
        uint64 now_ = uint64(block.timestamp);
        RiskRoot memory risk = RiskRoot(1, now_, "rows", marksRootOf(marks), now_);
        bytes[] memory signatures = quorum(oracle.hashRiskRoot(risk));
        oracle.postRiskRoot(risk, marks, signatures);
        emit log_named_uint("gas of a root with 432 marks", vm.lastCallGas().gasTotalUsed);
        PackedBatch memory without = packed(randomBatch(200));
        vm.prank(relayer);
        clearing.settle(without);
        emit log_named_uint(
            "gas per fill, fills=200, without bands", vm.lastCallGas().gasTotalUsed / 200
        );
        clearing.setPriceBands(PriceBands(2e17, 2e17, 900));
        Batch memory loose = randomBatch(200);
        (loose.header.riskEpoch, loose.marks) = (1, marksProof(marks, places));
        PackedBatch memory batch = packed(loose);
        vm.prank(relayer);
        clearing.settle(batch);
        uint256 perFill = vm.lastCallGas().gasTotalUsed / 200;
        emit log_named_uint("gas per fill, fills=200, with bands", perFill);
        assertTrue(perFill <= 60_000, "gas per fill with bands");
    }

    /// @dev Each maker has one sheet with both sides of every instrument; takers sign each order.
    /// The budget is 40,000; the bound only keeps the figure from growing.
    /// forge-config: default.isolate = true
    function test_quote_sheets_of_two_makers_cost_less_than_signed_orders() public {
        uint256 perFill = sheetGas(2);
        assertTrue(perFill <= 44_000, "gas per fill of a batch of 200 with sheets");
    }

    /// forge-config: default.isolate = true
    function test_quote_sheets_of_four_makers_are_logged() public {
        sheetGas(4);
    }

    function sheetGas(uint256 makers) internal returns (uint256 perFill) {
        settle(sheetBatch(200, makers)); // the positions of all quotes
        Batch memory loose = sheetBatch(200, makers);
        PackedBatch memory batch = packed(loose);
        vm.prank(relayer);
        clearing.settle(batch);
        perFill = vm.lastCallGas().gasTotalUsed / 200;
        emit log_named_uint(string.concat("gas per fill, makers=", vm.toString(makers)), perFill);
        emit log_named_uint("  of it calldata", calldataGas(abi.encode(batch)) / 200);
        emit log_named_uint("  quotes filled", loose.orders.length - 200);
    }

    /// @dev Fills between random quotes of random makers and one fresh order of a taker each. A
    /// leaf is in the batch once, however often it fills.
    function sheetBatch(uint256 count, uint256 makers) internal returns (Batch memory batch) {
        SignedOrder[] memory leaves = new SignedOrder[](makers * 2 * INSTRUMENTS);
        batch = batchOf(count + leaves.length, count, 0, 0);
        batch.sheets = new SignedSheet[](makers);
        uint256[] memory placeOf = new uint256[](leaves.length);
        for (uint256 i = 0; i < makers; i++) {
            addSheet(batch, leaves, i);
        }
        uint256 places = count;
        for (uint256 i = 0; i < count; i++) {
            uint256 dice = uint256(keccak256(abi.encode(makers, i)));
            uint256 which = dice % leaves.length;
            if (placeOf[which] == 0) {
                batch.orders[places] = leaves[which];
                placeOf[which] = places++;
            }
            batch.fills[i] =
                takenFill(batch, i, leaves[which].order, which / (2 * INSTRUMENTS), dice >> 32);
            batch.fills[i].maker = uint32(placeOf[which]);
        }
        SignedOrder[] memory orders = batch.orders;
        assembly ("memory-safe") {
            mstore(orders, places) // the rest stays unused
        }
    }

    function takenFill(
        Batch memory batch,
        uint256 i,
        Order memory quote,
        uint256 maker,
        uint256 dice
    ) internal returns (Fill memory fill) {
        uint256 taker = (maker + 1 + dice % (TRADERS - 1)) % TRADERS;
        fill = fillOf(uint64(1 + (dice >> 64) % 10_000), quote.limitPrice);
        (fill.seqOffset, fill.taker) = (uint32(i), uint32(i));
        (fill.makerFee, fill.takerFee) = (900, 1500);
        uint64 instrument = uint64(quote.instrument);
        addOrder(batch, i, taker, 1 - quote.side, instrument, fill.quantity, fill.price);
    }

    function addSheet(Batch memory batch, SignedOrder[] memory leaves, uint256 maker) internal {
        bytes32[] memory tree = new bytes32[](2 * INSTRUMENTS);
        uint256 first = maker * tree.length;
        nonces[maker] = (nonces[maker] + 3) & ~uint64(3);
        for (uint256 i = 0; i < tree.length; i++) {
            int64 price = int64(uint64(1e10 + 1e4 * (i % 2)));
            Order memory order =
                orderOf(ids[maker], uint8(i % 2), 1_000_000, price, nonces[maker]++);
            order.instrument = option(1, EXPIRY, uint64(50_000_00 + 1000_00 * (i / 2)), false);
            order.maxFee = 1e10;
            tree[i] = structHash(order);
            leaves[first + i].order = order;
        }
        for (uint256 i = 0; i < tree.length; i++) {
            leaves[first + i] = leaf(leaves[first + i].order, maker, proofOf(tree, i));
        }
        batch.sheets[maker] = signedSheet(ids[maker], ++sheetNonces, rootOf(tree), 1000 + maker);
    }

    /// @dev Fills between random pairs on random instruments, each with two fresh orders.
    function randomBatch(uint256 count) internal returns (Batch memory batch) {
        batch = batchOf(2 * count, count, 0, 0);
        for (uint256 i = 0; i < count; i++) {
            uint256 dice = uint256(keccak256(abi.encode(i)));
            uint256 maker = dice % TRADERS;
            uint256 taker = (maker + 1 + (dice >> 32) % (TRADERS - 1)) % TRADERS;
            uint64 instrument = option(
                1, EXPIRY, uint64(50_000_00 + 1000_00 * ((dice >> 64) % INSTRUMENTS)), false
            );
            uint64 quantity = uint64(1 + (dice >> 96) % 100_000);
            int64 price = int64(uint64(1e4 * (1 + (dice >> 128) % 1_000_000)));
            addOrder(batch, 2 * i, maker, BUY, instrument, quantity, price);
            addOrder(batch, 2 * i + 1, taker, SELL, instrument, quantity, price);
            batch.fills[i] = Fill({
                seqOffset: uint32(i),
                time: uint32(block.timestamp),
                maker: uint32(2 * i),
                taker: uint32(2 * i + 1),
                leg: 0,
                quantity: quantity,
                price: price,
                makerFee: 900,
                takerFee: 1500
            });
        }
    }

    function addOrder(
        Batch memory batch,
        uint256 place,
        uint256 trader,
        uint8 side,
        uint64 instrument,
        uint64 quantity,
        int64 price
    ) internal {
        Order memory order = orderOf(ids[trader], side, quantity, price, nonces[trader]++);
        order.instrument = instrument;
        order.maxFee = 1e10;
        batch.orders[place] = signed(order, 1000 + trader);
    }

    function calldataGas(bytes memory data) internal pure returns (uint256 gas_) {
        for (uint256 i = 0; i < data.length; i++) {
            gas_ += data[i] == 0 ? 4 : 16;
        }
    }
}
