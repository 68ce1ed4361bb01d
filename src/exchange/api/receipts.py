"""Signed receipts: the venue's word that a command stands at this place of its journal.

The journal hash commits to every command up to that place, so a venue that later shows another
journal is convicted by its own signature. `exchange audit receipt` checks one.
"""

from typing import Any

from exchange.api.ports import Reply
from exchange.signing import Domain, address_of, receipt_digest, sign_digest


class ReceiptSigner:
    """Signs with the venue's receipt key; without one, receipts carry no signature."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key
        self.address = address_of(key) if key else None

    def __repr__(self) -> str:
        return f"ReceiptSigner({self.address})"

    def fields(self, domain: Domain, reply: Reply) -> dict[str, Any]:
        """`seq`, `journal_hash` and `receipt_signature` of a durable command."""
        fields: dict[str, Any] = {"seq": reply.seq, "journal_hash": "0x" + reply.chain_hash.hex()}
        if self._key:
            digest = receipt_digest(domain, reply.seq, reply.chain_hash)
            fields["receipt_signature"] = "0x" + sign_digest(digest, self._key).hex()
        return fields
