// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Funding, Position} from "../src/interfaces/IClearing.sol";
import {MarksLib} from "../src/libraries/MarksLib.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {Batch} from "./Codec.sol";
import {EscapeTest} from "./EscapeTest.sol";

/// @dev The operator disappears with open options, perpetuals, expired options that nobody paid
/// off, debtors and several collaterals; whatever happened before, and whoever does what after.
contract EscapeStoryTest is EscapeTest {
    uint256 internal constant ACTORS = 6;
    uint64 internal constant SOON = START + 2 * DAY;

    uint64[ACTORS] internal ids;
    uint64 internal expired = option(1, SOON, 90_000_00, false);
    uint64 internal nonce;
    uint64 internal delivered;
    uint256 internal state; // of the random numbers

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < ACTORS; i++) {
            ids[i] = open(vm.addr(300 + i), 0);
        }
    }

    function keyOf(uint64 id) internal view override returns (uint256) {
        for (uint256 i = 0; i < ACTORS; i++) {
            if (ids[i] == id) return 300 + i;
        }
        return super.keyOf(id);
    }

    function random(uint256 limit) internal returns (uint256) {
        state = uint256(keccak256(abi.encode(state)));
        return state % limit;
    }

    function tokenOf(uint256 which) internal view returns (MockToken) {
        return which == 0 ? MockToken(address(usdc)) : which == 1 ? weth : wbtc;
    }

    // ---- a history

    function happened(uint256 seed) internal {
        state = seed;
        for (uint256 i = 0; i < ACTORS; i++) {
            address owner = vm.addr(300 + i);
            fund(owner, ids[i], 1 + random(500_000 * USD));
            if (random(2) == 0) fundWith(weth, owner, ids[i], 1e10 * (1 + random(50e8)));
            if (random(2) == 0) fundWith(wbtc, owner, ids[i], 1 + random(3e8));
        }
        fund(treasury, 1, 1 + random(400_000 * USD));
        for (uint256 i = 0; i < 10; i++) {
            traded();
            if (i % 4 == 3) accrued(uint64(i) / 4 + 1);
        }
        for (uint256 i = 0; i < listed.length; i++) {
            marks[i] = uint64(1 + random(150_000 * USD));
        }
        postMarks();
        delivered = uint64(1 + random(200_000)) * USD;
    }

    function traded() internal {
        uint256 which = random(6);
        uint64 instrument = which == 5 ? expired : listed[which + 2]; // after the indices
        uint256 buyer = random(ACTORS);
        uint256 seller = (buyer + 1 + random(ACTORS - 1)) % ACTORS;
        uint64 price = uint64(random(120_000) * USD);
        deal(ids[buyer], ids[seller], instrument, uint64(1 + random(4 * ONE)), price, ++nonce);
    }

    function accrued(uint64 ordinal) internal {
        vm.warp(block.timestamp + 60);
        int64 index = int64(uint64(random(400))) * 1e4 - 2e6;
        postFunding(perpetual, ordinal, uint64(block.timestamp), index);
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.fundings = new Funding[](1);
        batch.fundings[0] = Funding(perpetual, ordinal);
        settle(batch);
    }

    // ---- and its end, by anyone

    function ended(uint256 seed) internal {
        state = seed;
        escaped(); // the expired options expire meanwhile
        fixPrice(1, SOON, delivered);
        priced();
        listed.push(expired);
        uint64 count = clearing.escape().accounts;
        while (clearing.escape().next <= count) {
            valuedSome(count);
        }
    }

    /// @dev A few accounts at once; of the last one perhaps a part; or what was valued before.
    function valuedSome(uint64 count) internal {
        uint64 first = clearing.escape().next;
        if (first > 1 && random(3) == 0) first--;
        uint64 last = clearing.escape().next + uint64(random(4));
        if (last > count) last = count;
        uint64[][] memory lists = new uint64[][](last + 1 - first);
        for (uint256 i = 0; i < lists.length; i++) {
            lists[i] = listed;
        }
        if (random(2) == 0) {
            lists[lists.length - 1] = new uint64[](1);
            lists[lists.length - 1][0] = listed[random(listed.length)];
        }
        clearing.value(first, lists);
    }

    function claimed(uint256 seed) internal {
        state = seed;
        uint256 count = 3 * clearing.escape().accounts;
        uint256[] memory order = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 j = random(i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        for (uint256 i = 0; i < count; i++) {
            uint64 id = uint64(order[i] / 3 + 1);
            MockToken token = tokenOf(order[i] % 3);
            uint256 owed = clearing.claimable(id, address(token));
            uint256 before = token.balanceOf(ownerOf(id));
            if (owed == 0) continue;
            claim(id, address(token));
            uint256 paid = token.balanceOf(ownerOf(id)) - before;
            assertEq(owed * custody.unit(address(token)), paid, "paid whole");
        }
    }

    // ---- what holds

    /// @dev What the histories are about: some owe more than they have, and tokens of both kinds
    /// lie there.
    function test_a_history_has_debtors_and_several_collaterals() public {
        happened(1);
        Twin memory twin = fairness();
        uint256 debtors;
        for (uint256 i = 0; i < ACTORS; i++) {
            if (twin.equity[i] < 0) debtors++;
        }
        assertTrue(debtors != 0, "debtors");
        for (uint256 t = 1; t < 3; t++) {
            assertTrue(tokenOf(t).balanceOf(address(custody)) != 0, "collateral");
        }
        assertTrue(twin.covered != 0, "seized from a debtor");
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    /// @dev Every unit of every token is paid out, whatever the order of claims.
    function test_every_unit_is_paid_out(uint256 history, uint256 ending, uint256 claims) public {
        happened(history);
        ended(ending);
        claimed(claims);
        for (uint256 i = 0; i < 3; i++) {
            assertEq(0, tokenOf(i).balanceOf(address(custody)), "nothing stays");
        }
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    /// @dev Each is paid its part of all that is there, in each token, by the slow way to say it.
    function test_all_are_paid_at_one_ratio(uint256 history, uint256 ending) public {
        happened(history);
        Twin memory twin = fairness();
        ended(ending);
        uint256 whole = twin.there + twin.covered;
        if (whole < twin.owed) whole = twin.owed;
        for (uint256 i = 0; i < ACTORS; i++) {
            uint256 claim_ = twin.equity[i] > 0 ? uint256(twin.equity[i]) : 0;
            isShare(clearing.claimable(ids[i], address(usdc)), twin.there, claim_, whole);
            for (uint256 t = 0; t < 2; t++) {
                uint256 paid = clearing.claimable(ids[i], address(tokenOf(t + 1)));
                isShare(paid - twin.kept[i][t], twin.seized[t], claim_, whole);
            }
        }
    }

    function isShare(uint256 paid, uint256 pool, uint256 claim_, uint256 whole) internal pure {
        uint256 share = whole == 0 ? 0 : pool * claim_ / whole;
        assertTrue(paid == share || paid == share + 1, "one ratio");
    }

    // ---- the slow way

    struct Twin {
        int256[ACTORS] equity;
        uint256[2][ACTORS] kept; // tokens that stay with their owner
        uint256[2] seized;
        uint256 covered;
        uint256 there; // USDC
        uint256 owed; // to all but the venue
    }

    function fairness() internal view returns (Twin memory twin) {
        twin.there = usdc.balanceOf(address(custody));
        twin.owed = 3_000_000 * USD; // alice, bob and carol only watch
        for (uint256 i = 0; i < ACTORS; i++) {
            twin.equity[i] = equityOf(ids[i]);
            uint256 debt;
            if (twin.equity[i] > 0) twin.owed += uint256(twin.equity[i]);
            else debt = uint256(-twin.equity[i]);
            for (uint256 t = 0; t < 2; t++) {
                uint256 price = markOf(MarksLib.indexId(t == 0 ? 2 : 1)) / 1e4 * 1e4;
                uint256 held = clearing.collateralOf(ids[i], address(tokenOf(t + 1)));
                uint256 taken = debt == 0 || price == 0 ? 0 : (debt * 1e8 + price - 1) / price;
                if (taken > held) taken = held;
                uint256 worth = taken * price / 1e8;
                if (worth > debt) worth = debt;
                (debt, twin.covered) = (debt - worth, twin.covered + worth);
                twin.seized[t] += taken;
                twin.kept[i][t] = held - taken;
            }
        }
    }

    function equityOf(uint64 id) internal view returns (int256 equity) {
        uint64[] memory all = new uint64[](listed.length + 1);
        for (uint256 i = 0; i < listed.length; i++) {
            all[i] = listed[i];
        }
        all[listed.length] = expired;
        (int256 cash, Position[] memory held) = clearing.cashAndPositions(id, all);
        equity = cash;
        (, int64 index) = clearing.funding(perpetual);
        for (uint256 i = 0; i < all.length; i++) {
            int256 price = i < listed.length ? int256(uint256(marks[i] / 1e4 * 1e4)) : payoff();
            if (all[i] == perpetual) price -= index - held[i].fundingIndex;
            equity += held[i].quantity * price / 1e4 - held[i].cost;
        }
    }

    function payoff() internal view returns (int256) {
        return delivered > 90_000 * USD ? int256(uint256(delivered - 90_000 * USD)) : int256(0);
    }
}
