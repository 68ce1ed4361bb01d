// What the terminal knows, and how each message changes it. Pure: (state, messages) → state.
// A batch of messages copies each collection at most once, so thousands a second cost little.

import { hearQueue } from "./queue.js";
import { NO_CHANGE } from "./risk.js";
import { withCandle } from "./series.js";

/**
 * @typedef {object} Instrument
 * @property {string} instrument_name
 * @property {string} signed_instrument
 * @property {string} kind
 * @property {string} base_currency
 * @property {string} price_index
 * @property {number} tick_size
 * @property {number} lot_size
 * @property {number} min_trade_amount
 * @property {number} taker_commission
 * @property {number} expiration_timestamp
 * @property {number} strike
 * @property {"call" | "put"} option_type
 * @property {string} state
 * @property {{instrument_name: string, amount: number}[]} [legs] of a combo, with signed ratios
 */
/** @typedef {Record<string, any>} Row */
/** @typedef {"connecting" | "live" | "lost"} Link */
/** @typedef {{id: string, kind: "good" | "bad" | "info", text: string, until: number}} Notice */
/** @typedef {{name: string, address: string, kind: "local" | "session" | "wallet", owner: string, subaccountIds: number[], subaccountId: number | null}} Account */
/** @typedef {{direction: "buy" | "sell", amount: string, price: string, type: string, unit: "price" | "iv", worst: string, trigger: string, triggerPrice: string, timeInForce: string, postOnly: boolean, reduceOnly: boolean, editing: Row | null}} Ticket */
/** @typedef {{legs: {name: string, ratio: number}[], amount: string, price: string, preview: Row | null}} Strategy `price` is net, of a unit; a credit is negative */

/**
 * @typedef {object} State
 * @property {number} now
 * @property {Link} link
 * @property {number} linkSince
 * @property {number} heardAt
 * @property {Row | null} domain
 * @property {Map<string, Instrument>} instruments
 * @property {string} currency
 * @property {number} expiry
 * @property {string} selected
 * @property {Map<string, Row>} tickers
 * @property {Map<string, {price: number, timestamp: number}>} indices
 * @property {Row | null} book
 * @property {Row[]} trades
 * @property {Row | null} surface
 * @property {Row[]} localAccounts
 * @property {string} localNode where their transactions go
 * @property {Row | null} money what the chain and the venue say of it
 * @property {Account | null} account
 * @property {Row | null} portfolio
 * @property {Row[]} positions
 * @property {Map<string, Row>} orders
 * @property {Row[]} fills
 * @property {Map<string, Row>} receipts
 * @property {Map<string, Row>} settlements
 * @property {Row | null} risk
 * @property {Row | null} preview
 * @property {Map<string, import("./queue.js").Queue>} queues order by order, of instruments with own orders
 * @property {Strategy} strategy
 * @property {Map<number, Row>} rfqs requests for quote, own and those that may be answered
 * @property {Row[]} rfqQuotes own answers
 * @property {{kind: string, rows: Row[], continuation: string, loading: boolean}} history
 * @property {Row[]} troubles what befell this subaccount in liquidations, the newest first
 * @property {import("./risk.js").WhatIf} whatIf
 * @property {Ticket} ticket
 * @property {"chain" | "chart"} view of the main panel
 * @property {string} resolution of the chart
 * @property {Row | null} chart
 * @property {string} panel
 * @property {string} tab
 * @property {string} dialog
 * @property {boolean} withTicket
 * @property {boolean} busy
 * @property {Notice[]} notices
 * @property {string} theme
 * @property {boolean} narrow
 */

const TRADES_MAX = 50;
const FILLS_MAX = 200;
const QUEUES_MAX = 12;
const TROUBLES_MAX = 50;
export const STALE_MS = 5000; // the venue speaks each second; older than this is said aloud

