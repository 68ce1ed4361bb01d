// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Due, DueKind, Order, TakenLeg, TakenToken, Takeover} from "../src/interfaces/IClearing.sol";
import {IExits} from "../src/interfaces/IExits.sol";
import {MarginProof} from "../src/interfaces/IMargin.sol";
import {Halt, IReleases, Queued} from "../src/interfaces/IReleases.sol";
import {Batch} from "./Codec.sol";
import {ForcedTest} from "./ForcedTest.sol";

/// @dev Random but lawful actions where withdrawals wait and force is used: two traders in one call
/// who ruin each other, the fund, and whoever brings proofs.
contract ForceHandler is ForcedTest {
    uint64 internal constant DELAY = 1 hours;
    int64 internal constant FAIR = int64(30_000 * USD);
    uint256 internal constant WHOLE = 1e18;

    IReleases internal gate;
    Queued[] public queue;
    uint64 internal epoch = 1;
    uint64 internal nonce = 100;

    uint256 public deposited = 2_500_000 * USD; // alice, bob and the fund
    uint256 public released;
    uint256 public takenBack;
    uint256 public halted;
    uint256 public lifted;
    uint256 public flaggings;
    uint256 public forcedFills;
    uint256 public takeovers;
    uint256 public covers;
    uint256 public shares;
    bool public leftWithoutMargin;
    bool public heldForNothing;
    bool public settledTwice;
    bool public sharedWrongly;

    function setUp() public virtual override {
        super.setUp();
        gate = IReleases(address(clearing));
        gate.setWithdrawalDelay(DELAY);
        IExits(address(clearing)).setMargin(margin);
    }

    /// @dev Of an account that is up for auction no batch brings anything.
    modifier thawed() {
        if (!isFrozen(alice) && !isFrozen(bob)) _;
    }

    // ---- owners

    function deposit(bool bobs, uint256 amount) public {
        amount = bound(amount, 1, 1_000_000 * USD);
        fund(ownerOf(idOf(bobs)), idOf(bobs), amount);
        deposited += amount;
    }

    function trade(bool bobSells, uint256 contracts, uint256 ticks) public thawed {
        exchange(
            bobSells, uint64(bound(contracts, 1, 20 * ONE)), int64(uint64(bound(ticks, 1, 6e6)))
        );
    }

    /// @dev One sells to the other for nothing, until it has less than nothing.
    function ruin(bool bobs) public thawed {
        fresh();
        (int256 equity,,) = margin.health(idOf(bobs), proofOf(idOf(bobs)));
        uint64 contracts = equity > 0 ? uint64(uint256(equity) / (30_000 * USD)) + 2 : 1;
        exchange(bobs, contracts * ONE, 1);
    }

    function withdraw(bool bobs, uint256 amount) public thawed {
        uint64 id = idOf(bobs);
        int256 cash = cashOf(id);
        if (cash <= 0) return;
        amount = bound(amount, 1, uint256(cash));
        settleOnce(withdrawBatch(withdrawOf(id, keyOf(id), amount, ++nonce)));
        queue.push(Queued(id, address(usdc), amount, ownerOf(id), nonce, false));
    }

    function takeBack(uint256 which) public {
        if (queue.length == 0) return;
        Queued memory w = unqueue(which % queue.length);
        vm.prank(ownerOf(w.subaccountId));
        gate.takeBack(w);
        takenBack++;
    }

    // ---- anybody

    /// @dev It leaves if nothing holds it up and what is left has margin, and else it waits.
    function release(uint256 which) public {
        if (queue.length == 0) return;
        which %= queue.length;
        Queued memory w = queue[which];
        uint64 maturesAt = gate.maturesAt(w);
        if (block.timestamp < maturesAt) vm.warp(maturesAt);
        fresh();
        bool allowed = !isHalted() && hasMargin(w.subaccountId);
        try gate.release(w, proofOf(w.subaccountId)) {
            if (!allowed) leftWithoutMargin = true;
            unqueue(which);
            released += w.amount;
        } catch {
            if (allowed) heldForNothing = true;
        }
    }

    function halt(bool bobs) public {
        fresh();
        if (equityOf(idOf(bobs)) >= 0) return;
        gate.halt(idOf(bobs), proofOf(idOf(bobs)));
        halted++;
    }

    function liftHalt(uint256 which) public {
        Halt[] memory list = gate.halts();
        if (list.length == 0) return;
        fresh();
        uint64 id = list[which % list.length].subaccountId;
        if (equityOf(id) < 0) return;
        gate.liftHalt(id, proofOf(id));
        lifted++;
    }

    function flag(bool bobs) public {
        fresh();
        (, int256 maintenance,) = margin.health(idOf(bobs), proofOf(idOf(bobs)));
        if (maintenance >= 0) return;
        flags.flag(idOf(bobs), proofOf(idOf(bobs)));
        flaggings++;
    }

    function pass(uint256 seconds_) public {
        vm.warp(block.timestamp + bound(seconds_, 0, 1 hours));
    }

    // ---- the operator's force

    /// @dev Some of what is held is closed against the other, without a signature.
    function force(bool bobs, uint256 quantity) public thawed {
        (uint64 id, uint64 other) = (idOf(bobs), idOf(!bobs));
        uint64 held = heldBy(id);
        if (held == 0 || !isForced(id)) return;
        quantity = bound(quantity, 1, held);
        uint8 side = clearing.position(id, call) < 0 ? BUY : SELL;
        Batch memory batch = batchOf(2, 1, 0, 0);
        Order memory order =
            orderOf(other, side == BUY ? SELL : BUY, uint64(quantity), FAIR, ++nonce);
        batch.orders[0] = signed(order, keyOf(other));
        batch.orders[1] = forced(id, side, call, uint64(quantity), FAIR);
        batch.fills[0] = fillOf(uint64(quantity), FAIR);
        settleOnce(batch);
        forcedFills++;
    }

    /// @dev The fund takes a fraction, and some of the budget from the liquidated.
    function takeOver(bool bobs, uint256 fraction, uint256 discount) public thawed {
        uint64 id = idOf(bobs);
        if (heldBy(id) == 0 || !isForced(id)) return;
        (,, uint256 budget) = flags.forceOf(id);
        Takeover memory t;
        (t.time, t.liquidatedId, t.takerId) = (uint32(block.timestamp), id, fundAccount);
        t.fraction = uint64(bound(fraction, 1, WHOLE));
        t.discount = uint128(bound(discount, 0, budget));
        int64 quantity = int64(uint64((uint256(heldBy(id)) * t.fraction + WHOLE - 1) / WHOLE));
        if (clearing.position(id, call) < 0) quantity = -quantity;
        t.legs = new TakenLeg[](1);
        t.legs[0] = TakenLeg(call, quantity, FAIR);
        t.tokens = new TakenToken[](0);
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.takeovers = new Takeover[](1);
        batch.takeovers[0] = t;
        settleOnce(batch);
        takeovers++;
    }

    /// @dev The fund pays what an account owes that holds nothing more.
    function cover(bool bobs, uint256 amount) public thawed {
        uint64 id = idOf(bobs);
        int256 cash = cashOf(id);
        if (cash >= 0 || heldBy(id) != 0 || !isForced(id)) return;
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.dues = new Due[](1);
        amount = bound(amount, 1, uint256(-cash));
        batch.dues[0] = Due(uint32(block.timestamp), DueKind.COVER, id, uint128(amount));
        settleOnce(batch);
        covers++;
    }

    /// @dev Of the fees that came in by the venue's own deposits: trades here are free.
    function shareFees(uint256 earned, uint256 amount) public {
        earned = bound(earned, 1, 1_000 * USD);
        fund(ownerOf(1), 1, earned);
        deposited += earned;
        (int256 ours, int256 ofFund) = (cashOf(1), cashOf(fundAccount));
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.dues = new Due[](1);
        amount = bound(amount, 1, uint256(ours));
        batch.dues[0] = Due(uint32(block.timestamp), DueKind.FEES, 1, uint128(amount));
        settleOnce(batch);
        bool exact =
            cashOf(1) == ours - int256(amount) && cashOf(fundAccount) == ofFund + int256(amount);
        if (!exact || cashOf(1) < 0) sharedWrongly = true;
        shares++;
    }

    // ---- inside

    function isFrozen(uint64) internal view virtual returns (bool) {
        return false;
    }

    function exchange(bool bobSells, uint64 quantity, int64 ticks) internal {
        (uint64 seller, uint64 buyer) = (idOf(bobSells), idOf(!bobSells));
        Order memory bid = orderOf(buyer, BUY, quantity, ticks * 1e4, ++nonce);
        Order memory ask = orderOf(seller, SELL, quantity, ticks * 1e4, ++nonce);
        settleOnce(tradeOf(bid, keyOf(buyer), ask, keyOf(seller), quantity, ticks * 1e4));
    }

    function settleOnce(Batch memory batch) internal {
        settle(batch);
        vm.prank(relayer);
        try clearing.settle(packed(batch)) {
            settledTwice = true;
        } catch {}
    }

    /// @dev A root of now.
    function fresh() internal {
        post(++epoch, root());
    }

    function unqueue(uint256 which) internal returns (Queued memory w) {
        w = queue[which];
        queue[which] = queue[queue.length - 1];
        queue.pop();
    }

    function proofOf(uint64 id) internal view returns (MarginProof memory proof) {
        if (heldBy(id) != 0) return call_();
        proof.parameters = abi.encode(parameters());
        (proof.epoch, proof.stablecoinPrice, proof.leafCount) = (1, RATIO, 5);
        proof.places = hex"0000";
        bytes32[] memory level = leaves();
        proof.nodes = new bytes32[](3);
        (proof.nodes[0], proof.nodes[1], proof.nodes[2]) = (level[1], parents(level)[1], level[4]);
    }

    function hasMargin(uint64 id) internal view returns (bool) {
        if (heldBy(id) == 0 && cashOf(id) >= 0) return true;
        (int256 initial,) = margin.excess(id, proofOf(id));
        return initial >= 0;
    }

    function equityOf(uint64 id) internal view returns (int256 equity) {
        (equity,,) = margin.health(id, proofOf(id));
    }

    function isHalted() internal view returns (bool) {
        Halt[] memory list = gate.halts();
        for (uint256 i = 0; i < list.length; i++) {
            if (block.timestamp <= list[i].until) return true;
        }
        return false;
    }

    function isForced(uint64 id) internal view returns (bool) {
        (uint64 until,,) = flags.forceOf(id);
        return until >= block.timestamp;
    }

    function heldBy(uint64 id) internal view returns (uint64) {
        int64 quantity = clearing.position(id, call);
        return uint64(quantity < 0 ? -quantity : quantity);
    }

    function idOf(bool bobs) internal view returns (uint64) {
        return bobs ? bob : alice;
    }

    function keyOf(uint64 id) internal view returns (uint256) {
        return id == bob ? BOB_KEY : ALICE_KEY;
    }

    // ---- sums

    function isFlat(bool bobs) external view returns (bool) {
        return heldBy(idOf(bobs)) == 0;
    }

    function queued() external view returns (uint256 sum) {
        for (uint256 i = 0; i < queue.length; i++) {
            sum += queue[i].amount;
        }
    }

    /// @dev Each is known to the contract, and mature no earlier than its batch allows.
    function allAreQueued() external view returns (bool) {
        for (uint256 i = 0; i < queue.length; i++) {
            if (gate.maturesAt(queue[i]) == 0) return false;
        }
        return true;
    }

    function cashTotal() external view returns (int256 sum) {
        for (uint64 id = 1; id <= clearing.subaccountCount(); id++) {
            sum += cashOf(id);
        }
    }

    function netPosition() external view returns (int256 sum) {
        for (uint64 id = 1; id <= clearing.subaccountCount(); id++) {
            sum += clearing.position(id, call);
        }
    }

    function unpaid() external view returns (uint256) {
        return
            custody.heldFor(address(usdc), aliceAddress)
                + custody.heldFor(address(usdc), bobAddress);
    }

    function tokenBalance() external view returns (uint256) {
        return usdc.balanceOf(address(custody));
    }

    function queueLength() external view returns (uint256) {
        return queue.length;
    }
}
