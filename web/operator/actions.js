// What an operator does: each act says why, and a change of parameters is previewed first.

import { Component } from "preact";
import { html } from "../views/dom.js";
import { Card, Facts, cash } from "./parts.js";

/** Text fields that live in the form alone. */
class Fields extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    /** @type {Record<string, string>} */
    this.state = {};
  }

  /** @returns {any} */
  render() {
    return null;
  }

  /** @param {string} name @param {string} label @param {any} [more] */
  field(name, label, more = {}) {
    return html`<label>${label} <input name=${name} value=${/** @type {any} */ (this.state)[name] ?? ""} ...${more} onInput=${(/** @type {any} */ event) => this.setState({ [name]: event.target.value })} /></label>`;
  }

  /** @param {string} name @returns {string} */
  of(name) {
    return /** @type {any} */ (this.state)[name] ?? "";
  }
}

/** What is halted or resumed, as JSON: an instrument's number exceeds a float, so it goes as it was typed. @param {string} underlying @param {string} instrument @param {string} reason */
const scopeOf = (underlying, instrument, reason) => {
  const fields = [`"reason":${JSON.stringify(reason)}`];
  if (instrument) fields.push(`"instrument_id":${/^[1-9]\d*$/.test(instrument) ? instrument : "null"}`);
  else if (underlying) fields.push(`"underlying_id":${Number(underlying)}`);
  return `{${fields.join()}}`;
};

/** Halts, holds, batches, indices and replays. */
export class Actions extends Fields {
  render() {
    const { state, desk } = /** @type {any} */ (this.props);
    const { figures, busy, told, bad } = state;
    const why = this.of("why");
    const [underlying, instrument, account] = ["underlying", "instrument", "account"].map((name) => this.of(name).trim());
    const scope = scopeOf(underlying, instrument, why.trim());
    const words = instrument ? `instrument ${instrument}` : underlying ? `underlying ${underlying}` : "everything";
    const act = (/** @type {string} */ what, /** @type {string} */ path, /** @type {any} */ body) => () => void desk.act(what, path, body, why);
    return html`
      <${Card} title="Actions">
        <div class="acts">
          ${this.field("why", "Why", { maxlength: 200, placeholder: "kept in the journal" })}
          <p class=${bad ? "short" : "long"} role="status">${told}</p>
          <div class="line">
            <label>Underlying <select value=${underlying} onChange=${(/** @type {any} */ event) => this.setState({ underlying: event.target.value, instrument: "" })}>
              <option value="">all</option>${figures.markets.map((/** @type {any} */ one) => html`<option value=${String(one.underlying_id)}>${one.name}</option>`)}
            </select></label>
            ${this.field("instrument", "or instrument", { inputmode: "numeric", placeholder: "its number" })}
            <button class="danger" disabled=${busy} onClick=${act(`Halt of ${words}`, "/admin/halt", scope)}>Halt ${words}</button>
            <button disabled=${busy} onClick=${act(`Resumption of ${words}`, "/admin/resume", scope)}>Resume ${words}</button>
            <button disabled=${busy || !underlying} onClick=${act("The vouching for the index", "/admin/reset_index", { underlying_id: Number(underlying) })}>Vouch for the index</button>
          </div>
          <div class="line">
            ${this.field("account", "Subaccount", { inputmode: "numeric" })}
            <button class="danger" disabled=${busy || !Number(account)} onClick=${act("The hold", "/admin/hold_withdrawals", { subaccount_id: Number(account), held: true, detail: why.trim() })}>Hold withdrawals</button>
            <button disabled=${busy || !Number(account)} onClick=${act("The release", "/admin/hold_withdrawals", { subaccount_id: Number(account), held: false, detail: why.trim() })}>Release</button>
            <button class="danger" disabled=${busy || !Number(account)} onClick=${act("The suspension", "/admin/suspend_trading", { subaccount_id: Number(account), suspended: true, detail: why.trim() })}>Suspend trading</button>
            <button disabled=${busy || !Number(account)} onClick=${act("The reinstatement", "/admin/suspend_trading", { subaccount_id: Number(account), suspended: false, detail: why.trim() })}>Reinstate</button>
            <span class="dim">held: ${figures.status.withdrawals_held.join(", ") || "nobody"}; suspended: ${figures.status.trading_suspended.join(", ") || "nobody"}; forced exits open: ${figures.status.exits.length}</span>
          </div>
          <div class="line">
            <button disabled=${busy} onClick=${act("The cut", "/admin/cut_batch", {})}>Cut the batch</button>
            <button disabled=${busy} onClick=${act("The replay", "/admin/replays", { until_seq: 0 })}>Replay the journal</button>
            <span class="dim">${figures.replays.slice(0, 1).map((/** @type {any} */ one) => `last replay ${one.state}${one.difference ? `: ${one.difference}` : ""}`)}</span>
          </div>
        </div>
      <//>
    `;
  }
}

