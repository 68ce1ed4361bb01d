// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MarginParameters} from "../src/interfaces/IMargin.sol";
import {Delayed, DelayedLib} from "../src/libraries/DelayedLib.sol";
import {Index, IndexLib} from "../src/libraries/IndexLib.sol";
import {InstrumentLib} from "../src/libraries/InstrumentLib.sol";
import {LedgerLib} from "../src/libraries/LedgerLib.sol";
import {OrderStateLib} from "../src/libraries/OrderStateLib.sol";
import {SpotLib} from "../src/libraries/SpotLib.sol";
import {Test} from "./Test.sol";

contract InstrumentLibTest is Test {
    /// @dev A library's internal functions revert inside the test itself unless called from
    /// outside.
    function toListed(uint256 instrument) external pure returns (uint64) {
        return InstrumentLib.toListed(instrument);
    }

    function pack(
        uint256 underlying,
        uint256 minute,
        uint256 exponent,
        uint256 mantissa,
        uint256 put_
    ) internal pure returns (uint256) {
        return 1 << 60 | underlying << 51 | minute << 25 | exponent << 21 | mantissa << 1 | put_;
    }

    function test_a_packed_option_reads_back(
        uint16 underlying,
        uint32 minute,
        uint8 exponent,
        uint32 mantissa,
        bool isPut
    ) public view {
        underlying = uint16(bound(underlying, 0, 511));
        minute = uint32(bound(minute, 0, (1 << 26) - 1));
        exponent = uint8(bound(exponent, 0, 15));
        uint256 low = exponent == 0 ? 1 : uint256(1 << 20) / 10 + 1;
        mantissa = uint32(bound(mantissa, low, (1 << 20) - 1));
        uint64 id = this.toListed(pack(underlying, minute, exponent, mantissa, isPut ? 1 : 0));
        assertEq(underlying, InstrumentLib.underlyingOf(id), "underlying");
        assertEq(uint256(minute) * 60, InstrumentLib.expiryOf(id), "expiry");
        assertEq(mantissa * 10 ** uint256(exponent) * 1e4, InstrumentLib.strikeOf(id), "strike");
        assertTrue(isPut == InstrumentLib.isPut(id), "put");
    }

    function test_a_second_encoding_of_a_strike_is_refused(uint8 exponent, uint32 mantissa) public {
        uint256 low = bound(mantissa, 0, uint256(1 << 20) / 10);
        uint256 high = low == 0 ? bound(exponent, 0, 15) : bound(exponent, 1, 15);
        vm.expectPartialRevert(InstrumentLib.UnsupportedInstrument.selector);
        this.toListed(pack(1, 1, high, low, 0));
    }

    function test_other_kinds_and_longer_ids_are_refused(uint256 instrument) public {
        vm.assume(instrument >> 60 == 0 || instrument >> 60 > 3);
        vm.expectPartialRevert(InstrumentLib.UnsupportedInstrument.selector);
        this.toListed(instrument);
    }

    function test_perpetuals_and_futures_have_one_form(uint16 underlying, uint32 minute, uint32 low)
        public
    {
        uint256 stem = bound(underlying, 0, 511) << 51;
        uint256 expiry = bound(minute, 1, (1 << 26) - 1) << 25;
        low = uint32(bound(low, 1, (1 << 25) - 1)); // strike and put
        uint64 perpetual = this.toListed(2 << 60 | stem);
        uint64 future = this.toListed(3 << 60 | stem | expiry);
        assertTrue(InstrumentLib.isPerpetual(perpetual), "perpetual");
        assertTrue(!InstrumentLib.isPerpetual(future), "future");
        assertTrue(InstrumentLib.isLinear(perpetual) && InstrumentLib.isLinear(future), "linear");
        assertTrue(!InstrumentLib.expiredAt(perpetual, type(uint64).max), "never");
        assertTrue(InstrumentLib.expiredAt(future, InstrumentLib.expiryOf(future)), "at expiry");
        uint256[4] memory others = [
            2 << 60 | stem | low,
            2 << 60 | stem | expiry,
            3 << 60 | stem,
            3 << 60 | stem | expiry | low
        ];
        for (uint256 i = 0; i < 4; i++) {
            vm.expectPartialRevert(InstrumentLib.UnsupportedInstrument.selector);
            this.toListed(others[i]);
        }
    }

    function test_call_minus_put_is_the_forward(uint32 mantissa, uint64 ticks, int48 quantity)
        public
        pure
    {
        mantissa = uint32(bound(mantissa, 1, (1 << 20) - 1));
        uint256 price = bound(ticks, 1, 1e14) * 1e4;
        uint64 call = uint64(pack(1, 1, 0, mantissa, 0));
        int256 forward = int256(quantity) * (int256(price) - int256(uint256(mantissa) * 1e4)) / 1e4;
        assertEq(
            forward,
            InstrumentLib.payoff(call, quantity, price)
                - InstrumentLib.payoff(call | 1, quantity, price),
            "parity"
        );
    }
}

