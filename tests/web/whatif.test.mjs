// What positions would gain under sliders, and whether a subaccount is in trouble.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_CHANGE, whatIf } from "../../web/risk.js";
import { inTrouble, initial, reduce } from "../../web/store.js";
import { black } from "../../web/volatility.js";

const YEAR_MS = 365 * 86_400_000;

const world = (positions) => ({
  ...initial(),
  now: 0,
  positions,
  indices: new Map([["btc_usdc", { price: 100 }], ["eth_usdc", { price: 10 }]]),
  instruments: new Map([
    ["c", { instrument_name: "c", kind: "option", option_type: "call", strike: 100, price_index: "btc_usdc", expiration_timestamp: YEAR_MS }],
    ["B-PERPETUAL", { instrument_name: "B-PERPETUAL", kind: "future", price_index: "btc_usdc", expiration_timestamp: 0 }],
    ["E-PERPETUAL", { instrument_name: "E-PERPETUAL", kind: "future", price_index: "eth_usdc", expiration_timestamp: 0 }],
  ]),
  tickers: new Map([
    ["c", { mark_price: 20, mark_iv: 50, underlying_price: 100 }],
    ["B-PERPETUAL", { mark_price: 100 }],
    ["E-PERPETUAL", { mark_price: 10 }],
  ]),
});

test("nothing changed gains nothing; each slider moves what it says", () => {
  const state = world([{ instrument_name: "c", size: 2 }]);
  const value = (forward, volatility, years) => 2 * black(true, forward, 100, volatility, years, 0);
  const now = value(100, 0.5, 1);
  assert.equal(whatIf(state, NO_CHANGE).profit, 0);
  const cases = [
    [{ ...NO_CHANGE, spot: 10 }, value(110, 0.5, 1)],
    [{ ...NO_CHANGE, volatility: -20 }, value(100, 0.3, 1)],
    [{ ...NO_CHANGE, days: 73 }, value(100, 0.5, 0.8)],
    [{ spot: -5, volatility: 10, days: 365 }, 0],
  ];
  for (const [change, then] of cases) assert.ok(Math.abs(whatIf(state, change).profit - (then - now)) < 1e-9, JSON.stringify(change));
  const found = whatIf(state, NO_CHANGE);
  assert.ok(found.delta > 1.1 && found.delta < 1.3, found.delta);
  assert.ok(found.vega > 0.7 && found.vega < 0.85, found.vega);
});

test("a perpetual gains the move itself; over two underlyings there is no one delta; what has no mark is told", () => {
  const one = whatIf(world([{ instrument_name: "B-PERPETUAL", size: -3 }]), { ...NO_CHANGE, spot: 10 });
  assert.ok(Math.abs(one.profit + 30) < 1e-9);
  assert.ok(Math.abs(one.delta + 3) < 1e-9);
  const both = world([{ instrument_name: "B-PERPETUAL", size: 1 }, { instrument_name: "E-PERPETUAL", size: 1 }]);
  assert.deepEqual([whatIf(both, NO_CHANGE).delta, whatIf(both, NO_CHANGE).known], [null, true]);
  assert.equal(whatIf({ ...both, tickers: new Map() }, NO_CHANGE).known, false);
});

test("a subaccount is in trouble from its start to its end, and another's liquidation is not its own", () => {
  const state = { ...initial(), account: { subaccountId: 7 } };
  const hear = (before, data) => reduce(before, [{ type: "data", channel: "user.liquidations", data }]);
  const started = hear(state, { subaccount_id: 7, type: "started", role: "liquidated" });
  assert.deepEqual([inTrouble(state), inTrouble(started)], [false, true]);
  assert.equal(inTrouble(hear(started, { subaccount_id: 7, type: "ended", role: "liquidated" })), false);
  assert.equal(inTrouble(hear(state, { subaccount_id: 8, type: "started" })), false);
  assert.equal(inTrouble(hear(state, { subaccount_id: 7, type: "transfer", role: "taker" })), false);
});
