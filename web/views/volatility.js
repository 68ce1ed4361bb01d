// The smile of the chosen expiry with quotes over the fit, and the term structure.

import { day, fixed, price, span } from "../format.js";
import { scale, smile, termStructure } from "../volatility.js";
import { html } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [430, 214, 44, 26];

/** @param {{state: import("../store.js").State}} props */
export const Volatility = ({ state }) => {
  const found = smile(state);
  const terms = termStructure(state.surface);
  if (!found || !terms.length) return html`<p class="empty">No marks yet.</p>`;
  return html`
    <div class="curves">
      <${Smile} found=${found} expiry=${state.expiry} />
      <${Terms} terms=${terms} chosen=${state.expiry} now=${state.now} />
    </div>
  `;
};

/** Whether whole percents would repeat themselves. @param {number[]} marks */
const fine = (marks) => marks.length > 1 && marks[1] - marks[0] < 1;

/** @param {{x: any, y: any, xText: (value: number) => string}} props */
const Axes = ({ x, y, xText }) => html`
  <g class="axes">
    ${y.marks.map((/** @type {number} */ one) => html`<line x1=${LEFT} x2=${WIDTH} y1=${y.at(one)} y2=${y.at(one)} /><text x=${LEFT - 6} y=${y.at(one) + 4} text-anchor="end">${fixed(one, fine(y.marks) ? 1 : 0)}%</text>`)}
    ${x.marks.map((/** @type {number} */ one) => html`<text x=${x.at(one)} y=${HEIGHT - 7} text-anchor="middle">${xText(one)}</text>`)}
  </g>
`;

/** @param {{found: any, expiry: number}} props */
const Smile = ({ found, expiry }) => {
  const { points, forward } = found;
  const x = scale(points.map((/** @type {any} */ one) => one.strike), LEFT, WIDTH - 4, 6);
  const all = points.flatMap((/** @type {any} */ one) => [one.mark, one.bid ?? one.mark, one.ask ?? one.mark]);
  const y = scale(all, HEIGHT - BOTTOM, 6, 5);
  const path = points.map((/** @type {any} */ one) => `${x.at(one.strike).toFixed(1)},${y.at(one.mark).toFixed(1)}`);
  return html`
    <figure>
      <figcaption>Smile of ${day(expiry)} <span class="dim">mark, with quotes out of the money${found.method === "svi" ? "" : `; ${found.method}`}</span></figcaption>
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`Mark volatility by strike, from ${fixed(points[0].mark, 1)}% at ${price(points[0].strike)} to ${fixed(points.at(-1).mark, 1)}% at ${price(points.at(-1).strike)}`}>
        <${Axes} x=${x} y=${y} xText=${(/** @type {number} */ one) => price(one)} />
        <line class="here" x1=${x.at(forward)} x2=${x.at(forward)} y1="6" y2=${HEIGHT - BOTTOM} />
        ${points.map((/** @type {any} */ one) => html`<${Quote} at=${x.at(one.strike)} bid=${one.bid && y.at(one.bid)} ask=${one.ask && y.at(one.ask)} />`)}
        <polyline class="curve" points=${path.join(" ")} />
        ${points.map((/** @type {any} */ one) => html`<circle class="point" cx=${x.at(one.strike)} cy=${y.at(one.mark)} r="2.4"><title>${price(one.strike)}: mark ${fixed(one.mark, 1)}%, bid ${fixed(one.bid, 1)}, ask ${fixed(one.ask, 1)}</title></circle>`)}
      </svg>
    </figure>
  `;
};

/** @param {{at: number, bid: number | null, ask: number | null}} props */
const Quote = ({ at, bid, ask }) => html`
  <g>
    ${bid && ask && html`<line class="between" x1=${at} x2=${at} y1=${bid} y2=${ask} />`}
    ${bid && html`<line class="bid" x1=${at - 5} x2=${at + 5} y1=${bid} y2=${bid} />`}
    ${ask && html`<line class="ask" x1=${at - 5} x2=${at + 5} y1=${ask} y2=${ask} />`}
  </g>
`;

/** Expiries stand evenly: the nearest ones would lie on top of each other in time. @param {{terms: any[], chosen: number, now: number}} props */
const Terms = ({ terms, chosen, now }) => {
  const step = (WIDTH - LEFT) / terms.length;
  const at = (/** @type {number} */ place) => LEFT + step * (place + 0.5);
  const y = scale(terms.map((one) => one.volatility), HEIGHT - BOTTOM, 6, 5);
  return html`
    <figure>
      <figcaption>Term structure <span class="dim">mark volatility at the forward</span></figcaption>
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`Volatility at the forward by expiry: ${terms.map((one) => `${day(one.expiry)} ${fixed(one.volatility, 1)}%`).join(", ")}`}>
        <${Axes} x=${{ marks: [] }} y=${y} xText=${String} />
        ${terms.map((one, place) => html`<text class="tick" x=${at(place)} y=${HEIGHT - 7} text-anchor="middle">${span(one.expiry - now).split(" ")[0]}</text>`)}
        <polyline class="curve" points=${terms.map((one, place) => `${at(place).toFixed(1)},${y.at(one.volatility).toFixed(1)}`).join(" ")} />
        ${terms.map((one, place) => html`<circle class=${`point ${one.expiry === chosen ? "chosen" : ""}`} cx=${at(place)} cy=${y.at(one.volatility)} r=${one.expiry === chosen ? 4.5 : 3}><title>${day(one.expiry)}: ${fixed(one.volatility, 1)}%</title></circle>`)}
      </svg>
    </figure>
  `;
};
