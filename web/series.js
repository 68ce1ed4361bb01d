// Prices and volatilities over time, ready to be drawn: pure. Times in are milliseconds, out are seconds.

import { between, impliedVolatility } from "./volatility.js";

const YEAR_MS = 365 * 86_400_000;
const APART_MS = 3_600_000; // an index further from a mark in time than this says nothing about it

/** What a chart may be cut into: minutes a candle as the venue names them, and how many are asked for. */
export const RESOLUTIONS = [
  { name: "1", text: "1m", seconds: 60, count: 720, index: "1d" },
  { name: "5", text: "5m", seconds: 300, count: 576, index: "2d" },
  { name: "15", text: "15m", seconds: 900, count: 672, index: "1m" },
  { name: "60", text: "1h", seconds: 3600, count: 720, index: "1m" },
  { name: "1D", text: "1d", seconds: 86_400, count: 365, index: "1y" },
];

/** @param {string} name */
export const resolutionOf = (name) => RESOLUTIONS.find((one) => one.name === name) ?? RESOLUTIONS[1];

/** @typedef {{time: number, open: number, high: number, low: number, close: number, volume: number}} Candle */

/** Rows of public/get_tradingview_chart_data. @param {any} columns @returns {Candle[]} */
export const candlesOf = (columns) =>
  columns.ticks.map((/** @type {number} */ tick, /** @type {number} */ at) => ({
    time: tick / 1000,
    open: columns.open[at],
    high: columns.high[at],
    low: columns.low[at],
    close: columns.close[at],
    volume: columns.volume[at],
  }));

/** With the candle that is being drawn: in the place of the last, or after it. @param {Candle[]} candles @param {any} one as the channel tells it */
export const withCandle = (candles, one) => {
  const candle = { time: one.tick / 1000, open: one.open, high: one.high, low: one.low, close: one.close, volume: one.volume };
  const last = candles.at(-1);
  if (!last || last.time < candle.time) return [...candles, candle];
  return last.time === candle.time ? [...candles.slice(0, -1), candle] : candles;
};

/** Points on the grid of the candles, the last of each step: a chart gives every time a place of its own. @param {[number, number][]} points @param {number} seconds */
export const onGrid = (points, seconds) => {
  /** @type {Map<number, number>} */
  const found = new Map();
  for (const [time, value] of points) found.set(Math.floor(time / 1000 / seconds) * seconds, value);
  return [...found].sort((a, b) => a[0] - b[0]).map(([time, value]) => ({ time, value }));
};

/**
 * The volatility of each mark, solved at the index of its time; the forward stands as far from the index as it does now.
 * @param {[number, number][]} marks @param {[number, number][]} index
 * @param {{strike: number, option_type: string, expiration_timestamp: number}} option @param {number} basis forward over index
 * @returns {[number, number][]}
 */
export const markVolatilities = (marks, index, option, basis) => {
  if (!index.length) return [];
  const [times, prices] = [index.map((one) => one[0]), index.map((one) => one[1])];
  /** @type {[number, number][]} */
  const found = [];
  for (const [time, price] of marks) {
    if (time < times[0] - APART_MS || time > times[times.length - 1] + APART_MS) continue;
    const forward = between(times, prices, time) * basis;
    const years = (option.expiration_timestamp - time) / YEAR_MS;
    const volatility = impliedVolatility(option.option_type === "call", price, forward, option.strike, years, 0);
    if (volatility !== null) found.push([time, volatility]);
  }
  return found;
};

/** One axis of times for several lines, as uPlot wants it: seconds, then a column a line with gaps as null. @param {[number, number][][]} lines */
export const aligned = (lines) => {
  const times = [...new Set(lines.flatMap((line) => line.map((point) => point[0])))].sort((a, b) => a - b);
  const columns = lines.map((line) => {
    const known = new Map(line);
    return times.map((time) => known.get(time) ?? null);
  });
  return [times.map((time) => time / 1000), ...columns];
};
