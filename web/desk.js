// What the terminal does: it keeps the line, the subscriptions, the session and the figures fresh.
// Each method is something that a person or the clock asks for; the outcome goes to the store.

import { loadChart } from "./charts.js";
import { loadMoney } from "./money.js";
import { Lost, Refused, Socket } from "./socket.js";
import { signInText } from "./signing.js";
import { lookUp, previewStrategy, refreshRequests } from "./structures.js";
import { EMPTY_HISTORY, channelsOf } from "./store.js";
import { connectWallet, forgetSessionKey, grantSessionKey, keySigner, storedSessionKey, walletSigner } from "./wallet.js";

const NOTICE_MS = 8000;
const SESSION_DAYS = 7;
const SIGHTINGS_MAX = 60; // seconds that a fresh session key is given to be seen on chain
const FOLLOWED_MAX = 20; // fills whose way to the chain is asked for at once
const KEPT_ACCOUNT = "exchange.account";

/** @typedef {import("./store.js").State} State */

export class Desk {
  /** @param {import("./loop.js").Loop} loop @param {string} url of the WebSocket */
  constructor(loop, url) {
    this.loop = loop;
    this.socket = new Socket(url, {
      opened: () => void this.open(),
      lost: () => this.lose(),
      heard: () => {},
      data: (channel, data) => this.hear(channel, data),
    });
    /** @type {Set<string>} */
    this.joined = new Set();
    /** @type {import("./wallet.js").Signer | null} */
    this.signer = null;
    this.clockOffset = 0;
    this.heardAt = 0;
    this.stalePositions = false;
    this.tradesOf = "";
    this.charting = "";
    this.token = ""; // of the session, for files; never stored
    /** @type {Map<string, number>} */
    this.changes = new Map();
    this.noticeCount = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.previewing = undefined;
  }

  /** @returns {State} */
  get state() {
    return this.loop.settle();
  }

  /** Venue time in milliseconds. */
  now() {
    return Date.now() + this.clockOffset;
  }

  /** @param {Partial<State>} fields */
  set(fields) {
    this.loop.send({ type: "set", fields });
  }

  /** @param {"good" | "bad" | "info"} kind @param {string} text */
  tell(kind, text) {
    const id = String(++this.noticeCount);
    this.loop.send({ type: "notice", notice: { id, kind, text, until: this.now() + NOTICE_MS } });
  }

  /** @param {unknown} error @param {string} what was tried, as "the order" */
  explain(error, what) {
    const text = error instanceof Error ? error.message : String(/** @type {any} */ (error)?.message ?? error);
    if (error instanceof Lost) this.tell("bad", `Nobody knows yet what became of ${what}: ${text}. Look at your orders before you try again.`);
    else if (error instanceof Refused) this.tell("bad", `The venue refused ${what}: ${text}.`);
    else this.tell("bad", `${what[0].toUpperCase()}${what.slice(1)} failed: ${text}.`);
  }

  start() {
    this.socket.start();
    setInterval(() => this.tick(), 500);
    setInterval(() => void this.refresh(), 1000);
    void this.loadLocalAccounts();
  }

  tick() {
    this.set({ heardAt: this.heardAt });
    this.loop.send({ type: "tick", now: this.now() });
  }

  async loadLocalAccounts() {
    const answer = await fetch("/local_accounts");
    if (!answer.ok) return;
    const { accounts, node } = await answer.json();
    this.set({ localAccounts: accounts, localNode: node });
  }

  // --- the line

  async open() {
    try {
      const before = Date.now();
      const [time, domain, instruments] = await Promise.all([
        this.socket.call("public/get_time"),
        this.socket.call("public/get_signing_domain"),
        this.socket.call("public/get_instruments", { currency: "any" }),
      ]);
      this.clockOffset = time - (before + Date.now()) / 2;
      this.heardAt = this.now();
      this.loop.send({ type: "instruments", rows: instruments });
      this.set({ domain, link: "live", linkSince: this.now(), now: this.now(), heardAt: this.heardAt });
      void this.join();
      await this.resume();
    } catch (error) {
      if (!(error instanceof Lost)) this.explain(error, "the first look at the venue");
    }
  }

