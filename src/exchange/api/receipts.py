"""Signed receipts: the venue's word that a command stands at this place of its journal.

The journal hash commits to every command up to that place, so a venue that later shows another
journal is convicted by its own signature. One signature serves all that was committed together: it
is over the root of a Merkle tree whose leaves are the receipts, and each of these carries its way
to the root. `exchange audit receipt` checks one.
"""

from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from exchange.api.ports import Entry, Reply
from exchange.merkle import merkle_levels
from exchange.signing import Domain, address_of, receipt_leaf, receipts_digest, sign_digest

GROUPS_KEPT: Final = 64  # of which receipts may still be asked for; later ones are signed alone


class ReceiptSigner:
    """Signs with the venue's receipt key; without one, receipts carry no signature."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key
        self._groups: deque[_Group] = deque(maxlen=GROUPS_KEPT)
        self.address = address_of(key) if key else None

    def __repr__(self) -> str:
        return f"ReceiptSigner({self.address})"

    def note(self, entries: Sequence[Entry]) -> None:
        """Entries without gap that were committed together; costs something only if one asks."""
        if self._key:
            self._groups.append(_Group(entries[0].seq, [one.chain_hash for one in entries]))

    def fields(self, domain: Domain, reply: Reply) -> dict[str, Any]:
        """`seq` and `journal_hash` of a durable command, and if signed, by what and how."""
        fields: dict[str, Any] = {"seq": reply.seq, "journal_hash": "0x" + reply.chain_hash.hex()}
        if self._key:
            group = self._group_of(reply)
            fields["receipt_signature"] = group.signature(domain, self._key)
            fields["receipt_proof"] = group.proof(reply.seq)
        return fields

    def _group_of(self, reply: Reply) -> "_Group":
        for group in reversed(self._groups):
            if group.holds(reply):
                return group
        return _Group(reply.seq, [reply.chain_hash])


class _Group:
    """Receipts that are signed together."""

    def __init__(self, first_seq: int, hashes: list[bytes]) -> None:
        self.first_seq = first_seq
        self._hashes = hashes
        self._signature = ""

    def holds(self, reply: Reply) -> bool:
        """Whether a command was committed here."""
        at = reply.seq - self.first_seq
        return 0 <= at < len(self._hashes) and self._hashes[at] == reply.chain_hash

    @cached_property
    def _levels(self) -> list[Sequence[bytes]]:
        leaves = [receipt_leaf(seq, one) for seq, one in enumerate(self._hashes, self.first_seq)]
        return merkle_levels(leaves)

    def signature(self, domain: Domain, key: bytes) -> str:
        """Over the root: 0x and 130 hex digits."""
        if not self._signature:
            digest = receipts_digest(domain, self._levels[-1][0])
            self._signature = "0x" + sign_digest(digest, key).hex()
        return self._signature

    def proof(self, seq: int) -> list[str]:
        """From a receipt to the root: 0x and 64 hex digits each."""
        return self._proofs[seq - self.first_seq]

    @cached_property
    def _proofs(self) -> list[list[str]]:
        """Of all receipts, found from the root down: what neighbours share is written once."""
        proofs: list[list[str]] = [[]]
        for level in reversed(self._levels[:-1]):
            words = ["0x" + one.hex() for one in level]
            alone = proofs[len(level) >> 1 :]  # the way of an odd node
            proofs = [
                [words[at ^ 1], *proofs[at >> 1]] for at in range(len(level) - len(alone))
            ] + alone
        return proofs
