"""The state's own small promises: canonical bytes, samples, owner keys."""

import msgspec
from tests.venue import FEE_ID, configuration, open_venue

from exchange.engine.state import Samples, Venue


def test_a_new_venue_has_canonical_bytes():
    """Also before it is configured."""
    assert Venue().encoded() == Venue().encoded()
    assert isinstance(msgspec.msgpack.decode(Venue().encoded()), list)


def test_the_encoding_does_not_depend_on_the_order_of_dicts():
    """Everything that came by key is sorted by key."""
    one, other = open_venue(), open_venue()
    for venue in (one, other):
        venue.fund("ann")
    state = other.engine._venue
    for name in ("instruments", "statuses", "books", "subaccounts", "samples"):
        held = getattr(state, name)
        setattr(state, name, dict(reversed(held.items())))
    assert one.engine._venue.encoded() == state.encoded()


def test_owner_keys_are_small_and_stable():
    """The same owner, the same number."""
    venue = Venue()
    venue.configure(configuration())
    first = venue.owner_key("ann")
    assert venue.owner_key("bob") != first
    assert venue.owner_key("ann") == first
    assert venue.open_subaccount(2, "ann").owner_key == first


def test_naming_the_venues_own_subaccount_keeps_its_cash():
    """It exists from the first configuration, without an owner."""
    venue = open_venue()
    state = venue.engine._venue
    before = state.subaccounts[FEE_ID]
    assert before.owner == ""
    assert state.open_subaccount(FEE_ID, "treasury") is before
    assert before.owner == "treasury"


def test_samples_keep_the_last_one_before_the_need():
    """It still holds when the window opens."""
    samples = Samples()
    for time_ns in (10, 20, 30, 40):
        samples.add(time_ns, time_ns * 100, needed_since_ns=25)
    assert list(samples.samples) == [(20, 2_000), (30, 3_000), (40, 4_000)]
    samples.add(50, 5_000, needed_since_ns=50)
    assert list(samples.samples) == [(50, 5_000)]
