"""Events survive the journal, and reasons of refusals have stable wire names."""

import msgspec
import pytest
from hypothesis import given
from tests.structs import any_of

from exchange.events import AnyEvent, CancelReason, Event, RejectReason


@given(any_of(AnyEvent))
def test_events_round_trip(event):
    """msgpack gives the same event back; so a replay can be compared with the journal."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=AnyEvent) == event


def test_every_event_is_in_the_union():
    """An event outside `AnyEvent` could be written but not read back."""
    assert set(AnyEvent.__args__) == set(Event.__subclasses__())


@pytest.mark.parametrize("reasons", [RejectReason, CancelReason])
def test_reasons_are_words_for_the_wire(reasons):
    """Lower case, snake case, unique."""
    values = [reason.value for reason in reasons]
    assert all(value == value.lower() and value.replace("_", "").isalpha() for value in values)
    assert len(set(values)) == len(values)


def test_reject_reasons_are_named_as_their_members():
    """One word, one meaning, in code and on the wire."""
    assert [reason.value for reason in RejectReason] == [r.name.lower() for r in RejectReason]
