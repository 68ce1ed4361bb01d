// Profit of what is held by where the index goes: at the first expiry, and now.

import { day, fixed, money, price, signed, span } from "../format.js";
import { legsOf, payoff } from "../payoff.js";
import { scale } from "../volatility.js";
import { html } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [640, 190, 64, 26];

/** @param {{state: import("../store.js").State, act: any}} props */
export const Payoff = ({ state, act }) => {
  const legs = legsOf(state, state.withTicket);
  const index = state.indices.get(`${state.currency.toLowerCase()}_usdc`)?.price ?? 0;
  const found = payoff(legs, index, state.now);
  return html`
    <div class="payoff">
      ${found ? html`<${Curves} found=${found} index=${index} state=${state} />` : html`<p class="empty">Nothing held in ${state.currency}, and nothing in the ticket.</p>`}
      <div>
        <label class="check"><input type="checkbox" checked=${state.withTicket} onChange=${(/** @type {any} */ event) => act.withTicket(event.target.checked)} /> With the order in the ticket</label>
        ${found && html`<${Outcome} found=${found} index=${index} />`}
      </div>
    </div>
  `;
};

/** @param {{found: any, index: number}} props */
export const Outcome = ({ found, index }) => {
  const here = found.points.find((/** @type {any} */ one) => one.index === index);
  return html`
    <dl class="outcome">
      <div><dt>Now</dt><dd>${signed(here?.now, 2)}</dd></div>
      ${found.expiry > 0 && html`<div><dt>Then, at this index</dt><dd>${signed(here?.then, 2)}</dd></div>`}
      <div><dt>Even at</dt><dd>${even(found)}</dd></div>
      <div><dt>Worst on this range</dt><dd>${signed(found.least, 2)}</dd></div>
      <div><dt>Best on this range</dt><dd>${signed(found.most, 2)}</dd></div>
    </dl>
  `;
};

/** @param {any} found */
const even = (found) => found.breakevens.map((/** @type {number} */ one) => price(one)).join(", ") || "none here";

/** @param {{found: any, index: number, state: import("../store.js").State, width?: number, brief?: boolean}} props */
export const Curves = ({ found, index, state, width = WIDTH, brief = false }) => {
  const { points, breakevens, expiry } = found;
  const x = scale([points[0].index, points.at(-1).index], LEFT, width - 4, 8);
  const y = scale([0, ...points.flatMap((/** @type {any} */ one) => [one.now, one.then])], HEIGHT - BOTTOM, 6, 5);
  const path = (/** @type {"now" | "then"} */ when) =>
    points.map((/** @type {any} */ one) => `${x.at(one.index).toFixed(1)},${y.at(one[when]).toFixed(1)}`).join(" ");
  const when = expiry ? `at ${day(expiry)}, in ${span(expiry - state.now).split(" ")[0]}` : "now";
  const here = points.find((/** @type {any} */ one) => one.index === index);
  return html`
    <figure>
      <figcaption>Profit ${when} <span class="dim">${brief ? "(dashed: now)" : "and, dashed, now; volatilities as marked, before fees"}</span></figcaption>
      <svg viewBox=${`0 0 ${width} ${HEIGHT}`} role="img" aria-label=${`Profit by index price ${when}: from ${money(found.least)} to ${money(found.most)} on this range, even at ${even(found)}; now ${money(here?.now)}`}>
        <g class="axes">
          ${y.marks.map((one) => html`<line x1=${LEFT} x2=${width} y1=${y.at(one)} y2=${y.at(one)} /><text x=${LEFT - 6} y=${y.at(one) + 4} text-anchor="end">${fixed(one, 0)}</text>`)}
          ${x.marks.map((one) => html`<text x=${x.at(one)} y=${HEIGHT - 7} text-anchor="middle">${price(one)}</text>`)}
        </g>
        <line class="zero" x1=${LEFT} x2=${width} y1=${y.at(0)} y2=${y.at(0)} />
        <line class="here" x1=${x.at(index)} x2=${x.at(index)} y1="6" y2=${HEIGHT - BOTTOM} />
        <polyline class="curve before" points=${path("now")} />
        <polyline class="curve" points=${path("then")} />
        ${breakevens.map((/** @type {number} */ one) => html`<circle class="point" cx=${x.at(one)} cy=${y.at(0)} r="3"><title>Even at ${price(one)}</title></circle>`)}
      </svg>
    </figure>
  `;
};
