// Money and rights on chain: deposits, withdrawals, the forced exit, session keys, cancels that need no venue.

import { fromUnits, toUnits } from "./decimal.js";
import { localProvider, Chain } from "./node.js";
import { clockNonce, domainOf, freshNonce } from "./orders.js";
import { connectWallet, provider, walletSigner } from "./wallet.js";
import { addressIn } from "./abi.js";
import { checksum } from "./signing.js";

const LEDGER = /** @type {Record<string, number>} */ ({ USDC: 6 }); // decimals in the venue's books; other tokens have eight
const FOLLOWED_MAX = 5;
const SEEN_TRIES = 60;

/** @typedef {import("./desk.js").Desk} Desk */

/** @param {string} name */
const ledgerDecimals = (name) => LEDGER[name] ?? 8;

/** The owner's way to the chain; a session key has none of its own, its owner's wallet has. @param {Desk} desk */
const chainOf = (desk) => {
  const { account, localAccounts, localNode } = desk.state;
  if (!account) throw new Error("nobody is signed in");
  const local = localAccounts.find((one) => one.address === account.owner);
  if (local && account.kind === "local") return new Chain(localProvider(local.key, localNode), account.owner);
  if (!provider()) throw new Error("no wallet is installed in this browser");
  return new Chain(provider(), account.owner);
};

/** Tokens as the venue names them. @param {Desk} desk @returns {[string, string][]} */
const tokensOf = (desk) => {
  const { domain } = desk.state;
  return domain ? [["USDC", domain.collateral], ...Object.entries(domain.collaterals)] : [];
};

/** What the Money view shows: from the chain and from the venue. @param {Desk} desk */
export const loadMoney = async (desk) => {
  const { account, domain, link } = desk.state;
  if (!account || !domain || link !== "live") return;
  const id = account.subaccountId;
  const chain = chainOf(desk);
  const [onChain, records, own] = await Promise.all([
    readChain(desk, chain, domain.verifying_contract, id),
    id ? readRecords(desk, id) : { moves: [], keys: [] },
    account.kind === "session" ? ownKey(desk, chain, domain.verifying_contract, account) : [],
  ]);
  if (desk.state.link === "live" && desk.state.account?.subaccountId === id) desk.set({ money: { ...onChain, ...records, keys: [...records.keys, ...own] } });
};

/** @param {Desk} desk @param {Chain} chain @param {string} clearing @param {number | null} id */
const readChain = async (desk, chain, clearing, id) => {
  const custody = await chain.address(clearing, "CUSTODY()");
  const tokens = await Promise.all(
    tokensOf(desk).map(async ([name, address]) => {
      const [decimals, balance, held] = await Promise.all([
        chain.view(address, "decimals()"),
        chain.view(address, "balanceOf(address)", chain.owner),
        chain.view(custody, "heldFor(address,address)", address, chain.owner),
      ]);
      const places = Number(decimals[0]);
      return { name, address, decimals: places, wallet: fromUnits(balance[0], places), held: fromUnits(held[0], ledgerDecimals(name)) };
    }),
  );
  if (!id) return { custody, tokens, exit: null, delay: 0, floor: "0", sheet: "0" };
  const [exit, deadline, delay, floor, sheet] = await Promise.all([
    chain.view(clearing, "exitOf(uint64)", id),
    chain.view(clearing, "EXIT_DEADLINE()"),
    chain.view(clearing, "withdrawalDelay()"),
    chain.view(clearing, "nonceFloor(uint64)", id),
    chain.view(clearing, "sheetFloor(uint64)", id),
  ]);
  return { custody, tokens, exit: exitIn(exit, deadline[0], tokens), delay: Number(delay[0]), floor: floor[1].toString(), sheet: sheet[1].toString() };
};

/** An open request for a forced exit. @param {bigint[]} words @param {bigint} deadline @param {{name: string, address: string}[]} tokens */
const exitIn = (words, deadline, tokens) => {
  const [token, requestedAt, recipient, , amount] = words;
  if (!requestedAt) return null;
  const address = checksum(addressIn(token).slice(2));
  const name = tokens.find((one) => one.address === address)?.name ?? address;
  return { name, amount: fromUnits(amount, ledgerDecimals(name)), recipient: checksum(addressIn(recipient).slice(2)), requestedAt: Number(requestedAt) * 1000, endsAt: Number(requestedAt + deadline + 1n) * 1000 };
};

