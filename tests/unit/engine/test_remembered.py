"""Pages of what is remembered: the same digests whoever asked before, and no change unseen."""

import hashlib
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venue import open_venue

from exchange.commands import CutBatch
from exchange.engine import Engine
from exchange.engine.remembered import (
    NONCE_PAGES,
    ORDERS_SHIFT,
    WORD_SHIFT,
    Digests,
    EndedOrders,
    Nonces,
)
from exchange.engine.state import Venue
from exchange.events import BatchCut
from exchange.freeze import Foreign
from exchange.model import OrderStatus, Side, numbered

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "discard", "ask"]), st.integers(0, 3 * NONCE_PAGES << WORD_SHIFT)
    ),
    max_size=60,
)


@given(CHANGES)
def test_nonces_are_a_set_whose_digest_is_of_its_content(changes):
    nonces, twin = Nonces(), set()
    for what, nonce in changes:
        if what == "ask":
            nonces.state()
        else:
            getattr(nonces, what)(nonce)
            getattr(twin, what)(nonce)
    assert all((nonce in nonces) == (nonce in twin) for _, nonce in changes)
    again = Nonces()
    for nonce in sorted(twin):
        again.add(nonce)
    assert nonces.state() == again.state()
    nonces.check()


def test_each_nonce_counts():
    found = set()
    for nonce in (
        0,
        1,
        255,
        256,
        (NONCE_PAGES << WORD_SHIFT) - 1,
        NONCE_PAGES << WORD_SHIFT,
        2**63 - 1,
    ):
        nonces = Nonces()
        nonces.add(nonce)
        found.add(nonces.state())
        nonces.discard(nonce)
        assert nonces.state() == Nonces().state() == hashlib.sha256().digest()
    assert len(found) == 7


def test_only_pages_that_changed_are_read():
    digests, read = Digests(), []

    def content(page):
        read.append(page)
        return b"%d" % page

    for page in range(10):
        digests.touch(page)
    first = digests.total(content)
    assert (digests.total(content), len(read)) == (first, 10)
    digests.touch(7)
    assert (digests.total(content), read[10:]) == (first, [7])
    digests.touch(700)
    assert digests.total(content) != first
    assert read[11:] == [700]


class Some(msgspec.Struct):
    """What `EndedOrders` needs of an order."""

    order_id: int
    status: int = 0
    is_over: bool = False


@pytest.mark.parametrize("seed", range(5))
def test_what_was_asked_before_changes_nothing(seed):
    """Two that see the same orders live and die, one of them asked all the time, agree."""
    rng = random.Random(seed)
    asked, other, alive = EndedOrders(), EndedOrders(), {}
    for number in range(600):
        order = Some(numbered(number + 1, rng.randrange(3)))
        alive[order.order_id] = order
        asked.watch(order)
        other.watch(order)
        for one in rng.sample(list(alive.values()), min(3, len(alive))):
            if not one.is_over:
                one.is_over, one.status = True, rng.randrange(5)
                asked.touch(one)
            elif rng.random() < 0.3:
                del alive[one.order_id]
                asked.forget(one)
                other.forget(one)
            else:
                one.status += 1
                asked.touch(one)
                other.touch(one)
        if rng.random() < 0.4:
            asked.state()
    standing, digest = asked.state()
    assert (standing, digest) == other.state()
    assert [one.order_id for one in standing] == sorted(
        key for key, one in alive.items() if not one.is_over
    )
    asked.check(alive)


def test_a_change_behind_its_back_is_found():
    ended, order = EndedOrders(), Some(numbered(1, 0), is_over=True)
    ended.watch(order)
    ended.check({order.order_id: order})
    order.status = 9
    with pytest.raises(AssertionError, match="after its end"):
        ended.check({order.order_id: order})


def traded_venue():
    """One order filled, one canceled, one standing."""
    venue = open_venue()
    ids = [venue.fund("0x" + digit * 40, 10**6) for digit in "12"]
    for side, who, price in ((Side.SELL, 0, 1_000), (Side.BUY, 1, 1_000), (Side.BUY, 1, 900)):
        venue.order(ids[who], side, 1, price)
    return venue, ids


def test_the_hash_is_of_what_a_snapshot_brings_back():
    """Digests are not kept in one: they are made of what came back."""
    venue, _ = traded_venue()
    engine = venue.engine
    hashed = engine.state_hash()
    again = Engine.restored(engine.snapshot())
    assert again.state_hash() == hashed
    inner: Venue = again._venue
    over = next(one for one in inner.orders.values() if one.status is OrderStatus.FILLED)
    over.label = "altered"
    changed = Engine.restored(again.snapshot())
    assert changed.state_hash() != hashed


def test_a_snapshot_without_an_order_is_refused():
    """Its nonce would be free again, and the hash does not look where the engine looks it up."""
    venue, _ = traded_venue()
    again = Engine.restored(venue.engine.snapshot())
    inner: Venue = again._venue
    over = next(one for one in inner.orders.values() if one.status is OrderStatus.FILLED)
    subaccount = inner.subaccounts[over.terms.subaccount_id]
    del subaccount.orders[over.terms.nonce]
    with pytest.raises(Foreign, match="no subaccount knows"):
        Engine.restored(again.snapshot())
    del inner.orders[over.order_id]
    assert Engine.restored(again.snapshot()).state_hash() != venue.engine.state_hash()
    subaccount.orders[over.terms.nonce] = over
    with pytest.raises(Foreign, match="not where it belongs"):
        Engine.restored(again.snapshot())


def test_a_batch_costs_what_changed_since_the_last(monkeypatch):
    """Not all that is remembered: pages of orders long over are not encoded again."""
    venue, ids = traded_venue()
    venue.send(CutBatch())
    for _ in range(1 << ORDERS_SHIFT):
        venue.index()
    encoded, plain = [], EndedOrders._content
    monkeypatch.setattr(
        EndedOrders, "_content", lambda self, page: encoded.append(page) or plain(self, page)
    )
    seq = venue.engine.seq
    for command in (
        venue.sign(ids[0], Side.SELL, 1, 1_000),
        venue.sign(ids[1], Side.BUY, 1, 1_000),
        CutBatch(),
    ):  # past the venue's own checks, which read every page
        seq += 1
        events = venue.engine.apply(seq, venue.time_ns, command)
    assert isinstance(events[0], BatchCut)
    assert encoded == [seq >> ORDERS_SHIFT]
