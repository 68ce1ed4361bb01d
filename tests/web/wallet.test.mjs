// Wallets that say their names, and which of them is in use.

import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseWallet, chosenWallet, connectWallet, discover, provider, wallets } from "../../web/wallet.js";

const kept = new Map();
globalThis.localStorage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value) };

const fake = (address, chain = "0x1") => {
  const asked = [];
  const request = async (one) => {
    asked.push(one);
    return { eth_requestAccounts: [address], eth_chainId: chain }[one.method];
  };
  return { request, asked };
};

test("without a wallet there is none; one that injects itself is taken; those that say their names come before it", () => {
  assert.deepEqual([wallets(), provider()], [[], undefined]);
  globalThis.ethereum = fake("0x1");
  assert.equal(provider(), globalThis.ethereum);
  const [page, one, two] = [new EventTarget(), fake("0x1"), fake("0x2")];
  const say = (rdns, name, provider) => page.dispatchEvent(Object.assign(new Event("eip6963:announceProvider"), { detail: { info: { rdns, name }, provider } }));
  page.addEventListener("eip6963:requestProvider", () => say("a.one", "One", one));
  let changes = 0;
  discover(page, () => (changes += 1));
  say("b.two", "Two", two);
  say("c.broken", "Broken", {});
  page.dispatchEvent(new Event("eip6963:announceProvider"));
  assert.deepEqual([wallets().map((wallet) => wallet.name), changes], [["One", "Two"], 2]);
  assert.equal(provider(), one);
  chooseWallet("b.two");
  assert.deepEqual([provider(), chosenWallet().name], [two, "Two"]);
  chooseWallet("gone");
  assert.equal(provider(), one);
});

test("an address is told with its checksum, and a wallet on another chain is asked to change", async () => {
  chooseWallet("a.one");
  const wallet = chosenWallet();
  wallet.provider = fake("0x5fbdb2315678afecb367f032d93f642f64180aa3", "0x7a69");
  assert.equal(await connectWallet(31337), "0x5FbDB2315678afecb367f032d93F642f64180aa3");
  assert.equal(wallet.provider.asked.length, 2);
  await connectWallet(1);
  assert.deepEqual(wallet.provider.asked.at(-1), { method: "wallet_switchEthereumChain", params: [{ chainId: "0x1" }] });
});
