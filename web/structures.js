// Structures on their way to the venue: as a combo's order, or as a request for quote and what makers answer.

import { keepReceipt, outcome, signedFields } from "./orders.js";
import { legsHash } from "./signing.js";
import { divisor, netPrices } from "./strategy.js";

const SECONDS = 300; // that a request stays open

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("./store.js").Row} Row */

/** An instrument with its legs if it is a combo; asked for once. @param {Desk} desk @param {string} name @returns {Promise<import("./store.js").Instrument>} */
export const lookUp = async (desk, name) => {
  const known = desk.state.instruments.get(name);
  if (known) return known;
  const row = await desk.socket.call("public/get_instrument", { instrument_name: name });
  if (row.kind.endsWith("combo")) row.legs = (await desk.socket.call("public/get_combo_details", { combo_id: name })).legs;
  desk.loop.send({ type: "instrument", row });
  return row;
};

/**
 * Fails unless a combo is what it is taken for: its hash that of its legs, and these the legs that a person saw.
 * @param {Desk} desk @param {import("./store.js").Instrument} combo @param {{name: string, ratio: number}[]} seen the same way around
 */
export const requireLegs = (desk, combo, seen) => {
  const { instruments } = desk.state;
  const legs = combo.legs ?? [];
  const ids = legs.map((leg) => ({ id: instruments.get(leg.instrument_name)?.signed_instrument ?? "", ratio: leg.amount }));
  const same = legs.length === seen.length && seen.every(({ name, ratio }) => legs.some((leg) => leg.instrument_name === name && leg.amount === ratio));
  if (!same || ids.some((one) => !one.id) || legsHash(ids) !== combo.signed_instrument)
    throw new Error("the venue names other legs than those on this page, so nothing was signed");
};

/** The legs as the venue takes them. @param {Desk} desk */
const wireLegs = (desk) =>
  desk.state.strategy.legs.map(({ name, ratio }) => ({
    instrument_name: name,
    amount: String(Math.abs(ratio)),
    direction: ratio > 0 ? "buy" : "sell",
  }));

/** Ratios without a common divisor, as the venue lists them. @param {{name: string, ratio: number}[]} legs */
export const inLowestTerms = (legs) => {
  const common = legs.map((leg) => Math.abs(leg.ratio)).reduce(divisor, 0) || 1;
  return legs.map(({ name, ratio }) => ({ name, ratio: ratio / common }));
};

/** A price on the other side of nothing. @param {string} text */
const negated = (text) => (text.startsWith("-") ? text.slice(1) : Number(text) === 0 ? text : `-${text}`);

/** Buy the structure as it stands in the builder, at its net price; a credit is a negative price. @param {Desk} desk */
export const sendCombo = async (desk) => {
  const { amount, price, legs } = desk.state.strategy;
  desk.set({ busy: true });
  try {
    const made = await desk.socket.call("private/create_combo", { trades: wireLegs(desk) });
    const instrument = await lookUp(desk, made.id);
    const direction = made.direction;
    requireLegs(desk, instrument, inLowestTerms(legs.map(({ name, ratio }) => ({ name, ratio: direction === "buy" ? ratio : -ratio }))));
    const worst = direction === "buy" ? price.trim() : negated(price.trim());
    const signed = { direction, amount: amount.trim(), worst };
    const fields = await signedFields(desk, instrument, signed);
    const wire = { instrument_name: made.id, amount: amount.trim(), price: worst, ...fields };
    const answer = await desk.socket.call(`private/${direction}`, wire);
    keepReceipt(desk, answer);
    desk.tell("good", outcome(answer, direction));
  } catch (error) {
    desk.explain(error, "the combo's order");
  }
  desk.set({ busy: false });
};

/** Ask makers for a price of the structure. @param {Desk} desk */
export const sendRequest = async (desk) => {
  const { strategy, account } = desk.state;
  desk.set({ busy: true });
  try {
    const asked = { subaccount_id: account?.subaccountId, legs: wireLegs(desk), amount: strategy.amount.trim(), direction: "buy", expires_in: SECONDS };
    await desk.socket.call("private/create_block_rfq", asked);
    await refreshRequests(desk);
    desk.set({ tab: "quotes" });
    desk.tell("good", "Makers are asked. What they answer stands under Quotes for five minutes.");
  } catch (error) {
    desk.explain(error, "the request for quote");
  }
  desk.set({ busy: false });
};

