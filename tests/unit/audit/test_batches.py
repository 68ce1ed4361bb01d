"""Batches are rebuilt from the journal alone and compared with what the chain logged."""

import msgspec
import pytest
from tests.signed_venue import DOMAIN, KEYS, bracketed_venue, quoted_venue, traded_venue
from tests.venue import Venue, usdc

from exchange.audit import BatchAudit, Difference
from exchange.commands import CutBatch
from exchange.journal import EntryEncoder
from exchange.merkle import verify_proof
from exchange.settlement.batch import batch_hash
from exchange.settlement.chain import Settled
from exchange.signing import (
    order_digest,
    order_struct_hash,
    recover_signer,
    sheet_digest,
)


def audited(venue: Venue) -> BatchAudit:
    encoder, audit = EntryEncoder(), BatchAudit()
    for _, time_ns, command, events in venue.entries:
        audit(encoder.stamp(time_ns, command, events)[0])
    return audit


def settled(audit: BatchAudit) -> list[Settled]:
    return [
        Settled(
            number=batch.header.number,
            batch_hash=batch_hash(batch),
            first_seq=batch.header.first_seq,
            last_seq=batch.header.last_seq,
            state_root=batch.header.state_root,
            block=7,
            tx_hash="0x07",
        )
        for batch in audit.batches
    ]


def cut_venue() -> Venue:
    venue = traded_venue()
    venue.send(CutBatch())
    return venue


def test_a_batch_holds_its_orders_once_and_all_that_moved() -> None:
    """One maker order against two takers, and the withdrawal after them."""
    venue = cut_venue()
    (batch,) = audited(venue).batches
    assert (len(batch.orders), len(batch.fills), len(batch.withdrawals)) == (3, 2, 1)
    assert (batch.header.first_seq, batch.header.last_seq) == (1, len(venue.entries))


def test_linked_and_triggered_orders_bring_their_own_signatures() -> None:
    """Each fill points at the order that was signed, wherever its command stands."""
    venue = bracketed_venue()
    venue.send(CutBatch())
    (batch,) = audited(venue).batches
    fills = [
        (batch.orders[fill.maker].terms.limit_price, batch.orders[fill.taker].terms.limit_price)
        for fill in batch.fills
    ]
    assert fills == [
        (usdc(2_500), usdc(2_500)),
        (usdc(2_600), usdc(2_600)),
        (usdc(2_350), usdc(2_300)),
    ]
    for order in batch.orders:
        assert recover_signer(order_digest(DOMAIN, order.terms), order.signature) in KEYS


def test_leaves_bring_a_proof_and_each_sheet_comes_once() -> None:
    """A quote that stayed is in the batch under both sheets, and both are on their way."""
    venue = quoted_venue()
    venue.send(CutBatch())
    (batch,) = audited(venue).batches
    assert [sheet.terms.sheet_nonce for sheet in batch.sheets] == [1, 2]
    for sheet in batch.sheets:
        digest = sheet_digest(DOMAIN, sheet.terms, sheet.root)
        assert recover_signer(digest, sheet.signature) == sheet.terms.signer
    leaves = {order.terms.nonce: order for order in batch.orders if order.sheet is not None}
    assert sorted(leaves) == [1_000, 2_000, 2_001]
    for nonce, order in leaves.items():
        assert order.sheet == nonce // 1_000 - 1
        leaf = order_struct_hash(order.terms)
        assert verify_proof(batch.sheets[order.sheet].root, leaf, list(order.proof))
    makers = [batch.orders[fill.maker].terms.nonce for fill in batch.fills]
    assert makers == [1_000, 2_001, 2_000]


def test_a_chain_with_the_same_batches_agrees() -> None:
    """A batch not yet settled is no difference."""
    venue = cut_venue()
    audit = audited(venue)
    assert audit.compare(settled(audit)) == 1
    assert audit.compare([]) == 0


def test_another_batch_on_chain_is_named_by_its_first_seq() -> None:
    """The relayer settled something that the journal does not hold."""
    audit = audited(cut_venue())
    false = [msgspec.structs.replace(item, batch_hash=bytes(32)) for item in settled(audit)]
    with pytest.raises(Difference, match="seq 1: batch 1"):
        audit.compare(false)


def test_a_batch_too_many_on_chain_is_found() -> None:
    """The chain may lag behind the journal, never lead."""
    audit = audited(cut_venue())
    (only,) = settled(audit)
    extra = msgspec.structs.replace(only, number=2, first_seq=99, last_seq=120)
    with pytest.raises(Difference, match="seq 99"):
        audit.compare([only, extra])
