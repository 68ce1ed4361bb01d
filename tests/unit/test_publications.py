"""What the journal decides about the chain survives it, and older journals stay readable."""

import msgspec
from tests.unit.engine.test_published import RULES
from tests.venue import configuration

from exchange.commands import AnyCommand, Configure
from exchange.events import BatchCut, MarksUpdated


def test_parameters_round_trip() -> None:
    """msgpack gives the same back; without them nothing is published."""
    command = configuration(publication=RULES)
    encoded = msgspec.msgpack.encode(command)
    assert msgspec.msgpack.decode(encoded, type=AnyCommand) == command
    fields = msgspec.to_builtins(command)
    del fields["publication"]
    assert msgspec.convert(fields, Configure).publication is None


def test_events_from_before_publications_name_none() -> None:
    """Batches had an epoch, but no marks to prove."""
    fields = {"number": 1, "first_seq": 1, "last_seq": 2, "risk_epoch": 3, "state_hash": b"4"}
    assert msgspec.convert({"type": "BatchCut", **fields}, BatchCut).marks_seq == 0
    assert not MarksUpdated(epoch=1, root=b"").published
