// Calls of our contracts: arguments of one word each, as calldata, and the words that come back. Pure.

import { keccak_256 as keccak } from "@noble/hashes/sha3.js";
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";

/** One 32-byte word. @param {string} type @param {any} value */
export const word = (type, value) => {
  if (type === "bytes32") return hexToBytes(value.slice(2));
  if (type === "address") {
    if (!/^0x[0-9a-fA-F]{40}$/.test(value)) throw new Error(`${value} is not an address: 0x and 40 hex digits`);
    return concatBytes(new Uint8Array(12), hexToBytes(value.slice(2)));
  }
  return hexToBytes(BigInt.asUintN(256, BigInt(value)).toString(16).padStart(64, "0"));
};

/** Calldata of a function whose arguments take a word each. @param {string} signature as `deposit(uint64,address,uint256)` @param {any[]} values */
export const callData = (signature, ...values) => {
  const types = signature.slice(signature.indexOf("(") + 1, -1).split(",").filter(Boolean);
  const selector = keccak(utf8ToBytes(signature)).slice(0, 4);
  return `0x${bytesToHex(concatBytes(selector, ...types.map((type, at) => word(type, values[at]))))}`;
};

/** The words of an answer as whole numbers. @param {string} data */
export const wordsOf = (data) => (data.slice(2).match(/.{64}/g) ?? []).map((one) => BigInt(`0x${one}`));

/** The address in a word. @param {bigint} number */
export const addressIn = (number) => `0x${number.toString(16).padStart(40, "0")}`;
