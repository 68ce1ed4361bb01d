// Prices and volatilities over time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { aligned, candlesOf, markVolatilities, onGrid, resolutionOf, withCandle } from "../../web/series.js";
import { channelsOf, initial, reduce } from "../../web/store.js";
import { black } from "../../web/volatility.js";

const YEAR_MS = 365 * 86_400_000;

test("columns become candles, and the channel's candle takes the place of the last or follows it", () => {
  const candles = candlesOf({ ticks: [60_000], open: [1], high: [4], low: [1], close: [2], volume: [7] });
  assert.deepEqual(candles, [{ time: 60, open: 1, high: 4, low: 1, close: 2, volume: 7 }]);
  const again = withCandle(candles, { tick: 60_000, open: 1, high: 5, low: 1, close: 5, volume: 8 });
  assert.deepEqual(again.map((one) => one.close), [5]);
  assert.deepEqual(withCandle(again, { tick: 120_000, open: 5, high: 5, low: 3, close: 3, volume: 1 }).map((one) => one.time), [60, 120]);
  assert.equal(withCandle(again, { tick: 0, open: 9, high: 9, low: 9, close: 9, volume: 1 }), again);
});

test("points stand on the candles' grid, the last of each step", () => {
  assert.deepEqual(onGrid([[61_000, 1], [119_000, 2], [120_000, 3]], 60), [{ time: 60, value: 2 }, { time: 120, value: 3 }]);
  assert.equal(resolutionOf("nothing").name, "5");
});

test("a mark's volatility is the one that it was made with", () => {
  const option = { strike: 100, option_type: "put", expiration_timestamp: YEAR_MS };
  const half = YEAR_MS / 2;
  const price = black(false, 105 * 1.01, 100, 0.6, 0.5, 0);
  const index = [[half - 60_000, 104], [half + 60_000, 106]];
  const [[time, found]] = markVolatilities([[half, price], [half + 9e6, price]], index, option, 1.01);
  assert.equal(time, half);
  assert.ok(Math.abs(found - 60) < 1e-6, found);
  assert.deepEqual(markVolatilities([[half, price]], [], option, 1), []);
});

test("lines share one axis of times, with gaps where a line has none", () => {
  assert.deepEqual(aligned([[[2000, 5]], [[1000, 1], [2000, 2]]]), [[1, 2], [null, 5], [1, 2]]);
});

test("a chart takes the candles of its own channel, asks for them only when seen, and goes with the line", () => {
  const state = { ...initial(), link: "live", instruments: new Map([["x", { instrument_name: "x", kind: "option", base_currency: "BTC" }]]), selected: "x", view: "chart" };
  assert.ok(channelsOf(state).includes("chart.trades.x.5"));
  assert.ok(!channelsOf({ ...state, view: "chain" }).includes("chart.trades.x.5"));
  const drawn = { ...state, chart: { key: "x|5", candles: [] } };
  const tick = { type: "data", data: { tick: 0, open: 1, high: 1, low: 1, close: 1, volume: 1 } };
  assert.equal(reduce(drawn, [{ ...tick, channel: "chart.trades.x.5" }]).chart.candles.length, 1);
  assert.equal(reduce(drawn, [{ ...tick, channel: "chart.trades.x.15" }]).chart.candles.length, 0);
  assert.equal(reduce(drawn, [{ type: "lost", now: 1 }]).chart, null);
});
