// Volatilities of quotes, smiles and scales.

import assert from "node:assert/strict";
import test from "node:test";
import { initial } from "../../web/store.js";
import { between, black, impliedVolatility, scale, smile, termStructure } from "../../web/volatility.js";

const near = (a, b, gap = 1e-4) => assert.ok(Math.abs(a - b) < gap, `${a} is not ${b}`);

test("Black-76: the textbook's figures, and parity", () => {
  near(black(true, 100, 100, 0.2, 1, 0), 7.965567);
  const [call, put] = [black(true, 110, 100, 0.5, 0.25, 0.04), black(false, 110, 100, 0.5, 0.25, 0.04)];
  near(call - put, 10 * Math.exp(-0.01));
});

test("a price gives its volatility back; one outside the model's reach gives none", () => {
  for (const [call, strike, volatility] of [[true, 120, 0.6], [false, 80, 0.45], [true, 100, 1.5]])
    near(impliedVolatility(call, black(call, 100, strike, volatility, 0.1, 0.04), 100, strike, 0.1, 0.04), volatility * 100, 1e-3);
  assert.equal(impliedVolatility(true, 200, 100, 100, 0.1, 0), null);
  assert.equal(impliedVolatility(true, 19.9, 100, 80, 0.1, 0), null);
  assert.equal(impliedVolatility(true, 1, 100, 100, 0, 0), null);
});

test("a smile shows the fit at every strike, and the quotes of the side out of the money", () => {
  const expiry = 365 * 86_400_000 / 4;
  const option = (strike, type) => ({ instrument_name: `${strike}${type}`, kind: "option", base_currency: "BTC", expiration_timestamp: expiry, strike, option_type: type });
  const rows = [option(90, "put"), option(90, "call"), option(110, "call"), option(110, "put")];
  const quoted = (call, strike, volatility) => ({ best_bid_price: black(call, 100, strike, volatility, 0.25, 0) });
  const state = {
    ...initial(), expiry, now: 0,
    instruments: new Map(rows.map((one) => [one.instrument_name, one])),
    tickers: new Map([["90put", quoted(false, 90, 0.5)], ["90call", quoted(true, 90, 0.9)], ["110call", quoted(true, 110, 0.7)]]),
    surface: { expiries: [{ expiration_timestamp: expiry, forward_price: 100, rate: 0, method: "svi", strikes: [90, 110], mark_iv: [51, 61] }] },
  };
  const { points } = smile(state);
  assert.deepEqual(points.map((one) => [one.strike, one.mark, one.ask]), [[90, 51, null], [110, 61, null]]);
  near(points[0].bid, 50, 1e-2);
  near(points[1].bid, 70, 1e-2);
  assert.equal(smile(initial()), null);
  assert.deepEqual(termStructure(state.surface), [{ expiry, volatility: 56 }]);
  assert.deepEqual(termStructure(null), []);
});

test("between points, at the edges, and round ticks", () => {
  assert.deepEqual([between([1, 3], [10, 20], 2), between([1, 3], [10, 20], 0), between([1, 3], [10, 20], 9)], [15, 10, 20]);
  const made = scale([48, 92], 200, 0, 5);
  assert.deepEqual(made.marks, [50, 60, 70, 80, 90]);
  assert.ok(made.at(48) < 200 && made.at(92) > 0);
  assert.equal(scale([7], 0, 1, 4).marks.length > 0, true);
});
