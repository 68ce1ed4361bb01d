// Digests of typed structs as a wallet in a browser makes them, by viem alone: nothing here knows our encoding.
// Reads {domain, types, structs: [{type, message}]} from standard input, writes a list of digests; integers are text.
import { readFileSync } from "node:fs";
import { hashTypedData } from "viem";

const asked = JSON.parse(readFileSync(0, "utf8"));
const value = (type, given) => (type.startsWith("uint") || type.startsWith("int") ? BigInt(given) : given);
const digests = asked.structs.map(({ type, message }) => {
  const fields = asked.types[type];
  const typed = Object.fromEntries(fields.map((field) => [field.name, value(field.type, message[field.name])]));
  return hashTypedData({ domain: asked.domain, types: asked.types, primaryType: type, message: typed });
});
process.stdout.write(JSON.stringify(digests));
