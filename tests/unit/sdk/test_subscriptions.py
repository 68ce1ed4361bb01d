"""Streams are bounded, mirrors mend, shared channels stay while somebody listens."""

import asyncio

from exchange.sdk.book import BookMirror
from exchange.sdk.subscriptions import Stream, Subscriptions


def snapshot(change_id):
    return {"type": "snapshot", "change_id": change_id, "bids": [], "asks": []}


def test_a_stream_gives_messages_in_order_and_drops_the_oldest():
    async def scenario():
        stream = Stream(["a"], queue_max=2)
        for number in range(4):
            stream.put("a", number)
        found = [await stream.next(), await stream.next()]
        waiting = asyncio.create_task(stream.next())
        await asyncio.sleep(0)
        stream.put("a", 4)
        found.append(await waiting)
        return found, stream.dropped

    assert asyncio.run(scenario()) == ([("a", 2), ("a", 3), ("a", 4)], 2)


def test_a_stream_is_iterated():
    async def scenario():
        stream = Stream(["a"])
        stream.put("a", 1)
        return await anext(aiter(stream))

    assert asyncio.run(scenario()) == ("a", 1)


def test_a_channel_is_left_when_nobody_listens():
    subscriptions = Subscriptions()
    first, second = Stream(["a", "b"]), Stream(["a"])
    subscriptions.add_stream(first)
    subscriptions.add_stream(second)
    subscriptions.add_mirror("b", BookMirror("X"))
    assert subscriptions.channels == ["a", "b"]
    assert subscriptions.remove_stream(first) == []
    assert subscriptions.remove_stream(second) == ["a"]
    assert subscriptions.remove_stream(second) == ["a"]
    assert subscriptions.channels == ["b"]


def test_messages_reach_streams_and_mirrors():
    subscriptions = Subscriptions()
    stream, mirror = Stream(["book.X.raw"]), BookMirror("X")
    subscriptions.add_stream(stream)
    ready = subscriptions.add_mirror("book.X.raw", mirror)
    subscriptions.receive("book.X.raw", snapshot(1))
    subscriptions.receive("other", 1)
    assert ready.is_set()
    assert subscriptions.mirror("book.X.raw") is mirror
    assert asyncio.run(stream.next())[1] == snapshot(1)


def test_a_gap_is_told_once():
    subscriptions = Subscriptions()
    subscriptions.add_mirror("b", BookMirror("X"))
    subscriptions.receive("b", snapshot(1))
    gap = {"type": "change", "prev_change_id": 5, "change_id": 6, "bids": [], "asks": []}
    subscriptions.receive("b", gap)
    subscriptions.receive("b", gap)
    assert subscriptions.gaps.qsize() == 1


def test_a_lost_connection_makes_mirrors_stale():
    subscriptions, mirror = Subscriptions(), BookMirror("X")
    subscriptions.add_mirror("b", mirror)
    subscriptions.receive("b", snapshot(1))
    subscriptions.lost()
    assert mirror.stale
