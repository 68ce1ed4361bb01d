"""The gateway's side: the same facts as the leader's, and an answer to everything it sends."""

import asyncio
import contextlib
import signal
import sqlite3
from typing import Any

import pytest
from tests.ingress_world import World, labeled, until
from tests.venue import configuration

from exchange.events import ClockAdvanced, Refused
from exchange.ingress import replica as module
from exchange.ingress.stream import StreamLost
from exchange.journal import Delivery, EntryEncoder, JournalCorrupt, JournalUnavailable
from exchange.sequencer import (
    OutcomeUnknown,
    SequencerBusy,
    SequencerStopped,
    SequencerUnreachable,
)


@pytest.fixture
def hurried(monkeypatch):
    """Waits of a test's length."""
    monkeypatch.setattr(module, "ANSWER_S", 1.0)
    monkeypatch.setattr(module, "SILENCE_S", 2.0)


async def both(*calls: Any) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


def test_two_gateways_hear_of_each_other(story):
    """Each gets its own replies, and both follow every command, in the journal's order."""

    async def told(world: World) -> None:
        leader = world.leader()
        one, two = await world.gateway(), await world.gateway()
        heard: list[int] = []
        one.replica.subscribe(lambda entries: heard.extend(entry.seq for entry in entries))
        calls = [
            side.replica.submit(labeled(number * 2 + at))
            for number in range(100)
            for at, side in enumerate((one, two))
        ]
        replies = await asyncio.gather(*calls)
        assert sorted(reply.seq for reply in replies) == list(range(1, 201))
        for number, reply in enumerate(replies):
            entry = leader.journal.reader.entry(reply.seq)
            assert entry.command == labeled(number)
            assert (entry.events, entry.chain_hash) == (reply.events, reply.chain_hash)
            assert isinstance(reply.events[0], Refused)
        await until(lambda: len(heard) == 200, "everything")
        assert heard == list(range(1, 201))
        assert one.replica.queue_length() == two.replica.queue_length() == 0

    story(told)


def test_what_one_gateway_sends_keeps_its_order(story):
    """Whatever pipelines and groups it passes through."""

    async def told(world: World) -> None:
        world.leader()
        side = await world.gateway()
        await asyncio.gather(*(side.replica.submit(labeled(number)) for number in range(1_500)))
        assert world.labels() == [str(number) for number in range(1_500)]

    story(told)


def test_reads_see_what_the_leader_knows(story):
    """Also of commands that arose in its own process, and the same state."""

    async def told(world: World) -> None:
        leader = world.leader()
        side = await world.gateway()
        await leader.sequencer.submit(configuration())
        await until(lambda: side.replica.last_seq == 1, "the command")
        assert await side.replica.read(lambda engine: engine.parameters) == configuration()
        hashes = [
            await one.read(lambda engine: engine.state_hash())
            for one in (leader.sequencer, side.replica)
        ]
        assert hashes[0] == hashes[1]
        assert side.replica.now_ns() >= leader.journal.reader.entry(1).time_ns

    story(told)


def test_a_gateway_outlives_its_leader(story):
    """What was sent meanwhile is done by the next one, once."""

    async def told(world: World) -> None:
        first = world.leader()
        side = await world.gateway()
        await side.replica.submit(labeled(0))
        await first.end()
        waiting = asyncio.gather(*(side.replica.submit(labeled(n)) for n in range(1, 50)))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        world.leader()
        replies = await waiting
        assert [reply.seq for reply in replies] == list(range(2, 51))
        assert world.labels() == [str(number) for number in range(50)]

    story(told)


def test_without_redis_commands_are_refused_and_reads_go_on(story):
    """By name, at once; when it is back, so are they."""

    async def told(world: World) -> None:
        leader = world.leader()
        side = await world.gateway()
        await side.replica.submit(labeled(1))
        world.server.kill()
        await until(lambda: not side.replica.connected, "the loss")
        with pytest.raises(SequencerUnreachable, match="nothing was done"):
            await side.replica.submit(labeled(2))
        await leader.sequencer.submit(configuration())
        await until(lambda: side.replica.last_seq == 2, "the news, by polling")
        world.server.start()
        await until(lambda: side.replica.connected, "the return")
        assert (await side.replica.submit(labeled(3))).seq == 3
        assert world.labels() == ["1", "3"]

    story(told)


def test_nobody_waits_for_ever(story, hurried):
    """Without a leader the outcome is unknown; after a while of silence nothing is sent at all."""

    async def told(world: World) -> None:
        side = await world.gateway()
        with pytest.raises(OutcomeUnknown, match="nonce"):
            await side.replica.submit(labeled(1))
        await until(lambda: side.replica.leader_silent_s() > module.SILENCE_S, "silence")
        with pytest.raises(SequencerUnreachable, match="no engine leads"):
            await side.replica.submit(labeled(2))
        assert side.replica.queue_length() == 0

    story(told)


def test_what_expired_is_answered_as_not_done(story):
    """The leader that came too late says so."""

    async def told(world: World) -> None:
        side = await world.gateway()
        waiting = asyncio.ensure_future(side.replica.submit(labeled(1)))
        await asyncio.sleep(0.4)
        world.leader(expiry_ms=200)
        with pytest.raises(SequencerUnreachable, match="waited too long"):
            await waiting
        assert world.labels() == []

    story(told)


