// The option chain as rows: pure, from the store to what the table shows.

/** @typedef {import("./store.js").State} State */
/** @typedef {import("./store.js").Instrument} Instrument */
/** @typedef {{instrument: Instrument, ticker: any, position: any, inMoney: boolean}} Side */
/** @typedef {{strike: number, call: Side | null, put: Side | null}} ChainRow */

/** The forward of the chosen expiry, or the index. @param {State} state */
export const forwardOf = (state) => {
  for (const one of state.instruments.values())
    if (one.base_currency === state.currency && one.expiration_timestamp === state.expiry) {
      const ticker = state.tickers.get(one.instrument_name);
      if (ticker?.underlying_price) return ticker.underlying_price;
    }
  return indexOf(state) ?? null;
};

/** @param {State} state */
export const indexOf = (state) => state.indices.get(`${state.currency.toLowerCase()}_usdc`)?.price;

/** Strikes ascending, each with its call and put. @param {State} state @returns {ChainRow[]} */
export const chainRows = (state) => {
  const forward = forwardOf(state);
  const positions = new Map(state.positions.map((one) => [one.instrument_name, one]));
  /** @type {Map<number, ChainRow>} */
  const rows = new Map();
  for (const instrument of state.instruments.values()) {
    if (instrument.kind !== "option" || instrument.base_currency !== state.currency) continue;
    if (instrument.expiration_timestamp !== state.expiry) continue;
    const row = rows.get(instrument.strike) ?? { strike: instrument.strike, call: null, put: null };
    const name = instrument.instrument_name;
    const call = instrument.option_type === "call";
    row[instrument.option_type] = {
      instrument,
      ticker: state.tickers.get(name),
      position: positions.get(name),
      inMoney: forward !== null && (call ? instrument.strike < forward : instrument.strike > forward),
    };
    rows.set(instrument.strike, row);
  }
  return [...rows.values()].sort((a, b) => a.strike - b.strike);
};

/** Between which rows the forward lies: the number of strikes below it. @param {ChainRow[]} rows @param {number | null} forward */
export const forwardPlace = (rows, forward) =>
  forward === null ? -1 : rows.filter((row) => row.strike < forward).length;

/** The straddle's implied move until expiry, as a share of the forward. @param {ChainRow[]} rows @param {number | null} forward */
export const impliedMove = (rows, forward) => {
  if (forward === null || !rows.length) return null;
  const near = rows.reduce((best, row) => (Math.abs(row.strike - forward) < Math.abs(best.strike - forward) ? row : best));
  const [call, put] = [near.call?.ticker?.mark_price, near.put?.ticker?.mark_price];
  return call && put ? (call + put) / forward : null;
};

/**
 * The cell that an arrow key leads to.
 * @param {ChainRow[]} rows @param {string} name of the selected instrument @param {string} key
 */
export const neighbour = (rows, name, key) => {
  const at = rows.findIndex((row) => row.call?.instrument.instrument_name === name || row.put?.instrument.instrument_name === name);
  if (at < 0) return rows[Math.floor(rows.length / 2)]?.call?.instrument.instrument_name ?? null;
  const side = rows[at].call?.instrument.instrument_name === name ? "call" : "put";
  const next = key === "ArrowUp" ? rows[at - 1] : key === "ArrowDown" ? rows[at + 1] : rows[at];
  const other = key === "ArrowLeft" ? "call" : key === "ArrowRight" ? "put" : side;
  return (next ?? rows[at])[other]?.instrument.instrument_name ?? name;
};
