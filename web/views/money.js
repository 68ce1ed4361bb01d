// Money in and out, the way out without the venue, keys, and cancels on chain.

import { Component } from "preact";
import { amount as amountText, clock, day, fixed, money, moment, shortAddress } from "../format.js";
import { html } from "./dom.js";

/** @param {{state: import("../store.js").State, act: any}} props */
export const Money = ({ state, act }) => {
  const found = state.money;
  if (!found) return html`<p class="empty">Asking the chain.</p>`;
  if (found.trouble) return html`<p class="empty">The chain cannot be asked: ${found.trouble}.</p>`;
  if (!state.account?.subaccountId)
    return html`<div class="empty"><p>This address has no subaccount yet. It is opened on chain, by one transaction.</p><p><button class="primary" disabled=${state.busy} onClick=${act.openSubaccount}>Open a subaccount</button></p></div>`;
  return html`
    <div class="money">
      <${Transfers} state=${state} act=${act} />
      <${Moves} rows=${found.moves} />
      <${WayOut} state=${state} act=${act} />
      <${Rights} state=${state} act=${act} />
    </div>
  `;
};

/** A token, an amount and perhaps an address, and what can be done with them. */
class Form extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    this.state = { token: "USDC", amount: "", address: "" };
  }

  render() {
    const { name, tokens, owner, busy, children } = /** @type {any} */ (this.props);
    const { token, amount, address } = /** @type {any} */ (this.state);
    const ready = Number(amount) > 0 && !busy;
    const to = address.trim() || owner;
    return html`
      <div class="form">
        <select aria-label=${`${name}: token`} value=${token} onChange=${(/** @type {any} */ event) => this.setState({ token: event.target.value })}>
          ${tokens.map((/** @type {any} */ one) => html`<option>${one.name}</option>`)}
        </select>
        <input aria-label=${`${name}: amount`} inputmode="decimal" placeholder="0.00" value=${amount} onInput=${(/** @type {any} */ event) => this.setState({ amount: event.target.value })} />
        ${owner && html`<input class="address" aria-label=${`${name}: address`} placeholder=${`to ${shortAddress(owner)}, the owner`} value=${address} onInput=${(/** @type {any} */ event) => this.setState({ address: event.target.value })} />`}
        ${children.map((/** @type {any} */ one) => html`<button class=${one.main ? "primary" : ""} disabled=${!ready} onClick=${() => one.run(token, amount.trim(), to)}>${one.text}</button>`)}
      </div>
    `;
  }
}

/** @param {any} props */
const Transfers = ({ state, act }) => {
  const { tokens, delay } = state.money;
  const local = state.account.kind === "local";
  return html`
    <section>
      <h3>Deposit</h3>
      <p class="dim">In the wallet: ${tokens.map((/** @type {any} */ one) => html`<span class="coin">${one.name} <b>${fixed(Number(one.wallet), one.name === "USDC" ? 2 : 4)}</b></span>`)}</p>
      <${Form} name="Deposit" tokens=${tokens} busy=${state.busy} children=${[
        { text: "Deposit", main: true, run: act.deposit },
        ...(local ? [{ text: "Mint test money", run: act.mint }] : []),
      ]} />
      <h3>Withdraw</h3>
      <p class="dim">Free to leave: USDC <b>${money(state.portfolio?.available_withdrawal_funds)}</b>. Signed by the owner, debited at once, paid by the next batch${delay ? `; it waits ${Math.round(delay / 3600)} hours on chain` : ""}.</p>
      <${Form} name="Withdraw" tokens=${tokens} owner=${state.account.owner} busy=${state.busy} children=${[{ text: "Withdraw", main: true, run: act.withdraw }]} />
      ${tokens.filter((/** @type {any} */ one) => Number(one.held) > 0).map((/** @type {any} */ one) => html`<p>Custody holds ${one.held} ${one.name} for you, which its caps did not let leave. <button class="quiet" disabled=${state.busy} onClick=${() => act.claim(one.name)}>Claim</button></p>`)}
    </section>
  `;
};

const STATES = /** @type {Record<string, string>} */ ({ sequenced: "journaled", batched: "in a batch", confirmed: "paid on chain", refused: "refused by the chain: it is back" });

/** @param {{rows: any[]}} props */
const Moves = ({ rows }) => html`
  <section>
    <h3>What came and went</h3>
    ${rows.length
      ? html`<table class="list moves"><tbody>
          ${rows.slice(0, 12).map((one) => html`
            <tr key=${one.id}><th scope="row">${one.type}</th><td>${amountText(one.amount)} ${one.currency}</td><td>${day(one.timestamp)} ${clock(one.timestamp)}</td><td>${one.settlement ? STATES[one.settlement.state] ?? one.settlement.state : one.type === "deposit" ? "counted" : ""}</td></tr>
          `)}
        </tbody></table>`
      : html`<p class="dim">Nothing yet.</p>`}
  </section>
`;

/** @param {any} props */
const WayOut = ({ state, act }) => {
  const { exit, tokens } = state.money;
  return html`
    <section>
      <h3>Forced exit</h3>
      ${exit
        ? html`
            <p>${fixed(Number(exit.amount), 2)} ${exit.name} to ${shortAddress(exit.recipient)}, asked for on ${moment(exit.requestedAt)}. Unless it is answered, anybody may end the venue after ${moment(exit.endsAt)}.</p>
            ${state.now > exit.endsAt && html`<button class="danger" disabled=${state.busy} onClick=${act.startEscape}>End the venue and share what is there</button>`}
          `
        : html`
            <p class="dim">Asked for on chain: the venue pays what margin leaves free, or loses the right to settle. Open orders are canceled, and until it is answered orders only reduce risk.</p>
            <${Form} name="Forced exit" tokens=${tokens} owner=${state.account.owner} busy=${state.busy} children=${[{ text: "Force the exit", run: act.requestExit }]} />
          `}
    </section>
  `;
};

/** @param {any} props */
const Rights = ({ state, act }) => {
  const { keys, floor } = state.money;
  const live = keys.filter((/** @type {any} */ one) => one.deadline > state.now);
  const orders = [...state.orders.values()];
  return html`
    <section>
      <h3>Session keys</h3>
      ${live.length
        ? html`<table class="list moves"><tbody>${live.map((/** @type {any} */ one) => html`
            <tr><th scope="row" class="mono">${shortAddress(one.session_key)}</th><td>until ${moment(one.deadline)}</td><td class="do"><button class="quiet danger" disabled=${state.busy} aria-label=${`Revoke ${one.session_key}`} onClick=${() => act.revokeKey(one.session_key)}>Revoke</button></td></tr>
          `)}</tbody></table>`
        : html`<p class="dim">No key but the owner's may trade. The account dialog makes one for this browser.</p>`}
      <h3>Cancel on chain</h3>
      <p class="dim">For a venue that does not answer: what is void on chain never settles.${floor === "0" ? "" : ` Nonces below ${floor} are void.`}</p>
      <div class="form">
        <button class="danger" disabled=${state.busy} onClick=${act.raiseNonceFloor}>Void all orders</button>
        <button disabled=${state.busy} onClick=${act.raiseSheetFloor}>Void all quote sheets</button>
        ${orders.length > 0 && html`<select aria-label="Void one order" value="" onChange=${(/** @type {any} */ event) => { act.cancelNonce(event.target.value); event.target.value = ""; }}>
          <option value="">Void one order…</option>
          ${orders.map((one) => html`<option value=${one.nonce}>${one.direction} ${one.amount} ${one.instrument_name} at ${one.price}</option>`)}
        </select>`}
      </div>
    </section>
  `;
};
