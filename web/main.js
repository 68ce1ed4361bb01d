// Puts the parts together: the loop, the desk, the views, the keyboard.

import { render } from "preact";
import { chainRows, neighbour } from "./chain.js";
import { Desk } from "./desk.js";
import { Loop } from "./loop.js";
import { cancel, cancelAll, edit, submit } from "./orders.js";
import { EMPTY_TICKET } from "./store.js";
import { App } from "./views/app.js";
import { html } from "./views/dom.js";

const TABS = ["positions", "orders", "fills", "risk", "payoff", "volatility"];
const root = /** @type {HTMLElement} */ (document.getElementById("terminal"));
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
  tab: (/** @type {string} */ tab) => after(() => desk.set({ tab })),
  panel: (/** @type {string} */ panel) => after(() => desk.set(panel === "chain" || panel === "chart" ? { panel, view: panel } : { panel })),
  resolution: (/** @type {string} */ resolution) => after(() => desk.set({ resolution })),
  open: (/** @type {string} */ dialog) => desk.set({ dialog }),
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
  desk.join();
  void desk.refresh();
  desk.previewSoon();
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
  else if (TABS[Number(event.key) - 1]) act.tab(TABS[Number(event.key) - 1]);
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
desk.start();
