"""A node as a keeper needs it: views, and transactions that either get in or are given up.

Plain JSON-RPC. One transaction at a time: it is waited for, and outbid while it is stuck, up to a
fee cap. What a crash leaves behind is another sender's transaction to the next start.
"""

import asyncio
import time
from typing import Any, Final

import httpx
import msgspec
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.fixed import div_up
from exchange.sdk import SdkError
from exchange.signing import address_of

_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.2
_BUMP_PERCENT: Final = 113  # geth wants 10 % more for a replacement, some nodes 12.5 %
_KNOWN: Final = ("already known", "already imported", "nonce too low", "known transaction")


class NodeUnavailable(SdkError):
    """The node did not answer, or a transaction did not get in: try again later."""


class CallRefused(SdkError):
    """A contract or the node refuses a call; `data` is what the contract said."""

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """A mined transaction and what it cost."""

    tx_hash: str
    succeeded: bool
    gas_used: int
    wei: int


class GasLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a keeper is willing to pay; wei a gas, seconds."""

    fee_cap: int = 200 * 10**9
    stuck_after_s: float = 15.0
    give_up_s: float = 120.0


class _Fees(msgspec.Struct, frozen=True, kw_only=True):
    max_fee: int
    priority_fee: int

    def raised(self) -> "_Fees":
        return _Fees(
            max_fee=div_up(self.max_fee * _BUMP_PERCENT, 100),
            priority_fee=div_up(self.priority_fee * _BUMP_PERCENT, 100),
        )


def calldata(signature: str, *arguments: object) -> bytes:
    """A call of the function with this signature, such as "claim(address,address)"."""
    types = _types(signature)
    return keccak(signature.encode())[:4] + encode(types, arguments)


def _types(signature: str) -> list[str]:
    """The argument types of a signature; commas inside brackets of tuples separate none."""
    inner = signature[signature.index("(") + 1 : -1]
    parts, depth = [""], 0
    for character in inner:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]


class Ethereum:
    """A node, and the wallet that pays; without a key it only looks."""

    def __init__(self, url: str, key: bytes = b"", limits: GasLimits | None = None) -> None:
        self.address = address_of(key) if key else ""
        self._key = key
        self._limits = limits or GasLimits()
        self._client = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, trust_env=False)

    async def stop(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def rpc(self, method: str, *params: object) -> Any:
        """Result of one JSON-RPC call."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            answer = (await self._client.post("", json=body)).json()
        except (httpx.HTTPError, ValueError) as error:
            raise NodeUnavailable(f"{method}: {type(error).__name__} {error}") from error
        refused = answer.get("error")
        if refused is None:
            return answer.get("result")
        text = refused.get("data") or ""
        data = bytes.fromhex(text[2:]) if isinstance(text, str) and text.startswith("0x") else b""
        raise CallRefused(str(refused.get("message", refused)), data)

    async def call(self, to: str, signature: str, returns: list[str], *arguments: object) -> Any:
        """Result of a view; a tuple unless it returns one value."""
        request = {"to": to, "data": "0x" + calldata(signature, *arguments).hex()}
        answer = bytes.fromhex((await self.rpc("eth_call", request, "latest"))[2:])
        values = decode(returns, answer)
        return values[0] if len(returns) == 1 else values

    async def block_time(self) -> int:
        """UTC second of the newest block."""
        block = await self.rpc("eth_getBlockByNumber", "latest", False)
        return int(block["timestamp"], 16)

    async def price(self, to: str, data: bytes) -> int:
        """Wei that sending this would cost now, about; `CallRefused` where it would fail."""
        gas = await self._gas(to, data)
        fees = await self._fees()
        return gas * fees.max_fee

    async def send(self, to: str, data: bytes) -> Paid:
        """Put a call on chain and wait for it; `NodeUnavailable` where it does not get in."""
        gas, fees = await self._gas(to, data), await self._fees()
        tx_nonce = int(await self.rpc("eth_getTransactionCount", self.address, "latest"), 16)
        chain_id = int(await self.rpc("eth_chainId"), 16)
        fields = {"type": 2, "chainId": chain_id, "nonce": tx_nonce, "to": to, "value": 0}
        fields |= {"data": data, "gas": gas + gas // 4}
        hashes: list[str] = []
        until = time.monotonic() + self._limits.give_up_s
        while time.monotonic() < until and fees.max_fee <= self._limits.fee_cap:
            hashes.append(await self._broadcast(fields, fees))
            paid = await self._wait(hashes, min(until, time.monotonic() + self._stuck_s))
            if paid is not None:
                return paid
            fees = fees.raised()
        raise NodeUnavailable(f"the transaction did not get in at {fees.max_fee} wei a gas")

    @property
    def _stuck_s(self) -> float:
        return self._limits.stuck_after_s

    async def _gas(self, to: str, data: bytes) -> int:
        request = {"to": to, "data": "0x" + data.hex()}
        if self.address:
            request["from"] = self.address
        return int(await self.rpc("eth_estimateGas", request), 16)

    async def _fees(self) -> _Fees:
        """Twice the base fee, so that some full blocks in a row do not price it out."""
        block = await self.rpc("eth_getBlockByNumber", "latest", False)
        priority = int(await self.rpc("eth_maxPriorityFeePerGas"), 16)
        return _Fees(
            max_fee=2 * int(block.get("baseFeePerGas", "0x0"), 16) + priority, priority_fee=priority
        )

    async def _broadcast(self, fields: dict[str, Any], fees: _Fees) -> str:
        fees_of = {"maxFeePerGas": fees.max_fee, "maxPriorityFeePerGas": fees.priority_fee}
        signed = Account.from_key(self._key).sign_transaction(fields | fees_of)
        try:
            await self.rpc("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())
        except CallRefused as refusal:
            if not any(text in str(refusal).lower() for text in _KNOWN):
                raise
        return str(signed.hash.to_0x_hex())

    async def _wait(self, hashes: list[str], until: float) -> Paid | None:
        while True:
            for tx_hash in hashes:
                receipt = await self.rpc("eth_getTransactionReceipt", tx_hash)
                if receipt is not None:
                    gas = int(receipt["gasUsed"], 16)
                    price = int(receipt.get("effectiveGasPrice", "0x0"), 16)
                    succeeded = int(receipt["status"], 16) == 1
                    return Paid(tx_hash=tx_hash, succeeded=succeeded, gas_used=gas, wei=gas * price)
            if time.monotonic() >= until:
                return None
            await asyncio.sleep(_POLL_S)
