// Calldata and transactions, against what eth_abi and eth_account make of the same.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addressIn, callData, wordsOf } from "../../web/abi.js";
import { Chain, localProvider } from "../../web/node.js";
import { addressOf } from "../../web/signing.js";
import { rlp, signTransaction } from "../../web/transaction.js";

const KEY = `0x${"11".repeat(32)}`;
const TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const CLEARING = "0xB7f8BC63BbcaD18155201308C8f3540b07f84F5e";

test("calldata is the selector and a word each; words come back as numbers", () => {
  const made = callData("requestExit(uint64,address,uint256,address)", 7, TOKEN, 10n ** 20n, CLEARING);
  assert.equal(
    made,
    "0x412dfdd900000000000000000000000000000000000000000000000000000000000000070000000000000000000000005fbdb2315678afecb367f032d93f642f64180aa30000000000000000000000000000000000000000000000056bc75e2d63100000000000000000000000000000b7f8bc63bbcad18155201308c8f3540b07f84f5e",
  );
  assert.deepEqual(wordsOf(`0x${made.slice(10)}`), [7n, BigInt(TOKEN), 10n ** 20n, BigInt(CLEARING)]);
  assert.equal(addressIn(BigInt(TOKEN)), TOKEN.toLowerCase());
  assert.deepEqual(wordsOf("0x"), []);
});

test("RLP: the yellow paper's cases", () => {
  const hex = (bytes) => Buffer.from(bytes).toString("hex");
  assert.equal(hex(rlp([])), "c0");
  assert.equal(hex(rlp([Uint8Array.of(0x7f), Uint8Array.of(0x80), new Uint8Array()])), "c47f818080");
  assert.ok(hex(rlp([new Uint8Array(60)])).startsWith("f83eb83c00"));
});

test("a transaction is signed as eth_account signs it", () => {
  const terms = { gasPrice: 2_000_000_000n, gas: 21_000n, to: TOKEN, value: 0n, chainId: 31337 };
  const made = [signTransaction({ ...terms, nonce: 0, data: "0x" }, KEY), signTransaction({ ...terms, nonce: 300, data: `0x${"ab".repeat(70)}` }, KEY)];
  assert.deepEqual(made, [
    "0xf865808477359400825208945fbdb2315678afecb367f032d93f642f64180aa3808082f4f5a0f53f85fbcc90cce65929812ccb90ff6c532f9b7a2aba001be5c19f8b66211639a03ebfb7002abfc613c255d85f9975b4493428d9e60b42c5d6ac31cc52d8276f9d",
    "0xf8ae82012c8477359400825208945fbdb2315678afecb367f032d93f642f64180aa380b846abababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababab82f4f6a0e3f091bb6041be72e257cf552f5558d8f5cba9b53b15dc588eafef3dd1903a2da030524e4b0c05f3c633f7675ebb3d8c8b91b19ae837eacfd405ed6a13e481682e",
  ]);
});

/** A node that answers from a table and remembers what it was asked. */
const node = (answers) => {
  const asked = [];
  globalThis.fetch = async (url, { body }) => {
    const { method, params } = JSON.parse(body);
    asked.push([url, method, params]);
    const answer = answers[method];
    return { json: async () => (answer instanceof Error ? { error: { message: answer.message } } : { result: answer }) };
  };
  return asked;
};

test("a local account signs here, and the node gets no key; a refusal of the chain is one", async () => {
  const answers = { eth_getTransactionCount: "0x3", eth_gasPrice: "0x1", eth_estimateGas: "0x5208", eth_chainId: "0x7a69", eth_sendRawTransaction: "0xhash", eth_getTransactionReceipt: { status: "0x1" } };
  const asked = node(answers);
  const chain = new Chain(localProvider(KEY, "http://node"), addressOf(KEY));
  assert.equal((await chain.act(TOKEN, "mint(address,uint256)", TOKEN, 5)).status, "0x1");
  const [, , [raw]] = asked.find(([, method]) => method === "eth_sendRawTransaction");
  assert.ok(raw.length > 200 && !JSON.stringify(asked).includes("11".repeat(32)));
  node({ ...answers, eth_getTransactionReceipt: { status: "0x0" } });
  await assert.rejects(chain.act(TOKEN, "mint(address,uint256)", TOKEN, 5), /refused transaction 0xhash/);
  node({ ...answers, eth_estimateGas: new Error("reverted: NotOwner") });
  await assert.rejects(chain.act(TOKEN, "mint(address,uint256)", TOKEN, 5), /NotOwner/);
  node({ eth_call: `0x${BigInt(TOKEN).toString(16).padStart(64, "0")}` });
  assert.equal(await chain.address(CLEARING, "CUSTODY()"), TOKEN);
});

test("what is no address becomes no calldata", () => {
  for (const wrong of ["", "0x12", `${TOKEN}00`, TOKEN.slice(2)]) {
    assert.throws(() => callData("claim(address)", wrong), /is not an address/);
  }
});
