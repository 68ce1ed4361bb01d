// Puts the parts together: the loop, the desk, the views, the keyboard.

import { render } from "preact";
import { chainRows, neighbour } from "./chain.js";
import { toStep } from "./decimal.js";
import { Desk } from "./desk.js";
import { Loop } from "./loop.js";
import * as money from "./money.js";
import { cancel, cancelAll, edit, submit } from "./orders.js";
import { EMPTY_TICKET } from "./store.js";
import { inUnit, ofType } from "./ticket.js";
import { exportHistory, loadHistory } from "./records.js";
import { build, tickOf, withLeg } from "./strategy.js";
import { accept, previewStrategy, quote, sendCombo, sendRequest, takeBack } from "./structures.js";
import { TABS } from "./views/account.js";
import { App } from "./views/app.js";
import { html } from "./views/dom.js";
import { chooseWallet, discover } from "./wallet.js";

const root = /** @type {HTMLElement} */ (document.getElementById("terminal"));
root.replaceChildren(); // what stands there until this module runs
const loop = new Loop(draw);
const desk = new Desk(loop, `${location.origin.replace(/^http/, "ws")}/ws/api/v2`);

/** @typedef {import("./store.js").Row} Row */

/** What a person can do: the views call these and nothing else. */
const act = {
  currency: (/** @type {string} */ currency) => after(() => loop.send({ type: "currency", currency })),
  expiry: (/** @type {number} */ expiry) => after(() => loop.send({ type: "expiry", expiry })),
  select: (/** @type {string} */ name, /** @type {string | undefined} */ direction) => {
    after(() => loop.send({ type: "select", name, direction }));
    if (direction) trade();
  },
  price: (/** @type {number} */ price, /** @type {"buy" | "sell"} */ direction) => {
    act.ticket(desk.state.ticket.editing ? { price: String(price) } : { price: String(price), direction });
    trade();
  },
  ticket: (/** @type {Row} */ fields) => {
    loop.send({ type: "ticket", fields });
    desk.previewSoon();
  },
  history: (/** @type {string} */ kind, older = false) => void loadHistory(desk, kind, older),
  exportHistory: () => void exportHistory(desk),
  whatIf: (/** @type {Partial<import("./risk.js").WhatIf>} */ change) => desk.set({ whatIf: { ...desk.state.whatIf, ...change } }),
  openSubaccount: () => void money.openSubaccount(desk),
  mint: (/** @type {string} */ token, /** @type {string} */ amount) => void money.mint(desk, token, amount),
  deposit: (/** @type {string} */ token, /** @type {string} */ amount) => void money.deposit(desk, token, amount),
  withdraw: (/** @type {string} */ token, /** @type {string} */ amount, /** @type {string} */ to) => void money.withdraw(desk, token, amount, to),
  claim: (/** @type {string} */ token) => void money.claim(desk, token),
  requestExit: (/** @type {string} */ token, /** @type {string} */ amount, /** @type {string} */ to) => void money.requestExit(desk, token, amount, to),
  startEscape: () => void money.startEscape(desk),
  revokeKey: (/** @type {string} */ key) => void money.revokeKey(desk, key),
  raiseNonceFloor: () => void money.raiseNonceFloor(desk),
  raiseSheetFloor: () => void money.raiseSheetFloor(desk),
  cancelNonce: (/** @type {number} */ nonce) => void money.cancelNonce(desk, nonce),
  strategy: (/** @type {Row} */ fields) => shape(fields),
  leg: (/** @type {string} */ name, /** @type {number} */ by) => {
    if (desk.state.tab !== "strategy") act.tab("strategy");
    shape({ legs: withLeg(desk.state.strategy.legs, name, by), price: "" });
  },
  preset: (/** @type {string} */ name) => {
    const legs = build(desk.state, name);
    if (!legs.length) return desk.tell("bad", "This expiry has no strikes for that structure. Choose another expiry, or add legs one by one.");
    shape({ legs, price: "" });
  },
  reverse: () => shape({ legs: desk.state.strategy.legs.map(({ name, ratio }) => ({ name, ratio: -ratio })), price: "" }),
  clearLegs: () => shape({ legs: [], price: "" }),
  netPrice: (/** @type {number} */ price) => shape({ price: toStep(price, tickOf(desk.state), 6) }),
  sendCombo: () => void sendCombo(desk),
  sendRequest: () => void sendRequest(desk),
  accept: (/** @type {Row} */ rfq, /** @type {"buy" | "sell"} */ direction, /** @type {number} */ price) => void accept(desk, rfq, direction, price),
  quote: (/** @type {Row} */ rfq, /** @type {"buy" | "sell"} */ direction, /** @type {string} */ price) => void quote(desk, rfq, direction, price),
  takeBack: (/** @type {Row} */ rfq) => void takeBack(desk, rfq),
  unit: (/** @type {"price" | "iv"} */ unit) => act.ticket(inUnit(desk.state, unit)),
  orderType: (/** @type {string} */ type) => act.ticket(ofType(desk.state, type)),
  stopEditing: () => act.ticket(EMPTY_TICKET),
  submit: () => void submit(desk),
  edit: (/** @type {Row} */ order) => edit(desk, order),
  cancel: (/** @type {Row} */ order) => void cancel(desk, order),
  cancelAll: () => void cancelAll(desk),
  close: (/** @type {Row} */ position) => {
    act.select(position.instrument_name, position.size > 0 ? "sell" : "buy");
    act.ticket({ amount: String(Math.abs(position.size)), reduceOnly: true });
  },
  follow: (/** @type {Row} */ fill) => act.open(`fill:${fill.trade_id}`),
  withTicket: (/** @type {boolean} */ withTicket) => desk.set({ withTicket }),
  tab: (/** @type {string} */ tab) => {
    after(() => desk.set({ tab }));
    if (tab === "history") act.history(desk.state.history.kind);
  },
  panel: (/** @type {string} */ panel) => after(() => desk.set(panel === "chain" || panel === "chart" ? { panel, view: panel } : { panel })),
  resolution: (/** @type {string} */ resolution) => after(() => desk.set({ resolution })),
  open: (/** @type {string} */ dialog) => desk.set({ dialog }),
  wallet: (/** @type {string} */ id) => {
    chooseWallet(id);
    desk.set({}); // the dialog shows it
  },
  useLocal: (/** @type {Row} */ local) => void desk.useLocal(local),
  useWallet: () => void desk.useWallet(),
  useSessionKey: () => void desk.useSessionKey(),
  subaccount: (/** @type {number} */ id) => void desk.useSubaccount(id),
  signOut: () => void desk.signOut(),
  toggleTheme: () => theme(desk.state.theme === "dark" ? "light" : "dark"),
};

