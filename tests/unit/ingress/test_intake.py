"""The leader's side: in order, each once, never late, whoever leads."""

import asyncio

import redis.asyncio as redis
from tests.ingress_world import SECRET, World, labeled, until

from exchange.commands import CutBatch
from exchange.ingress.messages import Expired, Seal
from exchange.ingress.stream import Stream, StreamLost
from exchange.journal import Sender, StreamId

SEAL = Seal(SECRET)


async def send(world: World, *numbers: int, gateway: int = 1, sent_ms: int | None = None) -> None:
    stream = Stream(world.server.url)
    at_ms = await stream.clock_ms() if sent_ms is None else sent_ms
    await stream.add([SEAL.request(Sender(gateway, one), at_ms, labeled(one)) for one in numbers])
    await stream.close()


def test_commands_are_applied_in_their_order(story):
    """Those that came before the leader too; the journal says who sent what, and its place."""

    async def told(world: World) -> None:
        await send(world, 1, 2, 3)
        leader = world.leader()
        await until(lambda: leader.sequencer.last_seq == 3, "three commands")
        await send(world, 4, gateway=2)
        await until(lambda: leader.sequencer.last_seq == 4, "the fourth")
        assert world.labels() == ["1", "2", "3", "4"]
        side = await world.gateway()
        tail = type(side.tail)(world.path)
        senders = {seq: one for found in tail.fetch() for seq, one in found.senders.items()}
        tail.close()
        assert senders == {1: (1, 1), 2: (1, 2), 3: (1, 3), 4: (2, 4)}
        assert leader.journal.last_place == leader.journal.reader.last_place() > (0, 0)

    story(told)


def test_who_takes_over_goes_on_where_the_journal_ends(story):
    """Nothing twice, nothing left out; not even what the dead one had read."""

    async def told(world: World) -> None:
        first = world.leader()
        await send(world, *range(1, 400))
        await until(lambda: first.sequencer.last_seq, "the first commit")
        await first.end()
        done = len(world.labels())
        assert done > 0
        second = world.leader()
        await send(world, *range(400, 500))
        await until(lambda: second.sequencer.last_seq == 499, "all the rest")
        assert world.labels() == [str(number) for number in range(1, 500)]

    story(told)


def test_a_command_that_waited_too_long_is_refused(story):
    """Whoever listens hears that nothing was done; it is not in the journal."""

    async def told(world: World) -> None:
        await send(world, 1)
        await asyncio.sleep(0.3)
        stream = Stream(world.server.url)
        async with stream.listening() as listener:
            leader = world.leader(expiry_ms=200)
            heard = await listener.next(30.0)
            assert heard is not None
            assert SEAL.open_news(heard) == Expired((Sender(1, 1),))
            _, left = await stream.read(StreamId(0, 0), count=10, wait_ms=1)
            assert left == []  # whoever leads next does not find it, though a clock went back
            await send(world, 2)
            await until(lambda: leader.sequencer.last_seq == 1, "the one that is fresh")
        await stream.close()
        assert world.labels() == ["2"]
        assert (leader.intake.taken, leader.intake.expired) == (1, 1)

    story(told)


def test_a_command_that_set_out_too_long_ago_is_refused(story):
    """Though its place is new: who froze, or kept it, does not make it young again."""

    async def told(world: World) -> None:
        leader = world.leader()
        now_ms = await leader.stream.clock_ms()
        await send(world, 1, sent_ms=now_ms - 5_500)
        await send(world, 2, sent_ms=now_ms - 500)
        await until(lambda: leader.sequencer.last_seq == 1, "the younger one")
        assert world.labels() == ["2"]
        assert leader.intake.expired == 1

    story(told)


def test_forged_and_repeated_commands_are_left_out(story):
    """And what comes after them is taken."""

    async def told(world: World) -> None:
        leader = world.leader()
        stream = Stream(world.server.url)
        now_ms = await stream.clock_ms()
        await stream.add(
            [
                b"nonsense",
                Seal("another venue").request(Sender(1, 1), now_ms, labeled(1)),
                SEAL.request(Sender(1, 2), now_ms, CutBatch()),
            ]
        )
        await send(world, 3)
        await send(world, 3, 4)
        await stream.close()
        await until(lambda: leader.sequencer.last_seq == 2, "the two good ones")
        assert world.labels() == ["3", "4"]

    story(told)


def test_a_server_that_lost_its_memory_is_used_again(story):
    """Though its clock, and so its count, should be behind the journal's."""

    async def told(world: World) -> None:
        leader = world.leader(expiry_ms=2**43)
        stream = Stream(world.server.url)
        await stream.begin_after(StreamId(2**42, 0))
        await send(world, 1)
        await until(lambda: leader.sequencer.last_seq == 1, "a place far ahead")
        assert leader.journal.last_place > (2**42, 0)
        world.server.kill()
        await until(lambda: not leader.intake.connected, "the loss")
        world.server.start()
        await until(lambda: leader.intake.connected, "the return")
        await send(world, 2)
        await until(lambda: leader.sequencer.last_seq == 2, "the next command")
        await stream.close()
        assert world.labels() == ["1", "2"]

    story(told)