/** The key of this session: the venue tells keys to their owner alone, so the chain is asked. @param {Desk} desk @param {Chain} chain @param {string} clearing @param {import("./store.js").Account} account */
const ownKey = async (desk, chain, clearing, account) => {
  const [deadline] = await chain.view(clearing, "sessionKeyDeadline(address,address,uint64)", account.owner, account.address, Math.floor(desk.now() / 1000));
  return [{ session_key: account.address, deadline: Number(deadline) * 1000 }];
};

/** Deposits and withdrawals, the newest first, and how far the newest withdrawals are. @param {Desk} desk @param {number} id */
const readRecords = async (desk, id) => {
  const mine = { subaccount_id: id, count: 20 };
  const [deposits, withdrawals, keys] = await Promise.all([
    desk.socket.call("private/get_deposits", mine),
    desk.socket.call("private/get_withdrawals", mine),
    desk.socket.call("private/get_session_keys"),
  ]);
  const followed = withdrawals.data.slice(0, FOLLOWED_MAX).filter((/** @type {any} */ one) => one.nonce);
  const states = await Promise.all(followed.map((/** @type {any} */ one) => desk.socket.call("private/get_settlement_status", { subaccount_id: id, nonce: one.nonce }).catch(() => null)));
  followed.forEach((/** @type {any} */ one, /** @type {number} */ at) => (one.settlement = states[at]));
  const moves = [...deposits.data, ...withdrawals.data].sort((a, b) => b.seq - a.seq);
  return { moves, keys };
};

/** Do something on chain, say what became of it, and look again. @param {Desk} desk @param {string} what @param {string} done @param {(chain: Chain, clearing: string) => Promise<any>} act */
const onChain = async (desk, what, done, act) => {
  const { domain, account } = desk.state;
  if (!domain || !account) return;
  desk.set({ busy: true });
  try {
    if (account.kind !== "local") await connectWallet(domain.chain_id);
    await act(chainOf(desk), domain.verifying_contract);
    desk.tell("good", done);
    await loadMoney(desk);
  } catch (error) {
    desk.explain(error, what);
  }
  desk.set({ busy: false });
};

/** A subaccount of the owner's; the venue sees it some blocks later. @param {Desk} desk */
export const openSubaccount = (desk) =>
  onChain(desk, "the opening of a subaccount", "The subaccount is open.", async (chain, clearing) => {
    const before = desk.state.account?.subaccountIds.length ?? 0;
    await chain.act(clearing, "openSubaccount()");
    for (let tries = 0; tries < SEEN_TRIES; tries += 1) {
      const ids = (await desk.socket.call("private/get_subaccounts")).map((/** @type {any} */ one) => one.id);
      const { account } = desk.state;
      if (ids.length > before && account) {
        desk.set({ account: { ...account, subaccountIds: ids, subaccountId: account.subaccountId ?? ids[0] } });
        return desk.loadAccount();
      }
      await new Promise((later) => setTimeout(later, 1000));
    }
    throw new Error("the venue has not seen the subaccount within a minute; sign in again later");
  });

/** @param {Desk} desk @param {string} name */
const tokenOf = (desk, name) => {
  const found = desk.state.money?.tokens.find((/** @type {any} */ one) => one.name === name);
  if (!found) throw new Error(`the venue takes no ${name}`);
  return found;
};

/** Test money of a local venue's mock tokens. @param {Desk} desk @param {string} name @param {string} amount */
export const mint = (desk, name, amount) =>
  onChain(desk, "the minting", `${amount} ${name} of test money are in the wallet.`, async (chain) => {
    const token = tokenOf(desk, name);
    await chain.act(token.address, "mint(address,uint256)", chain.owner, toUnits(amount, token.decimals));
  });

/** Approves exactly this much where less is allowed, then deposits it. @param {Desk} desk @param {string} name @param {string} amount */
export const deposit = (desk, name, amount) =>
  onChain(desk, "the deposit", `${amount} ${name} are deposited. They count as soon as the venue has seen the block.`, async (chain) => {
    const token = tokenOf(desk, name);
    const { custody } = /** @type {any} */ (desk.state.money);
    const units = toUnits(amount, token.decimals);
    const subaccountId = desk.state.account?.subaccountId; // of now: another may be chosen while the wallet asks
    const [allowed] = await chain.view(token.address, "allowance(address,address)", chain.owner, custody);
    if (allowed < units) await chain.act(token.address, "approve(address,uint256)", custody, units);
    await chain.act(custody, "deposit(uint64,address,uint256)", subaccountId, token.address, units);
  });