contract OrderStateLibTest is Test {
    function test_a_state_reads_back_and_its_neighbours_stand(
        uint64 nonce,
        uint48 filled,
        uint16 version,
        uint256 word
    ) public pure {
        uint256 written = OrderStateLib.written(word, nonce, filled, version);
        (uint256 f, uint256 v) = OrderStateLib.read(written, nonce);
        assertEq(filled, f, "filled");
        assertEq(version, v, "version");
        uint256 mask = ~(uint256(type(uint64).max) << (64 * (nonce % 4)));
        assertEq(word & mask, written & mask, "neighbours");
    }

    function test_a_mark_reads_back_and_its_neighbours_stand(uint64 nonce, uint256 word, bool done)
        public
        pure
    {
        uint256 mask = ~(uint256(3) << (2 * (nonce % 128)));
        uint256 mark = done ? OrderStateLib.DONE : OrderStateLib.PARTIAL;
        uint256 marked = OrderStateLib.marked(word & mask, nonce, mark);
        assertEq(mark, OrderStateLib.marksOf(marked, nonce), "mark");
        assertTrue(OrderStateLib.isDone(marked, nonce) == done, "done");
        assertEq(word & mask, marked & mask, "neighbours");
        marked = OrderStateLib.marked(marked, nonce, OrderStateLib.DONE);
        assertTrue(OrderStateLib.isDone(marked, nonce), "done after partial");
        assertEq(nonce / 128, OrderStateLib.windowOf(nonce), "window");
    }
}

contract DelayedLibTest is Test {
    Delayed internal value;

    function test_a_scheduled_value_waits(uint64 old, uint64 new_, uint32 delay, uint32 time)
        public
    {
        vm.warp(1_800_000_000);
        DelayedLib.setNow(value, old);
        DelayedLib.schedule(value, new_, delay);
        uint256 now_ = 1_800_000_000 + uint256(time);
        assertEq(time < delay ? old : new_, DelayedLib.valueAt(value, now_), "value");
    }

    function test_a_value_set_now_holds_for_the_past_too(uint64 v, uint64 time) public {
        DelayedLib.setNow(value, v);
        assertEq(v, DelayedLib.valueAt(value, time), "value");
    }
}

contract IndexLibTest is Test {
    function test_each_key_has_one_place_in_order_of_arrival(uint8[] memory keys) public pure {
        Index memory index = IndexLib.create(keys.length);
        uint256[256] memory places; // the slow twin: place + 1 by key
        uint256 count = 0;
        for (uint256 i = 0; i < keys.length; i++) {
            (uint256 place, bool added) = IndexLib.findOrAdd(index, keys[i]);
            assertTrue(added == (places[keys[i]] == 0), "added");
            if (added) places[keys[i]] = ++count;
            assertEq(places[keys[i]] - 1, place, "place");
            assertEq(keys[i], index.keys[place], "key");
        }
        assertEq(count, index.count, "count");
    }
}

