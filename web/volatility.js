// Volatilities of quotes, the smile of an expiry and the term structure: pure, for drawing only.

const YEAR_MS = 365 * 86_400_000;

/** The normal distribution's share below x (Abramowitz and Stegun 26.2.17, within 1e-7). @param {number} x */
const normal = (x) => {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const tail =
    (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) *
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x > 0 ? 1 - tail : tail;
};

/** Black-76 of a call or put, discounted. @param {boolean} call @param {number} forward @param {number} strike @param {number} volatility @param {number} years @param {number} rate */
export const black = (call, forward, strike, volatility, years, rate) => {
  const deviation = volatility * Math.sqrt(years);
  const d1 = Math.log(forward / strike) / deviation + deviation / 2;
  const sign = call ? 1 : -1;
  const value = sign * (forward * normal(sign * d1) - strike * normal(sign * (d1 - deviation)));
  return Math.exp(-rate * years) * value;
};

/** The volatility at which Black-76 gives a price, in percent; null where none does. @param {boolean} call @param {number} price @param {number} forward @param {number} strike @param {number} years @param {number} rate */
export const impliedVolatility = (call, price, forward, strike, years, rate) => {
  let [low, high] = [0.01, 5];
  const value = (/** @type {number} */ volatility) => black(call, forward, strike, volatility, years, rate);
  if (!(years > 0) || !(price > value(low)) || !(price < value(high))) return null;
  for (let step = 0; step < 40; step += 1) {
    const middle = (low + high) / 2;
    if (value(middle) < price) low = middle;
    else high = middle;
  }
  return 50 * (low + high);
};

/** @typedef {{strike: number, mark: number, bid: number | null, ask: number | null}} SmilePoint */

/**
 * Of the chosen expiry: the fitted volatility at each strike, and those of the out-of-the-money quotes.
 * @param {import("./store.js").State} state
 * @returns {{forward: number, method: string, points: SmilePoint[]} | null}
 */
export const smile = (state) => {
  const found = state.surface?.expiries.find((/** @type {any} */ one) => one.expiration_timestamp === state.expiry);
  if (!found) return null;
  const years = (state.expiry - state.now) / YEAR_MS;
  const quotes = quotesByStrike(state, found.forward_price);
  const points = found.strikes.map((/** @type {number} */ strike, /** @type {number} */ at) => {
    const call = strike >= found.forward_price;
    const ticker = quotes.get(strike);
    const of = (/** @type {number | undefined} */ price) =>
      price ? impliedVolatility(call, price, found.forward_price, strike, years, found.rate) : null;
    return { strike, mark: found.mark_iv[at], bid: of(ticker?.best_bid_price), ask: of(ticker?.best_ask_price) };
  });
  return { forward: found.forward_price, method: found.method, points };
};

/** Tickers of the out-of-the-money side. @param {import("./store.js").State} state @param {number} forward */
const quotesByStrike = (state, forward) => {
  /** @type {Map<number, any>} */
  const found = new Map();
  for (const one of state.instruments.values())
    if (one.kind === "option" && one.base_currency === state.currency && one.expiration_timestamp === state.expiry)
      if ((one.option_type === "call") === one.strike >= forward) found.set(one.strike, state.tickers.get(one.instrument_name));
  return found;
};

/** The volatility at the forward of each expiry, the nearest first. @param {any} surface */
export const termStructure = (surface) =>
  (surface?.expiries ?? []).map((/** @type {any} */ one) => ({
    expiry: one.expiration_timestamp,
    volatility: between(one.strikes, one.mark_iv, one.forward_price),
  }));

/** Straight between the two nearest points. @param {number[]} xs ascending @param {number[]} ys @param {number} x */
export const between = (xs, ys, x) => {
  const above = xs.findIndex((one) => one >= x);
  if (above < 0) return ys[ys.length - 1];
  if (above === 0) return ys[0];
  const share = (x - xs[above - 1]) / (xs[above] - xs[above - 1]);
  return ys[above - 1] + share * (ys[above] - ys[above - 1]);
};

/** A scale from values to pixels, and its ticks at round numbers. @param {number[]} values @param {number} from @param {number} to @param {number} ticks */
export const scale = (values, from, to, ticks) => {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = (most - least || Math.abs(most) || 1) * 0.08;
  const [low, high] = [least - room, most + room];
  const raw = (high - low) / ticks;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw * 0.75) ?? raw;
  const marks = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) marks.push(at);
  return { marks, at: (/** @type {number} */ value) => from + ((value - low) / (high - low)) * (to - from) };
};