/** @type {Ticket} */
export const EMPTY_TICKET = {
  direction: "buy",
  amount: "",
  price: "",
  type: "limit",
  unit: "price",
  worst: "",
  trigger: "mark_price",
  triggerPrice: "",
  timeInForce: "good_til_cancelled",
  postOnly: false,
  reduceOnly: false,
  editing: null,
};

/** @type {Strategy} */
export const EMPTY_STRATEGY = { legs: [], amount: "1", price: "", preview: null };

export const EMPTY_HISTORY = { kind: "orders", rows: /** @type {Row[]} */ ([]), continuation: "", loading: false };

/** @returns {State} */
export const initial = () => ({
  now: 0,
  link: "connecting",
  linkSince: 0,
  heardAt: 0,
  domain: null,
  instruments: new Map(),
  currency: "BTC",
  expiry: 0,
  selected: "",
  tickers: new Map(),
  indices: new Map(),
  book: null,
  trades: [],
  surface: null,
  localAccounts: [],
  localNode: "",
  money: null,
  account: null,
  portfolio: null,
  positions: [],
  orders: new Map(),
  fills: [],
  receipts: new Map(),
  settlements: new Map(),
  risk: null,
  preview: null,
  queues: new Map(),
  strategy: EMPTY_STRATEGY,
  rfqs: new Map(),
  rfqQuotes: [],
  history: EMPTY_HISTORY,
  troubles: [],
  whatIf: NO_CHANGE,
  ticket: EMPTY_TICKET,
  view: "chain",
  resolution: "5",
  chart: null,
  panel: "chain",
  tab: "positions",
  dialog: "",
  withTicket: true,
  busy: false,
  notices: [],
  theme: "dark",
  narrow: false,
});

/** What a broken line takes with it: no figure of the market or of margin may outlive it. */
const forgetting = () => ({
  tickers: new Map(),
  indices: new Map(),
  book: null,
  trades: [],
  surface: null,
  chart: null,
  portfolio: null,
  positions: [],
  orders: new Map(),
  queues: new Map(),
  rfqs: new Map(),
  rfqQuotes: [],
  money: null,
  troubles: [],
  history: EMPTY_HISTORY,
  fills: [],
  risk: null,
  preview: null,
});

/**
 * The state after a batch of messages.
 * @param {State} state
 * @param {Row[]} messages
 * @returns {State}
 */
export const reduce = (state, messages) => {
  const next = { ...state };
  const fresh = new Set(); // collections that this batch has copied already
  for (const message of messages) apply(next, message, fresh);
  return next;
};

/** A copy of a collection that this batch may write to. @param {any} next @param {string} name @param {Set<string>} fresh */
const own = (next, name, fresh) => {
  if (!fresh.has(name)) {
    next[name] = new Map(next[name]);
    fresh.add(name);
  }
  return next[name];
};

/** @param {State} next @param {Row} message @param {Set<string>} fresh */
const apply = (next, message, fresh) => {
  switch (message.type) {
    case "data":
      return hear(next, message.channel, message.data, fresh);
    case "set": // plain fields
      Object.assign(next, message.fields);
      for (const name of Object.keys(message.fields)) fresh.delete(name);
      return;
    case "instruments":
      listAll(next, message.rows);
      return settleSelection(next);
    case "instrument": // a combo, which no list names
      own(next, "instruments", fresh).set(message.row.instrument_name, message.row);
      return;
    case "strategy":
      next.strategy = { ...next.strategy, ...message.fields };
      return;
    case "queue-lost":
      own(next, "queues", fresh).delete(message.name);
      return;
    case "lost":
      Object.assign(next, forgetting(), { link: "lost", linkSince: message.now });
      next.strategy = { ...next.strategy, preview: null };
      return fresh.clear();
    case "currency":
      Object.assign(next, { currency: message.currency, expiry: 0, selected: "", book: null, trades: [], surface: null });
      return settleSelection(next);
    case "expiry":
      next.expiry = message.expiry;
      return;
    case "select":
      return select(next, message.name, message.direction);
    case "ticket":
      next.ticket = { ...next.ticket, ...message.fields };
      return;
    case "receipt":
      own(next, "receipts", fresh).set(message.id, message.receipt);
      return;
    case "settlement":
      own(next, "settlements", fresh).set(message.id, message.settlement);
      return;
    case "notice":
      next.notices = [...next.notices.slice(-3), message.notice];
      return;
    case "tick":
      next.now = message.now;
      if (next.notices.some((one) => one.until < message.now))
        next.notices = next.notices.filter((one) => one.until >= message.now);
  }
};

