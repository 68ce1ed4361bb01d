// The option chain: calls on the left, puts on the right, strikes between.

import { chainRows, forwardOf, forwardPlace, impliedMove } from "../chain.js";
import { amount, day, fixed, percent, price, signed, span } from "../format.js";
import { expiriesOf } from "../store.js";
import { Live, html, memo } from "./dom.js";

// Of a call, from the outside inwards; a put shows the same in the mirror.
const COLUMNS = [
  { key: "own", head: "Own", title: "Own position, contracts", wide: true },
  { key: "oi", head: "OI", title: "Open interest, contracts", wide: true },
  { key: "volume", head: "Vol", title: "Traded within a day, contracts", wide: true },
  { key: "delta", head: "Delta", title: "Delta of the mark", wide: true },
  { key: "iv", head: "IV", title: "Mark volatility, a year", wide: true },
  { key: "mark", head: "Mark", title: "Mark price, USDC", wide: false },
  { key: "bid", head: "Bid", title: "Best bid, USDC", wide: false },
  { key: "ask", head: "Ask", title: "Best ask, USDC", wide: false },
];

/** @param {boolean} narrow */
const columnsOf = (narrow) => COLUMNS.filter((one) => !(narrow && one.wide));

/** @param {{state: import("../store.js").State, act: any}} props */
export const Chain = ({ state, act }) => {
  const rows = chainRows(state);
  const columns = columnsOf(state.narrow);
  const forward = forwardOf(state);
  const place = forwardPlace(rows, forward);
  return html`
    <section class="panel chain" data-panel="chain" aria-label="Option chain">
      <${Expiries} instruments=${state.instruments} currency=${state.currency} chosen=${state.expiry} minute=${Math.floor(state.now / 60000)} act=${act} />
      <${Summary} state=${state} rows=${rows} forward=${forward} act=${act} />
      <div class="scroll">
        <table role="grid" aria-label=${`Options on ${state.currency} that expire on ${day(state.expiry)}`}>
          <colgroup>
            ${columns.map(() => html`<col />`)}
            <col class="strike" />
            ${columns.map(() => html`<col />`)}
          </colgroup>
          <${Heads} narrow=${state.narrow} />
          <tbody>
            ${rows.map((row, at) => html`
              ${at === place && html`<${Forward} forward=${forward} span=${2 * columns.length + 1} key="forward" />`}
              <${Strike} key=${row.strike} ...${rowProps(row, state.selected)} narrow=${state.narrow} act=${act} />
            `)}
          </tbody>
        </table>
        ${!rows.length && html`<p class="empty">${state.link === "live" ? "No options are listed here." : "Waiting for the venue."}</p>`}
      </div>
    </section>
  `;
};

/** @param {import("../chain.js").ChainRow} row @param {string} selected */
const rowProps = (row, selected) => ({
  strike: row.strike,
  ...sideProps("call", row.call, selected),
  ...sideProps("put", row.put, selected),
});

/** @param {string} name @param {import("../chain.js").Side | null} side @param {string} selected */
const sideProps = (name, side, selected) => ({
  [`${name}Instrument`]: side?.instrument,
  [`${name}Ticker`]: side?.ticker,
  [`${name}Size`]: side?.position?.size,
  [`${name}In`]: side?.inMoney,
  [`${name}Selected`]: side?.instrument.instrument_name === selected,
});

const Heads = memo(
  ({ narrow }) => html`
    <thead>
      <tr class="sides">
        <th colspan=${columnsOf(narrow).length} scope="colgroup">Calls</th>
        <th></th>
        <th colspan=${columnsOf(narrow).length} scope="colgroup">Puts</th>
      </tr>
      <tr>
        ${columnsOf(narrow).map((one) => html`<th scope="col" title=${one.title}>${one.head}</th>`)}
        <th scope="col" class="strike">Strike</th>
        ${mirrored(narrow).map((one) => html`<th scope="col" title=${one.title}>${one.head}</th>`)}
      </tr>
    </thead>
  `,
);

/** Bid before ask on both sides; the rest in the mirror. @param {boolean} narrow */
const mirrored = (narrow) => {
  const [ask, bid, ...rest] = columnsOf(narrow).reverse();
  return [bid, ask, ...rest];
};

const Forward = memo(
  ({ forward, span: columns }) => html`
    <tr class="forward">
      <td colspan=${columns}><span>Forward ${price(forward, 0.01)}</span></td>
    </tr>
  `,
);

