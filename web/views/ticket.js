// The order ticket: what would be sent, what it costs, and what it does to margin, before it is sent.

import { feeOf } from "../fees.js";
import { fixed, money, signed } from "../format.js";
import { html } from "./dom.js";

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
  const ready = Boolean(instrument && Number(ticket.amount) > 0 && Number(ticket.price) > 0);
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
        ${!ticket.editing && html`<${Instructions} ticket=${ticket} act=${act} />`}
        <${Outlook} state=${state} instrument=${instrument} />
        <div class="send">
          ${ticket.editing && html`<button type="button" onClick=${act.stopEditing}>Keep as it is</button>`}
          <button type="submit" class=${`submit ${account ? ticket.direction : "primary"}`} disabled=${Boolean(account) && (!ready || state.busy || state.link !== "live")}>
            ${!account ? "Connect to trade" : `${ticket.editing ? "Change to" : buying ? "Buy" : "Sell"} ${ticket.amount || ""} ${ticket.price ? `at ${ticket.price}` : ""}`}
          </button>
        </div>
      </form>
    </section>
  `;
};

/** @param {any} props */
const Inputs = ({ ticket, instrument, act }) => html`
  <div class="inputs">
    <label>Amount <small>${instrument ? `${instrument.base_currency}, by ${instrument.lot_size}` : ""}</small>
      <input id="amount" inputmode="decimal" placeholder="0.00" value=${ticket.amount} onInput=${(/** @type {any} */ event) => act.ticket({ amount: event.target.value })} />
    </label>
    <label>Limit price <small>${instrument ? `USDC, by ${instrument.tick_size}` : ""}</small>
      <input id="price" inputmode="decimal" placeholder="0" value=${ticket.price} onInput=${(/** @type {any} */ event) => act.ticket({ price: event.target.value })} />
    </label>
  </div>
`;

/** @param {any} props */
const Instructions = ({ ticket, act }) => html`
  <div class="instructions">
    <label class="select"><span class="hidden">Time in force</span>
      <select value=${ticket.timeInForce} onChange=${(/** @type {any} */ event) => act.ticket({ timeInForce: event.target.value })}>
        ${TIMES.map(([value, text]) => html`<option value=${value}>${text}</option>`)}
      </select>
    </label>
    <label class="check"><input type="checkbox" checked=${ticket.postOnly} onChange=${(/** @type {any} */ event) => act.ticket({ postOnly: event.target.checked })} /> Post only</label>
    <label class="check"><input type="checkbox" checked=${ticket.reduceOnly} onChange=${(/** @type {any} */ event) => act.ticket({ reduceOnly: event.target.checked })} /> Reduce only</label>
  </div>
`;

/** Cost, margin before and after, and the worst scenario. @param {any} props */
const Outlook = ({ state, instrument }) => {
  const { ticket, preview, portfolio } = state;
  const [amount, price] = [Number(ticket.amount), Number(ticket.price)];
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
        <tr><th scope="row">Most to lose</th><td></td><td>${mostLost(ticket, instrument, known ? price * amount + (fee ?? 0) : null)}</td></tr>
      </tbody>
    </table>
  `;
};

/** At expiry, in words where there is no bound. @param {any} ticket @param {any} instrument @param {number | null} cost */
const mostLost = (ticket, instrument, cost) => {
  if (cost === null) return "–";
  if (instrument.kind === "option" && ticket.direction === "buy") return signed(-cost, 2);
  if (instrument.kind === "option" && instrument.option_type === "put") {
    const premium = Number(ticket.price) * Number(ticket.amount);
    return signed(-(instrument.strike * Number(ticket.amount) - premium + (cost - premium)), 2);
  }
  return "no bound";
};
