"""The door to Redis, on a real server."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from exchange.ingress.stream import Stream, StreamLost
from exchange.journal import StreamId

START = StreamId(0, 0)


@pytest.fixture
def using(server):
    def run(story: Callable[[Stream], Awaitable[None]]) -> None:
        async def main() -> None:
            stream = Stream(server.url)
            try:
                await story(stream)
            finally:
                await stream.close()

        asyncio.run(main())

    return run


def test_messages_come_in_order_and_from_any_place(using):
    """Also in several reads, and with the server's clock."""

    async def story(stream: Stream) -> None:
        assert (await stream.read(START, count=10, wait_ms=1))[1] == []
        await stream.add([b"a", b"b"])
        await stream.add([b"c"])
        now_ms, found = await stream.read(START, count=2, wait_ms=1)
        assert [message for _, message in found] == [b"a", b"b"]
        assert 0 <= now_ms - found[0][0].time_ms < 60_000
        _, rest = await stream.read(found[-1][0], count=10, wait_ms=1)
        assert [message for _, message in rest] == [b"c"]
        await stream.forget_before(rest[0][0])
        assert (await stream.read(rest[0][0], count=10, wait_ms=1))[1] == []

    using(story)


def test_a_server_that_counts_from_an_earlier_time_is_set_right(using):
    """What is added comes after what was read; on a server that knows more nothing happens."""

    async def story(stream: Stream) -> None:
        ahead = StreamId(2**42, 5)  # a hundred years from now
        await stream.begin_after(ahead)
        await stream.add([b"a"])
        _, found = await stream.read(ahead, count=10, wait_ms=1)
        assert [message for _, message in found] == [b"a"]
        assert found[0][0] > ahead
        await stream.begin_after(StreamId(1, 0))
        assert (await stream.read(found[0][0], count=10, wait_ms=1))[1] == []

    using(story)


def test_news_reach_who_listens(using):
    """Whoever came later has missed them."""

    async def story(stream: Stream) -> None:
        await stream.say(b"early")
        async with stream.listening() as listener:
            await stream.say(b"now")
            assert await listener.next(10.0) == b"now"
            assert await listener.next(0.01) is None

    using(story)


def test_a_server_that_is_away_is_named(using, server):
    """By every question, and by whoever listens."""

    async def story(stream: Stream) -> None:
        async with stream.listening() as listener:
            server.kill()
            with pytest.raises(StreamLost):
                await listener.next(10.0)
        for question in (
            stream.clock_ms(),
            stream.add([b"a"]),
            stream.read(START, count=1, wait_ms=1),
            stream.say(b"a"),
            stream.forget_before(StreamId(1, 0)),
            stream.begin_after(StreamId(1, 0)),
        ):
            with pytest.raises(StreamLost):
                await question
        server.start()
        await stream.clock_ms()

    using(story)


def test_shards_share_a_server_and_nothing_on_it(using, server):
    """Neither commands nor news of one reach another."""

    async def story(first: Stream) -> None:
        second = Stream(server.url, shard=1)
        try:
            async with second.listening() as news:
                await first.add([b"a"])
                await second.add([b"b"])
                await first.say(b"first")
                await second.say(b"second")
                assert await news.next(10.0) == b"second"
            for stream, message in ((first, b"a"), (second, b"b")):
                _, found = await stream.read(START, count=10, wait_ms=1)
                assert [body for _, body in found] == [message]
        finally:
            await second.close()

    using(story)
