// EIP-712, EIP-191 and EIP-4361: what owners sign, hashed and signed. Pure; the same structs as
// signing.py and OrderLib.sol, proven equal on the vectors of tests/vectors.

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { keccak_256 as keccak } from "@noble/hashes/sha3.js";
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import * as secp from "@noble/secp256k1";
import { callData, word as wordOf } from "./abi.js";

secp.hashes.sha256 = sha256;
secp.hashes.hmacSha256 = (key, message) => hmac(sha256, key, message);

/** @typedef {{name: string, type: string}} Field */
/** @typedef {{name: string, version: string, chainId: number, verifyingContract: string}} Domain */

/** @param {string} text @returns {Field[]} */
const fields = (text) =>
  text.split(",").map((pair) => {
    const [type, name] = pair.split(" ");
    return { name, type };
  });

/** @type {Record<string, Field[]>} */
export const TYPES = {
  EIP712Domain: fields(
    "string name,string version,uint256 chainId,address verifyingContract",
  ),
  Order: fields(
    "uint64 subaccountId,uint256 instrument,uint8 side,uint64 quantity,int64 limitPrice," +
      "uint64 maxFee,bool reduceOnly,bytes32 triggerHash,uint64 nonce,uint32 version," +
      "uint64 deadline,address signer",
  ),
  Withdrawal: fields(
    "uint64 subaccountId,address token,uint256 amount,address recipient,uint64 nonce," +
      "uint64 deadline,address signer",
  ),
  Receipt: fields("uint64 seq,bytes32 journalHash"),
  Receipts: fields("bytes32 root"),
};

export const NO_TRIGGER = `0x${"00".repeat(32)}`;

const TRIGGERS = /** @type {Record<string, number>} */ ({ stop: 1, take: 2, trailing: 3 });
const SOURCES = /** @type {Record<string, number>} */ ({ mark_price: 1, index_price: 2, last_price: 3 });

/**
 * What an order that waits signs as `triggerHash`: keccak256 of uint8, uint8, int64, int64, packed.
 * @param {string} type as `stop_limit` @param {string} source @param {bigint} price micro-USDC or 0 @param {bigint} offset
 */
export const triggerHash = (type, source, price, offset) => {
  const packed = new DataView(new ArrayBuffer(18));
  packed.setUint8(0, TRIGGERS[type.split("_")[0]]);
  packed.setUint8(1, SOURCES[source]);
  packed.setBigInt64(2, price);
  packed.setBigInt64(10, offset);
  return hexOf(keccak(new Uint8Array(packed.buffer)));
};

/** @param {string} hex */
const bytesOf = (hex) => hexToBytes(hex.slice(2));

/** @param {Uint8Array} bytes */
const hexOf = (bytes) => `0x${bytesToHex(bytes)}`;

/** One 32-byte word of a field. @param {string} type @param {any} value */
const word = (type, value) => (type === "string" ? keccak(utf8ToBytes(value)) : wordOf(type, value));

/** @param {string} name @param {Record<string, any>} message */
export const structHash = (name, message) => {
  const members = TYPES[name];
  const text = `${name}(${members.map((field) => `${field.type} ${field.name}`).join(",")})`;
  const words = members.map((field) => word(field.type, message[field.name]));
  return keccak(concatBytes(keccak(utf8ToBytes(text)), ...words));
};

/** What the venue signed for a receipt: the root to which its proof leads. @param {number} seq @param {string} journalHash @param {string[]} proof */
export const receiptsRoot = (seq, journalHash, proof) =>
  hexOf(proof.map(bytesOf).reduce(parent, structHash("Receipt", { seq, journalHash })));

/** A node of a Merkle tree; pairs hash in sorted order. @param {Uint8Array} one @param {Uint8Array} other */
const parent = (one, other) => keccak(hexOf(one) < hexOf(other) ? concatBytes(one, other) : concatBytes(other, one));

/** What an order in a combo signs as its instrument, as decimal text: the hash of its legs. @param {{id: string, ratio: number}[]} legs in their order */
export const legsHash = (legs) =>
  BigInt(hexOf(keccak(concatBytes(...legs.flatMap(({ id, ratio }) => [wordOf("uint256", id), wordOf("int256", ratio)]))))).toString();

/** The 32 bytes that are signed. @param {Domain} domain @param {string} name @param {Record<string, any>} message */
export const digest = (domain, name, message) =>
  keccak(
    concatBytes(
      Uint8Array.of(0x19, 0x01),
      structHash("EIP712Domain", domain),
      structHash(name, message),
    ),
  );

/** What a wallet shows and signs: eth_signTypedData_v4. @param {Domain} domain @param {string} name @param {Record<string, any>} message */
export const typedData = (domain, name, message) => ({
  domain,
  types: { EIP712Domain: TYPES.EIP712Domain, [name]: TYPES[name] },
  primaryType: name,
  message,
});

/** 65 bytes r, s, v as hex, v 27 or 28. @param {Uint8Array} hash @param {string} key */
export const sign = (hash, key) => {
  const made = secp.sign(hash, bytesOf(key), { prehash: false, format: "recovered" });
  return hexOf(concatBytes(made.slice(1), Uint8Array.of(27 + made[0])));
};

/** Who signed. @param {Uint8Array} hash @param {string} signature */
export const recover = (hash, signature) => {
  const bytes = bytesOf(signature);
  const given = concatBytes(Uint8Array.of(bytes[64] - 27), bytes.slice(0, 64));
  const key = secp.recoverPublicKey(given, hash, { prehash: false });
  return addressOfPoint(secp.Point.fromBytes(key).toBytes(false));
};

/** @param {Uint8Array} point */
const addressOfPoint = (point) => checksum(bytesToHex(keccak(point.slice(1)).slice(12)));

/** @param {string} key */
export const addressOf = (key) => addressOfPoint(secp.getPublicKey(bytesOf(key), false));

/** EIP-55 of 40 hex digits. @param {string} digits */
export const checksum = (digits) => {
  const mask = bytesToHex(keccak(utf8ToBytes(digits)));
  return `0x${[...digits].map((digit, at) => (mask[at] >= "8" ? digit.toUpperCase() : digit)).join("")}`;
};

/** EIP-191 hash of a text. @param {string} text */
export const textHash = (text) => {
  const data = utf8ToBytes(text);
  return keccak(concatBytes(utf8ToBytes(`\x19Ethereum Signed Message:\n${data.length}`), data));
};

/** A fresh private key of this browser. */
export const freshKey = () => hexOf(secp.utils.randomSecretKey());

/**
 * The EIP-4361 text that opens a session.
 * @param {{domain: string, uri: string, chain_id: number, nonce: string, timestamp: number}} asked
 * @param {string} address
 */
export const signInText = (asked, address) =>
  `${asked.domain} wants you to sign in with your Ethereum account:\n${address}\n\n` +
  "Sign in to trade. This costs nothing and moves nothing.\n\n" +
  `URI: ${asked.uri}\nVersion: 1\nChain ID: ${asked.chain_id}\nNonce: ${asked.nonce}\n` +
  `Issued At: ${new Date(asked.timestamp).toISOString()}`;

/** Calldata of `setSessionKey(address key, uint64 deadline)`. @param {string} address @param {number} deadline */
export const sessionKeyCall = (address, deadline) => callData("setSessionKey(address,uint64)", address, deadline);