/** A change after which other channels or figures are wanted. @param {() => void} change */
function after(change) {
  change();
  void desk.join();
  void desk.refresh();
  desk.previewSoon();
}

/** Another structure in the builder: its legs want tickers, and its margin is asked for. @param {Row} fields */
function shape(fields) {
  loop.send({ type: "strategy", fields });
  void desk.join();
  void previewStrategy(desk);
}

/** The ticket comes forward, with its amount ready to be typed. */
function trade() {
  desk.set({ panel: "ticket" });
  requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById("amount")?.focus()));
}

/** @param {string} name */
function theme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("exchange.theme", name);
  desk.set({ theme: name });
}

let dialog = "";
/** @type {Element | null} */
let focused = null;

/** @param {import("./store.js").State} state */
function draw(state) {
  render(html`<${App} state=${state} act=${act} />`, root);
  if (state.dialog === dialog) return;
  if (!dialog) focused = document.activeElement;
  dialog = state.dialog;
  const target = dialog ? document.querySelector(".dialog") : focused;
  if (target instanceof HTMLElement) target.focus();
}

/** @param {KeyboardEvent} event */
function key(event) {
  const typing = event.target instanceof Element && event.target.matches("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const state = desk.state;
  if (event.key === "Escape") return escape(state);
  if (typing || state.dialog) return;
  if (event.key.startsWith("Arrow")) {
    if (event.target instanceof Element && event.target.matches("[role=tab]")) return;
    move(state, event);
  } else if (event.key === "?") act.open("help");
  else if (event.key === "c" || event.key === "C") act.panel(state.view === "chart" ? "chain" : "chart");
  else if ("aA".includes(event.key) && state.instruments.has(state.selected)) act.leg(state.selected, event.key === "a" ? 1 : -1);
  else if (TABS["1234567890".indexOf(event.key)]) act.tab(TABS["1234567890".indexOf(event.key)][0]);
  else if ("bBsS".includes(event.key) && state.selected) {
    event.preventDefault();
    act.select(state.selected, event.key.toLowerCase() === "b" ? "buy" : "sell");
  }
}

/** @param {import("./store.js").State} state */
function escape(state) {
  if (state.dialog) act.open("");
  else if (state.ticket.editing) act.stopEditing();
  else if (state.orders.size) act.open("cancel-all");
  else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
}

/** @param {import("./store.js").State} state @param {KeyboardEvent} event */
function move(state, event) {
  const name = neighbour(chainRows(state), state.selected, event.key);
  if (!name) return;
  event.preventDefault();
  act.select(name, undefined);
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      const cell = document.querySelector(`[data-instrument="${name}"]`);
      if (cell instanceof HTMLElement) cell.focus();
    }),
  );
}

const light = matchMedia("(prefers-color-scheme: light)").matches;
theme(localStorage.getItem("exchange.theme") ?? (light ? "light" : "dark"));
const small = matchMedia("(max-width: 1100px)"); // as in style.css
small.addEventListener("change", () => desk.set({ narrow: small.matches }));
desk.set({ narrow: small.matches });
document.addEventListener("keydown", key);
discover(window, () => desk.set({}));
desk.start();
