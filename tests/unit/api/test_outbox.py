"""What a slow reader gets: less, or a goodbye; never more memory."""

import asyncio

from exchange.api.outbox import DELTAS_MAX, Outbox


def drained(outbox):
    """Everything that can be taken now."""
    return list(iter(outbox.pop, None))


def outbox(messages=1_000, size=10_000, resync=lambda channel: b"snapshot " + channel.encode()):
    return Outbox(messages, size, resync)


def test_messages_keep_their_order():
    box = outbox()
    for number in range(5):
        box.put(b"%d" % number)
    assert drained(box) == [b"0", b"1", b"2", b"3", b"4"]


def test_latest_values_replace_each_other_in_place():
    box = outbox()
    box.put_latest("ticker", b"old")
    box.put(b"reply")
    box.put_latest("ticker", b"new")
    assert drained(box) == [b"new", b"reply"]
    box.put_latest("ticker", b"again")
    assert drained(box) == [b"again"]


def test_few_deltas_all_arrive():
    box = outbox()
    for number in range(DELTAS_MAX):
        box.put_delta("book", b"%d" % number)
    assert len(drained(box)) == DELTAS_MAX


def test_many_deltas_become_one_snapshot():
    box = outbox()
    for number in range(5 * DELTAS_MAX):
        box.put_delta("book", b"%d" % number)
    box.put_delta("other", b"x")
    assert drained(box) == [b"snapshot book", b"x"]
    box.put_delta("book", b"after")
    assert drained(box) == [b"after"]


def test_a_promised_snapshot_sends_nothing_now():
    box = outbox(resync=lambda _: None)
    for number in range(DELTAS_MAX + 1):
        box.put_delta("book", b"%d" % number)
    assert drained(box) == []


def test_a_left_channel_is_forgotten():
    box = outbox()
    box.put_latest("ticker", b"x")
    box.put_delta("book", b"y")
    box.forget("ticker")
    box.forget("book")
    assert drained(box) == []


def test_too_many_messages_overflow():
    box = outbox(messages=3)
    for _ in range(3):
        box.put(b"x")
    assert not box.overflowed.is_set()
    box.put(b"x")
    assert box.overflowed.is_set()


def test_too_many_bytes_overflow_and_sent_ones_do_not_count():
    box = outbox(size=10)
    box.put(b"x" * 10)
    drained(box)
    box.put(b"x" * 10)
    assert not box.overflowed.is_set()
    box.put_latest("a", b"yy")
    assert not box.overflowed.is_set()
    box.put(b"z")
    assert box.overflowed.is_set()


def test_take_waits_for_a_message():
    async def scenario():
        box = outbox()
        taking = asyncio.create_task(box.take())
        await asyncio.sleep(0)
        assert not taking.done()
        box.put(b"x")
        return await asyncio.wait_for(taking, 1)

    assert asyncio.run(scenario()) == b"x"
