// The store, the chain and the matrix: pure functions of messages.

import assert from "node:assert/strict";
import test from "node:test";
import { chainRows, forwardOf, forwardPlace, impliedMove, neighbour } from "../../web/chain.js";
import { Loop } from "../../web/loop.js";
import { greeksByExpiry, heatMap, spotMove } from "../../web/risk.js";
import { STALE_MS, channelsOf, currenciesOf, freshness, initial, reduce } from "../../web/store.js";

const FIRST = Date.UTC(2026, 11, 25, 8);
const option = (strike, type, expiry = FIRST, base = "BTC") => ({
  instrument_name: `${base}_USDC-${expiry}-${strike}-${type[0].toUpperCase()}`,
  kind: "option", base_currency: base, expiration_timestamp: expiry, strike, option_type: type,
});
const perpetual = (base = "BTC") => ({ instrument_name: `${base}_USDC-PERPETUAL`, kind: "future", base_currency: base, expiration_timestamp: 0 });
const ROWS = [option(100, "call"), option(100, "put"), option(110, "call"), option(110, "put"), option(120, "call", FIRST + 1), perpetual(), perpetual("ETH"), option(5, "call", FIRST, "ETH")];
const ACCOUNT = { name: "A", address: "0x1", kind: "local", owner: "0x1", subaccountIds: [2], subaccountId: 2 };
const data = (channel, value) => ({ type: "data", channel, data: value });
const set = (fields) => ({ type: "set", fields });
const C100 = ROWS[0].instrument_name;
const start = (...more) => reduce(initial(), [{ type: "instruments", rows: ROWS }, set({ link: "live", expiry: FIRST, account: ACCOUNT }), ...more]);

test("a batch leaves the state before it untouched, and copies a collection once", () => {
  const before = start(data(`ticker.${C100}.100ms`, { mark_price: 1 }));
  const kept = before.tickers;
  const after = reduce(before, [data(`ticker.${C100}.100ms`, { mark_price: 2 }), data("ticker.x.100ms", { mark_price: 3 })]);
  assert.equal(kept.get(C100).mark_price, 1);
  assert.equal(kept.size, 1);
  assert.equal(after.tickers.get(C100).mark_price, 2);
  assert.equal(after.orders, before.orders, "what nobody touched stays the same thing");
});

test("a broken line takes every figure of market and margin with it", () => {
  const live = start(
    data(`ticker.${C100}.100ms`, { mark_price: 1 }), data("deribit_price_index.btc_usdc", { price: 5 }),
    { type: "select", name: C100 }, data(`book.${C100}.none.20.100ms`, { bids: [], asks: [] }),
    data(`trades.${C100}.100ms`, [{ trade_id: "1" }]),
    set({ portfolio: { equity: 1 }, positions: [{ instrument_name: C100, size: 1 }], risk: {}, preview: {} }),
  );
  const lost = reduce(live, [{ type: "lost", now: 7 }]);
  assert.deepEqual([lost.link, lost.linkSince], ["lost", 7]);
  for (const name of ["tickers", "indices", "orders"]) assert.equal(lost[name].size, 0, name);
  for (const name of ["trades", "positions", "fills"]) assert.equal(lost[name].length, 0, name);
  for (const name of ["book", "portfolio", "risk", "preview", "surface"]) assert.equal(lost[name], null, name);
  assert.equal(lost.account, ACCOUNT);
  assert.equal(lost.selected, C100);
  const again = reduce(live, [{ type: "lost", now: 7 }, data(`ticker.${C100}.100ms`, { mark_price: 9 })]);
  assert.equal(again.tickers.get(C100).mark_price, 9, "and is filled anew");
});

test("figures are live, stale or gone", () => {
  const at = (fields) => freshness({ ...initial(), ...fields });
  assert.equal(at({ link: "live", now: 10_000, heardAt: 10_000 - STALE_MS }), "live");
  assert.equal(at({ link: "live", now: 10_001, heardAt: 10_000 - STALE_MS }), "stale");
  assert.equal(at({ link: "lost" }), "lost");
  assert.equal(at({}), "connecting");
});

test("books and trades of an instrument that is not looked at are dropped", () => {
  const state = start({ type: "select", name: C100 }, data("book.other.none.20.100ms", {}), data("trades.other.100ms", [{ trade_id: "9" }]));
  assert.equal(state.book, null);
  assert.deepEqual(state.trades, []);
});

