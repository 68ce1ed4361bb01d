// What an operator sees and does. Figures come in the journal's own units: micro-USDC, nanoseconds, 1e-4 contracts.

import { Component } from "preact";
import { clock, fixed, span } from "../format.js";
import { html } from "../views/dom.js";
import { Account, Actions, Parameters } from "./actions.js";
import { figureOf, stages } from "./metrics.js";
import { Card, Facts, cash } from "./parts.js";

const STALE_MS = 6000;

/** @param {{state: any, desk: import("./desk.js").Desk}} props */
export const Page = ({ state, desk }) => (state.signedIn ? html`<${Board} state=${state} desk=${desk} />` : html`<${SignIn} state=${state} desk=${desk} />`);

class SignIn extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    this.state = { token: "" };
  }

  render() {
    const { state, desk } = /** @type {any} */ (this.props);
    const { token } = /** @type {any} */ (this.state);
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      void desk.signIn(token);
      this.setState({ token: "" });
    };
    return html`
      <main class="signin">
        <form class="panel" onSubmit=${submit} autocomplete="off">
          <h1>Operator</h1>
          <label for="token">Token of this listener, or your own key</label>
          <input id="token" type="password" autocomplete="off" spellcheck="false" value=${token} onInput=${(/** @type {any} */ event) => this.setState({ token: event.target.value })} />
          <button class="primary" disabled=${!token.trim() || state.busy}>Sign in</button>
          <p class="dim">It stays in this page's memory: closing or loading the page anew forgets it.</p>
          ${state.trouble && html`<p class="short" role="alert">${state.trouble}</p>`}
        </form>
      </main>
    `;
  }
}

/** @param {{state: any, desk: import("./desk.js").Desk}} props */
const Board = ({ state, desk }) => {
  const { figures, trouble } = state;
  const age = state.now - state.heardAt;
  return html`
    <div class="operator">
      <header class="bar">
        <h1 class="brand"><span aria-hidden="true">◢</span> Operator</h1>
        <${Verdict} figures=${figures} />
        <span class="space"></span>
        <span class="connection ${figures && age < STALE_MS ? "is-live" : "is-lost"}" role="status"><i aria-hidden="true"></i>${figures ? `${span(Math.max(0, age))} old` : "no figures"}</span>
        ${figures && html`<span class="clock">${clock(figures.status.time_ns / 1e6)} UTC</span>`}
        <button onClick=${() => desk.signOut()}>Sign out</button>
      </header>
      ${trouble && html`<p class="banner" role="alert">No figures: ${trouble}. Trying again by itself.</p>`}
      <main class="board">
        ${figures
          ? html`
              <${Health} figures=${figures} samples=${state.samples} before=${state.before} />
              <${Relayer} relayer=${figures.status.relayer} now=${figures.status.time_ns} />
              <${Markets} rows=${figures.markets} />
              <${Liquidations} rows=${figures.liquidations} />
              <${Fund} fund=${figures.fund} id=${figures.fundId} />
              <${Actions} state=${state} desk=${desk} />
              <${Account} state=${state} desk=${desk} />
              <${Parameters} state=${state} desk=${desk} />
            `
          : html`<p class="empty">Asking.</p>`}
      </main>
    </div>
  `;
};

/** @param {{figures: any}} props */
const Verdict = ({ figures }) => {
  if (!figures) return null;
  const reasons = Object.entries(figures.ready.reasons);
  if (figures.status.escaped) return html`<span class="badge warn">the venue has ended on chain</span>`;
  return reasons.length
    ? html`<span class="short" role="alert">Not ready: ${reasons.map(([name, why]) => `${name}, ${why}`).join("; ")}</span>`
    : html`<span class="long">Ready</span>`;
};

/** @param {any} props */
const Health = ({ figures, samples, before }) => {
  const { status } = figures;
  const figure = (/** @type {string} */ name) => fixed(figureOf(samples, `exchange_${name}`), 0);
  return html`
    <${Card} title="Health and queues">
      <${Facts} rows=${[
        ["Journal's newest place", fixed(status.seq, 0)],
        ["Commands waiting", fixed(status.queue_length, 0)],
        ["Epoch of marks", fixed(status.epoch, 0)],
        ["Newest block seen", fixed(status.last_block, 0)],
        ["Waiting for a batch", fixed(status.pending, 0)],
        ["Batches cut, confirmed", `${status.batch_number}, ${status.confirmed_batch}`],
        ["Connections, subscriptions", `${figure("connections")}, ${figure("subscriptions")}`],
        ["Messages waiting to clients", figure("outbox_messages")],
        ["Open orders, instruments", `${figure("open_orders")}, ${figure("instruments")}`],
        ...stages(samples, before).map((one) => [`${one.stage}, 99 of 100 within`, one.p99 === null ? "–" : one.p99 === Infinity ? "beyond the scale" : `${fixed(one.p99 * 1000, 2)} ms`]),
      ]} />
    <//>
  `;
};

