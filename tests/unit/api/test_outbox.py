"""What a slow reader gets: less, or a goodbye; never more memory."""

from exchange.api.outbox import DELTAS_MAX, Outbox


def drained(outbox):
    """Everything that can be taken now."""
    return list(iter(outbox.pop, None))


def nothing():
    """Nobody hears of an overflow."""


def snapshot(channel):
    return b"snapshot " + channel.encode()


def outbox(messages=1_000, size=10_000, resync=snapshot, overflow=nothing):
    return Outbox(messages, size, resync, overflow)


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


def test_what_is_forgotten_does_not_count():
    overflows = []
    box = outbox(size=10, overflow=lambda: overflows.append(len(box)))
    for _ in range(5):
        box.put_latest("ticker", b"x" * 9)
        box.forget("ticker")
    box.put(b"x" * 10)
    assert overflows == []


def test_too_many_messages_overflow():
    overflows = []
    box = outbox(messages=3, overflow=lambda: overflows.append(len(box)))
    for _ in range(3):
        box.put(b"x")
    assert overflows == []
    box.put(b"x")
    assert overflows == [4]


def test_too_many_bytes_overflow_and_sent_ones_do_not_count():
    overflows = []
    box = outbox(size=10, overflow=lambda: overflows.append(len(box)))
    box.put(b"x" * 10)
    drained(box)
    box.put(b"x" * 10)
    assert overflows == []
    box.put_latest("a", b"yy")
    assert overflows == []
    box.put(b"z")
    assert overflows == [3]


def test_nothing_waits_while_all_flows():
    """Neither replaced nor counted, whatever its kind."""
    sent = []
    box = outbox(messages=0, overflow=lambda: sent.append(b"too many"))
    box.flow(sent.append)
    for number in range(2 * DELTAS_MAX):
        box.put_delta("book", b"%d" % number)
    box.put_latest("ticker", b"old")
    box.put_latest("ticker", b"new")
    box.put(b"reply")
    expected = [b"%d" % number for number in range(2 * DELTAS_MAX)]
    assert sent == [*expected, b"old", b"new", b"reply"]
    assert len(box) == 0


def test_what_waited_leaves_first_and_no_more_than_is_taken():
    sent = []

    def take_two(message):
        sent.append(message)
        if len(sent) == 2:
            box.hold()

    box = outbox()
    for number in range(4):
        box.put(b"%d" % number)
    box.flow(take_two)
    box.put(b"4")
    assert sent == [b"0", b"1"]
    box.flow(sent.append)
    box.put(b"5")
    assert sent == [b"0", b"1", b"2", b"3", b"4", b"5"]
