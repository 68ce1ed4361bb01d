// The order ticket: what would be sent, what it costs, and what it does to margin, before it is sent.

import { feeOf } from "../fees.js";
import { rests } from "../orders.js";
import { fixed, money, signed } from "../format.js";
import { html } from "./dom.js";

const TYPES = [
  ["limit", "Limit"],
  ["market", "Market"],
  ["stop_limit", "Stop limit"],
  ["stop_market", "Stop market"],
  ["take_limit", "Take-profit limit"],
  ["take_market", "Take-profit market"],
  ["trailing_stop", "Trailing stop"],
];

const SOURCES = [
  ["mark_price", "mark"],
  ["index_price", "index"],
  ["last_price", "last trade"],
];

const TIMES = [
  ["good_til_cancelled", "Until canceled"],
  ["immediate_or_cancel", "Immediate or cancel"],
  ["fill_or_kill", "Fill or kill"],
];

/** @param {{state: import("../store.js").State, act: any}} props */
export const TicketView = ({ state, act }) => {
  const { ticket, account, selected } = state;
  const instrument = state.instruments.get(selected);
  const buying = ticket.direction === "buy";
  const ready = isReady(ticket, instrument);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    act.submit();
  };
  return html`
    <section class="panel ticket" data-panel="ticket" aria-label="Order ticket">
      <form onSubmit=${submit} autocomplete="off">
        <div class="sides" role="radiogroup" aria-label="Side">
          <button type="button" role="radio" class="buy" aria-checked=${buying} disabled=${Boolean(ticket.editing)} onClick=${() => act.ticket({ direction: "buy" })}>Buy</button>
          <button type="button" role="radio" class="sell" aria-checked=${!buying} disabled=${Boolean(ticket.editing)} onClick=${() => act.ticket({ direction: "sell" })}>Sell</button>
        </div>
        <p class=${ticket.editing ? "what" : "what narrow"}>${ticket.editing ? html`<span class="badge">Change</span> ` : ""}${selected || "Select an instrument"}</p>
        <${Inputs} ticket=${ticket} instrument=${instrument} act=${act} />
        ${ticket.unit === "iv" && html`<${Worst} ticket=${ticket} act=${act} />`}
        ${waits(ticket.type) && html`<${TriggerInputs} ticket=${ticket} act=${act} />`}
        ${!ticket.editing && html`<${Instructions} ticket=${ticket} combo=${Boolean(instrument?.legs)} act=${act} />`}
        <${Outlook} state=${state} instrument=${instrument} />
        <div class="send">
          ${ticket.editing && html`<button type="button" onClick=${act.stopEditing}>Keep as it is</button>`}
          <button type="submit" class=${`submit ${account ? ticket.direction : "primary"}`} disabled=${Boolean(account) && (!ready || !account?.subaccountId || state.busy || state.link !== "live")}>
            ${!account ? "Connect to trade" : `${ticket.editing ? "Change to" : buying ? "Buy" : "Sell"} ${ticket.amount || ""} ${ticket.price ? `at ${ticket.price}${ticket.unit === "iv" ? "%" : ""}` : ""}`}
          </button>
        </div>
      </form>
    </section>
  `;
};

/** @param {string} type */
const waits = (type) => type !== "limit" && type !== "market";

/** Whether all that is signed is there. @param {import("../store.js").Ticket} ticket @param {any} instrument */
const isReady = (ticket, instrument) => {
  if (!instrument || !(Number(ticket.amount) > 0) || !ticket.price.trim()) return false;
  if (waits(ticket.type) && !(Number(ticket.triggerPrice) > 0)) return false;
  if (ticket.unit === "iv" && !(Number(ticket.worst) > 0)) return false;
  return instrument.legs ? Number.isFinite(Number(ticket.price)) : Number(ticket.price) > 0;
};

/** @param {any} props */
const Inputs = ({ ticket, instrument, act }) => {
  const bounded = ticket.type.endsWith("limit"); // else the price is the worst that is taken
  const volatile = instrument?.kind === "option" && ticket.type === "limit" && (!ticket.editing || ticket.unit === "iv");
  return html`
    <div class="inputs">
      <label>Amount <small>${instrument ? `${instrument.base_currency}, by ${instrument.lot_size}` : ""}</small>
        <input id="amount" inputmode="decimal" placeholder="0.00" value=${ticket.amount} onInput=${(/** @type {any} */ event) => act.ticket({ amount: event.target.value })} />
      </label>
      <div class="field">
        <label for="price">${ticket.unit === "iv" ? "Volatility, %" : bounded ? "Limit" : "Worst price"}</label>
        ${volatile && !ticket.editing
          ? html`<span class="units" role="group" aria-label="Price or volatility">
              <button type="button" aria-pressed=${ticket.unit === "price"} onClick=${() => act.unit("price")}>USDC</button><button type="button" aria-pressed=${ticket.unit === "iv"} onClick=${() => act.unit("iv")}>IV</button>
            </span>`
          : html`<small>${instrument ? `USDC, by ${instrument.tick_size}` : ""}</small>`}
        <input id="price" inputmode="decimal" placeholder="0" value=${ticket.price} onInput=${(/** @type {any} */ event) => act.ticket({ price: event.target.value })} />
      </div>
    </div>
  `;
};

