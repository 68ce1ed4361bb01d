// Structures out of the chain, their prices and greeks; queues; the ticket's kinds.

import assert from "node:assert/strict";
import { test } from "node:test";
import { feeLimit } from "../../web/fees.js";
import { requestOf } from "../../web/orders.js";
import { payoff } from "../../web/payoff.js";
import { hearQueue, placeOf } from "../../web/queue.js";
import { legsHash, triggerHash } from "../../web/signing.js";
import { EMPTY_TICKET, channelsOf, initial, reduce } from "../../web/store.js";
import { STRATEGIES, build, greeksOf, holdingsOf, netPrices, tickOf, withLeg } from "../../web/strategy.js";
import { inLowestTerms, requireLegs } from "../../web/structures.js";
import { inUnit, ofType } from "../../web/ticket.js";

const [NEAR, FAR] = [1_000_000, 2_000_000];

/** A chain of strikes 90 to 110 in fives, two expiries, the forward at 100. */
const chain = () => {
  const [instruments, tickers] = [new Map(), new Map()];
  for (const expiry of [NEAR, FAR])
    for (const strike of [90, 95, 100, 105, 110])
      for (const option_type of ["call", "put"]) {
        const name = `${expiry}-${strike}-${option_type}`;
        instruments.set(name, { instrument_name: name, kind: "option", base_currency: "BTC", strike, option_type, expiration_timestamp: expiry, tick_size: 5 });
        const value = Math.max(0, option_type === "call" ? 100 - strike : strike - 100) + (expiry === NEAR ? 2 : 3);
        tickers.set(name, { mark_price: value, best_bid_price: value - 0.5, best_ask_price: value + 0.5, underlying_price: 100, index_price: 100, mark_iv: 50, greeks: { delta: option_type === "call" ? 0.5 : -0.5, gamma: 0.1, vega: 3, theta: -1 } });
      }
  return { ...initial(), now: 1, currency: "BTC", expiry: NEAR, instruments, tickers };
};

/** @param {any} state @param {any[]} legs */
const holding = (state, legs) => ({ ...state, strategy: { ...state.strategy, legs } });

test("each structure has its legs around the forward, and a chain too small has none", () => {
  const state = chain();
  const legs = Object.fromEntries(STRATEGIES.map(([name]) => [name, build(state, name).map((leg) => `${leg.ratio} ${leg.name}`)]));
  assert.deepEqual(legs.straddle, ["1 1000000-100-call", "1 1000000-100-put"]);
  assert.deepEqual(legs.strangle, ["1 1000000-95-put", "1 1000000-105-call"]);
  assert.deepEqual(legs["call-spread"], ["1 1000000-100-call", "-1 1000000-105-call"]);
  assert.deepEqual(legs["put-spread"], ["1 1000000-100-put", "-1 1000000-95-put"]);
  assert.deepEqual(legs.butterfly, ["1 1000000-95-call", "-2 1000000-100-call", "1 1000000-105-call"]);
  assert.deepEqual(legs.condor, ["1 1000000-90-put", "-1 1000000-95-put", "-1 1000000-105-call", "1 1000000-110-call"]);
  assert.deepEqual(legs.calendar, ["-1 1000000-100-call", "1 2000000-100-call"]);
  assert.deepEqual(build({ ...state, expiry: FAR }, "calendar"), []);
  assert.deepEqual(build({ ...state, instruments: new Map() }, "condor"), []);
});

test("a leg grows, shrinks and leaves at nothing", () => {
  const one = withLeg([], "x", 1);
  assert.deepEqual(withLeg(one, "x", 1), [{ name: "x", ratio: 2 }]);
  assert.deepEqual(withLeg(one, "x", -1), []);
});

