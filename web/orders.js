// Orders: signed here, sent by the desk's socket, told in words.

import { toUnits } from "./decimal.js";
import { feeLimit } from "./fees.js";
import { amount as amountText } from "./format.js";
import { NO_TRIGGER, digest, recover } from "./signing.js";
import { EMPTY_TICKET } from "./store.js";

const DEADLINE_S = 86_400;

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("./store.js").Row} Row */

let lastNonce = 0;

/** Nonces follow one another from this microsecond upwards, so that none repeats. */
const freshNonce = () => {
  lastNonce = lastNonce ? lastNonce + 1 : Date.now() * 1000;
  return lastNonce;
};

/** The EIP-712 domain as the venue names it. @param {Row} named */
export const domainOf = (named) => ({
  name: named.name,
  version: named.version,
  chainId: named.chain_id,
  verifyingContract: named.verifying_contract,
});

/**
 * What the owner signs of an order.
 * @param {Row} terms wire fields
 * @param {string} instrument `signed_instrument`
 */
export const orderMessage = (terms, instrument) => ({
  subaccountId: terms.subaccount_id,
  instrument,
  side: terms.direction === "buy" ? 0 : 1,
  quantity: toUnits(terms.amount, 4),
  limitPrice: toUnits(terms.price, 6),
  maxFee: toUnits(terms.max_fee, 6),
  reduceOnly: terms.reduce_only,
  triggerHash: NO_TRIGGER,
  nonce: terms.nonce,
  version: terms.version,
  deadline: terms.deadline,
  signer: terms.signer,
});

/** Send the ticket: a new order, or another version of the one that it edits. @param {Desk} desk */
export const submit = async (desk) => {
  const { ticket, account, instruments, selected, indices, domain } = desk.state;
  const instrument = instruments.get(selected);
  const signer = desk.signer;
  if (!signer || !account?.subaccountId || !instrument || !domain) return desk.set({ dialog: "account" });
  const editing = ticket.editing;
  const index = indices.get(instrument.price_index)?.price ?? 0;
  desk.set({ busy: true });
  try {
    const terms = {
      subaccount_id: account.subaccountId,
      direction: ticket.direction,
      amount: ticket.amount.trim(),
      price: ticket.price.trim(),
      max_fee: feeLimit(instrument, index),
      reduce_only: editing ? editing.reduce_only : ticket.reduceOnly,
      nonce: editing ? editing.nonce : freshNonce(),
      version: editing ? editing.version + 1 : 0,
      deadline: Math.floor(desk.now() / 1000) + DEADLINE_S,
      signer: signer.address,
    };
    const message = orderMessage(terms, instrument.signed_instrument);
    const signature = await signer.signStruct(domainOf(domain), "Order", message);
    const answer = await desk.socket.call(...request(ticket, terms, selected, signature));
    keepReceipt(desk, answer);
    desk.loop.send({ type: "ticket", fields: editing ? EMPTY_TICKET : { amount: "" } });
    desk.tell("good", outcome(answer, ticket.direction));
  } catch (error) {
    desk.explain(error, editing ? "the change" : "the order");
  }
  desk.set({ busy: false, preview: null });
};

/** @param {import("./store.js").Ticket} ticket @param {Row} terms @param {string} name @param {string} signature @returns {[string, Row]} */
const request = (ticket, terms, name, signature) => {
  const { direction, reduce_only, nonce, subaccount_id, version, ...common } = terms;
  if (ticket.editing)
    return ["private/edit", { ...common, order_id: ticket.editing.order_id, version, signature }];
  const own = { instrument_name: name, subaccount_id, nonce, reduce_only, signature };
  const how = { time_in_force: ticket.timeInForce, post_only: ticket.postOnly };
  return [`private/${direction}`, { ...common, ...own, ...how }];
};

/** What became of an order, in a sentence. @param {Row} answer @param {string} direction */
export const outcome = (answer, direction) => {
  const { order } = answer;
  const verb = direction === "buy" ? "Bought" : "Sold";
  const wanted = `${amountText(order.amount)} ${order.instrument_name}`;
  if (order.order_state === "filled") return `${verb} ${wanted} at ${order.average_price}.`;
  const filled = order.filled_amount ? `${verb} ${amountText(order.filled_amount)} at ${order.average_price}; ` : "";
  if (order.order_state === "open") return `${filled}${filled ? "the" : "The"} order for ${wanted} rests at ${order.price}.`;
  return `${filled}${filled ? "the" : "The"} order for ${wanted} ended: ${order.cancel_reason || order.order_state}.`;
};

/** The venue's signed word for where the command lies in the journal. @param {Desk} desk @param {Row} answer */
const keepReceipt = (desk, answer) => {
  const { seq, journal_hash, receipt_signature, order } = answer;
  if (!seq || !order) return;
  const receipt = { seq, journal_hash, receipt_signature, valid: receiptHolds(desk.state.domain, answer) };
  desk.loop.send({ type: "receipt", id: order.order_id, receipt });
};

/** Whether the venue's receipt key signed this place in the journal. @param {Row | null} domain @param {Row} answer */
export const receiptHolds = (domain, answer) => {
  if (!domain?.receipt_signer || !answer.receipt_signature) return false;
  const message = { seq: answer.seq, journalHash: answer.journal_hash };
  return recover(digest(domainOf(domain), "Receipt", message), answer.receipt_signature) === domain.receipt_signer;
};

/** @param {Desk} desk @param {Row} order */
export const cancel = async (desk, order) => {
  try {
    await desk.socket.call("private/cancel", { order_id: order.order_id });
    desk.tell("good", `Canceled ${amountText(order.amount)} ${order.instrument_name} at ${order.price}.`);
  } catch (error) {
    desk.explain(error, "the cancel");
  }
};

/** @param {Desk} desk */
export const cancelAll = async (desk) => {
  desk.set({ dialog: "" });
  const id = desk.state.account?.subaccountId;
  if (!id) return;
  try {
    const count = await desk.socket.call("private/cancel_all", { subaccount_id: id });
    desk.tell("good", count === 1 ? "Canceled 1 order." : `Canceled ${count} orders.`);
  } catch (error) {
    desk.explain(error, "the cancel of all orders");
  }
};

/** Load an order into the ticket to change it. @param {Desk} desk @param {Row} order */
export const edit = (desk, order) => {
  desk.loop.send({ type: "select", name: order.instrument_name });
  const fields = { direction: order.direction, amount: String(order.amount), price: String(order.price), editing: order };
  desk.loop.send({ type: "ticket", fields });
  desk.set({ panel: "ticket" });
  desk.previewSoon();
};
