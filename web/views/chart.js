// Price over time as candles with marks and index, and below it volatility, or a perpetual's funding.

import { Component } from "preact";
import { amount, money, price, signed, span } from "../format.js";
import { RESOLUTIONS, markVolatilities, onGrid, resolutionOf } from "../series.js";
import { html, memo } from "./dom.js";
import { Lines, colour } from "./lines.js";

const [STEPS_MIN, STEPS_MAX] = [60, 160];

/** @param {{state: import("../store.js").State, act: any}} props */
export const ChartPanel = ({ state, act }) => {
  const instrument = state.instruments.get(state.selected);
  const chart = state.chart?.name === state.selected ? state.chart : null;
  const ticker = state.tickers.get(state.selected);
  return html`
    <section class="panel chart" data-panel="chart" aria-label="Price over time">
      <div class="tabs" role="group" aria-label="Length of a candle">
        <h2>${state.selected || "No instrument"}</h2>
        ${RESOLUTIONS.map((one) => html`<button aria-pressed=${state.resolution === one.name} onClick=${() => act.resolution(one.name)}>${one.text}</button>`)}
        <span class="space"></span>
        <span class="keys-inline"><span class="key"><i class="tint-long"></i>Trades</span><span class="key"><i class="tint-accent"></i>Mark</span>${instrument?.kind === "future" && html`<span class="key"><i class="tint-warn dashed"></i>Index</span>`}<span class="dim wide">UTC</span></span>
      </div>
      ${instrument?.instrument_name.endsWith("PERPETUAL") && html`<${Perpetual} ticker=${ticker} second=${Math.floor(state.now / 1000)} />`}
      ${chart
        ? html`<${Candles} chart=${chart} linear=${instrument?.kind === "future"} theme=${state.theme} mark=${ticker?.mark_price} stamp=${ticker?.timestamp} key=${chart.name} />
            <${Below} chart=${chart} instrument=${instrument} basis=${basisOf(ticker)} theme=${state.theme} />`
        : html`<p class="empty">${state.link === "live" ? "Asking for the past." : "Waiting for the venue."}</p>`}
      <p class="credit">Charts by <a href="https://www.tradingview.com/" target="_blank" rel="noopener noreferrer">TradingView Lightweight Charts™</a></p>
    </section>
  `;
};

/** How far the forward stands from the index, in thousandths: finer would solve every volatility anew at each tick. @param {any} ticker */
const basisOf = (ticker) => (ticker?.index_price ? Math.round((1000 * ticker.underlying_price) / ticker.index_price) / 1000 : 1);

const Perpetual = memo(({ ticker, second }) => {
  const premium = ticker?.mark_price && ticker.index_price ? (ticker.mark_price / ticker.index_price - 1) * 100 : null;
  const rate = (/** @type {number | undefined} */ value) => (value === undefined ? "–" : `${signed(value * 100, 4)}%`);
  return html`
    <dl class="figures perp" tabindex="0" aria-label="The perpetual now">
      <div><dt>Mark</dt><dd>${price(ticker?.mark_price, 0.01)}</dd></div>
      <div><dt>Index</dt><dd>${price(ticker?.index_price, 0.01)}</dd></div>
      <div><dt>Premium</dt><dd>${premium === null ? "–" : `${signed(premium, 3)}%`}</dd></div>
      <div><dt>Funding now, 8h</dt><dd>${rate(ticker?.current_funding)}</dd></div>
      <div><dt>Paid in 8h</dt><dd>${rate(ticker?.funding_8h)}</dd></div>
      <div><dt>Next hour in</dt><dd>${second ? span((3600 - (second % 3600)) * 1000) : "–"}</dd></div>
      <div><dt>Open interest</dt><dd>${amount(ticker?.open_interest)}</dd></div>
      <div class="wide"><dt>Volume, 24h</dt><dd>${money(ticker?.stats?.volume_usd)}</dd></div>
    </dl>
  `;
});

/** Volatility of an option, or funding of a perpetual. */
const Below = memo(({ chart, instrument, basis, theme }) => {
  if (chart.funding) {
    const paid = chart.funding.map((/** @type {any} */ one) => [one.timestamp, one.interest_1h * 100]);
    const day = chart.funding.map((/** @type {any} */ one) => [one.timestamp, one.interest_8h * 100]);
    const lines = [{ text: "an hour", tint: "accent", points: paid, bars: true }, { text: "eight hours", tint: "warn", points: day }];
    return paid.length
      ? html`<${Lines} label="Funding paid by longs" unit="%" theme=${theme} lines=${lines} />`
      : html`<p class="empty small">No whole hour of funding yet; rates stand above.</p>`;
  }
  const own = instrument?.kind === "option" ? markVolatilities(chart.marks, chart.index, instrument, basis) : [];
  const lines = [
    ...(instrument?.kind === "option" ? [{ text: "of its marks", tint: "accent", points: own }] : []),
    { text: "30-day index", tint: "warn", points: chart.volatility, dashed: true },
    ...(chart.realised.length ? [{ text: "realised", tint: "dim", points: chart.realised, dashed: true }] : []),
  ];
  return html`<${Lines} label="Volatility" unit="%" theme=${theme} lines=${lines} />`;
});