contract LedgerLibTest is Test {
    function test_a_position_key_splits_into_its_parts(uint64 id, uint64 instrument) public pure {
        (uint64 a, uint64 b) = LedgerLib.splitKey(LedgerLib.positionKey(id, instrument));
        assertEq(id, a, "subaccountId");
        assertEq(instrument, b, "instrument");
    }
}

/// @dev A grid of 90 % to 110 %, and beside it tails whose moves do not stretch.
contract SpotLibTest is Test {
    function stretched(MarginParameters calldata p, uint256 scan)
        external
        pure
        returns (int256[] memory)
    {
        return SpotLib.stretched(p, scan);
    }

    /// @dev Whichever comes first.
    function check(int256[7] memory expected, int256[7] memory spots, uint256 scan) internal view {
        for (uint256 first = 0; first < 7; first++) {
            MarginParameters memory p;
            (p.weights, p.spots) = (new uint64[](7), new uint64[](7));
            for (uint256 s = 0; s < 7; s++) {
                p.spots[(first + s) % 7] = uint64(uint256(spots[s]));
                p.weights[(first + s) % 7] = s > 1 && s < 5 ? 1e18 : 1e18 - 1;
            }
            int256[] memory found = this.stretched(p, scan);
            for (uint256 s = 0; s < 7; s++) {
                assertEq(expected[s], found[(first + s) % 7], "spot");
            }
        }
    }

    function test_the_grid_stretches_and_shrinks_and_tails_stay() public view {
        int256[7] memory spots = [int256(7e17), 8e17, 9e17, 1e18, 11e17, 12e17, 13e17];
        check(spots, spots, 1e18);
        check([int256(7e17), 8e17, 85e16, 1e18, 115e16, 12e17, 13e17], spots, 15e17);
        check([int256(7e17), 8e17, 95e16, 1e18, 105e16, 12e17, 13e17], spots, 5e17);
    }

    function test_the_grid_stretches_to_the_nearest_tails_only() public view {
        int256[7] memory spots = [int256(7e17), 8e17, 9e17, 1e18, 11e17, 12e17, 13e17];
        check([int256(7e17), 8e17, 8e17, 1e18, 12e17, 12e17, 13e17], spots, 3e18);
        spots = [int256(8e17), 7e17, 9e17, 1e18, 11e17, 13e17, 12e17];
        check([int256(8e17), 7e17, 8e17, 1e18, 12e17, 13e17, 12e17], spots, 3e18);
    }

    /// @dev A tail inside the grid, or level with its end, bounds nothing; without one a price
    /// falls to zero at most.
    function test_a_tail_inside_the_grid_bounds_nothing() public view {
        int256[7] memory spots = [int256(1e18), 9e17, 9e17, 1e18, 11e17, 11e17, 1e18];
        check([int256(1e18), 9e17, 7e17, 1e18, 13e17, 11e17, 1e18], spots, 3e18);
        check([int256(1e18), 9e17, 0, 1e18, 3e18, 11e17, 1e18], spots, 20e18);
    }

    function test_halves_are_rounded_to_the_even_neighbour() public view {
        int256[7] memory spots = [int256(0), 0, 1e18 - 1, 1e18 + 1, 1e18 + 3, 9e18, 9e18];
        check([int256(0), 0, 1e18 - 2, 1e18 + 2, 1e18 + 4, 9e18, 9e18], spots, 15e17);
        spots = [int256(0), 0, 1e18 - 3, 1e18 - 5, 1e18 + 5, 9e18, 9e18];
        check([int256(0), 0, 1e18 - 4, 1e18 - 8, 1e18 + 8, 9e18, 9e18], spots, 15e17);
        check([int256(0), 0, 1e18 - 2, 1e18 - 4, 1e18 + 4, 9e18, 9e18], spots, 7e17);
    }
}
