// Speaks to the operator's listener: reads every two seconds, acts with a reason. The token lies here and nowhere else.

import { samplesOf } from "./metrics.js";

const ROUND_MS = 2000;
const PATIENCE_MS = 8000;

/** @typedef {Record<string, any>} Row */

export class Desk {
  /** @param {(state: Row) => void} draw */
  constructor(draw) {
    this.draw = draw;
    this.token = "";
    /** @type {Row} */
    this.state = { signedIn: false, busy: false, trouble: "", told: "", bad: false, figures: null, samples: new Map(), before: new Map(), account: null, preview: null, heardAt: 0, now: Date.now() };
  }

  /** @param {Row} fields */
  set(fields) {
    this.state = { ...this.state, ...fields };
    this.draw(this.state);
  }

  /** @param {string} path @param {Row | string} [body] JSON if it is text @param {string} [why] */
  async ask(path, body, why = "") {
    /** @type {Record<string, string>} */
    const headers = { Authorization: `Bearer ${this.token}` };
    if (why) headers["X-Reason"] = why;
    const given = body === undefined ? { headers } : { method: "POST", headers, body: typeof body === "string" ? body : JSON.stringify(body) };
    const answer = await fetch(path, { ...given, signal: AbortSignal.timeout(PATIENCE_MS) });
    const text = await answer.text();
    if (path === "/metrics" && answer.ok) return text;
    const found = exact(text);
    if (found?.error) throw new Error(found.error.data?.reason || found.error.message);
    return found;
  }

  /** @param {string} token */
  async signIn(token) {
    this.token = token.trim();
    this.set({ busy: true, trouble: "" });
    try {
      await this.ask("/admin/status");
      this.set({ signedIn: true, busy: false });
      void this.round();
    } catch (error) {
      this.token = "";
      this.set({ busy: false, trouble: words(error) });
    }
  }

  signOut() {
    this.token = "";
    this.set({ signedIn: false, figures: null, account: null, preview: null, told: "" });
  }

  /** Read everything, again and again, for as long as somebody is signed in. */
  async round() {
    if (!this.state.signedIn) return;
    try {
      const [status, ready, markets, parameters, liquidations, replays, metrics] = await Promise.all([
        this.ask("/admin/status"),
        this.ask("/ready"),
        this.ask("/admin/markets"),
        this.ask("/admin/parameters"),
        this.ask("/admin/liquidations"),
        this.ask("/admin/replays"),
        this.ask("/metrics"),
      ]);
      const fundId = parameters?.liquidation?.fund_subaccount_id;
      const fund = fundId ? await this.ask(`/admin/accounts/${fundId}`).catch(() => null) : null; // not opened on chain yet
      if (!this.state.signedIn) return;
      this.set({ figures: { status, ready, markets, parameters, liquidations, replays, fund, fundId }, before: this.state.samples, samples: samplesOf(metrics), trouble: "", heardAt: Date.now() });
    } catch (error) {
      if (!this.state.signedIn) return;
      this.set({ figures: null, trouble: words(error) }); // nothing stale stays on the page
    }
    setTimeout(() => void this.round(), ROUND_MS);
  }

  tick() {
    if (this.state.signedIn) this.set({ now: Date.now() });
  }

  /** An action that the journal keeps with its reason. @param {string} what @param {string} path @param {Row | string} body @param {string} why */
  async act(what, path, body, why) {
    if (!why.trim()) return this.set({ told: "Say why first: the journal keeps the reason with your name.", bad: true });
    this.set({ busy: true });
    try {
      const answer = await this.ask(path, body, why.trim());
      const place = answer.seq ?? answer.seqs?.join(", ");
      this.set({ told: `${what}: done${place ? `, place ${place} in the journal` : ""}.`, bad: false, preview: null });
    } catch (error) {
      this.set({ told: `${what}: ${words(error)}.`, bad: true });
    }
    this.set({ busy: false });
  }

  /** Whom a change of parameters would liquidate. @param {string} text @param {string} why */
  async preview(text, why) {
    this.set({ busy: true, preview: null });
    try {
      JSON.parse(text); // said here if it is none; what goes out is the text, whose numbers may exceed a float
      this.set({ preview: { text, report: await this.ask("/admin/parameters/preview", text, why.trim()) }, told: "", bad: false });
    } catch (error) {
      this.set({ told: `The preview: ${words(error)}.`, bad: true });
    }
    this.set({ busy: false });
  }

  /** @param {string} id */
  async look(id) {
    try {
      this.set({ account: await this.ask(`/admin/accounts/${Number(id)}`), told: "" });
    } catch (error) {
      this.set({ account: null, told: `Subaccount ${id}: ${words(error)}.`, bad: true });
    }
  }
}

/** JSON whose whole numbers of sixteen digits and more stay text, digit by digit: a float would round them. @param {string} text */
export const exact = (text) => JSON.parse(text.replace(TOKENS, (token) => (LONG.test(token) ? `"${token}"` : token)));

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const LONG = /^-?\d{16,}$/;

/** @param {unknown} error */
const words = (error) => {
  const text = error instanceof Error ? error.message : String(error);
  return text === "Failed to fetch" || /timed out/.test(text) ? "the listener does not answer" : text;
};
