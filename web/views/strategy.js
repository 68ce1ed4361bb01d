// The strategy builder: legs out of the chain, what they cost and weigh, and their payoff, before anything is sent.

import { fixed, money, price, signed } from "../format.js";
import { payoff } from "../payoff.js";
import { STRATEGIES, greeksOf, holdingsOf, netPrices } from "../strategy.js";
import { html, memo } from "./dom.js";
import { Curves, Outcome } from "./payoff.js";

/** @param {{state: import("../store.js").State, act: any}} props */
export const Strategy = ({ state, act }) => {
  const { strategy } = state;
  const units = Number(strategy.amount) > 0 ? Number(strategy.amount) : 1;
  const net = netPrices(state);
  const index = state.indices.get(`${state.currency.toLowerCase()}_usdc`)?.price ?? 0;
  const entered = strategy.price.trim() && Number.isFinite(Number(strategy.price)) ? Number(strategy.price) : net.mark;
  const found = net.mark !== null && entered !== null ? payoff(holdingsOf(state, units), index, state.now, (net.mark - entered) * units) : null;
  const drop = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    const [by, name] = (event.dataTransfer?.getData("text/plain") ?? "").split(" ");
    if (state.instruments.has(name)) act.leg(name, Number(by));
  };
  return html`
    <div class="strategy" onDragOver=${(/** @type {Event} */ event) => event.preventDefault()} onDrop=${drop}>
      <div class="build">
        <${Presets} selected=${state.selected} listed=${state.instruments.has(state.selected)} act=${act} />
        <${Legs} legs=${strategy.legs} tickers=${state.tickers} act=${act} />
      </div>
      <div class="graph">
        ${found
          ? html`<${Curves} found=${found} index=${index} state=${state} width=${360} brief=${true} /><div class="weights"><${Outcome} found=${found} index=${index} /><${Weights} greeks=${greeksOf(state, units)} /></div>`
          : html`<p class="empty">Pick a structure, drag instruments here from the chain, or add the selected one.</p>`}
      </div>
      <${Sending} state=${state} net=${net} act=${act} />
    </div>
  `;
};

const Presets = memo(
  ({ selected, listed, act }) => html`
    <div class="presets">
      <label><span class="hidden">Structure around the forward</span>
        <select value="" onChange=${(/** @type {any} */ event) => { act.preset(event.target.value); event.target.value = ""; }}>
          <option value="">Pick a structure…</option>
          ${STRATEGIES.map(([name, text]) => html`<option value=${name}>${text}</option>`)}
        </select>
      </label>
      <button class="quiet" disabled=${!listed} onClick=${() => act.leg(selected, 1)} aria-label=${`Add a bought leg of ${selected}`}>+ Leg</button>
      <button class="quiet" disabled=${!listed} onClick=${() => act.leg(selected, -1)} aria-label=${`Add a sold leg of ${selected}`}>− Leg</button>
      <button class="quiet" onClick=${act.reverse} title="Buy what is sold and sell what is bought">Reverse</button>
      <button class="quiet" onClick=${act.clearLegs}>Clear</button>
    </div>
  `,
);

/** @param {{legs: import("../strategy.js").StrategyLeg[], tickers: Map<string, any>, act: any}} props */
const Legs = ({ legs, tickers, act }) => html`
  <table class="list legs">
    <thead><tr><th>Leg</th><th>Ratio</th><th>Bid</th><th>Ask</th><th><span class="hidden">What to do</span></th></tr></thead>
    <tbody>
      ${legs.map(({ name, ratio }) => {
        const ticker = tickers.get(name);
        return html`
          <tr key=${name}>
            <th scope="row">${name.replace(/^[A-Z]+_USDC-/, "")}</th>
            <td class=${ratio > 0 ? "long" : "short"}>${ratio > 0 ? `+${ratio}` : `−${-ratio}`}</td>
            <td>${price(ticker?.best_bid_price)}</td><td>${price(ticker?.best_ask_price)}</td>
            <td class="do">
              <button class="quiet" onClick=${() => act.leg(name, 1)} aria-label=${`One more of ${name}`}>+</button>
              <button class="quiet" onClick=${() => act.leg(name, -1)} aria-label=${`One less of ${name}`}>−</button>
            </td>
          </tr>
        `;
      })}
    </tbody>
  </table>
  ${!legs.length && html`<p class="empty">No leg yet.</p>`}
`;

/** @param {{greeks: {delta: number, gamma: number, vega: number, theta: number}}} props */
const Weights = ({ greeks }) => html`
  <dl class="outcome">
    <div><dt>Delta</dt><dd>${signed(greeks.delta, 3)}</dd></div>
    <div><dt>Gamma</dt><dd>${signed(greeks.gamma, 6)}</dd></div>
    <div><dt>Vega</dt><dd>${signed(greeks.vega, 2)}</dd></div>
    <div><dt>Theta a day</dt><dd>${signed(greeks.theta, 2)}</dd></div>
  </dl>
`;

/** @param {any} props */
const Sending = ({ state, net, act }) => {
  const { strategy, account, portfolio, busy } = state;
  const { preview } = strategy;
  const ready = account?.subaccountId && strategy.legs.length > 1 && Number(strategy.amount) > 0 && strategy.price.trim() && !busy && state.link === "live";
  return html`
    <div class="sending">
      <div class="inputs">
        <label>Units <input id="units" inputmode="decimal" value=${strategy.amount} onInput=${(/** @type {any} */ event) => act.strategy({ amount: event.target.value })} /></label>
        <label>Net price a unit <input id="net" inputmode="decimal" placeholder=${net.mark === null ? "0" : fixed(net.mark, 0)} value=${strategy.price} onInput=${(/** @type {any} */ event) => act.strategy({ price: event.target.value })} /></label>
      </div>
      <div class="nets" role="group" aria-label="Take a net price">
        ${[["bid", "Bid"], ["mark", "Mark"], ["ask", "Ask"]].map(([key, text]) => html`
          <button class="quiet" disabled=${net[key] === null} onClick=${() => act.netPrice(net[key])}>${text} <b>${fixed(net[key], 0)}</b></button>
        `)}
      </div>
      <table class="outlook">
        <thead><tr><th></th><th>Now</th><th>After</th></tr></thead>
        <tbody>
          <tr><th scope="row">Initial margin</th><td>${money(portfolio?.initial_margin)}</td><td>${money(preview?.initial_margin)}</td></tr>
          <tr><th scope="row">Maintenance</th><td>${money(portfolio?.maintenance_margin)}</td><td>${money(preview?.maintenance_margin)}</td></tr>
          <tr><th scope="row">Free</th><td>${money(portfolio?.initial_excess)}</td><td>${money(preview?.initial_excess)}</td></tr>
        </tbody>
      </table>
      <div class="send">
        <button class="submit buy" disabled=${!ready} onClick=${act.sendCombo}>${words(strategy)}</button>
        <button disabled=${!account?.subaccountId || !strategy.legs.length || busy || state.link !== "live"} onClick=${act.sendRequest}>Ask makers</button>
      </div>
    </div>
  `;
};

/** What the order does with money. @param {import("../store.js").Strategy} strategy */
const words = (strategy) => {
  const net = Number(strategy.price);
  if (!strategy.price.trim() || !Number.isFinite(net)) return "Send as a combo";
  return net < 0 ? `Receive ${money(-net)} a unit` : `Pay ${money(net)} a unit`;
};