/** A volatility order signs a price that it never goes beyond. @param {any} props */
const Worst = ({ ticket, act }) => html`
  <div class="inputs one">
    <label>Never ${ticket.direction === "buy" ? "above" : "below"} <small>USDC, signed; margin counts it</small>
      <input id="worst" inputmode="decimal" value=${ticket.worst} onInput=${(/** @type {any} */ event) => act.ticket({ worst: event.target.value })} />
    </label>
  </div>
`;

/** @param {any} props */
const TriggerInputs = ({ ticket, act }) => html`
  <div class="inputs">
    <label>${ticket.type === "trailing_stop" ? "Trails by" : "Trigger at"} <small>USDC</small>
      <input id="trigger" inputmode="decimal" disabled=${Boolean(ticket.editing)} value=${ticket.triggerPrice} onInput=${(/** @type {any} */ event) => act.ticket({ triggerPrice: event.target.value })} />
    </label>
    <label>of the
      <select disabled=${Boolean(ticket.editing)} value=${ticket.trigger} onChange=${(/** @type {any} */ event) => act.ticket({ trigger: event.target.value })}>
        ${SOURCES.map(([value, text]) => html`<option value=${value}>${text}</option>`)}
      </select>
    </label>
  </div>
`;

/** @param {any} props */
const Instructions = ({ ticket, combo, act }) => html`
  <div class="instructions">
    <label class="select"><span class="hidden">Type of order</span>
      <select id="type" value=${ticket.type} onChange=${(/** @type {any} */ event) => act.orderType(event.target.value)}>
        ${TYPES.filter(([value]) => !combo || !waits(value)).map(([value, text]) => html`<option value=${value}>${text}</option>`)}
      </select>
    </label>
    <label class="select"><span class="hidden">Time in force</span>
      <select value=${ticket.timeInForce} disabled=${!rests(ticket.type)} onChange=${(/** @type {any} */ event) => act.ticket({ timeInForce: event.target.value })}>
        ${TIMES.map(([value, text]) => html`<option value=${value}>${text}</option>`)}
      </select>
    </label>
  </div>
  <div class="instructions">
    <label class="check"><input type="checkbox" checked=${ticket.postOnly} disabled=${!rests(ticket.type)} onChange=${(/** @type {any} */ event) => act.ticket({ postOnly: event.target.checked })} /> Post only</label>
    <label class="check"><input type="checkbox" checked=${ticket.reduceOnly} disabled=${combo} onChange=${(/** @type {any} */ event) => act.ticket({ reduceOnly: event.target.checked })} /> Reduce only</label>
  </div>
`;

/** Cost, margin before and after, and the worst scenario. @param {any} props */
const Outlook = ({ state, instrument }) => {
  const { ticket, preview, portfolio } = state;
  const [amount, price] = [Number(ticket.amount), Number(ticket.unit === "iv" ? ticket.worst : ticket.price)];
  const index = instrument && state.indices.get(instrument.price_index)?.price;
  const known = instrument && amount > 0 && price > 0 && index;
  const cap = state.domain?.premium_cap ?? 0;
  const fee = known ? feeOf(instrument, cap, index, price, amount) : null;
  const option = instrument?.kind === "option";
  const worst = preview?.groups.reduce((/** @type {number} */ sum, /** @type {any} */ group) => sum + group.worst, 0);
  return html`
    <table class="outlook">
      <thead><tr><th></th><th>Now</th><th>After</th></tr></thead>
      <tbody>
        <tr><th scope="row">Initial margin</th><td>${money(portfolio?.initial_margin)}</td><td>${money(preview?.initial_margin)}</td></tr>
        <tr><th scope="row">Maintenance</th><td>${money(portfolio?.maintenance_margin)}</td><td>${money(preview?.maintenance_margin)}</td></tr>
        <tr><th scope="row">Free for new risk</th><td>${money(portfolio?.initial_excess)}</td><td class=${preview && preview.initial_excess < 0 ? "short" : ""}>${money(preview?.initial_excess)}</td></tr>
        <tr><th scope="row">Worst scenario</th><td></td><td>${fixed(worst, 2)}</td></tr>
        <tr><th scope="row">${option ? (ticket.direction === "buy" ? "Premium paid" : "Premium received") : "Value"}</th><td></td><td>${known ? money(price * amount) : "–"}</td></tr>
        <tr><th scope="row">Fee, at most</th><td></td><td>${money(fee)}</td></tr>
        <tr><th scope="row">Most to lose</th><td></td><td>${mostLost(ticket, price, instrument, known ? price * amount + (fee ?? 0) : null)}</td></tr>
      </tbody>
    </table>
  `;
};

/** At expiry, in words where there is no bound. @param {any} ticket @param {number} price @param {any} instrument @param {number | null} cost */
const mostLost = (ticket, price, instrument, cost) => {
  if (cost === null) return "–";
  if (instrument.kind === "option" && ticket.direction === "buy") return signed(-cost, 2);
  if (instrument.kind === "option" && instrument.option_type === "put") {
    const premium = price * Number(ticket.amount);
    return signed(-(instrument.strike * Number(ticket.amount) - premium + (cost - premium)), 2);
  }
  return "no bound";
};