test("trades stand newest first, once each, and no more than fifty", () => {
  const many = Array.from({ length: 60 }, (_, at) => ({ trade_id: String(at + 1) }));
  const state = start({ type: "select", name: C100 }, data(`trades.${C100}.100ms`, many), data(`trades.${C100}.100ms`, [{ trade_id: "60" }, { trade_id: "61" }]));
  assert.equal(state.trades.length, 50);
  assert.deepEqual(state.trades.slice(0, 2).map((one) => one.trade_id), ["61", "60"]);
});

test("orders come and go; another subaccount's do not come", () => {
  const order = (id, order_state, subaccount_id = 2) => ({ order_id: id, order_state, subaccount_id });
  const heard = (...rows) => data("user.orders.any.any.100ms", rows);
  const state = start(heard(order("1", "open"), order("2", "untriggered"), order("3", "open", 9)), heard(order("1", "filled")));
  assert.deepEqual([...state.orders.keys()], ["2"]);
  const other = reduce(state, [data("user.portfolio.usdc", { subaccount_id: 9 }), data("user.trades.any.any.100ms", [{ trade_id: "5", subaccount_id: 9 }])]);
  assert.equal(other.portfolio, null);
  assert.deepEqual(other.fills, []);
  const mine = reduce(state, [data("user.portfolio.usdc", { subaccount_id: 2, equity: 3 }), data("user.trades.any.any.100ms", [{ trade_id: "5", subaccount_id: 2 }])]);
  assert.equal(mine.portfolio.equity, 3);
  assert.equal(mine.fills.length, 1);
});

test("a selection fills the ticket with the other side's best price", () => {
  const state = start(data(`ticker.${C100}.100ms`, { best_bid_price: 4, best_ask_price: 6 }));
  const bought = reduce(state, [{ type: "select", name: C100, direction: "buy" }]);
  assert.deepEqual([bought.ticket.direction, bought.ticket.price], ["buy", "6"]);
  const sold = reduce(bought, [{ type: "ticket", fields: { amount: "2" } }, { type: "select", name: C100, direction: "sell" }]);
  assert.deepEqual([sold.ticket.direction, sold.ticket.price, sold.ticket.amount], ["sell", "4", "2"]);
  assert.equal(reduce(sold, [{ type: "select", name: ROWS[1].instrument_name }]).ticket.amount, "");
});

test("what is selected exists, and its currency's", () => {
  const state = reduce(initial(), [{ type: "instruments", rows: ROWS }]);
  assert.equal(state.selected, "BTC_USDC-PERPETUAL");
  assert.equal(state.expiry, FIRST + 1);
  const other = reduce(state, [{ type: "currency", currency: "ETH" }]);
  assert.deepEqual([other.selected, other.expiry], ["ETH_USDC-PERPETUAL", FIRST]);
  assert.deepEqual(currenciesOf(other), ["BTC", "ETH"]);
});

test("channels are those of the chosen expiry, the selection, positions and the account", () => {
  assert.deepEqual(channelsOf(initial()), []);
  const state = start({ type: "select", name: C100 }, set({ positions: [{ instrument_name: "far" }] }));
  const wanted = channelsOf(state);
  for (const one of [`ticker.${C100}.100ms`, "ticker.far.100ms", "ticker.BTC_USDC-PERPETUAL.100ms", `book.${C100}.none.20.100ms`, "user.portfolio.usdc", "deribit_price_index.eth_usdc"])
    assert.ok(wanted.includes(one), one);
  assert.ok(!wanted.some((one) => one.includes(ROWS[4].instrument_name)), "another expiry");
  assert.equal(new Set(wanted).size, wanted.length);
  assert.ok(!channelsOf({ ...state, account: null }).some((one) => one.startsWith("user.")));
});

test("notices leave when their time is over", () => {
  const told = reduce(initial(), [{ type: "notice", notice: { id: "1", until: 5 } }]);
  assert.equal(reduce(told, [{ type: "tick", now: 5 }]).notices.length, 1);
  assert.equal(reduce(told, [{ type: "tick", now: 6 }]).notices.length, 0);
});

