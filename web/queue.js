// A book order by order, for one question: how much stands ahead of an order. Pure.

/** @typedef {{price: number, amount: number, direction: string}} Standing */
/** @typedef {{changeId: number, orders: Map<string, Standing>}} Queue orders at one price stand in their order of precedence */

/**
 * The queue after a message of the channel `l3.X`; null where a message is missing and a snapshot is needed.
 * @param {Queue | undefined} queue @param {any} data @returns {Queue | null}
 */
export const hearQueue = (queue, data) => {
  if (data.type === "snapshot") {
    /** @type {Map<string, Standing>} */
    const orders = new Map();
    for (const [direction, rows] of [["buy", data.bids], ["sell", data.asks]])
      for (const [id, price, amount] of rows) orders.set(id, { price, amount, direction });
    return { changeId: data.change_id, orders };
  }
  if (!queue || queue.changeId !== data.prev_change_id) return null;
  const orders = new Map(queue.orders);
  for (const [verb, id, price, amount, direction] of data.orders) {
    const before = orders.get(id);
    if (verb === "delete" || !before || before.price !== price || before.amount < amount) orders.delete(id);
    if (verb === "put") orders.set(id, { price, amount, direction }); // kept its place, or went to the end
  }
  return { changeId: data.change_id, orders };
};

/**
 * Contracts ahead of an order at its price, and its place from 1; null where it does not stand.
 * @param {Queue | undefined} queue @param {string} orderId
 */
export const placeOf = (queue, orderId) => {
  const mine = queue?.orders.get(orderId);
  if (!queue || !mine) return null;
  let [ahead, place] = [0, 1];
  for (const [id, one] of queue.orders) {
    if (id === orderId) break;
    if (one.price !== mine.price || one.direction !== mine.direction) continue;
    ahead += one.amount;
    place += 1;
  }
  return { ahead, place };
};
