// Profit by index price, now and at the first expiry.

import assert from "node:assert/strict";
import test from "node:test";
import { legsOf, payoff } from "../../web/payoff.js";
import { EMPTY_TICKET, initial } from "../../web/store.js";
import { black } from "../../web/volatility.js";

const near = (a, b, gap = 1e-6) => assert.ok(Math.abs(a - b) < gap, `${a} is not ${b}`);
const YEAR = 365 * 86_400_000;
const leg = (option, strike, size, entry, expiry = YEAR / 12) =>
  ({ option, strike, size, entry, expiry, forward: 100, volatility: 0.5 });
const at = (found, index) => found.points.find((one) => one.index === index);

test("a call: no more is lost than its price, and it is even at strike and price", () => {
  const found = payoff([leg("call", 100, 2, 5)], 100, 0);
  near(found.least, -10);
  assert.equal(found.breakevens.length, 1);
  near(found.breakevens[0], 105);
  near(at(found, 100).then, -10);
  near(at(found, 100).now, 2 * (black(true, 100, 100, 0.5, 1 / 12, 0) - 5));
});

test("a condor is even twice and bounded on both sides, kinks at the strikes themselves", () => {
  const legs = [leg("put", 80, 1, 1), leg("put", 90, -1, 3), leg("call", 110, -1, 3), leg("call", 120, 1, 1)];
  const found = payoff(legs, 100, 0);
  near(found.most, 4);
  near(found.least, -6);
  assert.deepEqual(found.breakevens.map((one) => Math.round(one * 1e6) / 1e6), [86, 114]);
  for (const strike of [80, 90, 110, 120]) assert.ok(at(found, strike), `${strike} is a point`);
});

test("of a calendar spread the later leg still has time value at the first expiry", () => {
  const found = payoff([leg("call", 100, -1, 4), leg("call", 100, 1, 6, YEAR / 6)], 100, 0);
  assert.equal(found.expiry, YEAR / 12);
  near(at(found, 100).then, 4 + black(true, 100, 100, 0.5, 1 / 12, 0) - 6);
  assert.ok(at(found, 100).then > at(found, found.points[0].index).then);
});

test("a perpetual is a straight line, the same now and later", () => {
  const found = payoff([{ ...leg(null, 0, -3, 101, 0) }], 100, 0);
  near(at(found, 100).now, 3);
  near(found.breakevens[0], 101);
  for (const one of found.points) near(one.now, one.then);
});

test("a future is delivered at the index, not at its forward", () => {
  const found = payoff([{ ...leg(null, 0, 1, 100), forward: 103 }], 100, 0);
  near(at(found, 100).now, 3);
  near(at(found, 100).then, 0);
});

test("nothing held shows nothing; other currencies and unmarked instruments do not count", () => {
  assert.equal(payoff([], 100, 0), null);
  assert.equal(payoff([leg("call", 100, 1, 5)], 0, 0), null);
  const instrument = (name, base) => [name, { instrument_name: name, base_currency: base, kind: "option", option_type: "put", strike: 90, expiration_timestamp: YEAR }];
  const position = (name) => ({ instrument_name: name, size: -2, average_price: 7 });
  const state = {
    ...initial(),
    instruments: new Map([instrument("A", "BTC"), instrument("B", "BTC"), instrument("C", "ETH")]),
    tickers: new Map([["A", { mark_price: 6, mark_iv: 50, underlying_price: 101 }], ["C", { mark_price: 1 }]]),
    positions: ["A", "B", "C"].map(position),
    selected: "A",
    ticket: { ...EMPTY_TICKET, direction: "sell", amount: "3", price: "8" },
  };
  const held = { option: "put", strike: 90, expiry: YEAR, size: -2, entry: 7, forward: 101, volatility: 0.5 };
  assert.deepEqual(legsOf(state, false), [held]);
  assert.deepEqual(legsOf(state, true), [held, { ...held, size: -3, entry: 8 }]);
  assert.deepEqual(legsOf({ ...state, ticket: { ...state.ticket, price: "" } }, true), [held]);
});