test("the chain: strikes ascending, moneyness by the forward, own positions", () => {
  const state = start(data(`ticker.${C100}.100ms`, { underlying_price: 105, mark_price: 7 }), data(`ticker.${ROWS[1].instrument_name}.100ms`, { mark_price: 2 }), set({ positions: [{ instrument_name: C100, size: -1 }] }));
  const rows = chainRows(state);
  assert.deepEqual(rows.map((row) => row.strike), [100, 110]);
  assert.deepEqual([rows[0].call.inMoney, rows[0].put.inMoney, rows[1].call.inMoney, rows[1].put.inMoney], [true, false, false, true]);
  assert.equal(rows[0].call.position.size, -1);
  assert.equal(forwardPlace(rows, forwardOf(state)), 1);
  assert.equal(forwardPlace(rows, null), -1);
  assert.equal(impliedMove(rows, 101), 9 / 101);
  assert.equal(impliedMove([], 105), null);
});

test("arrow keys walk the chain and stop at its edges", () => {
  const rows = chainRows(start());
  const name = (strike, type) => option(strike, type).instrument_name;
  assert.equal(neighbour(rows, name(100, "call"), "ArrowDown"), name(110, "call"));
  assert.equal(neighbour(rows, name(110, "call"), "ArrowDown"), name(110, "call"));
  assert.equal(neighbour(rows, name(110, "call"), "ArrowRight"), name(110, "put"));
  assert.equal(neighbour(rows, name(110, "put"), "ArrowUp"), name(100, "put"));
  assert.equal(neighbour(rows, "elsewhere", "ArrowUp"), name(110, "call"));
  assert.equal(neighbour([], "elsewhere", "ArrowUp"), null);
});

test("the matrix sums groups, marks the worst cell, and sets the tails apart", () => {
  const simulation = {
    scenarios: [
      { spot: 1.1, volatility: "up", weight: 1 }, { spot: 1.1, volatility: "down", weight: 1 },
      { spot: 0.9, volatility: "up", weight: 1 }, { spot: 3, volatility: "up", weight: 0.1 }, { spot: 1, volatility: "skew_linear", weight: 1 },
    ],
    groups: [{ scenarios: [1, 2, -5, 0, 1] }, { scenarios: [1, 1, -1, -2, 0] }],
  };
  const map = heatMap(simulation);
  assert.deepEqual(map.rows.map((row) => row.spot), [1.1, 0.9]);
  assert.deepEqual(map.rows[0].cells.down, { value: 3, worst: false });
  assert.deepEqual(map.rows[1].cells.up, { value: -6, worst: true });
  assert.deepEqual(map.others.map((one) => [one.name, one.value]), [["spot +200%", -2], ["skew linear", 1]]);
  assert.deepEqual([map.worst, map.most], [-6, 6]);
  assert.deepEqual([spotMove(0.955), spotMove(1), spotMove(1.18)], ["−4.5%", "0%", "+18%"]);
});

test("greeks add up by expiry", () => {
  const positions = [
    { instrument_name: "BTC_USDC-25DEC26-100-C", size: 2, delta: 1, vega: 3 },
    { instrument_name: "BTC_USDC-25DEC26-110-C", size: -1, delta: -0.25, vega: -1 },
    { instrument_name: "BTC_USDC-PERPETUAL", size: 1, delta: 1 },
  ];
  const tickers = new Map([["BTC_USDC-25DEC26-100-C", { greeks: { gamma: 0.5, theta: -4 } }]]);
  assert.deepEqual(greeksByExpiry(positions, tickers), [
    { expiry: "BTC 25DEC26", delta: 0.75, gamma: 1, vega: 2, theta: -8 },
    { expiry: "BTC perpetual", delta: 1, gamma: 0, vega: 0, theta: 0 },
  ]);
});

test("the loop draws once a frame, whatever comes, and hoards nothing", () => {
  const frames = [];
  let draws = 0;
  const loop = new Loop(() => (draws += 1), (turn) => frames.push(turn));
  for (let at = 0; at < 2500; at += 1) loop.send(data("ticker.x.100ms", { mark_price: at }));
  assert.equal(frames.length, 1);
  assert.ok(loop.inbox.length < 1000);
  frames.pop()();
  assert.deepEqual([draws, loop.state.tickers.get("x").mark_price, loop.inbox.length], [1, 2499, 0]);
  loop.send({ type: "tick", now: 1 });
  assert.equal(frames.length, 1);
});