test("net prices take the side that each leg would trade on; greeks count units", () => {
  const state = holding(chain(), build(chain(), "call-spread"));
  assert.deepEqual(netPrices(state), { mark: 0, ask: 1, bid: -1 });
  assert.equal(netPrices(chain()).mark, null);
  assert.deepEqual(netPrices({ ...state, tickers: new Map() }), { mark: null, ask: null, bid: null });
  const straddle = holding(chain(), build(chain(), "straddle"));
  assert.deepEqual(greeksOf(straddle, 2), { delta: 0, gamma: 0.4, vega: 12, theta: -4 });
  assert.equal(tickOf(straddle), 5);
});

test("a condor sold for a credit earns it between the short strikes and loses the width less it beyond", () => {
  const state = holding(chain(), build(chain(), "condor"));
  const credit = -1.5;
  const found = payoff(holdingsOf(state, 2), 100, state.now, (netPrices(state).mark - credit) * 2);
  const at = (index) => found.points.find((one) => one.index === index).then;
  assert.ok(Math.abs(at(100) - 3) < 1e-9);
  assert.ok(Math.abs(at(110) + 7) < 1e-9);
  assert.deepEqual([Math.round(found.least), Math.round(found.most)], [-7, 3]);
});

test("legs want tickers wherever they expire", () => {
  const state = { ...holding(chain(), build(chain(), "calendar")), link: "live" };
  assert.ok(channelsOf(state).includes("ticker.2000000-100-call.100ms"));
});

test("the limit of a combo's fee is that of all its legs", () => {
  const instruments = new Map([["a", { taker_commission: 0.0003 }], ["b", { taker_commission: 0.0005 }]]);
  const combo = { taker_commission: 0.0005, legs: [{ instrument_name: "a", amount: -2 }, { instrument_name: "b", amount: 1 }] };
  assert.equal(feeLimit(combo, 100_000, instruments), "220.00");
  assert.equal(feeLimit(instruments.get("a"), 100_000), "60.00");
});

test("a combo is signed for only if its hash is that of the legs on the page", () => {
  const instruments = new Map([["a", { signed_instrument: "5" }], ["b", { signed_instrument: "9" }]]);
  const desk = { state: { instruments } };
  const hash = legsHash([{ id: "5", ratio: 1 }, { id: "9", ratio: -2 }]);
  assert.equal(hash, "81485419974347444578653394572600732557594204827853208670771046076481988822950");
  const combo = { signed_instrument: hash, legs: [{ instrument_name: "a", amount: 1 }, { instrument_name: "b", amount: -2 }] };
  const seen = inLowestTerms([{ name: "b", ratio: -4 }, { name: "a", ratio: 2 }]);
  requireLegs(desk, combo, seen);
  const wrong = [
    [{ ...combo, signed_instrument: "1" }, seen],
    [combo, [{ name: "a", ratio: 1 }]],
    [combo, [{ name: "a", ratio: 1 }, { name: "b", ratio: 2 }]],
    [{ ...combo, legs: [...combo.legs, { instrument_name: "c", amount: 1 }] }, [...seen, { name: "c", ratio: 1 }]],
  ];
  for (const [one, legs] of wrong) assert.throws(() => requireLegs(desk, one, legs), /nothing was signed/);
});

const snapshot = { type: "snapshot", change_id: 5, bids: [["1", 10, 2], ["2", 10, 3], ["3", 9, 1]], asks: [["4", 11, 1]] };
const change = (orders, prev = 5) => ({ type: "change", change_id: prev + 1, prev_change_id: prev, orders });

test("an order's place: what is ahead at its price; shrinking keeps it, growing and moving lose it", () => {
  const queue = hearQueue(undefined, snapshot);
  assert.deepEqual(placeOf(queue, "2"), { ahead: 2, place: 2 });
  assert.deepEqual(placeOf(queue, "3"), { ahead: 0, place: 1 });
  assert.equal(placeOf(queue, "9"), null);
  assert.deepEqual(placeOf(hearQueue(queue, change([["put", "1", 10, 1, "buy"]])), "2"), { ahead: 1, place: 2 });
  assert.deepEqual(placeOf(hearQueue(queue, change([["put", "1", 10, 4, "buy"]])), "2"), { ahead: 0, place: 1 });
  assert.deepEqual(placeOf(hearQueue(queue, change([["put", "3", 10, 1, "buy"]])), "3"), { ahead: 5, place: 3 });
  assert.deepEqual(placeOf(hearQueue(queue, change([["delete", "1"]])), "2"), { ahead: 0, place: 1 });
});

