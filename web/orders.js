// Orders: signed here, sent by the desk's socket, told in words.

import { toUnits } from "./decimal.js";
import { feeLimit } from "./fees.js";
import { amount as amountText } from "./format.js";
import { NO_TRIGGER, digest, receiptsRoot, recover, triggerHash } from "./signing.js";
import { EMPTY_TICKET } from "./store.js";

const DEADLINE_S = 86_400;

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("./store.js").Row} Row */

let lastNonce = 0;

/** Nonces follow one another from this microsecond upwards, so that none repeats. */
export const freshNonce = () => {
  lastNonce = lastNonce ? lastNonce + 1 : Date.now() * 1000;
  return lastNonce;
};

/** Above all that was signed until now with nonces by the clock, here or elsewhere. */
export const clockNonce = () => {
  lastNonce = Math.max(lastNonce + 1, Date.now() * 1000);
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
 * @param {Row} terms wire fields; `worst` is the limit in the signature
 * @param {string} instrument `signed_instrument`
 */
export const orderMessage = (terms, instrument) => ({
  subaccountId: terms.subaccount_id,
  instrument,
  side: terms.direction === "buy" ? 0 : 1,
  quantity: toUnits(terms.amount, 4),
  limitPrice: toUnits(terms.worst, 6),
  maxFee: toUnits(terms.max_fee, 6),
  reduceOnly: terms.reduce_only,
  triggerHash: terms.trigger_hash ?? NO_TRIGGER,
  nonce: terms.nonce,
  version: terms.version,
  deadline: terms.deadline,
  signer: terms.signer,
});

/**
 * The signed half of an order in one instrument, as every method wants it.
 * @param {Desk} desk @param {import("./store.js").Instrument} instrument
 * @param {Row} terms direction, amount and worst, and what differs from a new order
 */
export const signedFields = async (desk, instrument, terms) => {
  const { account, domain, indices, instruments } = desk.state;
  const signer = desk.signer;
  if (!signer || !account?.subaccountId || !domain) throw new Error("nobody is signed in");
  const fields = {
    subaccount_id: account.subaccountId,
    max_fee: feeLimit(instrument, indices.get(instrument.price_index)?.price ?? 0, instruments),
    nonce: terms.nonce ?? freshNonce(),
    version: terms.version ?? 0,
    deadline: Math.floor(desk.now() / 1000) + DEADLINE_S,
    signer: signer.address,
  };
  const message = orderMessage({ reduce_only: false, ...terms, ...fields }, instrument.signed_instrument);
  return { ...fields, signature: await signer.signStruct(domainOf(domain), "Order", message) };
};

/** Send the ticket: a new order, or another version of the one that it edits. @param {Desk} desk */
export const submit = async (desk) => {
  const { ticket, account, instruments, selected } = desk.state;
  const instrument = instruments.get(selected);
  if (!desk.signer || !account?.subaccountId || !instrument) return desk.set({ dialog: "account" });
  const { editing } = ticket;
  desk.set({ busy: true });
  try {
    const { method, wire, signed } = requestOf(ticket, selected);
    const fields = await signedFields(desk, instrument, signed);
    const { subaccount_id, nonce, ...rest } = fields;
    const answer = await desk.socket.call(method, { ...wire, ...(editing ? rest : fields) });
    keepReceipt(desk, answer);
    const kept = { type: ticket.type, unit: ticket.unit, direction: ticket.direction };
    desk.loop.send({ type: "ticket", fields: editing ? { ...EMPTY_TICKET, ...kept } : { amount: "" } });
    desk.tell("good", outcome(answer, ticket.direction));
  } catch (error) {
    desk.explain(error, editing ? "the change" : "the order");
  }
  desk.set({ busy: false, preview: null });
};

/**
 * The ticket as a method, its unsigned fields and what is signed.
 * @param {import("./store.js").Ticket} ticket @param {string} name
 */
export const requestOf = (ticket, name) => {
  const { direction, editing, type } = ticket;
  const [amount, price] = [ticket.amount.trim(), ticket.price.trim()];
  const volatile = ticket.unit === "iv";
  const worst = volatile ? ticket.worst.trim() : price;
  const priced = volatile ? { price, advanced: "implv", limit_price: worst } : { price };
  const { waits, hash } = triggerOf(ticket);
  if (editing) {
    const signed = { direction, amount, worst, reduce_only: editing.reduce_only, nonce: editing.nonce, version: editing.version + 1, trigger_hash: hash };
    return { method: "private/edit", wire: { order_id: editing.order_id, amount, ...priced }, signed };
  }
  const how = rests(type) ? { time_in_force: ticket.timeInForce, post_only: ticket.postOnly } : {};
  const wire = { instrument_name: name, amount, type, reduce_only: ticket.reduceOnly, ...priced, ...waits, ...how };
  return { method: `private/${direction}`, wire, signed: { direction, amount, worst, reduce_only: ticket.reduceOnly, trigger_hash: hash } };
};

/** Whether an order of this type may rest in the book. @param {string} type */
export const rests = (type) => type.endsWith("limit");

/** What an order waits for, on the wire and in the signature. @param {import("./store.js").Ticket} ticket */
const triggerOf = (ticket) => {
  const { type, trigger } = ticket;
  if (type === "limit" || type === "market") return { waits: {}, hash: NO_TRIGGER };
  const at = ticket.triggerPrice.trim();
  const trails = type === "trailing_stop";
  const units = toUnits(at, 6);
  const hash = trails ? triggerHash(type, trigger, 0n, units) : triggerHash(type, trigger, units, 0n);
  return { waits: { trigger, [trails ? "trigger_offset" : "trigger_price"]: at }, hash };
};

/** What became of an order, in a sentence. @param {Row} answer @param {string} direction */
export const outcome = (answer, direction) => {
  const { order } = answer;
  const verb = direction === "buy" ? "Bought" : "Sold";
  const wanted = `${amountText(order.amount)} ${order.instrument_name}`;
  if (order.order_state === "filled") return `${verb} ${wanted} at ${order.average_price}.`;
  const filled = order.filled_amount ? `${verb} ${amountText(order.filled_amount)} at ${order.average_price}; ` : "";
  if (order.order_state === "untriggered") return `The order for ${wanted} waits for its trigger.`;
  if (order.order_state === "open") return `${filled}${filled ? "the" : "The"} order for ${wanted} rests at ${order.price}.`;
  return `${filled}${filled ? "the" : "The"} order for ${wanted} ended: ${order.cancel_reason || order.order_state}.`;
};

/** The venue's signed word for where the command lies in the journal. @param {Desk} desk @param {Row} answer */
export const keepReceipt = (desk, answer) => {
  const { seq, journal_hash, receipt_signature, order } = answer;
  if (!seq || !order) return;
  const receipt = { seq, journal_hash, receipt_signature, valid: receiptHolds(desk.state.domain, answer) };
  desk.loop.send({ type: "receipt", id: order.order_id, receipt });
};

/** Whether the venue's receipt key signed this place in the journal. @param {Row | null} domain @param {Row} answer */
export const receiptHolds = (domain, answer) => {
  if (!domain?.receipt_signer || !answer.receipt_signature) return false;
  try {
    const root = receiptsRoot(answer.seq, answer.journal_hash, answer.receipt_proof);
    return recover(digest(domainOf(domain), "Receipts", { root }), answer.receipt_signature) === domain.receipt_signer;
  } catch {
    return false; // no proof, or no signature at all: the order stands all the same
  }
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
  const volatile = order.advanced === "implv";
  desk.loop.send({
    type: "ticket",
    fields: {
      direction: order.direction,
      amount: String(order.amount),
      type: order.order_type,
      unit: volatile ? "iv" : "price",
      price: String(volatile ? order.implv : order.price),
      worst: volatile ? String(order.limit_price) : "",
      trigger: order.trigger ?? EMPTY_TICKET.trigger,
      triggerPrice: String(order.trigger_offset ?? order.trigger_price ?? ""),
      editing: order,
    },
  });
  desk.set({ panel: "ticket" });
  desk.previewSoon();
};
