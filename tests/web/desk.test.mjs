// What an account holds is followed before it is asked for, so that no change falls between the two.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Desk } from "../../web/desk.js";
import { Loop } from "../../web/loop.js";

const SUBACCOUNT = 7;
const order = (amount) => ({ order_id: "1", subaccount_id: SUBACCOUNT, instrument_name: "A", order_state: "open", amount });
const trade = (number) => ({ trade_id: String(number), order_id: "1", subaccount_id: SUBACCOUNT });

/** A desk before a venue that answers from a table, and the methods that it was asked for. */
const before = (answers) => {
  globalThis.localStorage = { getItem: () => null, setItem() {} };
  globalThis.WebSocket = class {}; // never opened: the socket's calls are answered here
  const desk = new Desk(new Loop(() => {}, () => {}), "ws://venue");
  const asked = [];
  desk.socket.call = async (method, params) => {
    asked.push(params?.channels?.includes("user.orders.any.any.100ms") ? "follow" : method);
    return answers[method]?.() ?? [];
  };
  desk.set({ link: "live", domain: {}, instruments: new Map([["A", { instrument_name: "A", base_currency: "BTC" }]]) });
  return { desk, asked };
};

const signer = { name: "me", kind: "local", address: "0x1", owner: "", signText: async () => "0x" };
const signedIn = {
  "public/get_sign_in_nonce": () => ({ timestamp: 0 }),
  "public/auth": () => ({ subaccount_ids: [SUBACCOUNT], access_token: "t" }),
  "private/get_user_trades_by_currency": () => ({ trades: [trade(1)] }),
};

test("the channels of an account come before the look at what stands", async () => {
  const { desk, asked } = before(signedIn);
  await desk.signIn(signer);
  assert.ok(asked.includes("follow"));
  assert.ok(asked.indexOf("follow") < asked.indexOf("private/get_open_orders"), String(asked));
});

test("what a channel tells while others are still asked outlives the answers", async () => {
  const { desk } = before({
    ...signedIn,
    "private/get_open_orders": () => [order(0.1)],
    "private/get_liquidation_history": async () => {
      desk.hear("user.trades.any.any.100ms", [trade(2)]);
      await new Promise((later) => setTimeout(later, 5)); // the other answers are there by now
      desk.hear("user.orders.any.any.100ms", [order(0.3)]);
      return [];
    },
  });
  await desk.signIn(signer);
  assert.equal(desk.state.orders.get("1").amount, 0.3);
  assert.deepEqual(desk.state.fills.map((one) => one.trade_id), ["2", "1"]);
});
