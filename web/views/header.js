// The bar at the top: what is traded, whether the figures live, who trades, what time it is.

import { clock, money, price, shortAddress, span } from "../format.js";
import { currenciesOf, freshness } from "../store.js";
import { Live, html, memo } from "./dom.js";

const WORDS = {
  live: "Live",
  stale: "No news",
  connecting: "Connecting",
  lost: "Disconnected",
};

/** @param {{state: import("../store.js").State, act: any}} props */
export const Header = ({ state, act }) => html`
  <header class="bar">
    <h1 class="brand"><span aria-hidden="true">◢</span> Options<span class="wide"> exchange</span></h1>
    <${Currencies} names=${currenciesOf(state).join()} indices=${state.indices} chosen=${state.currency} act=${act} />
    <nav class="views wide" aria-label="Main view">
      ${[["chain", "Chain"], ["chart", "Chart"]].map(([name, text]) => html`<button aria-pressed=${state.view === name} onClick=${() => act.panel(name)}>${text}</button>`)}
    </nav>
    <span class="space"></span>
    <${Equity} portfolio=${state.portfolio} />
    <${Connection} fresh=${freshness(state)} age=${Math.floor((state.now - (state.link === "live" ? state.heardAt : state.linkSince)) / 1000)} />
    <time class="clock wide" title="Venue time">${state.now ? clock(state.now) : "--:--:--"} UTC</time>
    <button class="icon" onClick=${act.toggleTheme} aria-label=${`Use ${state.theme === "dark" ? "light" : "dark"} colours`}>
      ${state.theme === "dark" ? "☀" : "☾"}
    </button>
    <button class="icon wide" onClick=${() => act.open("help")} aria-label="Keyboard help">?</button>
    <${AccountButton} account=${state.account} act=${act} />
  </header>
`;

const Currencies = memo(
  ({ names, indices, chosen, act }) => html`
    <nav class="currencies" aria-label="Underlying">
      ${names.split(",").filter(Boolean).map((/** @type {string} */ name) => {
        const index = indices.get(`${name.toLowerCase()}_usdc`)?.price;
        return html`<button
          aria-pressed=${name === chosen}
          onClick=${() => act.currency(name)}
        >
          <b>${name}</b> <${Live} value=${index} text=${price(index, 0.01)} />
        </button>`;
      })}
    </nav>
  `,
);

const Equity = memo(
  ({ portfolio }) => html`
    <span class="equity wide">
      ${portfolio && html`<span class="label">Equity</span> <b>${money(portfolio.equity)}</b> <span class="label">USDC</span>`}
    </span>
  `,
);

const Connection = memo(
  ({ fresh, age }) => html`
    <span class=${`connection is-${fresh}`} role="status" aria-live="polite" data-fresh=${fresh}>
      <i aria-hidden="true"></i>
      ${/** @type {any} */ (WORDS)[fresh]}
      <span class="age">${fresh === "live" ? `${Math.min(age, 99)}s` : `for ${span(age * 1000)}`}</span>
    </span>
  `,
);

const AccountButton = memo(({ account, act }) =>
  account
    ? html`<button class="account" onClick=${() => act.open("account")}>
        ${account.name}<small class="wide"> ${shortAddress(account.owner)}</small>
      </button>`
    : html`<button class="account primary" onClick=${() => act.open("account")}>Connect</button>`,
);
