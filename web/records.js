// The past of a subaccount: finished orders, trades, settlements and everything that moved money, by the page or as a file.

import { EMPTY_HISTORY } from "./store.js";

const PAGE = 50;
const METHODS = /** @type {Record<string, {method: string, rows: string, more?: object}>} */ ({
  orders: { method: "private/get_order_history_by_currency", rows: "orders", more: { currency: "any", include_unfilled: true, with_continuation: true } },
  trades: { method: "private/get_user_trades_by_currency_and_time", rows: "trades", more: { currency: "any" } },
  settlements: { method: "private/get_settlement_history_by_currency", rows: "settlements", more: { currency: "any" } },
  money: { method: "private/get_transaction_log", rows: "logs", more: { currency: "any" } },
});

/** @typedef {import("./desk.js").Desk} Desk */

/** The newest page of a kind, or the next older one. @param {Desk} desk @param {string} kind @param {boolean} [older] */
export const loadHistory = async (desk, kind, older = false) => {
  const { account, history } = desk.state;
  if (!account?.subaccountId || (older && !history.continuation)) return;
  const before = older ? history.rows : [];
  desk.set({ history: { ...EMPTY_HISTORY, kind, rows: before, loading: true } });
  const { method, rows, more } = METHODS[kind];
  try {
    const asked = { subaccount_id: account.subaccountId, count: PAGE, ...more, ...(older && { continuation: history.continuation }) };
    const answer = await desk.socket.call(method, asked);
    if (desk.state.history.kind !== kind || desk.state.account?.subaccountId !== account.subaccountId) return;
    desk.set({ history: { kind, rows: [...before, ...answer[rows]], continuation: answer.continuation ?? "", loading: false } });
  } catch (error) {
    desk.set({ history: { ...EMPTY_HISTORY, kind } });
    desk.explain(error, "the history");
  }
};

/** The whole kind as a file, in the venue's own columns. @param {Desk} desk */
export const exportHistory = async (desk) => {
  const { account, history } = desk.state;
  if (!account?.subaccountId) return;
  const { method, more } = METHODS[history.kind];
  const { with_continuation, ...asked } = /** @type {any} */ (more);
  const query = new URLSearchParams({ subaccount_id: String(account.subaccountId), ...asked });
  try {
    const answer = await fetch(`/api/v2/${method}.csv?${query}`, { headers: { Authorization: `Bearer ${desk.token}` } });
    if (!answer.ok) throw new Error(answer.status === 401 ? "the session is over; sign in again" : `the venue answered ${answer.status}`);
    save(await answer.blob(), `${history.kind}-${account.subaccountId}.csv`);
    const more = answer.headers.get("Continuation");
    desk.tell(more ? "info" : "good", more ? "The file holds the newest 10,000 rows. The rest is for a program: docs/api.md, Continuation." : "The file is saved.");
  } catch (error) {
    desk.explain(error, "the export");
  }
};

/** @param {Blob} content @param {string} name */
const save = (content, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};
