// Keys and who holds them: a local account, a session key of this browser, or the wallet itself.

import { addressOf, checksum, digest, freshKey, sessionKeyCall, sign, textHash, typedData } from "./signing.js";

const STORED = "exchange.session_key";
const CHOSEN = "exchange.wallet";

/** @typedef {{name: string, kind: "local" | "session" | "wallet", address: string, owner: string, signText: (text: string) => Promise<string>, signStruct: (domain: any, name: string, message: any) => Promise<string>}} Signer */

/** A signer whose key this page holds. @param {string} name @param {"local" | "session"} kind @param {string} key @param {string} owner @returns {Signer} */
export const keySigner = (name, kind, key, owner) => ({
  name,
  kind,
  address: addressOf(key),
  owner: owner || addressOf(key),
  signText: async (text) => sign(textHash(text), key),
  signStruct: async (domain, struct, message) => sign(digest(domain, struct, message), key),
});

/** @typedef {{id: string, name: string, provider: any}} Wallet */

/** Wallets that announced themselves (EIP-6963), by their names in reverse domain form. @type {Map<string, Wallet>} */
const announced = new Map();

/** Asks the browser's wallets to say their names; they may also come later. @param {EventTarget} target the window @param {() => void} changed */
export const discover = (target, changed) => {
  target.addEventListener("eip6963:announceProvider", (event) => {
    const { info, provider } = /** @type {any} */ (event).detail ?? {};
    if (!info?.rdns || typeof provider?.request !== "function") return;
    announced.set(info.rdns, { id: info.rdns, name: String(info.name), provider });
    changed();
  });
  target.dispatchEvent(new Event("eip6963:requestProvider"));
};

/** Wallets to choose from: those that said their names, else the one that injected itself. @returns {Wallet[]} */
export const wallets = () => {
  const injected = /** @type {any} */ (globalThis).ethereum;
  return announced.size || !injected ? [...announced.values()] : [{ id: "", name: "Injected wallet", provider: injected }];
};

/** @param {string} id */
export const chooseWallet = (id) => localStorage.setItem(CHOSEN, id);

/** The wallet in use: the one chosen in this browser, else the first. @returns {Wallet | undefined} */
export const chosenWallet = () => {
  const kept = globalThis.localStorage?.getItem(CHOSEN);
  return wallets().find((one) => one.id === kept) ?? wallets()[0];
};

/** @returns {any} its EIP-1193 provider, if there is one */
export const provider = () => chosenWallet()?.provider;

/** @param {string} address @returns {Signer} */
export const walletSigner = (address) => ({
  name: "Wallet",
  kind: "wallet",
  address,
  owner: address,
  signText: (text) => provider().request({ method: "personal_sign", params: [hexText(text), address] }),
  signStruct: (domain, name, message) =>
    provider().request({
      method: "eth_signTypedData_v4",
      params: [address, JSON.stringify(typedData(domain, name, message), bigAsText)],
    }),
});

/** @param {string} text */
const hexText = (text) =>
  `0x${[...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

/** @param {string} _ @param {any} value */
const bigAsText = (_, value) => (typeof value === "bigint" ? value.toString() : value);

/** The address that the injected wallet offers, on the venue's chain. @param {number} chainId */
export const connectWallet = async (chainId) => {
  const wallet = provider();
  if (!wallet) throw new Error("no wallet is installed in this browser");
  const [address] = await wallet.request({ method: "eth_requestAccounts" });
  if (Number(await wallet.request({ method: "eth_chainId" })) !== chainId)
    await wallet.request({
      method: "wallet_switchEthereumChain",
      params: [{ chainId: `0x${chainId.toString(16)}` }],
    });
  return checksum(address.slice(2).toLowerCase());
};

/**
 * Lets a fresh key of this browser trade for the owner until a deadline: one prompt of the wallet.
 * @param {string} owner @param {string} clearing @param {number} deadline UTC second
 */
export const grantSessionKey = async (owner, clearing, deadline) => {
  const key = freshKey();
  await provider().request({
    method: "eth_sendTransaction",
    params: [{ from: owner, to: clearing, data: sessionKeyCall(addressOf(key), deadline) }],
  });
  localStorage.setItem(STORED, JSON.stringify({ key, owner, clearing, deadline }));
  return keySigner("Session key", "session", key, owner);
};

/** The session key kept here, while its deadline lasts. @param {string} clearing @param {number} nowS @returns {Signer | null} */
export const storedSessionKey = (clearing, nowS) => {
  const kept = JSON.parse(localStorage.getItem(STORED) || "null");
  if (!kept || kept.clearing !== clearing || kept.deadline <= nowS) return null;
  return keySigner("Session key", "session", kept.key, kept.owner);
};

export const forgetSessionKey = () => localStorage.removeItem(STORED);
