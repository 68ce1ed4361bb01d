// The scenario matrix and greeks by expiry: pure, from what the venue simulated.

import { holdingOf, profit } from "./payoff.js";

/** @typedef {{spot: number, cells: Record<string, {value: number, worst: boolean}>}} HeatRow */

export const VOLATILITIES = ["down", "none", "up"];

/**
 * Profit or loss by spot (rows, the highest first) and volatility (columns); all groups together.
 * Scenarios beside the grid (far tails, skews) stand in `others`.
 * @param {any} simulation answer of private/simulate_portfolio
 */
export const heatMap = (simulation) => {
  const totals = simulation.scenarios.map((/** @type {any} */ _, /** @type {number} */ at) =>
    simulation.groups.reduce((/** @type {number} */ sum, /** @type {any} */ group) => sum + group.scenarios[at], 0),
  );
  const worst = totals.length ? Math.min(...totals) : 0;
  /** @type {Map<number, HeatRow>} */
  const rows = new Map();
  /** @type {{name: string, value: number, worst: boolean}[]} */
  const others = [];
  simulation.scenarios.forEach((/** @type {any} */ scenario, /** @type {number} */ at) => {
    const cell = { value: totals[at], worst: totals[at] === worst && worst < 0 };
    if (scenario.weight !== 1 || !VOLATILITIES.includes(scenario.volatility)) {
      others.push({ name: tailName(scenario), ...cell });
      return;
    }
    /** @type {HeatRow} */
    const row = rows.get(scenario.spot) ?? { spot: scenario.spot, cells: {} };
    row.cells[scenario.volatility] = cell;
    rows.set(scenario.spot, row);
  });
  const most = Math.max(1e-9, ...totals.map(Math.abs));
  return { rows: [...rows.values()].sort((a, b) => b.spot - a.spot), others, worst, most };
};

/** @param {any} scenario */
const tailName = (scenario) =>
  scenario.volatility.startsWith("skew") ? scenario.volatility.replace("_", " ") : `spot ${spotMove(scenario.spot)}`;

/** A spot multiplier as a move. @param {number} spot */
export const spotMove = (spot) => {
  const move = Math.round((spot - 1) * 1000) / 10;
  return move === 0 ? "0%" : `${move > 0 ? "+" : "−"}${Math.abs(move)}%`;
};

/**
 * Sums of greeks by expiry, the nearest first; what has no expiry stands first.
 * @param {any[]} positions @param {Map<string, any>} tickers
 */
export const greeksByExpiry = (positions, tickers) => {
  /** @type {Map<string, {expiry: string, delta: number, gamma: number, vega: number, theta: number}>} */
  const rows = new Map();
  for (const one of positions) {
    const [, second] = one.instrument_name.split("-");
    const underlying = one.instrument_name.split("_")[0];
    const expiry = `${underlying} ${second === "PERPETUAL" ? "perpetual" : second}`;
    const row = rows.get(expiry) ?? { expiry, delta: 0, gamma: 0, vega: 0, theta: 0 };
    const greeks = tickers.get(one.instrument_name)?.greeks;
    row.delta += one.delta ?? 0;
    row.gamma += (greeks?.gamma ?? 0) * one.size;
    row.vega += one.vega ?? 0;
    row.theta += (greeks?.theta ?? 0) * one.size;
    rows.set(expiry, row);
  }
  return [...rows.values()];
};

/** @typedef {{spot: number, volatility: number, days: number}} WhatIf percent, points of volatility, days from now */

export const NO_CHANGE = { spot: 0, volatility: 0, days: 0 };
const DAY_MS = 86_400_000;
const VOLATILITY_MIN = 0.01;

/**
 * What positions gain if every index moves so far, every volatility shifts so much and so many days pass; their delta and
 * vega then. By Black-76 from the marks, for looking only: margin is the venue's to say.
 * @param {import("./store.js").State} state @param {WhatIf} change
 */
export const whatIf = (state, change) => {
  const legs = state.positions.flatMap((one) => {
    const instrument = state.instruments.get(one.instrument_name);
    const ticker = state.tickers.get(one.instrument_name);
    const index = instrument && state.indices.get(instrument.price_index)?.price;
    const leg = instrument && index ? holdingOf(instrument, ticker, one.size, 0) : null;
    return leg && index ? [{ leg, index }] : [];
  });
  const worth = (/** @type {WhatIf} */ then) =>
    legs.reduce((sum, { leg, index }) => {
      const volatility = leg.volatility ? Math.max(VOLATILITY_MIN, leg.volatility + then.volatility / 100) : 0;
      return sum + profit({ ...leg, volatility }, 1 + then.spot / 100, index, state.now + then.days * DAY_MS);
    }, 0);
  const bump = (/** @type {WhatIf} */ by) => worth({ spot: change.spot + by.spot, volatility: change.volatility + by.volatility, days: change.days });
  const step = 0.05; // percent of spot to either side
  const indices = legs.length === 0 ? 0 : legs[0].index;
  const single = legs.every((one) => one.index === indices); // a delta over two underlyings would mean nothing
  return {
    profit: worth(change) - worth(NO_CHANGE),
    delta: single && indices ? (bump({ ...NO_CHANGE, spot: step }) - bump({ ...NO_CHANGE, spot: -step })) / ((2 * step * indices) / 100) : null,
    vega: (bump({ ...NO_CHANGE, volatility: 0.5 }) - bump({ ...NO_CHANGE, volatility: -0.5 })),
    known: legs.length === state.positions.length,
  };
};
