// What the account holds: positions, orders, fills with their way to the chain, and risk.

import { amount, clock, day, fixed, money, price, signed } from "../format.js";
import { placeOf } from "../queue.js";
import { html, memo } from "./dom.js";
import { History } from "./history.js";
import { Money } from "./money.js";
import { Payoff } from "./payoff.js";
import { Quotes } from "./quotes.js";
import { Risk } from "./risk.js";
import { Strategy } from "./strategy.js";
import { Volatility } from "./volatility.js";

export const TABS = [
  ["positions", "Positions"],
  ["orders", "Orders"],
  ["fills", "Fills"],
  ["history", "History"],
  ["risk", "Risk"],
  ["payoff", "Payoff"],
  ["volatility", "Volatility"],
  ["strategy", "Strategy"],
  ["quotes", "Quotes"],
  ["money", "Money"],
];

/** @param {{state: import("../store.js").State, act: any}} props */
export const AccountPanel = ({ state, act }) => {
  const counts = /** @type {Record<string, number>} */ ({ positions: state.positions.length, orders: state.orders.size, quotes: [...state.rfqs.values()].filter((one) => one.state === "open").length });
  return html`
    <section class="panel holdings" data-panel="account" aria-label="Account">
      <div class="tabs">
        <div class="tablist" role="tablist" aria-label="Account views">
        ${TABS.map(([name, text]) => html`
          <button role="tab" aria-selected=${state.tab === name} onClick=${() => act.tab(name)}>
            ${text}${counts[name] ? html` <small>${counts[name]}</small>` : ""}
          </button>
        `)}
        </div>
        <span class="space"></span>
        ${state.tab === "orders" && state.orders.size > 0 && html`<button class="quiet danger" onClick=${() => act.open("cancel-all")}>Cancel all</button>`}
      </div>
      <${Margin} portfolio=${state.portfolio} />
      <div class="scroll" tabindex="0" role="region" aria-label="What you hold">${content(state, act)}</div>
    </section>
  `;
};

/** @param {import("../store.js").State} state @param {any} act */
const content = (state, act) => {
  if (state.tab === "volatility") return html`<${Volatility} state=${state} />`;
  if (state.tab === "payoff") return html`<${Payoff} state=${state} act=${act} />`;
  if (state.tab === "strategy") return html`<${Strategy} state=${state} act=${act} />`;
  if (!state.account) return html`<p class="empty">Connect to see what you hold.</p>`;
  if (state.tab === "money") return html`<${Money} state=${state} act=${act} />`;
  if (!state.account.subaccountId)
    return html`<p class="empty">This address has no subaccount yet. <button class="quiet" onClick=${() => act.tab("money")}>Open one</button> and deposit USDC.</p>`;
  switch (state.tab) {
    case "orders": return html`<${Orders} orders=${state.orders} queues=${state.queues} act=${act} />`;
    case "history": return html`<${History} state=${state} act=${act} />`;
    case "quotes": return html`<${Quotes} state=${state} act=${act} />`;
    case "fills": return html`<${Fills} fills=${state.fills} settlements=${state.settlements} act=${act} />`;
    case "risk": return html`<${Risk} state=${state} act=${act} />`;
    default: return html`<${Positions} positions=${state.positions} act=${act} />`;
  }
};

/** Equity and the requirements; the bar shows how much of equity maintenance takes. */
const Margin = memo(({ portfolio }) => {
  const use = portfolio && portfolio.equity > 0 ? Math.min(1, portfolio.maintenance_margin / portfolio.equity) : 0;
  const level = use > 0.9 ? "bad" : use > 0.6 ? "warn" : "good";
  return html`
    <dl class="margin">
      <div><dt>Equity</dt><dd>${money(portfolio?.equity)}</dd></div>
      <div><dt>Cash</dt><dd>${money(portfolio?.balance)}</dd></div>
      <div><dt>Initial margin</dt><dd>${money(portfolio?.initial_margin)}</dd></div>
      <div><dt>Maintenance</dt><dd>${money(portfolio?.maintenance_margin)}</dd></div>
      <div><dt>Free</dt><dd>${money(portfolio?.initial_excess)}</dd></div>
      <div><dt>Unrealised</dt><dd class=${tone(portfolio?.session_upl)}>${signed(portfolio?.session_upl, 2)}</dd></div>
      <div class="meter"><dt>To liquidation</dt><dd>
        <span class=${`track ${level}`} role="meter" aria-label="Share of equity that maintenance margin takes" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(use * 100)}><i style=${{ transform: `scaleX(${use.toFixed(3)})` }}></i></span>
        ${portfolio ? `${fixed(use * 100, 1)}% used` : "–"}
      </dd></div>
    </dl>
  `;
});

/** @param {number | undefined} value */
const tone = (value) => (!value ? "" : value > 0 ? "long" : "short");

