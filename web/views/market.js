// One instrument: its figures, its book with depth, its trades.

import { amount, clock, fixed, percent, price, signed } from "../format.js";
import { html, memo } from "./dom.js";

const LEVELS = 10;

/** @param {{state: import("../store.js").State, act: any}} props */
export const Market = ({ state, act }) => {
  const instrument = state.instruments.get(state.selected);
  return html`
    <section class="panel market" data-panel="book" aria-label="Order book and trades">
      <${Title} instrument=${instrument} ticker=${state.tickers.get(state.selected)} />
      <div class="columns">
        <${Book} book=${state.book} tick=${instrument?.tick_size} orders=${state.orders} name=${state.selected} act=${act} />
        <${Trades} trades=${state.trades} tick=${instrument?.tick_size} />
      </div>
    </section>
  `;
};

const Title = memo(({ instrument, ticker }) => {
  if (!instrument) return html`<h2>No instrument</h2>`;
  const greeks = ticker?.greeks;
  return html`
    <div class="title">
      <h2>${instrument.instrument_name}</h2>
      ${ticker && ticker.state !== "open" && html`<span class="badge warn">${ticker.state}</span>`}
      <dl class="figures">
        <div><dt>Mark</dt><dd>${price(ticker?.mark_price, 0.01)}</dd></div>
        ${greeks
          ? html`
              <div><dt>IV</dt><dd>${percent(ticker.mark_iv)}</dd></div>
              <div><dt>Delta</dt><dd>${fixed(greeks.delta, 3)}</dd></div>
              <div><dt>Gamma</dt><dd>${fixed(greeks.gamma, 6)}</dd></div>
              <div><dt>Vega</dt><dd>${fixed(greeks.vega, 2)}</dd></div>
              <div><dt>Theta</dt><dd>${fixed(greeks.theta, 2)}</dd></div>
            `
          : html`
              <div><dt>Index</dt><dd>${price(ticker?.index_price, 0.01)}</dd></div>
              <div><dt>Funding 8h</dt><dd>${ticker?.funding_8h === undefined ? "–" : `${signed(ticker.funding_8h * 100, 4)}%`}</dd></div>
              <div><dt>Volume</dt><dd>${amount(ticker?.stats?.volume)}</dd></div>
              <div><dt>Change</dt><dd>${ticker?.stats?.price_change == null ? "–" : `${signed(ticker.stats.price_change, 2)}%`}</dd></div>
            `}
      </dl>
    </div>
  `;
});

const Book = memo(({ book, tick, orders, name, act }) => {
  const own = new Set(
    [...orders.values()].filter((one) => one.instrument_name === name).map((one) => one.price),
  );
  const asks = levels(book?.asks);
  const bids = levels(book?.bids);
  const most = Math.max(asks.total, bids.total, 1e-9);
  const spread = asks.rows.length && bids.rows.length ? asks.rows[0].price - bids.rows[0].price : null;
  const line = (/** @type {any} */ row, /** @type {string} */ side) => html`<${Level}
    row=${row} side=${side} tick=${tick} share=${row ? row.sum / most : 0} own=${row ? own.has(row.price) : false} act=${act}
  />`;
  return html`
    <div class="book" role="group" aria-label="Order book">
      <div class="row head"><span>Price</span><span>Amount</span><span>Total</span></div>
      <div class="asks">${padded(asks.rows).reverse().map((row) => line(row, "ask"))}</div>
      <div class="row spread"><span>Spread</span><span></span><span>${spread === null ? "–" : price(spread, tick)}</span></div>
      <div class="bids">${padded(bids.rows).map((row) => line(row, "bid"))}</div>
    </div>
  `;
});

/** @param {[number, number][] | undefined} given */
const levels = (given) => {
  let sum = 0;
  const rows = (given ?? []).slice(0, LEVELS).map(([at, size]) => ({ price: at, size, sum: (sum += size) }));
  return { rows, total: sum };
};

/** Always as many rows, so that nothing jumps. @param {any[]} rows */
const padded = (rows) => Array.from({ length: LEVELS }, (_, at) => rows[at] ?? null);

/** @param {any} props */
const Level = ({ row, side, tick, share, own, act }) => row
  ? html`
      <button class=${`row level ${side}`} onClick=${() => act.price(row.price, side === "ask" ? "buy" : "sell")}>
        <i style=${{ transform: `scaleX(${share.toFixed(3)})` }}></i>
        <span>${own ? html`<em><span class="hidden">Yours </span>●</em>` : ""}<span class="hidden">${side} </span>${price(row.price, tick)}</span><span>${amount(row.size)}</span><span>${amount(row.sum)}</span>
      </button>
    `
  : html`<div class="row level"><span> </span></div>`;

const Trades = memo(
  ({ trades, tick }) => html`
    <div class="trades" role="group" aria-label="Latest trades">
      <div class="row head"><span>Trade</span><span>Amount</span><span>UTC</span></div>
      ${trades.slice(0, LEVELS * 2 + 1).map((/** @type {any} */ one) => html`
        <div class="row" key=${one.trade_id}>
          <span class=${one.direction === "buy" ? "long" : "short"}>${one.direction === "buy" ? "▲" : "▼"} ${price(one.price, tick)}</span>
          <span>${amount(one.amount)}</span><span class="dim">${clock(one.timestamp)}</span>
        </div>
      `)}
      ${!trades.length && html`<p class="empty">No trade yet.</p>`}
    </div>
  `,
);