/** What is listed, and the combos that were looked up besides. @param {State} next @param {Instrument[]} rows */
const listAll = (next, rows) => {
  const combos = [...next.instruments].filter(([, one]) => one.legs);
  next.instruments = new Map([...rows.map((one) => /** @type {[string, Instrument]} */ ([one.instrument_name, one])), ...combos]);
};

/** @param {State} next @param {string} name @param {"buy" | "sell" | undefined} direction */
const select = (next, name, direction) => {
  if (next.selected !== name) {
    Object.assign(next, { selected: name, book: null, trades: [], preview: null });
    next.ticket = { ...EMPTY_TICKET, direction: direction || "buy" };
  } else if (direction) next.ticket = { ...next.ticket, direction };
  const ticker = next.tickers.get(name);
  if (direction && ticker && !next.ticket.editing) {
    const best = direction === "buy" ? ticker.best_ask_price : ticker.best_bid_price;
    const priced = next.ticket.unit === "price" && next.ticket.type.endsWith("limit");
    if (priced) next.ticket = { ...next.ticket, price: best ? String(best) : next.ticket.price };
  }
};

/** Something is always selected that exists: the first expiry, and the perpetual. @param {State} next */
const settleSelection = (next) => {
  const mine = [...next.instruments.values()].filter((one) => one.base_currency === next.currency);
  const expiries = expiriesOf(mine);
  if (!expiries.includes(next.expiry)) next.expiry = expiries[Math.min(1, expiries.length - 1)] || 0;
  if (!next.instruments.has(next.selected))
    next.selected = mine.find((one) => one.instrument_name.endsWith("PERPETUAL"))?.instrument_name || "";
};

/** @param {Instrument[]} instruments */
export const expiriesOf = (instruments) =>
  [...new Set(instruments.filter((one) => one.kind === "option").map((one) => one.expiration_timestamp))].sort(
    (a, b) => a - b,
  );

/** @param {State} next @param {string} channel @param {any} data @param {Set<string>} fresh */
const hear = (next, channel, data, fresh) => {
  const [family, name] = channel.split(".");
  if (family === "ticker") own(next, "tickers", fresh).set(name, data);
  else if (family === "l3") {
    const queues = own(next, "queues", fresh);
    const queue = hearQueue(queues.get(name), data);
    if (queue) queues.set(name, queue);
    else queues.delete(name);
  } else if (family === "block_rfq") own(next, "rfqs", fresh).set(data.block_rfq_id, data);
  else if (family === "deribit_price_index") own(next, "indices", fresh).set(name, data);
  else if (family === "book") {
    if (name === next.selected) next.book = data;
  } else if (family === "trades") {
    if (name === next.selected) next.trades = newestFirst(data, next.trades, TRADES_MAX);
  } else if (family === "chart") {
    const [, , of, resolution] = channel.split(".");
    const drawn = next.chart;
    if (drawn?.key === `${of}|${resolution}`) next.chart = { ...drawn, candles: withCandle(drawn.candles, data) };
  } else if (family === "volatility_surface") {
    if (name === `${next.currency.toLowerCase()}_usdc`) next.surface = data;
  } else if (channel.startsWith("user.orders")) for (const order of data) hearOrder(next, order, fresh);
  else if (channel.startsWith("user.trades")) {
    const mine = data.filter((/** @type {Row} */ one) => one.subaccount_id === next.account?.subaccountId);
    next.fills = newestFirst(mine, next.fills, FILLS_MAX);
  } else if (channel === "user.liquidations") {
    if (data.subaccount_id === next.account?.subaccountId) next.troubles = [data, ...next.troubles].slice(0, TROUBLES_MAX);
  } else if (channel.startsWith("user.portfolio") && data.subaccount_id === next.account?.subaccountId)
    next.portfolio = data;
};