/** Requests and own answers, as the venue remembers them. @param {Desk} desk */
export const refreshRequests = async (desk) => {
  const [rows, rfqQuotes] = await Promise.all([desk.socket.call("private/get_block_rfqs"), desk.socket.call("private/get_block_rfq_quotes")]);
  if (desk.state.link === "live") desk.set({ rfqs: new Map(rows.map((/** @type {Row} */ one) => [one.block_rfq_id, one])), rfqQuotes });
};

/** Sign the other side of a request: a taker accepts, a maker quotes. @param {Desk} desk @param {string} method @param {Row} rfq @param {"buy" | "sell"} direction @param {string} price */
const sign = async (desk, method, rfq, direction, price) => {
  const instrument = await lookUp(desk, rfq.instrument_name);
  const shown = rfq.legs.map((/** @type {Row} */ leg) => ({ name: leg.instrument_name, ratio: leg.direction === "buy" ? leg.ratio : -leg.ratio }));
  if (instrument.legs || shown.length) requireLegs(desk, instrument, shown); // a request for one instrument has no legs
  const fields = await signedFields(desk, instrument, { direction, amount: String(rfq.amount), worst: price });
  return desk.socket.call(method, { block_rfq_id: rfq.block_rfq_id, direction, price, ...fields });
};

/** @param {Desk} desk @param {Row} rfq @param {"buy" | "sell"} direction @param {number} price */
export const accept = async (desk, rfq, direction, price) => {
  desk.set({ busy: true });
  try {
    const answer = await sign(desk, "private/accept_block_rfq", rfq, direction, String(price));
    desk.tell("good", `${direction === "buy" ? "Bought" : "Sold"} ${answer.amount} of the structure as a block of ${answer.trades.length} trades.`);
    await refreshRequests(desk);
  } catch (error) {
    desk.explain(error, "the acceptance");
  }
  desk.set({ busy: false });
};

/** @param {Desk} desk @param {Row} rfq @param {"buy" | "sell"} direction @param {string} price */
export const quote = async (desk, rfq, direction, price) => {
  desk.set({ busy: true });
  try {
    await sign(desk, "private/add_block_rfq_quote", rfq, direction, price.trim());
    desk.tell("good", `Your quote to ${direction} at ${price} stands until the request ends or you take it back.`);
    await refreshRequests(desk);
  } catch (error) {
    desk.explain(error, "the quote");
  }
  desk.set({ busy: false });
};

/** @param {Desk} desk @param {Row} rfq */
export const takeBack = async (desk, rfq) => {
  try {
    if (rfq.role === "taker") await desk.socket.call("private/cancel_block_rfq", { block_rfq_id: rfq.block_rfq_id });
    else
      for (const one of desk.state.rfqQuotes.filter((quoted) => quoted.block_rfq_id === rfq.block_rfq_id))
        await desk.socket.call("private/cancel_block_rfq_quote", { block_rfq_quote_id: one.block_rfq_quote_id });
    await refreshRequests(desk);
  } catch (error) {
    desk.explain(error, "taking it back");
  }
};

/** What the structure would do to margin, at the price in the builder. @param {Desk} desk */
export const previewStrategy = async (desk) => {
  const { account, strategy } = desk.state;
  const [units, price, mark] = [Number(strategy.amount), Number(strategy.price), netPrices(desk.state).mark];
  const ready = account?.subaccountId && strategy.legs.length && units > 0 && strategy.price.trim() && Number.isFinite(price) && mark !== null;
  if (!ready) return desk.loop.send({ type: "strategy", fields: { preview: null } });
  const positions = Object.fromEntries(strategy.legs.map((leg) => [leg.name, (leg.ratio * units).toFixed(4)]));
  const asked = { subaccount_id: account.subaccountId, simulated_positions: positions, simulated_cash: ((mark - price) * units).toFixed(6) };
  const preview = await desk.socket.call("private/simulate_portfolio", asked).catch(() => null);
  if (desk.state.link === "live") desk.loop.send({ type: "strategy", fields: { preview } });
};
