"""Asks a node whether a contract signed (EIP-1271), with the gas that Clearing gives it.

Plain JSON-RPC without web3, so that it can live in the gateway's event loop.
"""

from typing import Any, Final

import httpx
from eth_abi.abi import encode
from eth_hash.backends.pysha3 import keccak256 as keccak

_SELECTOR: Final = keccak(b"isValidSignature(bytes32,bytes)")[:4]
_MAGIC: Final = _SELECTOR.ljust(32, b"\0")
_SIGNATURE_GAS: Final = 100_000  # as in Payments.sol
_TRANSACTION_GAS: Final = 21_000
_ZERO_GAS: Final = 4
_BYTE_GAS: Final = 16
_TIMEOUT_S: Final = 2.0
# What nodes say of a call that failed by itself, rather than of a question that they refuse.
_FAILED: Final = ("revert", "outofgas", "out of gas", "invalid", "stack", "execution")


class ContractSignatures:
    """Several endpoints of one chain, asked in turn until one answers."""

    def __init__(self, urls: str, clearing: str) -> None:
        self._urls = [url.strip() for url in urls.split(",") if url.strip()]
        self._clearing = clearing
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)

    async def approves(self, contract: str, digest: bytes, signature: bytes) -> bool:
        """What the contract says now; `ConnectionError` where no endpoint answers."""
        data = _SELECTOR + encode(["bytes32", "bytes"], [digest, signature])
        request = {
            "from": self._clearing,
            "to": contract,
            "data": "0x" + data.hex(),
            "gas": hex(_gas(data)),
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [request, "latest"]}
        for url in self._urls:
            try:
                answer = (await self._client.post(url, json=body)).json()
                return _confirmed(answer)
            except (httpx.HTTPError, ValueError, ConnectionError):
                continue
        raise ConnectionError("no endpoint answers")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _gas(data: bytes) -> int:
    """What the call costs before the contract begins, and what it may use itself."""
    zeros = data.count(0)
    return _TRANSACTION_GAS + zeros * _ZERO_GAS + (len(data) - zeros) * _BYTE_GAS + _SIGNATURE_GAS


def _confirmed(answer: Any) -> bool:
    """`ConnectionError` where the node said nothing of the contract."""
    if not isinstance(answer, dict):
        raise ConnectionError("not JSON-RPC")
    result = answer.get("result")
    if isinstance(result, str) and result.startswith("0x"):
        return bytes.fromhex(result[2:])[:32] == _MAGIC
    error = answer.get("error")
    text = str(error.get("message", "")).lower() if isinstance(error, dict) else ""
    if any(word in text for word in _FAILED):
        return False
    raise ConnectionError(text or "no answer")
