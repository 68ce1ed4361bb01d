"""Events survive the journal."""

import msgspec
from hypothesis import given
from tests.structs import any_of

from exchange.events import AnyEvent, Event


@given(any_of(AnyEvent))
def test_events_round_trip(event):
    """msgpack gives the same event back; so a replay can be compared with the journal."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=AnyEvent) == event


def test_every_event_is_in_the_union():
    """An event outside `AnyEvent` could be written but not read back."""
    assert set(AnyEvent.__args__) == set(Event.__subclasses__())
