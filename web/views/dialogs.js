// What asks or tells over the page: who trades, what keys do, what a fill's proof says.

import { clock, day, shortAddress } from "../format.js";
import { chosenWallet, wallets } from "../wallet.js";
import { STEPS, stepsDone } from "./account.js";
import { html } from "./dom.js";

const KEYS = [
  ["↑ ↓ ← →", "Move through the chain"],
  ["B", "Buy the selected instrument: ticket with the best ask"],
  ["S", "Sell it: ticket with the best bid"],
  ["Enter", "Send the ticket, when it has the focus"],
  ["1 – 9, 0", "The views below: positions, orders, fills, …"],
  ["A, ⇧A", "Add the selected instrument to the strategy, bought or sold"],
  ["C", "Chain or chart"],
  ["Esc", "Close what is open; else cancel all orders, after asking"],
  ["?", "This help"],
];

/** @param {{state: import("../store.js").State, act: any}} props */
export const Dialog = ({ state, act }) => {
  const [name, detail] = state.dialog.split(":");
  const content = { account: AccountDialog, help: Help, "cancel-all": CancelAll, fill: Proof }[name];
  if (!content) return null;
  return html`
    <div class="shade" onClick=${(/** @type {any} */ event) => event.target === event.currentTarget && act.open("")}>
      <div class="dialog" role="dialog" aria-modal="true" aria-labelledby="dialog-title" tabindex="-1">
        <button class="icon closer" onClick=${() => act.open("")} aria-label="Close">✕</button>
        <${content} state=${state} act=${act} detail=${detail} />
      </div>
    </div>
  `;
};

/** @param {any} props */
const AccountDialog = ({ state, act }) => {
  const { account, localAccounts, busy } = state;
  return html`
    <h2 id="dialog-title">${account ? "Your account" : "Connect"}</h2>
    ${account && html`<${Signed} account=${account} act=${act} />`}
    ${localAccounts.length > 0 && html`
      <h3>Accounts of this local venue <span class="badge warn">test money</span></h3>
      <p class="dim">Their keys are public. They exist on local chains only.</p>
      <div class="choices">
        ${localAccounts.map((/** @type {any} */ one) => html`
          <button disabled=${busy} aria-pressed=${account?.address === one.address} onClick=${() => act.useLocal(one)}><b>${one.name}</b> <small>${shortAddress(one.address)}</small></button>
        `)}
      </div>
    `}
    <h3>Your own wallet</h3>
    ${wallets().length > 0
      ? html`
          ${wallets().length > 1 && html`<label class="which">Wallet <select value=${chosenWallet()?.id} onChange=${(/** @type {any} */ event) => act.wallet(event.target.value)}>${wallets().map((one) => html`<option value=${one.id}>${one.name}</option>`)}</select></label>`}
          <div class="choices">
            <button disabled=${busy} onClick=${act.useSessionKey}><b>Trade with a session key</b> <small>One transaction in your wallet lets a key of this browser trade for a week. It cannot withdraw.</small></button>
            <button disabled=${busy} onClick=${act.useWallet}><b>Sign each order in the wallet</b> <small>A prompt for every order, none for reading.</small></button>
          </div>
        `
      : html`<p class="dim">No wallet was found in this browser. Install one that speaks to pages (EIP-1193), then load the page again.</p>`}
  `;
};

/** @param {any} props */
const Signed = ({ account, act }) => html`
  <dl class="facts">
    <div><dt>Owner</dt><dd class="mono">${account.owner}</dd></div>
    ${account.address !== account.owner && html`<div><dt>Signs with</dt><dd class="mono">${account.address}</dd></div>`}
    <div><dt>Subaccount</dt><dd>
      ${account.subaccountIds.length > 1
        ? html`<select aria-label="Subaccount" value=${account.subaccountId} onChange=${(/** @type {any} */ event) => act.subaccount(Number(event.target.value))}>
            ${account.subaccountIds.map((/** @type {number} */ id) => html`<option value=${id}>${id}</option>`)}
          </select>`
        : (account.subaccountId ?? "none yet")}
    </dd></div>
  </dl>
  <button onClick=${act.signOut}>Sign out</button>
`;

const Help = () => html`
  <h2 id="dialog-title">Keyboard</h2>
  <dl class="keys">${KEYS.map(([key, text]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${text}</dd></div>`)}</dl>
  <p class="dim">All times are UTC. Prices and margins are USDC, amounts are contracts of one unit of the underlying.</p>
`;

/** @param {any} props */
const CancelAll = ({ state, act }) => html`
  <h2 id="dialog-title">Cancel all orders?</h2>
  <p>${state.orders.size === 1 ? "One open order" : `${state.orders.size} open orders`} of subaccount ${state.account?.subaccountId} will be canceled. Positions stay.</p>
  <div class="send"><button onClick=${() => act.open("")}>Keep them</button><button class="submit sell" id="confirm" onClick=${act.cancelAll}>Cancel all</button></div>
`;

/** A fill's way to the chain, and whether the venue signed its place in the journal. @param {any} props */
const Proof = ({ state, detail }) => {
  const fill = state.fills.find((/** @type {any} */ one) => one.trade_id === detail);
  if (!fill) return html`<h2 id="dialog-title">Fill</h2><p class="empty">This fill is not loaded.</p>`;
  const settlement = state.settlements.get(detail);
  const receipt = state.receipts.get(fill.order_id);
  const done = stepsDone(settlement);
  const facts = [
    `place ${fill.seq} in the journal, ${day(fill.timestamp)} ${clock(fill.timestamp)} UTC`,
    settlement?.batch ? `settlement batch ${settlement.batch}` : "waits for its batch, some seconds",
    settlement?.transaction || "waits for a block",
    settlement?.block ? `block ${settlement.block}` : "waits for confirmations",
  ];
  return html`
    <h2 id="dialog-title">Fill ${fill.trade_id}</h2>
    <ol class="steps">${STEPS.map((name, at) => html`<li class=${at < done ? "done" : ""}><b>${name}</b> <span class="mono">${at < done || at === done ? facts[at] : ""}</span></li>`)}</ol>
    <h3>Receipt</h3>
    ${receipt
      ? html`
          <p class=${`verdict ${receipt.valid ? "good" : "bad"}`}>${receipt.valid
            ? "Verified in this browser: the venue's receipt key signed this place in the journal."
            : "The receipt does NOT carry the venue's signature. Keep this page and ask the operator."}</p>
          <dl class="facts">
            <div><dt>Sequence</dt><dd class="mono">${receipt.seq}</dd></div>
            <div><dt>Journal hash</dt><dd class="mono">${receipt.journal_hash}</dd></div>
            <div><dt>Signature</dt><dd class="mono">${receipt.receipt_signature || "none"}</dd></div>
          </dl>
        `
      : html`<p class="dim">Receipts come with the answer to an order, and this browser has not sent this one since the page was loaded.</p>`}
  `;
};
