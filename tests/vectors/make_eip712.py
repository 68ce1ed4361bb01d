"""Writes eip712.json: `.venv/bin/python tests/vectors/make_eip712.py`.

The digests come from eth_account's generic typed-data encoder, which shares no code with
`signing.py` or the contracts; the tests of both read the file. `words` is the ABI-encoded struct,
for Solidity to decode. Sixteen random structs of each type, then each field at its edges.
"""

import json
import random
from pathlib import Path
from typing import Final

from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak, to_checksum_address

SEED: Final = 712
RANDOM_COUNT: Final = 16
PRIVATE_KEY: Final = keccak(text="a key for test vectors only")
CHAIN_ID: Final = 31337
TYPES: Final = {
    "Order": (
        "uint64 subaccountId,uint256 instrument,uint8 side,uint64 quantity,int64 limitPrice,"
        "uint64 maxFee,bool reduceOnly,bytes32 triggerHash,uint64 nonce,uint32 version,"
        "uint64 deadline,address signer"
    ),
    "QuoteSheet": (
        "uint64 subaccountId,uint64 sheetNonce,uint64 deadline,bytes32 root,address signer"
    ),
    "Withdrawal": (
        "uint64 subaccountId,address token,uint256 amount,address recipient,uint64 nonce,"
        "uint64 deadline,address signer"
    ),
    "Transfer": (
        "uint64 subaccountId,uint64 toSubaccountId,address token,uint256 amount,uint64 nonce,"
        "uint64 deadline,address signer"
    ),
    "DeliveryPrice": "uint32 underlying,uint64 expiry,uint64 price,uint64 deadline",
    "IndexSample": "uint32 underlying,uint64 time,uint64 price,uint64 deadline",
    "RiskRoot": "uint64 epoch,uint64 time,bytes32 root,bytes32 marksRoot,uint64 deadline",
}
# Of the uint256 fields only `amount` uses its whole width; `instrument` holds an instrument_id.
BITS: Final = {"instrument": 64}


def domain_of(type_name: str) -> dict[str, object]:
    """Clearing and Oracle have one domain each, at made-up addresses."""
    contract = "Oracle" if type_name in {"DeliveryPrice", "RiskRoot"} else "Clearing"
    return {
        "name": "Hybrid Options Exchange",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": to_checksum_address(keccak(text=contract)[12:]),
    }


def edges(name: str, kind: str) -> list[object]:
    """The smallest and the largest value of a field."""
    if kind == "address":
        return [to_checksum_address(bytes(20)), to_checksum_address(b"\xff" * 20)]
    if kind == "bytes32":
        return ["0x" + "00" * 32, "0x" + "ff" * 32]
    if kind == "bool":
        return [False, True]
    bits = BITS.get(name, int(kind.lstrip("uint")))
    return [0, 2**bits - 1] if kind.startswith("u") else [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]


def random_value(rng: random.Random, name: str, kind: str) -> object:
    """Any value of a field, all of its range alike."""
    if kind == "address":
        return to_checksum_address(rng.randbytes(20))
    if kind == "bytes32":
        return "0x" + rng.randbytes(32).hex()
    if kind == "bool":
        return rng.random() < 0.5
    low, high = edges(name, kind)
    return rng.randint(low, high)


def vector(type_name: str, fields: list[tuple[str, str]], message: dict) -> dict[str, object]:
    """One struct with its words, its digest and a signature."""
    kinds = [kind for _, kind in fields]
    values = [message[name] for name, _ in fields]
    raw = [
        bytes.fromhex(value[2:]) if kind == "bytes32" else value
        for kind, value in zip(kinds, values, strict=True)
    ]
    types = {type_name: [{"name": name, "type": kind} for name, kind in fields]}
    signable = encode_typed_data(domain_of(type_name), types, message)
    signed = Account.sign_message(signable, PRIVATE_KEY)
    return {
        # as strings, because JSON readers lose integers above 2**53
        "message": {k: str(v) if type(v) is int else v for k, v in message.items()},
        "words": "0x" + encode(kinds, raw).hex(),
        "digest": "0x" + keccak(b"\x19" + signable.version + signable.header + signable.body).hex(),
        "signature": "0x" + signed.signature.hex(),
    }


def vectors(type_name: str) -> dict[str, object]:
    """All vectors of one type."""
    rng = random.Random(f"{SEED} {type_name}")
    fields = [tuple(reversed(part.split())) for part in TYPES[type_name].split(",")]
    messages = [
        {name: random_value(rng, name, kind) for name, kind in fields} for _ in range(RANDOM_COUNT)
    ]
    for i, (name, kind) in enumerate(fields):
        messages += [{**messages[i], name: edge} for edge in edges(name, kind)]
    return {
        "domain": domain_of(type_name),
        "type": f"{type_name}({TYPES[type_name]})",
        "count": len(messages),
        "vectors": [vector(type_name, fields, message) for message in messages],
    }


def main() -> None:
    """Write the file beside this script."""
    document = {
        "signer": Account.from_key(PRIVATE_KEY).address,
        **{type_name: vectors(type_name) for type_name in TYPES},
    }
    target = Path(__file__).with_name("eip712.json")
    target.write_text(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
