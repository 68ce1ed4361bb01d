// What the ticket is filled with when its kind changes: a price within reach for what was asked. Pure.

import { toStep } from "./decimal.js";

const ROOM = 0.1; // of the mark: how far a worst price lies from it unless somebody says otherwise

/** @typedef {import("./store.js").State} State */

/** A price beyond the mark by the room, on the side where it hurts, on the tick. @param {State} state */
const worstPrice = (state) => {
  const [instrument, ticker] = [state.instruments.get(state.selected), state.tickers.get(state.selected)];
  if (!instrument || !ticker?.mark_price) return "";
  const buying = state.ticket.direction === "buy";
  const best = (buying ? ticker.best_ask_price : ticker.best_bid_price) || ticker.mark_price;
  const far = buying ? Math.max(best, ticker.mark_price) * (1 + ROOM) : Math.min(best, ticker.mark_price) * (1 - ROOM);
  return toStep(Math.max(far, instrument.tick_size), instrument.tick_size, 6);
};

/** The ticket in prices, or in volatility with a worst price beside it. @param {State} state @param {"price" | "iv"} unit */
export const inUnit = (state, unit) => {
  const ticker = state.tickers.get(state.selected);
  if (unit === "price") return { unit, price: ticker?.mark_price ? toStep(ticker.mark_price, state.instruments.get(state.selected)?.tick_size ?? 1, 6) : "", worst: "" };
  return { unit, price: ticker?.mark_iv ? toStep(ticker.mark_iv, 0.1, 1) : "", worst: worstPrice(state) };
};

/** The ticket as another type of order. @param {State} state @param {string} type */
export const ofType = (state, type) => {
  const plain = { type, unit: "price", worst: "", triggerPrice: "" };
  return type.endsWith("limit") ? plain : { ...plain, postOnly: false, price: worstPrice(state) };
};