def test_a_server_whose_clock_went_back_is_used_again(story):
    """By more than commands may be old: what the journal names is no stranger's place."""

    async def told(world: World) -> None:
        before = world.leader(expiry_ms=60_000)
        stream = Stream(world.server.url)
        await stream.begin_after(StreamId(await stream.clock_ms() + 30_000, 0))
        await stream.close()
        await send(world, 1)
        await until(lambda: before.sequencer.last_seq == 1, "a place ahead of the clock")
        await before.end()
        world.server.kill()
        world.server.start()
        leader = world.leader()
        await until(lambda: leader.intake.connected, "the server")
        for number in (2, 3):
            await send(world, number)
        await until(lambda: leader.sequencer.last_seq == 3, "what follows")
        assert world.labels() == ["1", "2", "3"]

    story(told)


def test_what_was_sent_before_the_clock_went_back_is_forgotten(story, monkeypatch):
    """How old it is nobody knows; its sender hears nothing, and what follows is taken."""
    forgotten: list[bool] = []
    forget = Stream.forget_all

    async def noted(stream: Stream) -> None:
        await forget(stream)
        forgotten.append(True)

    monkeypatch.setattr(Stream, "forget_all", noted)

    async def told(world: World) -> None:
        stream = Stream(world.server.url)
        await send(world, 1, sent_ms=await stream.clock_ms() + 60_000)
        await stream.close()
        leader = world.leader()
        await until(lambda: forgotten, "a new beginning")
        await send(world, 2)
        await until(lambda: leader.sequencer.last_seq == 1, "what follows")
        assert world.labels() == ["2"]
        assert forgotten == [True]
        assert leader.intake.expired == 0

    story(told)


def test_a_clock_that_went_back_past_a_refused_command_loses_nothing(story, monkeypatch):
    """The journal names no place so new, but this process knows the time that it was."""

    async def told(world: World) -> None:
        leader = world.leader()
        now_ms = await leader.stream.clock_ms()
        await send(world, 1, sent_ms=now_ms - 6_000)
        await until(lambda: leader.intake.expired, "the late one")
        read, asked = leader.stream.read, []

        async def behind(
            after: StreamId, *, count: int, wait_ms: int
        ) -> tuple[int, list[tuple[StreamId, bytes]]]:
            asked.append(after)
            now_ms, found = await read(after, count=count, wait_ms=wait_ms)
            return now_ms - 20_000, found

        monkeypatch.setattr(leader.stream, "read", behind)
        await until(lambda: asked, "a look at the clock that went back")
        for one in (2, 3, 4):
            await send(world, one, sent_ms=now_ms - 20_000)
            await asyncio.sleep(0.3)
        await until(lambda: leader.sequencer.last_seq == 3, "what follows")
        assert world.labels() == ["2", "3", "4"]

    story(told)


def test_one_lost_question_is_no_lost_server(story, monkeypatch):
    """What is said in vain is told, and the next answer counts again."""

    async def told(world: World) -> None:
        leader = world.leader()
        await until(lambda: leader.intake.connected, "the server")
        lost: list[bool] = []
        say = leader.stream.say

        async def lose(message: bytes) -> None:
            if lost:
                await say(message)
            else:
                lost.append(True)
                raise StreamLost("this one alone")

        monkeypatch.setattr(leader.stream, "say", lose)
        await send(world, 1)
        await until(lambda: lost, "the loss")
        await until(lambda: leader.intake.connected, "the next answer")
        await send(world, 2)
        await until(lambda: leader.sequencer.last_seq == 2, "what follows")
        assert leader.intake.connected

    story(told)


def test_the_stream_is_trimmed(story):
    """What the journal holds frees its memory."""

    async def told(world: World) -> None:
        leader = world.leader()
        for first in range(1, 2_001, 250):
            await send(world, *range(first, first + 250))
        await until(lambda: leader.sequencer.last_seq == 2_000, "all commands")
        left = 2_000

        async def count() -> int:
            return len((await leader.stream.read(StreamId(0, 0), count=5_000, wait_ms=1))[1])

        for _ in range(100):
            left = await count()
            if left < 500:
                break
            await asyncio.sleep(0.1)
        assert left < 500

    story(told)


def test_a_stream_that_was_led_beyond_its_clock_begins_anew(story):
    """By whoever can write to the server: no place of it must reach the journal."""

    async def told(world: World) -> None:
        leader = world.leader()
        await send(world, 1)
        await until(lambda: leader.sequencer.last_seq == 1, "the first")
        async with redis.Redis.from_url(world.server.url) as stranger:
            await stranger.xadd("exchange:0:commands", {b"c": b"x"}, id=f"{2**63}-0")
        await send(world, 2)  # the server numbers it after that
        number = 3
        async with asyncio.timeout(20):
            while leader.sequencer.last_seq == 1:  # until one comes after the new beginning
                await send(world, number)
                number += 1
                await asyncio.sleep(0.1)
        assert leader.journal.last_place.time_ms < 2**62

    story(told)