def test_a_server_that_was_frozen_makes_nothing_young_again(story):
    """What it had in its socket gets a new place when it wakes, and is never done all the same.

    On a busy machine its sender may hear no more than that nobody says.
    """

    async def told(world: World) -> None:
        world.leader(expiry_ms=300)
        side = await world.gateway()
        await side.replica.submit(labeled(1))
        world.server.signal(signal.SIGSTOP)
        waiting = asyncio.ensure_future(side.replica.submit(labeled(2)))
        await asyncio.sleep(1.0)
        world.server.signal(signal.SIGCONT)
        with pytest.raises((SequencerUnreachable, OutcomeUnknown), match=r"waited too long|nobody"):
            await waiting
        assert (await side.replica.submit(labeled(3))).seq == 2
        assert world.labels() == ["1", "3"]

    story(told)


def test_too_many_that_wait_are_told_busy(story, monkeypatch):
    """The queue of a gateway is bounded."""
    monkeypatch.setattr(module, "QUEUE_MAX", 3)

    async def told(world: World) -> None:
        side = await world.gateway()
        waiting = [asyncio.ensure_future(side.replica.submit(labeled(n))) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(SequencerBusy):
            await side.replica.submit(labeled(4))
        world.leader()
        assert len(await asyncio.gather(*waiting)) == 3

    story(told)


def test_a_stranger_is_not_heard(story, hurried):
    """Another secret: the leader takes nothing from it, and it believes no news."""

    async def told(world: World) -> None:
        leader = world.leader()
        stranger = await world.gateway(secret="of another venue")
        (found,) = await both(stranger.replica.submit(labeled(1)))
        assert isinstance(found, OutcomeUnknown)
        await leader.sequencer.submit(configuration())
        await until(lambda: stranger.replica.last_seq == 1, "what stands in the journal")
        assert world.labels() == []

    story(told)


def test_a_replica_that_strays_stops(story):
    """It shows nothing that the journal does not say, and who waits is told."""

    async def told(world: World) -> None:
        leader = world.leader()
        side = await world.gateway()
        await leader.sequencer.submit(configuration())
        await until(lambda: side.replica.last_seq == 1, "the first command")
        await leader.end()
        waiting = asyncio.ensure_future(side.replica.submit(labeled(1)))
        with leader.journal.__class__(world.path) as journal:
            encoder = EntryEncoder(journal.last_seq, journal.chain_hash)
            entry, record = encoder.stamp(2**62, labeled(7), (ClockAdvanced(offset_ns=1),))
            journal.append([entry], [record])
        await until(lambda: side.replica.stopped, "the end")
        assert isinstance((await both(waiting))[0], SequencerStopped)
        with pytest.raises(SequencerStopped):
            await side.replica.submit(labeled(2))
        (found,) = await both(side.outcome())
        assert isinstance(found, ExceptionGroup)
        assert found.subgroup(JournalCorrupt) is not None

    story(told)


def test_a_gateway_under_which_the_journal_went_back_ends(story):
    """It would show what is gone, and hear of nothing new until the older copy is as long."""

    async def told(world: World) -> None:
        leader = world.leader()
        side = await world.gateway()
        for number in (1, 2, 3):
            await side.replica.submit(labeled(number))
        await leader.end()
        with contextlib.closing(sqlite3.connect(world.path)) as connection, connection:
            connection.execute("DELETE FROM journal_batches WHERE first_seq > 1")
        await until(lambda: side.replica.stopped, "the end")
        (found,) = await both(side.outcome())
        assert isinstance(found, ExceptionGroup)
        assert found.subgroup(JournalCorrupt) is not None

    story(told)


def test_a_store_that_is_away_ends_nobody(story):
    """The replica looks again until it is back, and clients are answered meanwhile."""

    async def told(world: World) -> None:
        leader = world.leader()
        side = await world.gateway()
        fetch, asked = side.tail.fetch, []

        def away() -> list[Delivery]:
            asked.append(True)
            raise JournalUnavailable("the server is gone")

        side.tail.fetch = side.tail.lease = away
        await until(lambda: len(asked) > 3, "looks")
        await until(lambda: side.replica.unread_s() > 3 * module.RETRY_S, "silence")
        await leader.sequencer.submit(configuration())
        assert await side.replica.read(lambda engine: engine.parameters) is None
        assert not side.replica.stopped
        side.tail.fetch = fetch
        await until(lambda: side.replica.last_seq == 1, "the command")
        assert side.replica.unread_s() < 3 * module.RETRY_S

    story(told)


def test_an_engine_that_does_not_reach_redis_is_noticed(story):
    """It leads, as the journal shows, and says nothing: what is sent would not reach it."""

    async def told(world: World) -> None:
        leader = world.leader()
        side = await world.gateway()
        await side.replica.submit(labeled(1))
        assert side.replica.unheard_s() < 1.0
        await leader.stream.close()

        async def lost(*_: object, **__: object) -> None:
            raise StreamLost("this engine alone")

        for name in ("read", "say", "begin_after", "forget_before"):
            setattr(leader.stream, name, lost)
        await until(lambda: side.replica.unheard_s() > 2.0, "silence")
        assert side.replica.connected
        assert side.replica.leader_silent_s() < 1.0
        assert not leader.intake.connected

    story(told)
