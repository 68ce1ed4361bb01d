"""Delivery prices are averaged a second time, from the journaled samples alone."""

import random

import msgspec
import pytest
from tests.venue import EXPIRY_S, NS, Venue, names, open_venue, usdc

from exchange.audit import Difference
from exchange.audit.deliveries import DeliveryAudit
from exchange.events import DeliveryPriceFixed
from exchange.journal import EntryEncoder
from exchange.margin.merkle import sample_leaf, samples_root
from exchange.merkle import merkle_proof, verify_proof

WINDOW_S = 60


def delivered(seed: int = 1, first_s: int = -90) -> Venue:
    """A venue that expired after an uneven walk of the index."""
    rng = random.Random(seed)
    venue = open_venue(delivery_window_s=WINDOW_S)
    offset = first_s
    while offset < 0:
        venue.wait_until(EXPIRY_S + offset)
        venue.index(rng.randint(90_000, 110_000))
        offset += rng.randint(1, 7)
    venue.wait_until(EXPIRY_S)
    venue.index(10**6)
    venue.wait(3600)  # from then on a hole holds nothing up
    assert "DeliveryPriceFixed" in names(venue.expire())
    return venue


def audit(venue: Venue, **changes: object) -> None:
    encoder, audited = EntryEncoder(), DeliveryAudit()
    for _, time_ns, command, events in venue.entries:
        forged = tuple(
            msgspec.structs.replace(event, **changes)
            if isinstance(event, DeliveryPriceFixed)
            else event
            for event in events
        )
        audited.check(encoder.stamp(time_ns, command, forged)[0])


@pytest.mark.parametrize("seed", range(8))
def test_an_honest_delivery_passes(seed: int) -> None:
    """Whatever walk, and whether or not a sample held when the window began."""
    audit(delivered(seed))
    audit(delivered(seed, first_s=-WINDOW_S + 9))


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"price": usdc(99_999)}, "average"), ({"samples_root": bytes(32)}, "Merkle")],
)
def test_a_forged_delivery_is_found(changes: dict[str, object], word: str) -> None:
    """The price must be that of the samples, and the root must commit to them."""
    venue = delivered()
    with pytest.raises(Difference, match=word) as caught:
        audit(venue, **changes)
    assert caught.value.seq == len(venue.entries)


def test_a_journal_from_before_the_root_passes() -> None:
    """Journals stay readable: no root is no claim."""
    audit(delivered(), samples_root=b"")


def test_old_samples_are_forgotten() -> None:
    """A week of seconds does not stay in memory; what the next window needs does."""
    venue = open_venue(delivery_window_s=WINDOW_S)
    encoder, audited = EntryEncoder(), DeliveryAudit()
    for _ in range(3):
        venue.wait_until(venue.now_s + 30)
        venue.index()
    for _, time_ns, command, events in venue.entries:
        audited.check(encoder.stamp(time_ns, command, events)[0])
    _, _, command, events = venue.entries[-1]
    for second in range(5_000):
        audited.check(encoder.stamp(venue.time_ns + second * NS, command, events)[0])
    assert sum(map(len, audited._samples.values())) < 2_200


def test_one_sample_of_a_delivery_is_provable() -> None:
    """Whoever holds the root can be shown that a sample entered the price."""
    samples = [(EXPIRY_S * NS - at, usdc(100_000 + at)) for at in range(9)]
    leaves = [sample_leaf(*one) for one in samples]
    proof = merkle_proof(leaves, 4)
    assert verify_proof(samples_root(samples), leaves[4], proof)
    assert not verify_proof(samples_root(samples), leaves[5], proof)