/** @param {State} next @param {Row} order @param {Set<string>} fresh */
const hearOrder = (next, order, fresh) => {
  if (order.subaccount_id !== next.account?.subaccountId) return;
  const orders = own(next, "orders", fresh);
  if (order.order_state === "open" || order.order_state === "untriggered") orders.set(order.order_id, order);
  else orders.delete(order.order_id);
};

/** @param {Row[]} added oldest first @param {Row[]} known newest first @param {number} most */
const newestFirst = (added, known, most) => {
  const key = (/** @type {Row} */ one) => `${one.trade_id}/${one.order_id ?? ""}`;
  const seen = new Set(known.map(key));
  const fresh = added.filter((one) => !seen.has(key(one)));
  if (!fresh.length) return known;
  return [...fresh, ...known].sort((a, b) => Number(b.trade_id) - Number(a.trade_id)).slice(0, most);
};

/** The channels that this state needs. @param {State} state @returns {string[]} */
export const channelsOf = (state) => {
  if (!state.instruments.size) return [];
  const own = state.currency.toLowerCase();
  const channels = new Set(currenciesOf(state).map((one) => `deribit_price_index.${one.toLowerCase()}_usdc`));
  for (const one of state.instruments.values())
    if (one.base_currency === state.currency && (one.expiration_timestamp === state.expiry || one.kind === "future"))
      channels.add(`ticker.${one.instrument_name}.100ms`);
  if (state.selected) {
    channels.add(`ticker.${state.selected}.100ms`);
    channels.add(`book.${state.selected}.none.20.100ms`);
    channels.add(`trades.${state.selected}.100ms`);
    if (state.view === "chart") channels.add(`chart.trades.${state.selected}.${state.resolution}`);
  }
  for (const leg of state.strategy.legs) if (state.instruments.has(leg.name)) channels.add(`ticker.${leg.name}.100ms`);
  for (const name of queuedIn(state)) channels.add(`l3.${name}`);
  for (const one of state.positions) channels.add(`ticker.${one.instrument_name}.100ms`);
  channels.add(`volatility_surface.${own}_usdc`);
  if (state.account)
    for (const name of ["user.orders.any.any.100ms", "user.trades.any.any.100ms", "user.portfolio.usdc", "user.liquidations", "block_rfq.maker.any", "block_rfq.taker.any"])
      channels.add(name);
  return [...channels];
};

/** Where own orders stand in a queue, as many instruments as a person looks at. @param {State} state */
const queuedIn = (state) => {
  const names = [...state.orders.values()].filter((one) => one.order_state === "open").map((one) => one.instrument_name);
  return [...new Set(names)].slice(0, QUEUES_MAX);
};

/** @param {State} state */
export const currenciesOf = (state) => [...new Set([...state.instruments.values()].map((one) => one.base_currency))].sort();

/** Whether the subaccount is being liquidated: what it was told last is no end. @param {State} state */
export const inTrouble = (state) => {
  const own = state.troubles.filter((one) => one.role !== "taker");
  return own.length > 0 && own[0].type !== "ended";
};

/** How the figures on screen stand: "live", "stale" (the venue fell silent) or not connected. @param {State} state */
export const freshness = (state) => {
  if (state.link !== "live") return state.link;
  return state.now - state.heardAt > STALE_MS ? "stale" : "live";
};
