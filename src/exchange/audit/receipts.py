"""Check a receipt that a venue gave against its journal."""

from typing import Final

import msgspec

from exchange.audit.differences import Difference
from exchange.commands import Configure
from exchange.journal import JournalCorrupt, JournalReader
from exchange.merkle import root_of_proof
from exchange.signing import (
    Domain,
    receipt_digest,
    receipt_leaf,
    receipts_digest,
    recover_signer,
)

HASH_BYTES: Final = 32


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue answered; other fields of the answer are left aside."""

    seq: int
    journal_hash: str
    receipt_signature: str = ""
    receipt_proof: tuple[str, ...] | None = None  # of a version that signed each alone


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt that holds."""

    seq: int
    signer: str | None  # None: it carries no signature
    command: str
    time_ns: int


def read_receipt(text: bytes) -> Receipt:
    """A receipt from the JSON of an answer, or of its result."""
    answer = msgspec.json.decode(text)
    if isinstance(answer, dict) and isinstance(answer.get("result"), dict):
        answer = answer["result"]
    return msgspec.convert(answer, Receipt)


def check_receipt(reader: JournalReader, receipt: Receipt, signer: str = "") -> Checked:
    """Who signed it and what it is for; `Difference` if the journal says otherwise.

    Reads the journal from its beginning, so that the hash it compares is one that it computed.
    """
    domain = None
    try:
        for entry in reader.entries():
            if isinstance(entry.command, Configure):
                domain = Domain(entry.command.chain_id, entry.command.clearing)
            if entry.seq < receipt.seq:
                continue
            if "0x" + entry.chain_hash.hex() != receipt.journal_hash.lower():
                raise Difference(receipt.seq, "the journal has another hash at this place")
            return Checked(
                seq=entry.seq,
                signer=_signer(domain, receipt, signer),
                command=type(entry.command).__name__,
                time_ns=entry.time_ns,
            )
    except JournalCorrupt as error:
        raise Difference(receipt.seq, str(error)) from error
    raise Difference(receipt.seq, "the journal ends before this place")


def _signer(domain: Domain | None, receipt: Receipt, expected: str) -> str | None:
    if not receipt.receipt_signature:
        if expected:
            raise Difference(receipt.seq, "the receipt carries no signature")
        return None
    if domain is None:
        raise Difference(receipt.seq, "nothing could be signed before the first parameters")
    try:
        proof = [_bytes(one) for one in receipt.receipt_proof or ()]
        signature = _bytes(receipt.receipt_signature)
    except ValueError:
        raise Difference(receipt.seq, "its signature or its proof is not hexadecimal") from None
    if any(len(one) != HASH_BYTES for one in proof):
        raise Difference(receipt.seq, "its proof holds what is no hash")
    place = receipt.seq, _bytes(receipt.journal_hash)
    if receipt.receipt_proof is None:
        digest = receipt_digest(domain, *place)
    else:
        digest = receipts_digest(domain, root_of_proof(receipt_leaf(*place), proof))
    found = recover_signer(digest, signature)
    if found is None or (expected and found != expected):
        raise Difference(receipt.seq, f"signed by {found or 'nobody'}, not by {expected}")
    return found


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
