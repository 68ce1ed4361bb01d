// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, KeyLimit, KeyScope, Leg, Order} from "../src/interfaces/IClearing.sol";
import {KeyLib} from "../src/libraries/KeyLib.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch, Fill, SignedOrder} from "./Codec.sol";

contract GrantScopedKeyTest is ClearingTest {
    uint8 internal constant OPTIONS = 1 << 1;
    uint8 internal constant PERPETUALS = 1 << 2;
    uint64 internal nonce;

    function test_a_grant_is_logged_with_its_scope_first(uint64 deadline, uint64 daily, uint24 band)
        public
    {
        deadline = uint64(bound(deadline, 1, type(uint64).max));
        daily = uint64(bound(daily, 1, type(uint64).max));
        KeyScope memory scope = scopeOf(OPTIONS, daily);
        scope.band = band;
        vm.expectEmit(address(clearing));
        emit IClearingBase.SessionKeyScoped(aliceAddress, sessionAddress, scope);
        vm.expectEmit(address(clearing));
        emit IClearingBase.SessionKeySet(aliceAddress, sessionAddress, deadline);
        grantUntil(deadline, scope);
        uint64 tag = clearing.sessionKeyTag(aliceAddress, sessionAddress);
        assertEq(band, KeyLib.bandOf(tag), "band");
        assertEq(OPTIONS, KeyLib.kindsOf(tag), "kinds");
        (uint64 limit,,) = clearing.keyUse(aliceAddress, sessionAddress, 1);
        assertEq(daily, limit, "limit");
    }

    function test_a_scoped_key_trades_what_it_may() public {
        grant(scopeOf(OPTIONS, 2 * ONE));
        settle(sessionTrade(call, ONE, START));
        (, uint64 day, uint128 used) = clearing.keyUse(aliceAddress, sessionAddress, 1);
        assertEq(START / DAY, day, "day");
        assertEq(ONE, used, "used");
    }

    function test_other_kinds_are_refused() public {
        grant(scopeOf(OPTIONS, 100 * ONE));
        refused(sessionTrade(perpetual, ONE, START), IClearingBase.OutsideKeyScope.selector);
        refused(sessionTrade(future, ONE, START), IClearingBase.OutsideKeyScope.selector);
    }

    function test_other_underlyings_are_refused(uint16 underlying) public {
        underlying = uint16(bound(underlying, 2, 511));
        grant(scopeOf(OPTIONS | PERPETUALS, 100 * ONE));
        uint64 other = option(underlying, EXPIRY, 100_000_00, false);
        refused(sessionTrade(other, ONE, START), IClearingBase.OutsideKeyScope.selector);
    }

    function test_fills_of_a_day_share_its_limit(uint64 first, uint64 second) public {
        first = uint64(bound(first, 1, 10 * ONE));
        second = uint64(bound(second, 1, 10 * ONE));
        grant(scopeOf(OPTIONS, 10 * ONE));
        settle(sessionTrade(call, first, START));
        Batch memory next = sessionTrade(put, second, START);
        if (first + second > 10 * ONE) refused(next, IClearingBase.KeyLimitReached.selector);
        else settle(next);
    }

    function test_a_day_is_one_of_utc() public {
        grant(scopeOf(OPTIONS, ONE));
        uint64 midnight = (START / DAY + 1) * DAY;
        vm.warp(midnight + 5);
        settle(sessionTrade(call, ONE, midnight - 1));
        settle(sessionTrade(call, ONE, midnight));
        refused(sessionTrade(call, 1, midnight), IClearingBase.KeyLimitReached.selector);
    }

    function test_two_fills_in_one_batch_count_together() public {
        grant(scopeOf(OPTIONS, ONE));
        Batch memory batch = sessionTrade(call, ONE, START);
        Fill[] memory fills = new Fill[](2);
        (fills[0], fills[1]) = (batch.fills[0], batch.fills[0]);
        fills[1].quantity = 1;
        fills[0].quantity = ONE;
        Order memory maker = batch.orders[0].order;
        Order memory taker = batch.orders[1].order;
        (maker.quantity, taker.quantity) = (2 * ONE, 2 * ONE);
        batch.orders[0] = signed(maker, SESSION_KEY);
        batch.orders[1] = signed(taker, BOB_KEY);
        batch.fills = fills;
        refused(batch, IClearingBase.KeyLimitReached.selector);
    }

    function test_the_owners_own_orders_are_not_bounded() public {
        grant(scopeOf(OPTIONS, 1));
        trade(perpetual, 100 * ONE, 1e4, 77);
    }

    function test_a_scope_never_changes() public {
        grant(scopeOf(OPTIONS, ONE));
        again(IClearingBase.KeyKnown.selector);
        vm.prank(aliceAddress);
        clearing.setSessionKey(sessionAddress, START + 2 * DAY); // its deadline does
        again(IClearingBase.KeyKnown.selector);
        vm.prank(aliceAddress);
        clearing.setSessionKey(sessionAddress, 0);
        again(IClearingBase.KeyKnown.selector);
        refused(sessionTrade(perpetual, ONE, START), IClearingBase.OutsideKeyScope.selector);
    }

    function test_a_key_granted_without_a_scope_gets_none_later() public {
        vm.prank(aliceAddress);
        clearing.setSessionKey(sessionAddress, START + DAY);
        again(IClearingBase.KeyKnown.selector);
    }

    function test_a_scope_says_something(uint8 kinds, uint32 a, uint32 b, uint64 x, uint64 y)
        public
    {
        KeyScope memory scope = KeyScope(kinds, 0, new KeyLimit[](2));
        (scope.limits[0], scope.limits[1]) = (KeyLimit(a, x), KeyLimit(b, y));
        bool fits = kinds != 0 && kinds & ~uint8(14) == 0 && a < b && x != 0 && y != 0;
        if (!fits) vm.expectRevert(IClearingBase.InvalidScope.selector);
        grant(scope);
    }

    function test_every_kind_that_is_and_no_other_may_be_granted() public {
        for (uint256 kind = 0; kind < 8; kind++) {
            if (kind > 0 && kind < 4) continue;
            vm.expectRevert(IClearingBase.InvalidScope.selector);
            grant(scopeOf(uint8(1 << kind), ONE));
        }
        grant(scopeOf(OPTIONS | PERPETUALS | 1 << 3, 3 * ONE));
        settle(sessionTrade(call, ONE, START));
        settle(sessionTrade(perpetual, ONE, START));
        settle(sessionTrade(future, ONE, START));
    }

    function test_empty_and_endless_scopes_are_refused() public {
        KeyScope memory scope = KeyScope(OPTIONS, 0, new KeyLimit[](0));
        vm.expectRevert(IClearingBase.InvalidScope.selector);
        grant(scope);
        scope.limits = new KeyLimit[](17);
        for (uint32 i = 0; i < 17; i++) {
            scope.limits[i] = KeyLimit(i + 1, 1);
        }
        vm.expectRevert(IClearingBase.InvalidScope.selector);
        grant(scope);
        vm.expectRevert(IClearingBase.ZeroAddress.selector);
        clearing.grantScopedKey(address(0), START, scope);
    }

    /// @dev The attack: a stolen key sells one option after another to a friend.
    function test_a_stolen_key_loses_a_days_limit_and_no_more(uint64 price) public {
        price = uint64(bound(price, 1, 1e6)) * 1e4;
        grant(scopeOf(OPTIONS, 3 * ONE));
        for (uint256 i = 0; i < 3; i++) {
            settle(sessionTrade(call, ONE, START));
        }
        refused(sessionTrade(call, 1, START), IClearingBase.KeyLimitReached.selector);
    }

    function grant(KeyScope memory scope) internal {
        grantUntil(START + 5 * DAY, scope);
    }

    function grantUntil(uint64 deadline, KeyScope memory scope) internal {
        vm.prank(aliceAddress);
        clearing.grantScopedKey(sessionAddress, deadline, scope);
    }

    function again(bytes4 selector) internal {
        KeyScope memory scope = scopeOf(OPTIONS, 5 * ONE);
        vm.prank(aliceAddress);
        vm.expectRevert(selector);
        clearing.grantScopedKey(sessionAddress, START + DAY, scope);
    }

    function scopeOf(uint8 kinds, uint64 daily) internal pure returns (KeyScope memory scope) {
        scope = KeyScope(kinds, 0, new KeyLimit[](1));
        scope.limits[0] = KeyLimit(1, daily);
    }

    function sessionTrade(uint64 instrument, uint64 quantity, uint64 time)
        internal
        returns (Batch memory batch)
    {
        Order memory maker = orderOf(alice, BUY, quantity, 1e4, ++nonce);
        Order memory taker = orderOf(bob, SELL, quantity, 1e4, nonce);
        (maker.instrument, taker.instrument) = (instrument, instrument);
        (maker.deadline, taker.deadline) = (START + 5 * DAY, START + 5 * DAY);
        maker.signer = sessionAddress;
        batch = tradeOf(maker, taker, quantity, 1e4);
        batch.orders[0] = signed(maker, SESSION_KEY);
        batch.fills[0].time = uint32(time);
    }
}
