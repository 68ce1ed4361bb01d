// What positions would be worth, now and at their first expiry, wherever the index goes: pure, for drawing only.

import { black } from "./volatility.js";

const YEAR_MS = 365 * 86_400_000;
const STEPS = 120;

/**
 * A holding of one instrument: `size` is signed, `entry` what it was traded at, `expiry` 0 for a perpetual.
 * `forward` and `volatility` (a share, not percent) are those of its mark.
 * @typedef {{option: "call" | "put" | null, strike: number, expiry: number, size: number, entry: number, forward: number, volatility: number}} Leg
 */

/**
 * Positions in the chosen currency, and what the ticket would add to them.
 * @param {import("./store.js").State} state
 * @param {boolean} withTicket
 * @returns {Leg[]}
 */
export const legsOf = (state, withTicket) => {
  const held = state.positions.map((one) => legOf(state, one.instrument_name, one.size, one.average_price));
  const { amount, price, direction, editing } = state.ticket;
  const size = direction === "buy" ? Number(amount) : -Number(amount);
  const added = withTicket && !editing && Number(price) > 0 && size ? [legOf(state, state.selected, size, Number(price))] : [];
  return /** @type {Leg[]} */ ([...held, ...added].filter(Boolean));
};

/** None where another currency or no mark is. @param {import("./store.js").State} state @param {string} name @param {number} size @param {number} entry @returns {Leg | null} */
export const legOf = (state, name, size, entry) => {
  const [instrument, ticker] = [state.instruments.get(name), state.tickers.get(name)];
  return instrument?.base_currency === state.currency ? holdingOf(instrument, ticker, size, entry) : null;
};

/** None without a mark. @param {import("./store.js").Instrument} instrument @param {any} ticker @param {number} size @param {number} entry @returns {Leg | null} */
export const holdingOf = (instrument, ticker, size, entry) => {
  if (!ticker?.mark_price) return null;
  const option = instrument.kind === "option" ? instrument.option_type : null;
  const endless = instrument.instrument_name.endsWith("PERPETUAL");
  return {
    option, size, entry,
    strike: option ? instrument.strike : 0,
    expiry: endless ? 0 : instrument.expiration_timestamp,
    forward: option ? ticker.underlying_price : ticker.mark_price,
    volatility: (ticker.mark_iv ?? 0) / 100,
  };
};

/** Profit of a leg when the index stands `shift` times as high at `time`. @param {Leg} leg @param {number} shift @param {number} index @param {number} time */
export const profit = (leg, shift, index, time) => {
  const years = (leg.expiry - time) / YEAR_MS;
  if (!leg.option) return leg.size * ((leg.expiry && years <= 0 ? index : leg.forward) * shift - leg.entry);
  const call = leg.option === "call";
  const value =
    years > 0 && leg.volatility > 0
      ? black(call, leg.forward * shift, leg.strike, leg.volatility, years, 0)
      : Math.max(0, call ? index * shift - leg.strike : leg.strike - index * shift);
  return leg.size * (value - leg.entry);
};

/** @typedef {{index: number, now: number, then: number}} PayoffPoint */

/**
 * Both curves between three quarters and five quarters of the index, or as far as the strikes lie; where the one at
 * the first expiry crosses nothing; and its extremes on the way. Null without legs.
 * @param {Leg[]} legs
 * @param {number} index
 * @param {number} time
 * @param {number} [cash] that comes in besides
 * @returns {{expiry: number, points: PayoffPoint[], breakevens: number[], least: number, most: number} | null}
 */
export const payoff = (legs, index, time, cash = 0) => {
  if (!legs.length || !(index > 0)) return null;
  const expiry = Math.min(...legs.map((leg) => leg.expiry || Infinity));
  const strikes = legs.filter((leg) => leg.option).map((leg) => leg.strike);
  const from = Math.min(index * 0.75, ...strikes.map((strike) => strike * 0.95));
  const to = Math.max(index * 1.25, ...strikes.map((strike) => strike * 1.05));
  const grid = Array.from({ length: STEPS + 1 }, (_, step) => from + ((to - from) * step) / STEPS);
  const places = [...new Set([...grid, ...strikes, index])].sort((a, b) => a - b);
  const sum = (/** @type {number} */ at, /** @type {number} */ when) =>
    legs.reduce((total, leg) => total + profit(leg, at / index, index, when), cash);
  const points = places.map((at) => ({ index: at, now: sum(at, time), then: sum(at, Number.isFinite(expiry) ? expiry : time) }));
  const values = points.map((one) => one.then);
  return {
    expiry: Number.isFinite(expiry) ? expiry : 0,
    points,
    breakevens: crossings(points),
    least: Math.min(...values),
    most: Math.max(...values),
  };
};

/** Where the curve at expiry goes through zero. @param {PayoffPoint[]} points */
const crossings = (points) => {
  const found = [];
  for (let at = 1; at < points.length; at += 1) {
    const [a, b] = [points[at - 1], points[at]];
    if (a.then < 0 !== b.then < 0) found.push(a.index + ((b.index - a.index) * a.then) / (a.then - b.then));
  }
  return found;
};
