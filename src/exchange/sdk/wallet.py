"""A private key and what it signs: orders, withdrawals and sign-in texts.

Local and pure but for the nonce counter: the key never leaves this module, and never appears in a
representation.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, format_decimal, parse_decimal
from exchange.merkle import merkle_root
from exchange.model import BidTerms, OrderTerms, Quote, SheetTerms, TransferTerms, WithdrawalTerms
from exchange.sdk.errors import BadArgument
from exchange.signing import (
    Domain,
    address_of,
    bid_digest,
    order_digest,
    sheet_digest,
    sheet_leaves,
    sign_digest,
    transfer_digest,
    withdrawal_digest,
)

Number = int | str | Decimal | float
_KEY_BYTES: Final = 32


def scaled(number: Number, scale: int, name: str) -> int:
    """Exact scaled integer of a number; a float counts as the decimal that it prints."""
    value = None if isinstance(number, bool) else parse_decimal(decimal_text(number), scale)
    if value is None:
        raise BadArgument(f"{name}: {number!r} has no exact value in steps of 1/{scale}")
    return value


def decimal_text(number: Number) -> str:
    """A number as the venue reads it: no exponent."""
    return format(number, "f") if isinstance(number, Decimal) else str(number)


def to_price(number: Number, name: str = "price") -> int:
    """Micro-USDC."""
    return scaled(number, CASH_SCALE, name)


def to_quantity(number: Number, name: str = "amount") -> int:
    """1e-4 contracts."""
    return scaled(number, QUANTITY_SCALE, name)


def price_text(value: int) -> str:
    """Micro-USDC as decimal text."""
    return format_decimal(value, CASH_SCALE)


def quantity_text(value: int) -> str:
    """1e-4 contracts as decimal text."""
    return format_decimal(value, QUANTITY_SCALE)


def _machine_clock_us() -> int:
    return time.time_ns() // 1000  # noqa: TID251  a client lives on its machine's clock


class NonceAllocator:
    """Nonces that never repeat, over restarts too: from the microsecond of the first one upwards.

    They are consecutive because four neighbours share a storage slot on chain.
    """

    def __init__(self, clock_us: Callable[[], int] = _machine_clock_us) -> None:
        self._clock_us = clock_us
        self._last = 0

    def allocate(self, count: int = 1) -> int:
        """The first of `count` fresh nonces that follow one another."""
        first = self._last + 1 if self._last else self._clock_us()
        self._last = first + count - 1
        return first


class Wallet:
    """One signing key: an owner's, or a session key."""

    def __init__(self, private_key: str | bytes) -> None:
        self._key = _key_bytes(private_key)
        self.address = address_of(self._key)

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def sign_order(self, domain: Domain, terms: OrderTerms) -> str:
        """Hex signature of an order."""
        return "0x" + sign_digest(order_digest(domain, terms), self._key).hex()

    def sign_sheet(self, domain: Domain, terms: SheetTerms, quotes: Sequence[Quote]) -> str:
        """Hex signature of a whole sheet of quotes."""
        root = merkle_root(sheet_leaves(terms, quotes))
        return "0x" + sign_digest(sheet_digest(domain, terms, root), self._key).hex()

    def sign_withdrawal(self, domain: Domain, terms: WithdrawalTerms) -> str:
        """Hex signature of a withdrawal."""
        return "0x" + sign_digest(withdrawal_digest(domain, terms), self._key).hex()

    def sign_transfer(self, domain: Domain, terms: TransferTerms) -> str:
        """Hex signature of a transfer to another subaccount."""
        return "0x" + sign_digest(transfer_digest(domain, terms), self._key).hex()

    def sign_bid(self, domain: Domain, terms: BidTerms) -> str:
        """Hex signature of a bid in a liquidation auction."""
        return "0x" + sign_digest(bid_digest(domain, terms), self._key).hex()

    def sign_text(self, text: str) -> str:
        """EIP-191 signature of a text, as wallets make it."""
        data = text.encode()
        prefix = f"\x19Ethereum Signed Message:\n{len(data)}".encode()
        return "0x" + sign_digest(keccak(prefix + data), self._key).hex()


def _key_bytes(private_key: str | bytes) -> bytes:
    try:
        key = (
            private_key
            if isinstance(private_key, bytes)
            else bytes.fromhex(private_key.removeprefix("0x"))
        )
    except ValueError:
        raise BadArgument("the private key is not hex") from None
    if len(key) != _KEY_BYTES:
        raise BadArgument("a private key has 32 bytes")
    return key


def sign_in_text(
    *, domain: str, uri: str, address: str, chain_id: int, nonce: str, time_ms: int
) -> str:
    """The EIP-4361 text that opens a session."""
    issued = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return (
        f"{domain} wants you to sign in with your Ethereum account:\n{address}\n\n"
        "Sign in to trade. This costs nothing and moves nothing.\n\n"
        f"URI: {uri}\nVersion: 1\nChain ID: {chain_id}\nNonce: {nonce}\n"
        f"Issued At: {issued.replace('+00:00', 'Z')}"
    )
