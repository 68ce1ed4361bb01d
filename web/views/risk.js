// Risk: the scenarios that margin is made of as a heat map, and greeks by expiry.

import { fixed, money, signed } from "../format.js";
import { NO_CHANGE, VOLATILITIES, greeksByExpiry, heatMap, spotMove, whatIf } from "../risk.js";
import { html, memo } from "./dom.js";

const VOLATILITY_WORDS = /** @type {Record<string, string>} */ ({ down: "Volatility down", none: "Unchanged", up: "Volatility up" });

/** @param {{state: import("../store.js").State, act: any}} props */
export const Risk = ({ state, act }) =>
  state.positions.length
    ? html`<${WhatIf} state=${state} act=${act} /><${Scenarios} risk=${state.risk} positions=${state.positions} tickers=${state.tickers} />`
    : html`<p class="empty">No position, no risk.</p>`;

const Scenarios = memo(({ risk, positions, tickers }) => {
  if (!risk) return html`<p class="empty">Asking the venue for its scenarios.</p>`;
  const map = heatMap(risk);
  return html`
    <div class="risk">
      <${Heat} map=${map} />
      <div class="beside">
        <${Tails} others=${map.others} most=${map.most} />
        <${Parts} risk=${risk} worst=${map.worst} />
        <${Greeks} rows=${greeksByExpiry(positions, tickers)} />
      </div>
    </div>
  `;
});

const SLIDERS = [
  { key: "spot", text: "Spot", least: -50, most: 50, step: 1, unit: "%" },
  { key: "volatility", text: "Volatility", least: -50, most: 100, step: 1, unit: " points" },
  { key: "days", text: "Time", least: 0, most: 60, step: 1, unit: " days" },
];

/** Three sliders, and what positions would gain. @param {{state: import("../store.js").State, act: any}} props */
const WhatIf = ({ state, act }) => {
  const change = /** @type {Record<string, number>} */ (/** @type {any} */ (state.whatIf));
  const found = whatIf(state, state.whatIf);
  const { portfolio } = state;
  const equity = portfolio ? portfolio.equity + found.profit : null;
  const left = portfolio ? portfolio.maintenance_excess + found.profit : null;
  return html`
    <div class="whatif" role="group" aria-label="What if">
      ${SLIDERS.map((one) => html`
        <label>${one.text} <b>${change[one.key] > 0 ? "+" : ""}${signedText(change[one.key])}${one.unit}</b>
          <input type="range" id=${`whatif-${one.key}`} min=${one.least} max=${one.most} step=${one.step} value=${change[one.key]} onInput=${(/** @type {any} */ event) => act.whatIf({ [one.key]: Number(event.target.value) })} />
        </label>
      `)}
      <dl>
        <div><dt>Profit</dt><dd class=${found.profit < 0 ? "short" : "long"}>${signed(found.profit, 2)}</dd></div>
        <div><dt>Equity then</dt><dd>${money(equity)}</dd></div>
        <div title="Equity then, less the maintenance margin of now: the venue will ask another one there"><dt>Over maintenance</dt><dd class=${left !== null && left < 0 ? "short" : ""}>${money(left)}</dd></div>
        <div><dt>Delta</dt><dd>${fixed(found.delta, 3)}</dd></div>
        <div><dt>Vega</dt><dd>${fixed(found.vega, 2)}</dd></div>
      </dl>
      <button class="quiet" onClick=${() => act.whatIf(NO_CHANGE)}>Reset</button>
    </div>
  `;
};

/** @param {number} value */
const signedText = (value) => (value < 0 ? `−${-value}` : String(value));

/** @param {{map: any}} props */
const Heat = ({ map }) => html`
  <table class="heat">
    <caption>Profit or loss of all positions in each scenario, USDC</caption>
    <thead><tr><th scope="col">Spot</th>${VOLATILITIES.map((one) => html`<th scope="col">${VOLATILITY_WORDS[one]}</th>`)}</tr></thead>
    <tbody>
      ${map.rows.map((/** @type {any} */ row) => html`
        <tr>
          <th scope="row">${spotMove(row.spot)}</th>
          ${VOLATILITIES.map((one) => html`<${HeatCell} cell=${row.cells[one]} most=${map.most} />`)}
        </tr>
      `)}
    </tbody>
  </table>
`;

/** @param {{cell: any, most: number}} props */
const HeatCell = ({ cell, most }) => cell
  ? html`<td class=${`${shade(cell.value, most)} ${cell.worst ? "worst" : ""}`}>${signed(cell.value, 0)}${cell.worst ? html`<span class="hidden"> worst scenario</span>` : ""}</td>`
  : html`<td class="none"></td>`;

/** One of nine shades, from great loss to great profit. @param {number} value @param {number} most */
const shade = (value, most) => {
  const strength = Math.ceil(4 * Math.sqrt(Math.abs(value) / most) - 0.2);
  return strength <= 0 ? "shade0" : value < 0 ? `loss${strength}` : `gain${strength}`;
};

/** @param {{others: any[], most: number}} props */
const Tails = ({ others, most }) => html`
  <div class="tails">
    <h3>Tails and skews</h3>
    <ul>
      ${others.map((one) => html`<li class=${`${shade(one.value, most)} ${one.worst ? "worst" : ""}`}><span>${one.name}</span> <b>${signed(one.value, 0)}</b></li>`)}
    </ul>
  </div>
`;

/** @param {{risk: any, worst: number}} props */
const Parts = ({ risk, worst }) => html`
  <table class="outlook parts">
    <caption>What margin is made of</caption>
    <thead><tr><th></th><th>Initial</th><th>Maintenance</th></tr></thead>
    <tbody>
      <tr><th scope="row">Worst scenario</th><td>${money(worst)}</td><td>× ${fixed(risk.maintenance_factor, 2)}</td></tr>
      <tr><th scope="row">Add-ons</th><td>${money(risk.initial_addons)}</td><td>${money(risk.maintenance_addons)}</td></tr>
      <tr><th scope="row">Requirement</th><td>${money(risk.initial_margin)}</td><td>${money(risk.maintenance_margin)}</td></tr>
      <tr><th scope="row">Left of equity</th><td>${money(risk.initial_excess)}</td><td>${money(risk.maintenance_excess)}</td></tr>
    </tbody>
  </table>
`;

/** @param {{rows: any[]}} props */
const Greeks = ({ rows }) => html`
  <table class="outlook greeks">
    <caption>Greeks by expiry</caption>
    <thead><tr><th></th><th>Delta</th><th>Gamma</th><th>Vega</th><th>Theta</th></tr></thead>
    <tbody>
      ${rows.map((row) => html`
        <tr><th scope="row">${row.expiry}</th><td>${fixed(row.delta, 3)}</td><td>${fixed(row.gamma, 6)}</td><td>${fixed(row.vega, 2)}</td><td>${fixed(row.theta, 2)}</td></tr>
      `)}
    </tbody>
  </table>
`;
