// Asks the venue for the past of an instrument: candles, marks, index, volatilities, funding.

import { candlesOf, resolutionOf } from "./series.js";

const STALE_MS = 60_000; // marks come every five minutes, the index every minute

/** Load the chart that the state wants, unless it is there and young. @param {import("./desk.js").Desk} desk */
export const loadChart = async (desk) => {
  const { view, link, selected, resolution, instruments, chart } = desk.state;
  const instrument = instruments.get(selected);
  if (view !== "chart" || link !== "live" || !instrument) return;
  const key = `${selected}|${resolution}`;
  const young = chart?.key === key && desk.now() - chart.at < STALE_MS;
  if (young || desk.charting === key) return;
  desk.charting = key;
  try {
    const found = await past(desk, instrument, resolution);
    if (desk.charting === key) desk.set({ chart: { key, name: selected, resolution, at: desk.now(), ...found } });
  } catch (error) {
    desk.explain(error, "the chart");
  }
  if (desk.charting === key) desk.charting = "";
};

/** @param {import("./desk.js").Desk} desk @param {import("./store.js").Instrument} instrument @param {string} resolution */
const past = async (desk, instrument, resolution) => {
  const cut = resolutionOf(resolution);
  const end = Math.floor(desk.now());
  const name = instrument.instrument_name;
  const span = { start_timestamp: end - cut.seconds * 1000 * (cut.count - 1), end_timestamp: end };
  const call = desk.socket.call.bind(desk.socket);
  const perpetual = name.endsWith("PERPETUAL");
  const currency = instrument.base_currency;
  const [candles, marks, index, volatility, realised, funding] = await Promise.all([
    call("public/get_tradingview_chart_data", { instrument_name: name, resolution, ...span }),
    call("public/get_mark_price_history", { instrument_name: name, ...span }),
    call("public/get_index_chart_data", { index_name: instrument.price_index, range: cut.index }),
    call("public/get_volatility_index_data", { currency, resolution: cut.seconds < 3600 ? "60" : "3600", ...span }),
    call("public/get_historical_volatility", { currency }),
    perpetual ? call("public/get_funding_rate_history", { instrument_name: name, start_timestamp: end - 7 * 86_400_000, end_timestamp: end }) : null,
  ]);
  return {
    candles: candlesOf(candles),
    marks,
    index,
    volatility: volatility.data.map((/** @type {number[]} */ one) => [one[0], one[4]]),
    realised: realised.filter((/** @type {number[]} */ one) => one[0] >= span.start_timestamp),
    funding: funding?.filter((/** @type {any} */ one) => one.index_price),
  };
};