/** Signed by the owner, debited at once, paid by a batch. @param {Desk} desk @param {string} name @param {string} amount @param {string} recipient */
export const withdraw = async (desk, name, amount, recipient) => {
  const { account, domain } = desk.state;
  if (!account?.subaccountId || !domain || !desk.signer) return;
  desk.set({ busy: true });
  try {
    const owner = account.kind === "session" ? walletSigner(account.owner) : desk.signer;
    const terms = { subaccount_id: account.subaccountId, nonce: freshNonce(), deadline: Math.floor(desk.now() / 1000) + 86_400, signer: account.owner };
    const message = {
      subaccountId: terms.subaccount_id,
      token: tokenOf(desk, name).address,
      amount: toUnits(amount, ledgerDecimals(name)),
      recipient,
      nonce: terms.nonce,
      deadline: terms.deadline,
      signer: terms.signer,
    };
    const signature = await owner.signStruct(domainOf(domain), "Withdrawal", message);
    await desk.socket.call("private/withdraw", { ...terms, currency: name.toLowerCase(), amount, address: recipient, signature });
    desk.tell("good", `${amount} ${name} are on their way to ${recipient}: the next batch pays them.`);
    await loadMoney(desk);
  } catch (error) {
    desk.explain(error, "the withdrawal");
  }
  desk.set({ busy: false });
};

/** What Custody could not send at once, caps and all. @param {Desk} desk @param {string} name */
export const claim = (desk, name) =>
  onChain(desk, "the claim", `What Custody held in ${name} was sent.`, async (chain) => {
    await chain.act(/** @type {any} */ (desk.state.money).custody, "claim(address,address)", tokenOf(desk, name).address, chain.owner);
  });

/** Asks on chain, which nobody can refuse. @param {Desk} desk @param {string} name @param {string} amount @param {string} recipient */
export const requestExit = (desk, name, amount, recipient) =>
  onChain(desk, "the forced exit", `The exit of ${amount} ${name} is asked for on chain. The venue must pay what margin leaves free.`, async (chain, clearing) => {
    await chain.act(clearing, "requestExit(uint64,address,uint256,address)", desk.state.account?.subaccountId, tokenOf(desk, name).address, toUnits(amount, ledgerDecimals(name)), recipient);
  });

/** Ends the venue: the request was not answered in time. @param {Desk} desk */
export const startEscape = (desk) =>
  onChain(desk, "the escape", "The venue has ended on chain. See docs/exits.md for what follows.", async (chain, clearing) => {
    await chain.act(clearing, "startEscape(uint64)", desk.state.account?.subaccountId);
  });

/** Revoked for ever, with all that it signed. @param {Desk} desk @param {string} key */
export const revokeKey = (desk, key) =>
  onChain(desk, "the revocation", "The key is revoked on chain, with all that it signed.", async (chain, clearing) => {
    await chain.act(clearing, "setSessionKey(address,uint64)", key, 0);
  });

/** Voids every order and withdrawal that was signed until now with nonces by the clock, as this page and the SDK do. @param {Desk} desk */
export const raiseNonceFloor = (desk) =>
  onChain(desk, "the cancel on chain", "Everything signed until now is void on chain.", async (chain, clearing) => {
    await chain.act(clearing, "raiseNonceFloor(uint64,uint64)", desk.state.account?.subaccountId, clockNonce());
  });

/** Voids quote sheets up to the newest one that the chain knows. @param {Desk} desk */
export const raiseSheetFloor = (desk) =>
  onChain(desk, "the cancel of quotes on chain", "Every quote sheet signed until now is void on chain.", async (chain, clearing) => {
    await chain.act(clearing, "raiseSheetFloor(uint64,uint64)", desk.state.account?.subaccountId, Date.now() * 1000);
  });

/** Voids one order for ever. @param {Desk} desk @param {number} nonce */
export const cancelNonce = (desk, nonce) =>
  onChain(desk, "the cancel on chain", "The order is void on chain.", async (chain, clearing) => {
    await chain.act(clearing, "cancelNonce(uint64,uint64)", desk.state.account?.subaccountId, nonce);
  });
