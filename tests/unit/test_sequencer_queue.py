"""The queue before the sequencer is bounded: callers are turned away, a stream waits."""

import asyncio

import pytest
from tests.unit.test_sequencer import Setup, index, running

from exchange import sequencer as module
from exchange.journal import Arrival, Sender, StreamId
from exchange.sequencer import SequencerBusy, SequencerStopped


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


def test_too_many_waiting_commands_are_turned_away(path, monkeypatch):
    """At once and before they are stamped: the caller may try again."""
    monkeypatch.setattr(module, "QUEUE_MAX", 2)

    async def story(s: Setup) -> None:
        tasks = [asyncio.create_task(s.sequencer.submit(index())) for _ in range(3)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["Reply", "Reply", "SequencerBusy"]
        assert isinstance(results[2], SequencerBusy)
        assert s.sequencer.last_seq == 2

    running(path, story)


@pytest.mark.parametrize("stops", [False, True])
def test_a_full_queue_makes_the_stream_wait(path, monkeypatch, stops):
    """Until there is room, or nothing is taken any more."""
    monkeypatch.setattr(module, "QUEUE_MAX", 2)

    async def story(s: Setup) -> None:
        assert s.task is not None
        coming = [
            asyncio.create_task(s.sequencer.admit(index(n), Arrival(StreamId(5, n), Sender(3, n))))
            for n in range(1, 6)
        ]
        await asyncio.sleep(0)
        assert s.sequencer.queue_length() == 2
        if stops:
            s.task.cancel()
        results = await asyncio.gather(*coming, return_exceptions=True)
        if stops:
            assert [type(one) for one in results] == [type(None)] * 2 + [SequencerStopped] * 3
            return
        assert results == [None] * 5
        await s.sequencer.submit(index(6))
        commands = [entry.command for entry in s.journal.reader.entries()]
        assert sorted(commands, key=lambda command: command.index_price) == [
            index(n) for n in range(1, 7)
        ]

    running(path, story)
