// Requests for quote: own ones with what makers answer, and those of others that may be answered here.

import { Component } from "preact";
import { amount, clock, money, span } from "../format.js";
import { html } from "./dom.js";

/** @param {{state: import("../store.js").State, act: any}} props */
export const Quotes = ({ state, act }) => {
  const rows = [...state.rfqs.values()].sort((a, b) => b.block_rfq_id - a.block_rfq_id);
  if (!rows.length) return html`<p class="empty">No request for quote. Ask makers for one in the strategy builder; requests of others that you may answer come here by themselves.</p>`;
  return html`
    <table class="list quotes">
      <thead><tr><th>Structure</th><th>Amount</th><th>State</th><th class="wide">Since, UTC</th><th>Bids</th><th>Asks</th><th><span class="hidden">What to do</span></th></tr></thead>
      <tbody>${rows.map((rfq) => html`<${Request} key=${rfq.block_rfq_id} rfq=${rfq} quoted=${state.rfqQuotes.filter((one) => one.block_rfq_id === rfq.block_rfq_id)} now=${Math.floor(state.now / 1000) * 1000} busy=${state.busy} act=${act} />`)}</tbody>
    </table>
  `;
};

/** @param {{rfq: any, quoted: any[], now: number, busy: boolean, act: any}} props */
const Request = ({ rfq, quoted, now, busy, act }) => {
  const open = rfq.state === "open" && rfq.expiration_timestamp > now;
  const mine = rfq.role === "taker";
  return html`
    <tr>
      <th scope="row">${rfq.legs.map((/** @type {any} */ leg) => html`<div><span class=${leg.direction === "buy" ? "long" : "short"}>${leg.direction === "buy" ? "+" : "−"}${leg.ratio}</span> ${leg.instrument_name}</div>`)}${!rfq.legs.length && rfq.instrument_name}</th>
      <td>${amount(rfq.amount)}<small> ${rfq.taker_direction ? (rfq.taker_direction === "buy" ? "wanted" : "offered") : "two-way"}</small></td>
      <td>${open ? `open, ${span(rfq.expiration_timestamp - now)}` : rfq.state === "open" ? "expired" : rfq.state}<div><small>${mine ? "yours" : "you may answer"}</small></div></td>
      <td class="wide">${clock(rfq.creation_timestamp)}</td>
      ${mine
        ? html`<${Offers} rows=${rfq.bids} direction="sell" wanted=${rfq.taker_direction} rfq=${rfq} open=${open && !busy} act=${act} /><${Offers} rows=${rfq.asks} direction="buy" wanted=${rfq.taker_direction} rfq=${rfq} open=${open && !busy} act=${act} />`
        : html`<td colspan="2"><${Answer} rfq=${rfq} quoted=${quoted} open=${open && !busy} act=${act} /></td>`}
      <td class="do">${open && (mine || quoted.length > 0) && html`<button class="quiet danger" onClick=${() => act.takeBack(rfq)} aria-label=${`Take back ${mine ? "request" : "the quotes to request"} ${rfq.block_rfq_id}`}>Take back</button>`}</td>
    </tr>
  `;
};

/** The best answers of one side; the first can be taken. @param {any} props */
const Offers = ({ rows, direction, wanted, rfq, open, act }) => html`
  <td>${rows.slice(0, 3).map((/** @type {any} */ one, /** @type {number} */ at) => {
    const takes = open && at === 0 && (!wanted || wanted === direction);
    return takes
      ? html`<button class=${`quiet take ${direction}`} onClick=${() => act.accept(rfq, direction, one.price)}>${direction === "buy" ? "Buy" : "Sell"} at ${money(one.price)}</button>`
      : html`<div class="dim">${money(one.price)}</div>`;
  })}${!rows.length && html`<span class="dim">none yet</span>`}</td>
`;

/** A maker's answer: a price to buy, to sell, or both, each signed as an order. */
class Answer extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    this.state = { price: "" };
  }

  render() {
    const { rfq, quoted, open, act } = /** @type {any} */ (this.props);
    const { price } = /** @type {any} */ (this.state);
    const ready = open && price.trim() && Number.isFinite(Number(price));
    const sides = rfq.taker_direction ? [rfq.taker_direction === "buy" ? "sell" : "buy"] : ["buy", "sell"];
    return html`
      <span class="answer">
        ${quoted.map((/** @type {any} */ one) => html`<small>${one.direction} ${money(one.price)}</small>`)}
        ${open && html`<input aria-label=${`Your price for request ${rfq.block_rfq_id}`} inputmode="decimal" placeholder="price" value=${price} onInput=${(/** @type {any} */ event) => this.setState({ price: event.target.value })} />
        ${sides.map((side) => html`<button class=${`quiet take ${side}`} disabled=${!ready} onClick=${() => act.quote(rfq, side, price)}>${side === "buy" ? "Bid" : "Offer"}</button>`)}`}
      </span>
    `;
  }
}