  lose() {
    this.joined.clear();
    this.tradesOf = "";
    this.charting = "";
    this.loop.send({ type: "lost", now: this.now() });
  }

  /** @param {string} channel @param {any} data */
  hear(channel, data) {
    this.heardAt = this.now();
    if (channel.startsWith("user.trades")) this.stalePositions = true;
    if (channel.startsWith("l3.")) this.watchQueue(channel, data);
    if (channel.startsWith("user.orders")) this.lookUpAll(data);
    if (channel.startsWith("instrument.state")) void this.reload();
    else this.loop.send({ type: "data", channel, data });
  }

  /** Where a message of a queue is missing the channel is joined anew, which brings a snapshot. @param {string} channel @param {any} data */
  watchQueue(channel, data) {
    const known = this.changes.get(channel);
    this.changes.set(channel, data.change_id);
    if (data.type === "snapshot" || known === data.prev_change_id) return;
    this.loop.send({ type: "queue-lost", name: data.instrument_name });
    void this.subscribe("unsubscribe", [channel]).then(() => this.joined.delete(channel));
  }

  /** Combos stand in no list of instruments: they are asked for when an order names one. @param {import("./store.js").Row[]} orders */
  lookUpAll(orders) {
    for (const name of new Set(orders.map((one) => one.instrument_name)))
      if (!this.state.instruments.has(name)) void lookUp(this, name).catch(() => {}); // its order is shown without
  }

  async reload() {
    try {
      this.loop.send({ type: "instruments", rows: await this.socket.call("public/get_instruments", { currency: "any" }) });
    } catch {
      // the next connection loads them
    }
  }

  /** Join what the state needs and leave what it does not; done once the venue has answered. */
  async join() {
    const state = this.state;
    if (state.link !== "live") return;
    const wanted = [...channelsOf(state), "instrument.state.any.any"];
    const added = wanted.filter((one) => !this.joined.has(one));
    const needed = new Set(wanted);
    const dropped = [...this.joined].filter((one) => !needed.has(one));
    this.joined = needed;
    if (state.selected && state.selected !== this.tradesOf) void this.loadTrades(state.selected);
    await Promise.all([this.subscribe("unsubscribe", dropped), this.subscribe("subscribe", added)]);
  }

  /** The channel tells new trades only. @param {string} name */
  async loadTrades(name) {
    this.tradesOf = name;
    const asked = { instrument_name: name, count: 30 };
    const { trades } = await this.socket.call("public/get_last_trades_by_instrument", asked).catch(() => ({ trades: [] }));
    this.loop.send({ type: "data", channel: `trades.${name}.loaded`, data: trades });
  }

  /** @param {"subscribe" | "unsubscribe"} verb @param {string[]} channels */
  async subscribe(verb, channels) {
    for (const scope of ["public", "private"]) {
      const some = channels.filter((one) => one.startsWith("user.") === (scope === "private"));
      for (let at = 0; at < some.length; at += 200) {
        const part = some.slice(at, at + 200);
        try {
          await this.socket.call(`${scope}/${verb}`, { channels: part });
        } catch (error) {
          if (!(error instanceof Refused) || verb === "unsubscribe") continue;
          setTimeout(() => {
            for (const one of part) this.joined.delete(one); // an instrument went: look again
            void this.reload();
          }, 1000);
        }
      }
    }
  }

  // --- the session

  /** After each connection: the same account as before, if its key lies here. */
  async resume() {
    const kept = localStorage.getItem(KEPT_ACCOUNT);
    const { domain, localAccounts } = this.state;
    if (!this.signer && domain) {
      const local = localAccounts.find((one) => one.address === kept);
      if (local) this.signer = keySigner(local.name, "local", local.key, "");
      else this.signer = storedSessionKey(domain.verifying_contract, this.now() / 1000);
    }
    if (!this.signer) return;
    if (this.signer.kind === "wallet") {
      this.signer = null;
      this.set({ account: null });
      this.tell("info", "The venue ended your session. Sign in again with your wallet.");
    } else await this.signIn(this.signer);
  }

