// Messages in, drawings out: at most one draw per frame, and none that shows half a batch.

import { initial, reduce } from "./store.js";

const BATCH_MAX = 1000; // a page in the background draws nothing, but must not hoard

export class Loop {
  /**
   * @param {(state: import("./store.js").State) => void} draw
   * @param {(turn: () => void) => void} [frame] calls back when the screen is ready to change
   */
  constructor(draw, frame = (turn) => requestAnimationFrame(turn)) {
    this.draw = draw;
    this.frame = frame;
    this.state = initial();
    /** @type {Record<string, any>[]} */
    this.inbox = [];
    this.due = false;
  }

  /** @param {Record<string, any>} message */
  send(message) {
    this.inbox.push(message);
    if (this.inbox.length >= BATCH_MAX) this.settle();
    if (this.due) return;
    this.due = true;
    this.frame(() => {
      this.due = false;
      this.settle();
      this.draw(this.state);
    });
  }

  /** The state with every message in it. */
  settle() {
    if (this.inbox.length) {
      const batch = this.inbox;
      this.inbox = [];
      this.state = reduce(this.state, batch);
    }
    return this.state;
  }
}
