// The way to the chain: the wallet's own node, or for local accounts a wallet of this page that signs for them.

import { addressIn, callData, wordsOf } from "./abi.js";
import { addressOf, checksum } from "./signing.js";
import { signTransaction } from "./transaction.js";

const MINED_TRIES = 120;
const MINED_PAUSE_MS = 500;

/** @typedef {{request: (asked: {method: string, params?: any[]}) => Promise<any>}} Provider EIP-1193 */

/**
 * An EIP-1193 provider for one local key: signs transactions here, and asks the node for the rest.
 * @param {string} key @param {string} url of the node @returns {Provider}
 */
export const localProvider = (key, url) => {
  const ask = async (/** @type {string} */ method, /** @type {any[]} */ params = []) => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const answer = await (await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body })).json();
    if (answer.error) throw new Error(answer.error.message);
    return answer.result;
  };
  const send = async (/** @type {any} */ asked) => {
    const from = addressOf(key);
    const [nonce, gasPrice, gas, chainId] = await Promise.all([
      ask("eth_getTransactionCount", [from, "pending"]),
      ask("eth_gasPrice"),
      ask("eth_estimateGas", [{ from, to: asked.to, data: asked.data }]),
      ask("eth_chainId"),
    ]);
    const terms = { nonce: Number(nonce), gasPrice: 2n * BigInt(gasPrice), gas: (BigInt(gas) * 6n) / 5n, to: asked.to, value: 0n, data: asked.data, chainId: Number(chainId) };
    return ask("eth_sendRawTransaction", [signTransaction(terms, key)]);
  };
  return { request: ({ method, params = [] }) => (method === "eth_sendTransaction" ? send(params[0]) : ask(method, params)) };
};

export class Chain {
  /** @param {Provider} provider @param {string} owner */
  constructor(provider, owner) {
    this.provider = provider;
    this.owner = owner;
  }

  /** Words of a view. @param {string} to @param {string} signature @param {any[]} values */
  async view(to, signature, ...values) {
    const asked = { to, data: callData(signature, ...values) };
    return wordsOf(await this.provider.request({ method: "eth_call", params: [asked, "latest"] }));
  }

  /** An address that a view names. @param {string} to @param {string} signature @param {any[]} values */
  async address(to, signature, ...values) {
    return checksum(addressIn((await this.view(to, signature, ...values))[0]).slice(2));
  }

  /** One transaction of the owner, sent and mined; fails where the chain refuses it. @param {string} to @param {string} signature @param {any[]} values */
  async act(to, signature, ...values) {
    const asked = { from: this.owner, to, data: callData(signature, ...values) };
    const hash = await this.provider.request({ method: "eth_sendTransaction", params: [asked] });
    for (let tries = 0; tries < MINED_TRIES; tries += 1) {
      const receipt = await this.provider.request({ method: "eth_getTransactionReceipt", params: [hash] });
      if (receipt && Number(receipt.status) === 1) return receipt;
      if (receipt) throw new Error(`the chain refused transaction ${hash}`);
      await new Promise((later) => setTimeout(later, MINED_PAUSE_MS));
    }
    throw new Error(`transaction ${hash} waits for a block still; look at it in your wallet`);
  }
}
