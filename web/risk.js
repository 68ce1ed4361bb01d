// The scenario matrix and greeks by expiry: pure, from what the venue simulated.

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