  /** @param {import("./wallet.js").Signer} signer */
  async signIn(signer) {
    this.set({ busy: true });
    try {
      const asked = await this.socket.call("public/get_sign_in_nonce");
      const message = signInText(asked, signer.address);
      const granted = await this.socket.call("public/auth", {
        grant_type: "eip4361",
        message,
        signature: await signer.signText(message),
      });
      const ids = granted.subaccount_ids;
      this.token = granted.access_token;
      this.signer = signer;
      localStorage.setItem(KEPT_ACCOUNT, signer.address);
      const before = this.state.account;
      const same = before?.address === signer.address && ids.includes(before.subaccountId);
      const account = {
        name: signer.name,
        kind: signer.kind,
        address: signer.address,
        owner: signer.owner,
        subaccountIds: ids,
        subaccountId: same ? before.subaccountId : (ids[0] ?? null),
      };
      this.set({ account, dialog: "", portfolio: null, positions: [], orders: new Map(), fills: [], risk: null, troubles: [], money: null, history: EMPTY_HISTORY });
      await this.join(); // first: what changes while the account is asked for is heard of
      await this.loadAccount();
    } catch (error) {
      this.explain(error, "the sign-in");
    }
    this.set({ busy: false });
  }

  /** @param {import("./store.js").Row} local */
  useLocal(local) {
    return this.signIn(keySigner(local.name, "local", local.key, ""));
  }

  async useWallet() {
    try {
      await this.signIn(walletSigner(await connectWallet(this.state.domain?.chain_id)));
    } catch (error) {
      this.explain(error, "the connection to your wallet");
    }
  }

  /** One prompt of the wallet; afterwards this browser signs orders by itself. */
  async useSessionKey() {
    const { domain } = this.state;
    if (!domain) return;
    this.set({ busy: true });
    try {
      const owner = await connectWallet(domain.chain_id);
      const deadline = Math.floor(this.now() / 1000) + SESSION_DAYS * 86_400;
      const signer = await grantSessionKey(owner, domain.verifying_contract, deadline);
      this.tell("info", "The key is on its way to the chain. It can trade as soon as the venue has seen it.");
      for (let tries = 0; tries < SIGHTINGS_MAX; tries += 1) {
        await this.signIn(signer);
        const { account } = this.state;
        if (account?.address === signer.address && account.subaccountIds.length) break;
        this.set({ busy: true }); // the key is no good before the venue has seen it
        await new Promise((later) => setTimeout(later, 1000));
      }
    } catch (error) {
      this.explain(error, "the session key");
    }
    this.set({ busy: false });
  }

  async signOut() {
    this.signer = null;
    this.token = "";
    forgetSessionKey();
    localStorage.removeItem(KEPT_ACCOUNT);
    const none = { portfolio: null, positions: [], orders: new Map(), fills: [], risk: null, preview: null, troubles: [], money: null, history: EMPTY_HISTORY };
    this.set({ account: null, dialog: "", ...none });
    for (const one of [...this.joined]) if (one.startsWith("user.")) this.joined.delete(one);
    await this.socket.call("private/logout").catch(() => {});
  }

  /** @param {number} subaccountId */
  async useSubaccount(subaccountId) {
    const { account } = this.state;
    if (!account) return;
    this.set({ account: { ...account, subaccountId }, portfolio: null, positions: [], orders: new Map(), fills: [], troubles: [], money: null, history: EMPTY_HISTORY });
    await this.loadAccount();
  }

  /** What stands now, each part taken as its answer comes: what a channel tells afterwards is newer. */
  async loadAccount() {
    const id = this.state.account?.subaccountId;
    if (!id) return;
    /** @param {string} method @param {object} more @param {(answer: any) => void} take */
    const ask = async (method, more, take) => {
      const answer = await this.socket.call(`private/${method}`, { subaccount_id: id, ...more });
      if (this.state.account?.subaccountId === id) take(answer);
    };
    await Promise.all([
      ask("get_open_orders", {}, (orders) => {
        this.set({ orders: new Map(orders.map((/** @type {any} */ one) => [one.order_id, one])) });
        this.lookUpAll(orders);
      }),
      ask("get_user_trades_by_currency", { currency: "any", count: 100 }, ({ trades }) =>
        this.loop.send({ type: "data", channel: "user.trades.loaded", data: trades }),
      ),
      ask("get_positions", {}, (positions) => {
        this.set({ positions });
        this.lookUpAll(positions);
      }),
      ask("get_account_summary", {}, (portfolio) => this.set({ portfolio })),
      ask("get_liquidation_history", { count: 50 }, (troubles) => this.set({ troubles })),
    ]);
    if (this.state.account?.subaccountId === id) await refreshRequests(this);
  }

