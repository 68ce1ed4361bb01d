// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch, Fill, Order} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";

/// @dev Whole receipts (intrinsic gas, calldata and execution), each batch as a transaction of its
/// own. Figures are logged; the one bound asserted is the budget, far enough from the figure not to
/// flake.
contract GasTest is ClearingTest {
    uint256 internal constant TRADERS = 20;
    uint256 internal constant INSTRUMENTS = 20;
    uint64[TRADERS] internal ids;
    uint64[TRADERS] internal nonces;

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
            Batch memory batch = randomBatch(sizes[i]);
            settle(batch);
            uint256 used = vm.lastCallGas().gasTotalUsed;
            perFill = used / sizes[i];
            emit log_named_uint(
                string.concat("gas per fill, fills=", vm.toString(sizes[i])), perFill
            );
            emit log_named_uint("  of it calldata", calldataGas(abi.encode(batch)) / sizes[i]);
        }
        assertTrue(perFill <= 60_000, "gas per fill of a batch of 200");
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
