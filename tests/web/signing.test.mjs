// The browser signs the same bytes as the engine and the contract expect.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { receiptHolds, orderMessage } from "../../web/orders.js";
import { addressOf, digest, recover, sessionKeyCall, sign, signInText, textHash, typedData } from "../../web/signing.js";

const vectors = JSON.parse(readFileSync(new URL("../vectors/eip712.json", import.meta.url)));
const hex = (bytes) => `0x${Buffer.from(bytes).toString("hex")}`;
const KEY = `0x${"11".repeat(32)}`;
const DOMAIN = { name: "X", version: "1", chainId: 31337, verifyingContract: `0x${"ab".repeat(20)}` };

for (const name of ["Order", "Withdrawal"])
  test(`${name}: digests and signers of the shared vectors`, () => {
    const { domain, vectors: rows } = vectors[name];
    assert.ok(rows.length > 10);
    for (const one of rows) {
      const hash = digest(domain, name, one.message);
      assert.equal(hex(hash), one.digest);
      assert.equal(recover(hash, one.signature), vectors.signer);
    }
  });

test("a signature names its signer, has v 27 or 28, and changes with the text", () => {
  const hash = textHash("hello");
  const made = sign(hash, KEY);
  assert.equal(made.length, 132);
  assert.ok(["1b", "1c"].includes(made.slice(-2)));
  assert.equal(recover(hash, made), addressOf(KEY));
  assert.notEqual(recover(textHash("hello!"), made), addressOf(KEY));
});

test("an order's words are exact integers", () => {
  const message = orderMessage(
    { subaccount_id: 3, direction: "sell", amount: "0.07", worst: "2105.5", max_fee: "59.91", reduce_only: true, nonce: 9, version: 1, deadline: 5, signer: addressOf(KEY) },
    "1156177328191957056",
  );
  assert.deepEqual(
    [message.side, message.quantity, message.limitPrice, message.maxFee, message.reduceOnly],
    [1, 700n, 2105500000n, 59910000n, true],
  );
  assert.equal(typedData(DOMAIN, "Order", message).primaryType, "Order");
});

test("a receipt holds only under the venue's key, for this place in the journal", () => {
  const { domain, receipts } = JSON.parse(readFileSync(new URL("../vectors/receipts.json", import.meta.url)));
  assert.deepEqual(receipts.map((one) => one.receipt_proof.length), [0, 3, 3, 3, 3, 1]);
  for (const answer of receipts) {
    assert.equal(receiptHolds(domain, answer), true);
    assert.equal(receiptHolds(domain, { ...answer, seq: answer.seq + 1 }), false);
    assert.equal(receiptHolds({ ...domain, receipt_signer: addressOf(`0x${"22".repeat(32)}`) }, answer), false);
    assert.equal(receiptHolds(domain, { ...answer, receipt_signature: "" }), false);
    assert.equal(receiptHolds(domain, { ...answer, receipt_proof: [...answer.receipt_proof, answer.journal_hash] }), false);
    assert.equal(receiptHolds(null, answer), false);
    assert.equal(receiptHolds(domain, { ...answer, receipt_proof: undefined }), false);
    assert.equal(receiptHolds(domain, { ...answer, receipt_signature: "0x12" }), false);
  }
});

test("the sign-in text is EIP-4361's, and the session key's call is that of the contract", () => {
  const text = signInText({ domain: "h:1", uri: "http://h:1", chain_id: 1, nonce: "n", timestamp: 0 }, "0xA");
  assert.match(text, /^h:1 wants you to sign in with your Ethereum account:\n0xA\n\n.+\n\nURI: http:\/\/h:1\nVersion: 1\nChain ID: 1\nNonce: n\nIssued At: 1970-01-01T00:00:00.000Z$/);
  const call = sessionKeyCall(addressOf(KEY), 255);
  assert.equal(call.length, 2 + 8 + 128);
  assert.ok(call.endsWith("ff"));
});