const Strike = memo((props) => {
  const { strike, callInstrument, putInstrument, narrow, act } = props;
  const side = (/** @type {string} */ name, /** @type {any} */ columns) => columns.map(
    (/** @type {any} */ column) => html`<${Cell}
      key=${name + column.key}
      column=${column}
      name=${name}
      instrument=${name === "call" ? callInstrument : putInstrument}
      ticker=${props[`${name}Ticker`]}
      size=${props[`${name}Size`]}
      inMoney=${props[`${name}In`]}
      selected=${props[`${name}Selected`]}
      act=${act}
    />`,
  );
  return html`
    <tr>
      ${side("call", columnsOf(narrow))}
      <th scope="row" class="strike">${price(strike)}</th>
      ${side("put", mirrored(narrow))}
    </tr>
  `;
});

const Cell = memo(({ column, instrument, ticker, size, inMoney, selected, act }) => {
  const empty = ["bid", "ask"].includes(column.key) && !ticker?.[`best_${column.key}_price`];
  const classes = [column.key, empty ? "none" : "", inMoney ? "in" : "", selected ? "selected" : ""].join(" ");
  if (!instrument) return html`<td class=${classes}></td>`;
  const trades = column.key === "bid" ? "sell" : column.key === "ask" ? "buy" : undefined;
  const focusable = column.key === "mark";
  return html`<td
    class=${classes}
    data-instrument=${focusable ? instrument.instrument_name : undefined}
    aria-selected=${focusable ? selected : undefined}
    tabindex=${focusable ? (selected ? 0 : -1) : undefined}
    aria-label=${focusable ? `${instrument.instrument_name} mark ${price(ticker?.mark_price, instrument.tick_size)}` : undefined}
    draggable
    onDragStart=${(/** @type {DragEvent} */ event) => event.dataTransfer?.setData("text/plain", `${trades === "sell" ? -1 : 1} ${instrument.instrument_name}`)}
    onClick=${() => act.select(instrument.instrument_name, trades)}
  >
    ${figure(column.key, instrument, ticker, size)}
  </td>`;
});

/** @param {string} key @param {any} instrument @param {any} ticker @param {number | undefined} size */
const figure = (key, instrument, ticker, size) => {
  const tick = instrument.tick_size;
  switch (key) {
    case "own": return size ? html`<b class=${size > 0 ? "long" : "short"}>${signed(size, 2)}</b>` : "";
    case "oi": return amount(ticker?.open_interest);
    case "volume": return amount(ticker?.stats?.volume);
    case "delta": return fixed(ticker?.greeks?.delta, 2);
    case "iv": return percent(ticker?.mark_iv);
    case "mark": return price(ticker?.mark_price, tick);
    case "bid": return html`<${Live} value=${ticker?.best_bid_price} text=${price(ticker?.best_bid_price, tick)} />`;
    default: return html`<${Live} value=${ticker?.best_ask_price} text=${price(ticker?.best_ask_price, tick)} />`;
  }
};

const Expiries = memo(({ instruments, currency, chosen, minute, act }) => {
  const mine = [...instruments.values()].filter((one) => one.base_currency === currency);
  return html`
    <div class="tabs" role="tablist" aria-label="Expiry">
      ${expiriesOf(mine).map((expiry) => html`
        <button role="tab" aria-selected=${expiry === chosen} onClick=${() => act.expiry(expiry)} title=${`${day(expiry)} 08:00 UTC`}>
          ${day(expiry)} <small>${span(expiry - minute * 60000)}</small>
        </button>
      `)}
    </div>
  `;
});

/** @param {{state: import("../store.js").State, rows: any[], forward: number | null, act: any}} props */
const Summary = ({ state, rows, forward, act }) => {
  const linear = [...state.instruments.values()].find(
    (one) => one.base_currency === state.currency && one.instrument_name.endsWith("PERPETUAL"),
  );
  const ticker = linear && state.tickers.get(linear.instrument_name);
  const move = impliedMove(rows, forward);
  return html`
    <div class="summary">
      <span><span class="label">Forward</span> <b>${price(forward, 0.01)}</b></span>
      <span title="The straddle at the forward, as a share of it"><span class="label">Implied move</span> <b>${move ? `±${fixed(move * 100, 1)}%` : "–"}</b></span>
      <span class="wide"><span class="label">Expires</span> <b>${state.expiry ? `${day(state.expiry)} 08:00 UTC` : "–"}</b></span>
      <span class="space"></span>
      ${linear && html`
        <button class=${`perpetual ${state.selected === linear.instrument_name ? "selected" : ""}`} onClick=${() => act.select(linear.instrument_name)}>
          <span class="label">Perpetual</span> <b>${price(ticker?.mark_price, 0.01)}</b>
          <span class="label wide" title="Of the last eight hours">Funding</span>
          <span class="wide">${ticker ? `${signed(ticker.current_funding * 100, 4)}%` : "–"}</span>
        </button>
      `}
    </div>
  `;
};
