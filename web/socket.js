// The one door to the exchange: JSON-RPC over a WebSocket that comes back by itself.
// It knows nothing of what it carries: who listens resubscribes when `opened` is called.

const BACKOFF_MS = [200, 500, 1000, 2000, 4000];
const SILENCE_MS = 6000; // then the venue is asked for a sign of life
const PATIENCE_MS = 6000; // and after as long again the line counts as dead

/** An error that the venue answered with, in its words. */
export class Refused extends Error {
  /** @param {{code: number, message: string, data?: {reason?: string, param?: string, reject_reason?: string}}} error */
  constructor(error) {
    super(error.data?.reason || error.message);
    this.code = error.code;
    this.reason = error.data?.reject_reason || error.message;
  }
}

/** The line broke before an answer came: nobody knows what became of the call. */
export class Lost extends Error {
  constructor() {
    super("the connection broke before the answer came");
  }
}

/**
 * @typedef {object} Listener
 * @property {() => void} opened
 * @property {() => void} lost
 * @property {() => void} heard
 * @property {(channel: string, data: any) => void} data
 */

export class Socket {
  /** @param {string} url @param {Listener} listener @param {typeof WebSocket} [Kind] */
  constructor(url, listener, Kind = WebSocket) {
    this.url = url;
    this.listener = listener;
    this.Kind = Kind;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
    this.calls = new Map();
    this.lastId = 0;
    this.failures = 0;
    this.heardAt = 0;
    this.watchedAt = 0;
    this.asked = false;
  }

  start() {
    this.connect();
    setInterval(() => this.watch(), 1000);
  }

  connect() {
    const socket = new this.Kind(this.url);
    this.socket = socket;
    this.heardAt = Date.now();
    socket.onopen = () => {
      if (socket !== this.socket) return;
      this.failures = 0;
      this.listener.opened();
    };
    socket.onmessage = (event) => {
      if (socket === this.socket) this.receive(event.data);
    };
    socket.onclose = () => {
      if (socket === this.socket) this.fail();
    };
  }

  fail() {
    this.socket = null;
    const wait = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)];
    this.failures += 1;
    const calls = [...this.calls.values()];
    this.calls.clear();
    this.listener.lost();
    for (const call of calls) call.reject(new Lost());
    setTimeout(() => this.connect(), wait);
  }

  /** A line on which nothing comes any more is given up, though nobody closed it. */
  watch() {
    const now = Date.now();
    // A page that slept, or was busy, could not listen: what came meanwhile still waits to be heard.
    if (now - this.watchedAt > SILENCE_MS) this.heardAt = Math.max(this.heardAt, now - SILENCE_MS);
    this.watchedAt = now;
    const silent = now - this.heardAt;
    const open = this.socket?.readyState === this.Kind.OPEN;
    if (silent > SILENCE_MS + PATIENCE_MS) {
      const socket = this.socket;
      if (!socket) return;
      this.fail();
      socket.close();
    } else if (open && silent > SILENCE_MS && !this.asked) {
      this.asked = true;
      this.call("public/test").catch(() => {});
    }
  }

  /** @param {string} text */
  receive(text) {
    this.heardAt = Date.now();
    this.asked = false;
    const message = JSON.parse(text);
    this.listener.heard();
    if (message.method === "subscription") {
      this.listener.data(message.params.channel, message.params.data);
      return;
    }
    const call = this.calls.get(message.id);
    if (!call) return;
    this.calls.delete(message.id);
    if (message.error) call.reject(new Refused(message.error));
    else call.resolve(message.result);
  }

  /**
   * One call; fails with Refused or Lost.
   * @param {string} method
   * @param {Record<string, any>} [params]
   * @returns {Promise<any>}
   */
  call(method, params = {}) {
    const socket = this.socket;
    if (!socket || socket.readyState !== this.Kind.OPEN) return Promise.reject(new Lost());
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.calls.set(id, { resolve, reject });
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }
}
