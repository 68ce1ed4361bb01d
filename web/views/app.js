// The whole page.

import { freshness, inTrouble } from "../store.js";
import { AccountPanel } from "./account.js";
import { Chain } from "./chain.js";
import { ChartPanel } from "./chart.js";
import { Dialog } from "./dialogs.js";
import { html } from "./dom.js";
import { Header } from "./header.js";
import { Market } from "./market.js";
import { TicketView } from "./ticket.js";

const PANELS = [
  ["chain", "Chain"],
  ["chart", "Chart"],
  ["book", "Book"],
  ["ticket", "Trade"],
  ["account", "Account"],
];

/** @param {{state: import("../store.js").State, act: any}} props */
export const App = ({ state, act }) => {
  const fresh = freshness(state);
  return html`
    <div class=${`terminal is-${fresh}`} data-show=${state.panel}>
      <div class="page" inert=${Boolean(state.dialog)}>
      <${Header} state=${state} act=${act} />
      ${fresh === "lost" && html`<p class="banner" role="alert">The connection to the venue broke. Figures are gone until it is back; your orders still stand there. Trying again by itself.</p>`}
      ${fresh === "stale" && html`<p class="banner warn" role="alert">The venue has been silent for more than five seconds. What you see may be old.</p>`}
      ${state.portfolio?.trading_suspended && html`<p class="banner warn" role="alert">The venue lets subaccount ${state.account?.subaccountId} only reduce. Cancels, withdrawals and forced exits go on; ask the operator why.</p>`}
      ${inTrouble(state) && html`<p class="banner" role="alert">Subaccount ${state.account?.subaccountId} is being liquidated: its equity fell below maintenance margin. Its orders are canceled and positions are sold in slices until margin holds. Deposit, or see History for each step.</p>`}
      <main data-tab=${state.tab}>
        ${state.view === "chart" ? html`<${ChartPanel} state=${state} act=${act} />` : html`<${Chain} state=${state} act=${act} />`}
        <div class="side">
          <${Market} state=${state} act=${act} />
          <${TicketView} state=${state} act=${act} />
        </div>
        <${AccountPanel} state=${state} act=${act} />
      </main>
      <nav class="bottom" aria-label="Views">
        ${PANELS.map(([name, text]) => html`<button aria-pressed=${state.panel === name} onClick=${() => act.panel(name)}>${text}</button>`)}
      </nav>
      </div>
      <div class="notices" aria-live="polite">
        ${state.notices.map((one) => html`<p key=${one.id} class=${`notice ${one.kind}`}>${one.text}</p>`)}
      </div>
      <${Dialog} state=${state} act=${act} />
    </div>
  `;
};
