// What was: finished orders, trades, settlements, money, and liquidations.

import { amount, clock, day, fixed, money, signed } from "../format.js";
import { html, memo } from "./dom.js";

const KINDS = [
  ["orders", "Orders"],
  ["trades", "Trades"],
  ["settlements", "Funding and deliveries"],
  ["money", "Everything that moved money"],
];

/** @typedef {{head: string, wide?: boolean, of: (row: any) => any}} Column */

/** @param {any} row */
const side = (row) => (row.direction ? html`<span class=${row.direction === "buy" ? "long" : "short"}>${row.direction}</span>` : "–");
/** @type {Column} */
const WHEN = { head: "UTC", of: (row) => html`${day(row.timestamp)} ${clock(row.timestamp)}` };
/** @type {Column} */
const WHAT = { head: "Instrument", of: (row) => row.instrument_name ?? row.currency ?? "" };

/** @type {Record<string, Column[]>} */
const COLUMNS = {
  orders: [
    WHAT, WHEN,
    { head: "Side", of: side },
    { head: "Type", wide: true, of: (row) => row.order_type?.replace("_", " ") },
    { head: "Price", of: (row) => money(row.price) },
    { head: "Amount", of: (row) => amount(row.amount) },
    { head: "Filled", of: (row) => amount(row.filled_amount) },
    { head: "Average", wide: true, of: (row) => (row.average_price ? money(row.average_price) : "–") },
    { head: "Ended", of: (row) => (row.cancel_reason ? `${row.order_state}: ${row.cancel_reason.replaceAll("_", " ")}` : row.order_state) },
  ],
  trades: [
    WHAT, WHEN,
    { head: "Side", of: side },
    { head: "Price", of: (row) => money(row.price) },
    { head: "Amount", of: (row) => amount(row.amount) },
    { head: "Fee", of: (row) => money(row.fee) },
    { head: "Role", wide: true, of: (row) => (row.liquidity === "M" ? "maker" : "taker") },
    { head: "Trade", wide: true, of: (row) => `${row.trade_id}${row.liquidation ? ", liquidation" : row.block_trade_id ? ", block" : row.combo_id ? ", combo" : ""}` },
  ],
  settlements: [
    WHAT, WHEN,
    { head: "What", of: (row) => (row.type === "settlement" ? "funding" : row.type) },
    { head: "Position", of: (row) => (row.position === undefined ? "–" : signed(row.position, 2)) },
    { head: "Cash", of: (row) => signed(row.change, 2) },
    { head: "Profit", wide: true, of: (row) => signed(row.session_profit_loss, 2) },
  ],
  money: [
    WHAT, WHEN,
    { head: "What", of: (row) => row.type.replaceAll("_", " ") },
    { head: "Side", wide: true, of: side },
    { head: "Amount", of: (row) => (row.amount === undefined ? "–" : fixed(row.amount, 4)) },
    { head: "Price", wide: true, of: (row) => (row.price === undefined ? "–" : money(row.price)) },
    { head: "Fee", of: (row) => (row.fee === undefined ? "–" : money(row.fee)) },
    { head: "Cash", of: (row) => (row.change === undefined ? "–" : signed(row.change, 2)) },
  ],
};

/** @param {{state: import("../store.js").State, act: any}} props */
export const History = ({ state, act }) => html`
  <div class="past">
    <div class="controls">
      <label><span class="hidden">What of the past</span>
        <select id="past" value=${state.history.kind} onChange=${(/** @type {any} */ event) => act.history(event.target.value)}>
          ${KINDS.map(([value, text]) => html`<option value=${value}>${text}</option>`)}
        </select>
      </label>
      <button class="quiet" onClick=${() => act.history(state.history.kind)}>Load anew</button>
      <button class="quiet" disabled=${!state.history.rows.length} onClick=${act.exportHistory}>Save as CSV</button>
      <span class="dim">The newest first; times are UTC.</span>
    </div>
    ${state.troubles.length > 0 && html`<${Troubles} rows=${state.troubles} />`}
    <${Rows} history=${state.history} act=${act} />
  </div>
`;

const Rows = memo(({ history, act }) => {
  const columns = COLUMNS[history.kind];
  if (!history.rows.length) return html`<p class="empty">${history.loading ? "Asking the venue." : "Nothing yet."}</p>`;
  return html`
    <table class="list">
      <thead><tr>${columns.map((one) => html`<th class=${one.wide ? "wide" : ""}>${one.head}</th>`)}</tr></thead>
      <tbody>
        ${history.rows.map((/** @type {any} */ row) => html`
          <tr key=${row.id}>${columns.map((one, at) => (at ? html`<td class=${one.wide ? "wide" : ""}>${one.of(row)}</td>` : html`<th scope="row">${one.of(row)}</th>`))}</tr>
        `)}
      </tbody>
    </table>
    ${history.continuation && html`<p class="more"><button class="quiet" disabled=${history.loading} onClick=${() => act.history(history.kind, true)}>Older</button></p>`}
  `;
});

const WORDS = /** @type {Record<string, string>} */ ({
  started: "Liquidation began",
  slice: "A slice of positions was sold",
  auction_started: "What is left went to auction",
  transfer: "A keeper took over a part",
  insurance: "The insurance fund paid",
  socialised_loss: "A loss was shared",
  ended: "Liquidation ended",
});

/** @param {{rows: any[]}} props */
const Troubles = ({ rows }) => html`
  <details class="troubles" open>
    <summary>Liquidations <small>${rows.length}</small></summary>
    <ol>
      ${rows.map((row) => html`<li><time>${day(row.timestamp)} ${clock(row.timestamp)}</time> <b>${WORDS[row.type] ?? row.type}</b> <span class="dim">${facts(row)}</span></li>`)}
    </ol>
  </details>
`;

/** @param {any} row */
const facts = (row) =>
  [
    row.role === "taker" && "as the one who took over",
    row.instrument_name && `${row.direction} ${amount(row.amount)} ${row.instrument_name} at ${money(row.price)}`,
    row.equity !== undefined && `equity ${money(row.equity)}`,
    row.maintenance_margin !== undefined && `maintenance ${money(row.maintenance_margin)}`,
    row.total !== undefined && `total ${money(row.total)}`,
  ].filter(Boolean).join(", ");
