// Structures of several legs: how they are built out of the chain, what they cost and what they weigh. Pure.

import { chainRows, forwardOf, impliedMove } from "./chain.js";
import { expiriesOf } from "./store.js";
import { legOf } from "./payoff.js";

/** @typedef {import("./store.js").State} State */
/** @typedef {{name: string, ratio: number}} StrategyLeg `ratio` is signed: contracts a unit */

export const STRATEGIES = [
  ["straddle", "Straddle"],
  ["strangle", "Strangle"],
  ["call-spread", "Call spread"],
  ["put-spread", "Put spread"],
  ["butterfly", "Call butterfly"],
  ["condor", "Iron condor"],
  ["calendar", "Call calendar"],
];

const LEGS_MAX = 16;

/** Legs of a named structure around the forward of the chosen expiry; empty where the chain has no room for it. @param {State} state @param {string} name @returns {StrategyLeg[]} */
export const build = (state, name) => {
  const rows = chainRows(state).filter((row) => row.call && row.put);
  const forward = forwardOf(state);
  if (!rows.length || !forward) return [];
  const middle = nearest(rows, forward);
  const wanted = nearest(rows, forward * (1 + (impliedMove(rows, forward) ?? 0.05))) - middle;
  const room = Math.floor(Math.min(middle, rows.length - 1 - middle) / 2); // a condor needs it twice
  const far = Math.max(1, Math.min(wanted, room));
  const call = (/** @type {number} */ at, /** @type {number} */ ratio) => ({ name: rows[at]?.call?.instrument.instrument_name ?? "", ratio });
  const put = (/** @type {number} */ at, /** @type {number} */ ratio) => ({ name: rows[at]?.put?.instrument.instrument_name ?? "", ratio });
  const made = /** @type {Record<string, () => StrategyLeg[]>} */ ({
    straddle: () => [call(middle, 1), put(middle, 1)],
    strangle: () => [put(middle - far, 1), call(middle + far, 1)],
    "call-spread": () => [call(middle, 1), call(middle + far, -1)],
    "put-spread": () => [put(middle, 1), put(middle - far, -1)],
    butterfly: () => even(rows, middle, far, call),
    condor: () => [put(middle - 2 * far, 1), put(middle - far, -1), call(middle + far, -1), call(middle + 2 * far, 1)],
    calendar: () => [call(middle, -1), { name: sameLater(state, rows[middle].strike), ratio: 1 }],
  });
  const legs = made[name]?.();
  return legs && legs.every((leg) => leg.name) ? legs : [];
};

/** The row whose strike lies nearest. @param {{strike: number}[]} rows @param {number} price */
const nearest = (rows, price) =>
  rows.reduce((best, row, at) => (Math.abs(row.strike - price) < Math.abs(rows[best].strike - price) ? at : best), 0);

/** Wings as far below the middle as above it. @param {{strike: number}[]} rows @param {number} middle @param {number} far @param {(at: number, ratio: number) => StrategyLeg} call */
const even = (rows, middle, far, call) => {
  for (let width = far; width >= 1; width -= 1) {
    const above = rows[middle + width]?.strike;
    const below = rows.findIndex((row) => row.strike === 2 * rows[middle].strike - above);
    if (above && below >= 0) return [call(below, 1), call(middle, -2), call(middle + width, 1)];
  }
  return [];
};

/** The call of this strike in the next expiry that has it. @param {State} state @param {number} strike */
const sameLater = (state, strike) => {
  const mine = [...state.instruments.values()].filter((one) => one.base_currency === state.currency && one.kind === "option");
  for (const expiry of expiriesOf(mine).filter((one) => one > state.expiry)) {
    const found = mine.find((one) => one.expiration_timestamp === expiry && one.strike === strike && one.option_type === "call");
    if (found) return found.instrument_name;
  }
  return "";
};

/** One more of an instrument, up or down; a leg that comes to nothing leaves. @param {StrategyLeg[]} legs @param {string} name @param {number} by */
export const withLeg = (legs, name, by) => {
  const known = legs.some((leg) => leg.name === name);
  const next = known
    ? legs.map((leg) => (leg.name === name ? { name, ratio: leg.ratio + by } : leg)).filter((leg) => leg.ratio)
    : [...legs, { name, ratio: by }];
  return next.length > LEGS_MAX ? legs : next;
};

/**
 * Prices of a unit: what its marks add up to, and what the books ask and bid for it; null where a leg has none.
 * @param {State} state
 */
export const netPrices = (state) => {
  const sum = (/** @type {(ticker: any, ratio: number) => number} */ of) => {
    let total = 0;
    if (!state.strategy.legs.length) return null;
    for (const { name, ratio } of state.strategy.legs) {
      const one = state.tickers.get(name);
      const price = one && of(one, ratio);
      if (!price) return null;
      total += ratio * price;
    }
    return total;
  };
  return {
    mark: sum((one) => one.mark_price),
    ask: sum((one, ratio) => (ratio > 0 ? one.best_ask_price : one.best_bid_price)),
    bid: sum((one, ratio) => (ratio > 0 ? one.best_bid_price : one.best_ask_price)),
  };
};

/** Greeks of so many units; theta of a day. @param {State} state @param {number} units */
export const greeksOf = (state, units) => {
  const sums = { delta: 0, gamma: 0, vega: 0, theta: 0 };
  for (const { name, ratio } of state.strategy.legs) {
    const greeks = state.tickers.get(name)?.greeks ?? (name.endsWith("PERPETUAL") ? { delta: 1 } : {});
    for (const key of /** @type {(keyof typeof sums)[]} */ (Object.keys(sums))) sums[key] += ratio * units * (greeks[key] ?? 0);
  }
  return sums;
};

/** The legs as holdings of so many units, entered at their marks. @param {State} state @param {number} units */
export const holdingsOf = (state, units) =>
  /** @type {import("./payoff.js").Leg[]} */ (state.strategy.legs.map(({ name, ratio }) => legOf(state, name, ratio * units, state.tickers.get(name)?.mark_price)).filter(Boolean));

/** The step of a structure's price: the finest that its legs' prices can sum to. @param {State} state */
export const tickOf = (state) =>
  state.strategy.legs.map((leg) => state.instruments.get(leg.name)?.tick_size ?? 1).reduce((a, b) => (b ? divisor(a, b) : a), 0) || 1;

/** The greatest common divisor. @param {number} a @param {number} b @returns {number} */
export const divisor = (a, b) => (b < 1e-9 ? a : divisor(b, a % b));
