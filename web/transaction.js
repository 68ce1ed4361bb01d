// Transactions of a key that this page holds (a local account), as EIP-155 has them. Pure.

import { keccak_256 as keccak } from "@noble/hashes/sha3.js";
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import { sign } from "./signing.js";

/** @param {bigint | number} number */
const minimal = (number) => {
  const hex = BigInt(number).toString(16);
  return BigInt(number) === 0n ? new Uint8Array() : hexToBytes(hex.padStart(hex.length + (hex.length % 2), "0"));
};

/** @param {number} length @param {number} offset */
const prefix = (length, offset) => {
  if (length < 56) return Uint8Array.of(offset + length);
  const size = minimal(length);
  return concatBytes(Uint8Array.of(offset + 55 + size.length), size);
};

/** Recursive length prefix of a list of byte strings. @param {Uint8Array[]} items */
export const rlp = (items) => {
  const parts = items.map((item) => (item.length === 1 && item[0] < 0x80 ? item : concatBytes(prefix(item.length, 0x80), item)));
  const body = concatBytes(...parts);
  return concatBytes(prefix(body.length, 0xc0), body);
};

/**
 * A signed transaction as the node takes it.
 * @param {{nonce: number, gasPrice: bigint, gas: bigint, to: string, value: bigint, data: string, chainId: number}} terms
 * @param {string} key
 */
export const signTransaction = (terms, key) => {
  const body = [
    minimal(terms.nonce),
    minimal(terms.gasPrice),
    minimal(terms.gas),
    hexToBytes(terms.to.slice(2)),
    minimal(terms.value),
    hexToBytes(terms.data.slice(2)),
  ];
  const hash = keccak(rlp([...body, minimal(terms.chainId), minimal(0), minimal(0)]));
  const signature = sign(hash, key).slice(2);
  const [r, s] = [signature.slice(0, 64), signature.slice(64, 128)].map((one) => BigInt(`0x${one}`));
  const v = terms.chainId * 2 + 35 + (parseInt(signature.slice(128), 16) - 27);
  return `0x${bytesToHex(rlp([...body, minimal(v), minimal(r), minimal(s)]))}`;
};