/** @param {any} props */
const Relayer = ({ relayer, now }) => {
  if (!relayer) return html`<${Card} title="Relayer"><p class="empty">It has not reported yet.</p><//>`;
  const { figures } = relayer;
  const plain = Object.entries(figures).filter(([name, value]) => typeof value === "number" && name !== "balance");
  return html`
    <${Card} title="Relayer">
      ${figures.alarms.length > 0 && html`<div class="short" role="alert"><ul class="plain">${figures.alarms.map((/** @type {string} */ one) => html`<li>${one.replaceAll("_", " ")}</li>`)}</ul></div>`}
      <${Facts} rows=${[
        ["Reported", `${span((now - relayer.received_ns) / 1e6)} ago`],
        ["Ether for gas", fixed(Number(figures.balance) / 1e18, 4)],
        ...Object.entries(figures.jobs).map(([name, count]) => [`jobs ${name}`, count]),
        ...plain.map(([name, value]) => [name.replaceAll("_", " "), fixed(Number(value), 0)]),
      ]} />
    <//>
  `;
};

const NAMED_MAX = 12; // instruments that do not trade, before the rest is counted

/** @param {{rows: any[]}} props */
const Markets = ({ rows }) => html`
  <${Card} title="Markets and halts">
    <table class="list">
      <thead><tr><th>Underlying</th><th>Index</th><th>Age</th><th>Instruments</th></tr></thead>
      <tbody>${rows.map((one) => html`
        <tr><th scope="row">${one.name} <small>${one.underlying_id}</small></th><td>${cash(one.index_price)}</td><td>${one.index_age_ns === null ? "–" : `${fixed(one.index_age_ns / 1e9, 1)} s`}</td><td>${Object.entries(one.states).map(([state, count]) => `${count} ${state}`).join(", ")}</td></tr>
      `)}</tbody>
    </table>
    <${NotOpen} rows=${rows.flatMap((one) => one.not_open)} />
  <//>
`;

/** @param {{rows: any[]}} props */
const NotOpen = ({ rows }) => {
  if (!rows.length) return null;
  const more = rows.length - NAMED_MAX;
  return html`
    <h3>Not open</h3>
    <ul class="plain">${rows.slice(0, NAMED_MAX).map((one) => html`<li>${one.instrument_name} <b>${one.state}</b> <small>${one.instrument_id}</small></li>`)}${more > 0 && html`<li class="dim">and ${more} more</li>`}</ul>
  `;
};

/** @param {{rows: any[]}} props */
const Liquidations = ({ rows }) => html`
  <${Card} title="Liquidations">
    ${rows.length
      ? html`<table class="list">
          <thead><tr><th>Subaccount</th><th>Stage</th><th>Step</th><th>Equity</th><th>Maintenance</th><th>Positions</th></tr></thead>
          <tbody>${rows.map((one) => html`<tr><th scope="row">${one.subaccount_id}</th><td>${one.stage}${one.suspended ? html` <small>${one.suspended}</small>` : ""}</td><td>${one.step}</td><td>${cash(one.equity)}</td><td>${cash(one.maintenance_margin)}</td><td>${Object.keys(one.positions).length}</td></tr>`)}</tbody>
        </table>`
      : html`<p class="empty">None runs.</p>`}
  <//>
`;

/** @param {{fund: any, id: number | undefined}} props */
const Fund = ({ fund, id }) => html`
  <${Card} title="Insurance fund">
    ${fund
      ? html`<${Facts} rows=${[
          ["Subaccount", id],
          ["Cash", cash(fund.margin.cash)],
          ["Equity", cash(fund.margin.equity)],
          ["Maintenance", cash(fund.margin.maintenance_margin)],
          ["Positions taken over", Object.keys(fund.positions).length],
        ]} />`
      : html`<p class="empty">${id ? `Subaccount ${id} is not open yet: the venue's own stands in.` : "This venue liquidates nobody."}</p>`}
  <//>
`;