test("a queue with a message missing is no queue; own orders bring the channel", () => {
  const queue = hearQueue(undefined, snapshot);
  assert.equal(hearQueue(queue, change([], 6)), null);
  assert.equal(hearQueue(undefined, change([])), null);
  const mine = { ...chain(), orders: new Map([["1", { order_id: "1", order_state: "open", instrument_name: "x" }], ["2", { order_state: "untriggered", instrument_name: "y" }]]) };
  assert.deepEqual(channelsOf(mine).filter((one) => one.startsWith("l3")), ["l3.x"]);
  const heard = reduce(mine, [{ type: "data", channel: "l3.x", data: snapshot }]);
  assert.equal(heard.queues.get("x").orders.size, 4);
  assert.equal(reduce(heard, [{ type: "lost", now: 1 }]).queues.size, 0);
});

test("the trigger's hash is that of signing.py", () => {
  assert.equal(triggerHash("stop_market", "mark_price", 1_500_500_000n, 0n), "0x527cd5087a16923942240c43b73a2acdace5dc25f81b6c95e18fbd1e40da7a85");
  assert.equal(triggerHash("trailing_stop", "last_price", 0n, 25_000_000n), "0xaca9a7b9c2c60c92e2313b77e10ad54658533bf7f48ff7d6836622b446bed679");
});

test("each kind of order says on the wire and in the signature what belongs to it, and no more", () => {
  const ticket = { ...EMPTY_TICKET, amount: "1", price: "1500" };
  const limit = requestOf(ticket, "x");
  assert.deepEqual(limit.wire, { instrument_name: "x", amount: "1", type: "limit", reduce_only: false, price: "1500", time_in_force: "good_til_cancelled", post_only: false });
  const market = requestOf({ ...ticket, type: "market" }, "x");
  assert.deepEqual([market.wire.time_in_force, market.wire.trigger, market.signed.worst], [undefined, undefined, "1500"]);
  const volatile = requestOf({ ...ticket, unit: "iv", price: "55.5", worst: "1600" }, "x");
  assert.deepEqual([volatile.wire.advanced, volatile.wire.price, volatile.wire.limit_price, volatile.signed.worst], ["implv", "55.5", "1600", "1600"]);
  const stop = requestOf({ ...ticket, type: "stop_limit", triggerPrice: "1500.5" }, "x");
  assert.deepEqual([stop.wire.trigger, stop.wire.trigger_price, stop.signed.trigger_hash], ["mark_price", "1500.5", triggerHash("stop_limit", "mark_price", 1_500_500_000n, 0n)]);
  const trailing = requestOf({ ...ticket, type: "trailing_stop", triggerPrice: "25" }, "x");
  assert.deepEqual([trailing.wire.trigger_offset, trailing.wire.trigger_price], ["25", undefined]);
  const edited = requestOf({ ...ticket, editing: { order_id: "7", nonce: 3, version: 0, reduce_only: false } }, "x");
  assert.deepEqual([edited.method, edited.wire.order_id, edited.signed.nonce, edited.signed.version], ["private/edit", "7", 3, 1]);
});

test("a kind that needs a worst price is given one on the side where it hurts, on the tick", () => {
  const state = { ...chain(), selected: "1000000-90-call" };
  assert.deepEqual([ofType(state, "market").price, ofType({ ...state, ticket: { ...EMPTY_TICKET, direction: "sell" } }, "market").price], ["15", "10"]);
  assert.equal(inUnit(state, "iv").price, "50");
  assert.equal(inUnit(state, "price").price, "10");
});