const Positions = memo(({ positions, act }) =>
  positions.length
    ? html`
        <table class="list">
          <thead><tr><th>Instrument</th><th>Size</th><th>Average</th><th>Mark</th><th class="wide">Value</th><th>Profit</th><th class="wide">Delta</th><th class="wide">Vega</th></tr></thead>
          <tbody>
            ${positions.map((/** @type {any} */ one) => html`
              <tr key=${one.instrument_name}>
                <th scope="row"><button class="link" onClick=${() => act.close(one)} title="Load the closing order">${one.instrument_name}</button></th>
                <td class=${tone(one.size)}>${signed(one.size, 2)}</td>
                <td>${money(one.average_price)}</td>
                <td>${money(one.mark_price)}</td>
                <td class="wide">${money(one.mark_value)}</td>
                <td class=${tone(one.floating_profit_loss)}>${signed(one.floating_profit_loss, 2)}</td>
                <td class="wide">${fixed(one.delta, 3)}</td>
                <td class="wide">${fixed(one.vega, 2)}</td>
              </tr>
            `)}
          </tbody>
        </table>
      `
    : html`<p class="empty">No position.</p>`,
);

const Orders = memo(({ orders, queues, act }) =>
  orders.size
    ? html`
        <table class="list">
          <thead><tr><th>Instrument</th><th>Side</th><th>Price</th><th>Amount</th><th>Filled</th><th title="Contracts that stand before it at its price, and its place">Ahead</th><th class="wide">Since, UTC</th><th><span class="hidden">What to do</span></th></tr></thead>
          <tbody>
            ${[...orders.values()].map((one) => html`
              <tr key=${one.order_id}>
                <th scope="row">${one.instrument_name}</th>
                <td class=${one.direction === "buy" ? "long" : "short"}>${one.direction === "buy" ? "Buy" : "Sell"}${kindOf(one)}</td>
                <td>${priceOf(one)}</td>
                <td>${amount(one.amount)}</td>
                <td>${amount(one.filled_amount)}</td>
                <td class="ahead">${aheadOf(one, placeOf(queues.get(one.instrument_name), one.order_id))}</td>
                <td class="wide">${clock(one.creation_timestamp)}</td>
                <td class="do">
                  <button class="quiet" onClick=${() => act.edit(one)} aria-label=${`Change the order in ${one.instrument_name}`}>Change</button>
                  <button class="quiet danger" onClick=${() => act.cancel(one)} aria-label=${`Cancel the order in ${one.instrument_name}`}>Cancel</button>
                </td>
              </tr>
            `)}
          </tbody>
        </table>
      `
    : html`<p class="empty">No open order.</p>`,
);

/** What kind of order it is, where it is no plain limit. @param {any} order */
const kindOf = (order) => (order.order_type === "limit" ? "" : html` <small>${order.order_type.replace("_", " ")}</small>`);

/** Where it stands; of a volatility order the volatility too, of one that waits its trigger. @param {any} order */
const priceOf = (order) => {
  if (order.advanced === "implv") return html`${fixed(order.implv, 1)}% <small>at ${money(order.price)}</small>`;
  if (order.trigger_price || order.trigger_offset) {
    const at = order.trigger_offset ? `trails ${money(order.trigger_offset)}` : `${order.trigger.replace("_price", "")} ${money(order.trigger_price)}`;
    return html`${money(order.price)} <small>${at}</small>`;
  }
  return money(order.price);
};

/** @param {any} order @param {{ahead: number, place: number} | null} place */
const aheadOf = (order, place) => {
  if (order.order_state === "untriggered") return html`<span class="dim">waits</span>`;
  if (!place) return "–";
  return place.place === 1 ? html`<b>first</b>` : `${amount(place.ahead)} (${place.place}.)`;
};

const Fills = memo(({ fills, settlements, act }) =>
  fills.length
    ? html`
        <table class="list">
          <thead><tr><th>Instrument</th><th>Side</th><th>Price</th><th>Amount</th><th class="wide">Fee</th><th class="wide">UTC</th><th>On its way to the chain</th></tr></thead>
          <tbody>
            ${fills.map((/** @type {any} */ one) => html`
              <tr key=${`${one.trade_id}/${one.order_id}`}>
                <th scope="row">${one.instrument_name}</th>
                <td class=${one.direction === "buy" ? "long" : "short"}>${one.direction === "buy" ? "Buy" : "Sell"}</td>
                <td>${price(one.price, 0.01)}</td>
                <td>${amount(one.amount)}</td>
                <td class="wide">${money(one.fee)}</td>
                <td class="wide">${day(one.timestamp)} ${clock(one.timestamp)}</td>
                <td><${Path} settlement=${settlements.get(one.trade_id)} open=${() => act.follow(one)} /></td>
              </tr>
            `)}
          </tbody>
        </table>
      `
    : html`<p class="empty">No fill yet.</p>`,
);

export const STEPS = ["Journaled", "Batched", "Mined", "Confirmed"];

/** How many steps a fill has done: a batch with a transaction is mined. @param {any} settlement */
export const stepsDone = (settlement) => {
  if (settlement?.state === "confirmed") return 4;
  if (settlement?.transaction) return 3;
  return settlement?.state === "batched" ? 2 : 1;
};

/** @param {{settlement: any, open: () => void}} props */
const Path = ({ settlement, open }) => {
  const done = stepsDone(settlement);
  return html`
    <button class="path" onClick=${open} aria-label=${`${STEPS[done - 1]}, step ${done} of 4: show the proof`}>
      ${STEPS.map((name, at) => html`<i class=${at < done ? "done" : ""} title=${name}></i>`)}
      <span>${STEPS[done - 1]}</span>
    </button>
  `;
};