/** The newest steps, and room for at least so many, so that few candles are not drawn as walls. @param {number} count */
const rangeOf = (count) => ({ from: count - Math.min(Math.max(count, STEPS_MIN), STEPS_MAX), to: count + 2 });

/** The library comes when the first chart is opened. @type {Promise<any> | undefined} */
let library;

/** Candles of trades with the mark, and of a perpetual or future the index; scrolled and zoomed by its library. */
class Candles extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    /** @type {any} */
    this.chart = null;
    /** @type {HTMLElement | null} */
    this.place = null;
    this.gone = false;
    this.shown = "";
  }

  /** @param {any} next */
  shouldComponentUpdate(next) {
    const before = /** @type {any} */ (this.props);
    return ["chart", "theme", "mark"].some((name) => next[name] !== before[name]);
  }

  componentDidMount() {
    library ??= import("lightweight-charts");
    void library.then((found) => this.gone || this.build(found));
  }

  componentDidUpdate(/** @type {any} */ before) {
    const { chart, theme } = /** @type {any} */ (this.props);
    if (!this.chart) return;
    if (theme !== before.theme) this.paint();
    if (chart !== before.chart) this.fill();
    else this.tip();
  }

  componentWillUnmount() {
    this.gone = true;
    this.chart?.remove();
  }

  /** @param {any} found the library */
  build(found) {
    const { linear } = /** @type {any} */ (this.props);
    const priceFormat = { type: "price", precision: linear ? 1 : 2, minMove: linear ? 0.1 : 0.01 };
    this.chart = found.createChart(this.place, {
      autoSize: true,
      layout: { attributionLogo: false }, // it would need a style of its own; the credit stands below
      timeScale: { timeVisible: true, secondsVisible: false },
      localization: { locale: "en-US" },
      handleScale: { mouseWheel: true },
    });
    const line = { priceFormat, lineWidth: 1, lastValueVisible: true, priceLineVisible: false, crosshairMarkerVisible: false };
    this.candles = this.chart.addSeries(found.CandlestickSeries, { priceFormat, priceLineVisible: false, lastValueVisible: false });
    this.mark = this.chart.addSeries(found.LineSeries, line);
    if (linear) this.index = this.chart.addSeries(found.LineSeries, { ...line, lineStyle: 2, lastValueVisible: false });
    this.paint();
    this.fill();
  }

  paint() {
    const [text, grid, long, short] = ["dim", "line", "long", "short"].map(colour);
    this.chart.applyOptions({
      layout: { background: { color: colour("panel") }, textColor: text, fontSize: 11 },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
      timeScale: { borderColor: grid },
      rightPriceScale: { borderColor: grid },
    });
    this.candles.applyOptions({ upColor: long, downColor: short, wickUpColor: long, wickDownColor: short, borderVisible: false });
    this.mark.applyOptions({ color: colour("accent") });
    this.index?.applyOptions({ color: colour("warn") });
  }

  fill() {
    const { chart } = /** @type {any} */ (this.props);
    const { seconds } = resolutionOf(chart.resolution);
    this.candles.setData(chart.candles);
    const marks = onGrid(chart.marks, seconds);
    this.mark.setData(marks);
    this.index?.setData(onGrid(chart.index, seconds));
    this.newest = Math.max(0, marks.at(-1)?.time ?? 0);
    this.tip();
    if (this.shown !== chart.key) this.chart.timeScale().setVisibleLogicalRange(rangeOf(Math.max(marks.length, chart.candles.length)));
    this.shown = chart.key;
  }

  /** The newest mark, where the last candle stands. */
  tip() {
    const { chart, mark, stamp } = /** @type {any} */ (this.props);
    const { seconds } = resolutionOf(chart.resolution);
    const time = Math.max(this.newest ?? 0, Math.floor(stamp / 1000 / seconds) * seconds, chart.candles.at(-1)?.time ?? 0);
    if (mark) this.mark.update({ time, value: mark });
  }

  render() {
    const { chart, mark } = /** @type {any} */ (this.props);
    const last = chart.candles.at(-1);
    const words = last ? `last trade at ${price(last.close, 0.01)}` : "no trade in this time";
    return html`
      <div class="candles" role="img" aria-label=${`Price of ${chart.name} over time: ${words}, mark ${price(mark, 0.01)}`} ref=${(/** @type {any} */ place) => (this.place = place)}></div>
    `;
  }
}
