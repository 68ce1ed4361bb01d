"""Deploys the two ends of a gateway and lists tokens on both: for local chains and tests.

Each contract knows the other from its constructor on, so the hub's address is computed first.
"""

from typing import Final

import msgspec
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.settlement.batch import encode_call
from exchange.settlement.chain import Node
from exchange.settlement.compiler import Artifacts
from exchange.settlement.deploy import create
from exchange.settlement.gateway import GatewayDeployment, Place
from exchange.signing import address_of, checksum_address

_NO_CAP: Final = 2**80 - 1
_RULES_TYPES: Final = ("address", "(bool,uint80,uint80,uint80)")


class GatewayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who attests; the deployer administers both AccessManagers."""

    deployer_key: bytes
    attesters: tuple[str, ...]
    threshold: int


def deploy_gateway(
    hub: Node, second: Node, options: GatewayOptions, artifacts: Artifacts
) -> GatewayDeployment:
    """Both ends, without tokens."""
    key = options.deployer_key
    who = (sorted(options.attesters, key=str.lower), options.threshold)
    first_blocks = (hub.head() + 1, second.head() + 1)
    chains = (hub.chain_id(), second.chain_id())
    managers = [
        create(node, key, artifacts["AccessManager"], address_of(key)) for node in (hub, second)
    ]
    ahead = created_address(address_of(key), hub.tx_count(address_of(key)))
    gateway = create(second, key, artifacts["Gateway"], managers[1], chains[0], ahead, *who)
    found = create(hub, key, artifacts["GatewayHub"], managers[0], chains[1], gateway, *who)
    assert found == ahead, "another transaction of the deployer came between"
    return GatewayDeployment(
        hub=Place(chain_id=chains[0], contract=found, block=first_blocks[0]),
        second=Place(chain_id=chains[1], contract=gateway, block=first_blocks[1]),
    )


def list_token(
    hub: Node,
    second: Node,
    key: bytes,
    deployment: GatewayDeployment,
    terms: tuple[str, str, str, int],
) -> str:
    """Let a token of the second chain through, without caps: (address, name, symbol, decimals).

    Returns the wrapped token's address on the hub.
    """
    rules = encode_call("setRules", _RULES_TYPES, (terms[0], (True, _NO_CAP, _NO_CAP, _NO_CAP)))
    second.transact(key, deployment.second.contract, rules)
    hub.transact(key, deployment.hub.contract, rules)
    wrap = encode_call("wrap", ("address", "string", "string", "uint8"), terms)
    hub.transact(key, deployment.hub.contract, wrap)
    asked = encode_call("wrapped", ("address",), (terms[0],))
    request = {"to": deployment.hub.contract, "data": "0x" + asked.hex()}
    answer = bytes.fromhex(str(hub.rpc("eth_call", request, "latest"))[2:])
    return checksum_address(answer[-20:])


def created_address(sender: str, tx_nonce: int) -> str:
    """Where a sender's transaction with this nonce creates a contract."""
    number = tx_nonce.to_bytes((tx_nonce.bit_length() + 7) // 8)
    word = number if 0 < tx_nonce < 0x80 else bytes([0x80 + len(number)]) + number
    body = b"\x94" + bytes.fromhex(sender[2:]) + word
    return checksum_address(keccak(bytes([0xC0 + len(body)]) + body)[-20:])  # RLP
