"""Traces reach a real collector, and cost nothing where nobody asks for them."""

import asyncio
import itertools
import subprocess
import sys

import pytest
from tests.span_receiver import receiver
from tests.unit.api.world import World
from tests.venue import configuration, open_venue

from exchange.api.gateway import Caller
from exchange.bootstrap.tracing import BATCHES_MAX, TracedDispatcher, Tracing
from exchange.commands import NoteAction
from exchange.engine import Engine
from exchange.events import BatchConfirmed, BatchCut
from exchange.journal import Entry, Journal
from exchange.sequencer import GroupTimes, Sequencer

STAGES = ["queue", "apply", "journal", "publish"]


@pytest.fixture
def collector(monkeypatch):
    with receiver() as one:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.url)
        yield one


def sequenced(path, tracing, commands):
    """What a sequencer answers to commands that come at once."""

    async def run():
        with Journal(str(path)) as journal:
            sequencer = Sequencer(Engine(), journal, trace=tracing)
            writing = asyncio.create_task(sequencer.run())
            replies = await asyncio.gather(*map(sequencer.submit, commands))
            writing.cancel()
            return replies

    return asyncio.run(run())


def test_each_command_shows_its_stages(tmp_path, collector):
    """One after the other, under a span with the seq, whose time is the venue's."""
    tracing = Tracing()
    note = NoteAction(who="ann", action="halt", why="drill", request_id="ticket-7")
    first, second = sequenced(tmp_path / "journal.db", tracing, [note, configuration()])
    tracing.close()
    (noted,) = collector.named("NoteAction")
    (configured,) = collector.named("Configure")
    assert noted.attributes == {"exchange.seq": 1, "exchange.request_id": "ticket-7"}
    assert noted.error == "not_configured"
    assert (configured.attributes, configured.error) == ({"exchange.seq": second.seq}, "")
    assert configured.service == "exchange"
    for span, reply in ((noted, first), (configured, second)):
        assert span.parent_id == ""
        below = collector.below(span)
        assert [one.name for one in below] == STAGES
        assert (below[0].start_ns, below[-1].end_ns) == (span.start_ns, span.end_ns)
        for one, next_ in itertools.pairwise(below):
            assert one.start_ns <= one.end_ns == next_.start_ns
        assert abs(below[1].start_ns - reply.time_ns) < 10**9
        assert {one.attributes["exchange.seq"] for one in below} == {reply.seq}


def test_a_batch_is_a_span_from_its_cut_to_its_confirmation(collector):
    """Of batches that were cut while it watched; it does not remember them for ever."""
    tracing = Tracing()
    venue = open_venue()
    cuts = [
        BatchCut(number=number, first_seq=10, last_seq=20, risk_epoch=1, state_hash=bytes(32))
        for number in range(1, BATCHES_MAX + 2)
    ]
    confirmed = [
        BatchConfirmed(number=number, block=5, transaction="0xabc") for number in (1, 2, 5_000)
    ]
    command = venue.entries[0][2]
    for time_ns, seq, events in ((10**9, 20, cuts), (4 * 10**9, 21, confirmed)):
        entry = Entry(
            seq=seq, time_ns=time_ns, command=command, events=tuple(events), chain_hash=bytes(32)
        )
        tracing.group(GroupTimes([entry], [tracing.origin()], [0.0], 0.0, 0.0, 0.0, 0.0))
    tracing.close()
    (settled,) = collector.named("settle")
    assert (settled.start_ns, settled.end_ns) == (10**9, 4 * 10**9)
    assert settled.attributes == {
        "exchange.batch": 2,
        "exchange.first_seq": 10,
        "exchange.last_seq": 20,
        "exchange.seq": 21,
        "exchange.transaction": "0xabc",
    }


def test_a_collector_that_is_away_holds_nobody_up(tmp_path, monkeypatch):
    """The venue goes on, and ends in time."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    tracing = Tracing()
    (reply,) = sequenced(tmp_path / "journal.db", tracing, [configuration()])
    assert reply.seq == 1
    tracing.close()


def test_the_sampler_of_the_environment_decides(tmp_path, collector, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracing = Tracing()
    sequenced(tmp_path / "journal.db", tracing, [configuration()])
    tracing.close()
    assert collector.spans == []


def test_calls_are_spans_with_the_request_and_its_refusal(collector):
    """Unknown methods keep a stranger's words out of the names."""
    tracing = Tracing()
    world = World()
    dispatcher = tracing.dispatcher(world.gateway, list(world.dispatcher.methods.values()))
    assert isinstance(dispatcher, TracedDispatcher)

    async def ask(text):
        return await dispatcher.call_text(text, Caller(address="test"))

    asyncio.run(ask(b'{"id":"mine","method":"public/get_time"}'))
    asyncio.run(ask(b'{"id":8,"method":"public/ticker"}'))
    asyncio.run(ask(b'{"method":"public/' + b"x" * 40 + b'"}'))
    asyncio.run(dispatcher.call_method("public/test", b"", Caller(address="test")))
    world.gateway.stop()
    tracing.close()
    found = {(span.name, span.attributes.get("exchange.request_id")) for span in collector.spans}
    assert found == {
        ("public/get_time", "mine"),
        ("public/ticker", "8"),
        ("call", None),
        ("public/test", None),
    }
    errors = {span.name: span.error for span in collector.spans}
    assert errors["public/get_time"] == ""
    assert errors["public/ticker"]


def test_the_door_to_it_stays_shut_unless_it_is_asked_for():
    """No process of the engine's imports it; redis-py looks for the SDK by itself."""
    code = (
        "import exchange.bootstrap.engine_process, sys;"
        "print('exchange.bootstrap.tracing' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_venue_without_the_extra_says_what_is_missing():
    """In one line, before any port opens."""
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from exchange.bootstrap.processes import StartFailed\n"
        "try:\n    import exchange.bootstrap.tracing\n"
        "except StartFailed as error:\n    print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("EXCHANGE_TRACES needs the extra `traces`")