/** One subaccount whole. */
export class Account extends Fields {
  render() {
    const { state, desk } = /** @type {any} */ (this.props);
    const found = state.account;
    const look = (/** @type {Event} */ event) => {
      event.preventDefault();
      void desk.look(this.of("id"));
    };
    return html`
      <${Card} title="A subaccount">
        <form class="line" onSubmit=${look}>${this.field("id", "Number", { inputmode: "numeric" })}<button disabled=${!Number(this.of("id"))}>Show</button></form>
        ${found && html`
          <${Facts} rows=${[
            ["Owner", html`<span class="mono">${found.owner}</span>`],
            ["Cash", cash(found.margin.cash)],
            ["Equity", cash(found.margin.equity)],
            ["Initial margin", cash(found.margin.initial_margin)],
            ["Maintenance", cash(found.margin.maintenance_margin)],
            ["Positions, orders", `${Object.keys(found.positions).length}, ${found.orders.length}`],
            ["Withdrawals", found.withdrawals_held ? "held" : "free"],
            ["Liquidation", found.liquidation ? found.liquidation.stage : "none"],
            ["Forced exit", found.exit ? "open" : "none"],
          ]} />
        `}
      <//>
    `;
  }
}

/** The parameters in force, and a change of them: previewed against every live account, then applied. */
export class Parameters extends Fields {
  render() {
    const { state, desk } = /** @type {any} */ (this.props);
    const { figures, preview, busy } = state;
    const text = this.of("change");
    const accounts = (/** @type {any[]} */ rows) => rows.map((one) => one.subaccount_id ?? one).join(", ") || "nobody";
    return html`
      <${Card} title="Parameters" wide>
        <div class="twin">
          <div>
            <h3>In force, version ${figures.parameters?.version ?? "–"}</h3>
            <pre class="mono" tabindex="0" aria-label="Parameters in force">${JSON.stringify(figures.parameters, null, 1)}</pre>
          </div>
          <div class="acts">
            <h3>A change</h3>
            <textarea aria-label="A change as JSON" rows="5" spellcheck="false" placeholder=${'{"configure": {"fees": {"maker_rate": 300000000000000}}}'} value=${text} onInput=${(/** @type {any} */ event) => this.setState({ change: event.target.value })}></textarea>
            ${this.field("why", "Why", { maxlength: 200 })}
            <div class="line">
              <button disabled=${busy || !text.trim()} onClick=${() => void desk.preview(text, this.of("why"))}>Preview</button>
              ${preview?.text === text && html`<button class="danger" disabled=${busy} onClick=${() => void desk.act("The change", "/admin/parameters/apply", `{"change":${preview.text},"confirm":${preview.report.liquidated.length}}`, this.of("why"))}>Apply, liquidating ${preview.report.liquidated.length}</button>`}
            </div>
            ${preview?.text === text && html`<p>Of ${preview.report.accounts} live accounts it would liquidate ${accounts(preview.report.liquidated)}, and keep from new risk ${accounts(preview.report.restricted)}.</p>`}
            <p class="dim">Figures are the journal's: money in micro-USDC, rates in 1e-18, times in nanoseconds. A preview counts the live accounts at the prices of this moment.</p>
          </div>
        </div>
      <//>
    `;
  }
}