  // --- what nobody pushes

  async refresh() {
    const state = this.state;
    void this.join();
    void loadChart(this);
    void this.refreshMoney(state);
    if (state.link !== "live" || !state.account?.subaccountId) return;
    try {
      await Promise.all([this.refreshPositions(state), this.refreshRisk(state), this.refreshOpen(state), this.follow(state)]);
    } catch (error) {
      if (error instanceof Refused && error.code === 13009 && this.signer) await this.signIn(this.signer);
    }
  }

  /** @param {State} state */
  async refreshPositions(state) {
    const id = state.account?.subaccountId;
    if (!this.stalePositions && Math.floor(this.now() / 1000) % 3) return;
    this.stalePositions = false;
    const positions = await this.socket.call("private/get_positions", { subaccount_id: id });
    if (this.state.account?.subaccountId === id && this.state.link === "live") this.set({ positions });
  }

  /** @param {State} state */
  async refreshRisk(state) {
    const id = state.account?.subaccountId;
    if (state.tab !== "risk" && state.panel !== "risk") return;
    if (state.risk && Math.floor(this.now() / 1000) % 2) return;
    const risk = await this.socket.call("private/simulate_portfolio", { subaccount_id: id });
    if (this.state.account?.subaccountId === id && this.state.link === "live") this.set({ risk });
  }

  /** Chain and venue are asked anew every few seconds while somebody looks. @param {State} state */
  async refreshMoney(state) {
    if (state.tab !== "money" || !state.account || (state.money && Math.floor(this.now() / 1000) % 2)) return;
    try {
      await loadMoney(this);
    } catch (error) {
      if (this.state.link === "live") this.set({ money: { trouble: error instanceof Error ? error.message : String(error) } });
    }
  }

  /** What the open tab shows and no channel tells. @param {State} state */
  async refreshOpen(state) {
    if (Math.floor(this.now() / 1000) % 2) return;
    if (state.tab === "strategy") await previewStrategy(this);
    if (state.tab === "quotes") await refreshRequests(this);
  }

  /** Ask where the newest fills are on their way to the chain. @param {State} state */
  async follow(state) {
    const waiting = state.fills
      .map((one) => one.trade_id)
      .slice(0, FOLLOWED_MAX)
      .filter((id) => state.settlements.get(id)?.state !== "confirmed");
    for (const id of new Set(waiting)) {
      const settlement = await this.socket.call("private/get_settlement_status", { trade_id: id });
      this.loop.send({ type: "settlement", id, settlement });
    }
  }

  /** Soon, what the ticket would do to margin. */
  previewSoon() {
    clearTimeout(this.previewing);
    this.previewing = setTimeout(() => void this.preview(), 200);
  }

  async preview() {
    const { account, ticket, selected, tickers } = this.state;
    const mark = tickers.get(selected)?.mark_price;
    const [quantity, price] = [Number(ticket.amount), Number(ticket.unit === "iv" ? ticket.worst : ticket.price)];
    const legs = this.state.instruments.get(selected)?.legs;
    if (legs || !account?.subaccountId || !mark || !(quantity > 0) || !(price > 0)) return this.set({ preview: null });
    const sign = ticket.direction === "buy" ? 1 : -1;
    try {
      const preview = await this.socket.call("private/simulate_portfolio", {
        subaccount_id: account.subaccountId,
        simulated_positions: { [selected]: `${sign < 0 ? "-" : ""}${ticket.amount}` },
        simulated_cash: (sign * (mark - price) * quantity).toFixed(6),
      });
      this.set({ preview });
    } catch {
      this.set({ preview: null });
    }
  }
}
