"""What another process reads of a request enters and answers as what the gateway reads itself."""

import asyncio
import json

import msgspec
import pytest
import structlog
from tests.unit.api.test_methods_quotes import line, sheet
from tests.unit.api.test_order_entry import linked
from tests.unit.api.test_volatility import VOLATILITY
from tests.unit.api.world import MAKER_KEY, PUT_NAME, STRANGER_KEY, World, session_of
from tests.venue import C

from exchange.api import recovering
from exchange.api.errors import Busy
from exchange.api.gateway import Caller
from exchange.api.limits import Payer
from exchange.api.reading import plain_cost
from exchange.api.recovering import ANSWER, FRAME, LEARN, READ, Answering, Lesson
from exchange.api.signatures import reading_of
from exchange.commands import ReleaseOrders, SetSpeedBump
from exchange.sequencer import (
    OutcomeUnknown,
    SequencerBusy,
    SequencerStopped,
    SequencerUnreachable,
)
from exchange.signing import recover_signer

CLIENT = "192.0.2.1"
TRAIL = {"type": "trailing_stop", "trigger": "mark_price", "trigger_offset": "50"}


class Reader:
    """The process's work in the loop; remembers what it could read."""

    can_read = True

    def __init__(self):
        self.read_well = []
        self._answering = Answering()

    async def read(self, text, domain, listed, line):
        return reading_of(self._read(text, domain, listed))

    def ask_to_read(self, text, domain, listed, line, hear):
        hear(self._read(text, domain, listed))

    def _read(self, text, domain, listed):
        names = [
            (name, number, listed.instruments[number].legs_hash)
            for name, number in listed.instrument_ids.items()
        ]
        lesson = msgspec.msgpack.encode(Lesson(domain.chain_id, domain.clearing, names))
        frames = FRAME.pack(len(lesson), LEARN) + lesson + FRAME.pack(len(text), READ) + text
        found = self._answering.answer(frames)[ANSWER.size :]
        self.read_well.append(bool(found))
        return found

    async def recover(self, digest, signature):
        return recover_signer(digest, signature)


class Overloaded(Reader):
    def _read(self, text, domain, listed):
        raise Busy("too many wait")


class Dead(Reader):
    """Its process ends before it answers."""

    def _read(self, text, domain, listed):
        return None


class Garbled(Reader):
    """Its process says what nobody understands."""

    def _read(self, text, domain, listed):
        return b"\xc1"


def text_of(method, params, **envelope):
    request = {"jsonrpc": "2.0", "id": 7, "method": f"private/{method}", "params": params}
    return json.dumps(request | envelope, ensure_ascii=False).encode()


def plain(world):
    """Requests that a process can read."""
    stop = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": "1200"}
    yield text_of("sell", world.order("sell", key=MAKER_KEY))
    yield text_of("buy", world.order("buy", amount="0.5") | {"label": "maß"})
    yield text_of("buy", world.order("buy", **stop), id="text")
    yield text_of("buy", world.order("buy", **TRAIL))
    yield text_of("buy", world.order("buy", amount="0.2") | {"type": "market"})
    yield text_of("buy", world.order("buy") | {"max_show": "0.2", "post_only": True})
    lines = line(), line(PUT_NAME, bid=None)
    yield text_of("mass_quote", sheet(world, 1, *lines))
    yield text_of("mass_quote", sheet(world, 2, *lines) | {"detailed": False})


def odd(world):
    """Good ones that only look plain: the gateway reads them itself."""
    yield text_of("buy", linked(world, "one_cancels_other", ("sell", "1010")))
    yield text_of("buy", world.order("buy", **VOLATILITY))


def wrong(world):
    """Requests that look plain, and are refused by the gateway, or by the engine once read."""
    good = world.order("buy")
    yield text_of("buy", good | {"amount": "2"})  # another than was signed
    yield text_of("buy", good | {"amount": "-1"})
    yield text_of("buy", good | {"instrument_name": "BTC_USDC-NOWHERE"})
    yield text_of("buy", good | {"colour": "red"})
    yield text_of("buy", good | {"signer": "0x12"})
    yield text_of("buy", {name: good[name] for name in good if name != "nonce"})
    yield text_of("buy", good | {"signature": None})
    yield text_of("buy", good | {"signature": good["signature"][:-2]})
    yield text_of("buy", world.order("buy", key=STRANGER_KEY))
    yield text_of("buy", good)[:-1]
    yield text_of("buy", good).replace(b'"id"', b'"jsonrpc": "2.0", "id"')
    yield text_of("buy", good, jsonrpc="1.0")
    yield text_of("buy", good, extra=1)
    yield text_of("cancel_all", good | {"method": "private/buy"})  # looks like another
    yield text_of("cancel_all", sheet(world, 1, line()) | {"method": "private/mass_quote"})
    yield text_of("buy", good | {"nonce": 10**400})
    yield text_of("mass_quote", sheet(world, 1, line()) | {"sheet_nonce": 2})
    yield text_of("mass_quote", sheet(world, 1, line(bid=None, ask=None)))
    yield text_of("mass_quote", sheet(world, 1, line(), line()))


async def by_task(world, text, caller):
    return await world.dispatcher.call_text(text, caller)


async def without_task(world, text, caller):
    """As a WebSocket's requests go, which need a task only where they are not plain."""
    answered = asyncio.get_running_loop().create_future()
    kept = world.dispatcher.begin(text, caller, answered.set_result)
    assert kept
    async with asyncio.timeout(5):
        return await answered


def outcome(world, text, way=by_task):
    """Status and reply, without the times."""
    answer = asyncio.run(way(world, text, Caller(address=CLIENT)))
    reply = msgspec.json.decode(answer.body)
    return answer.status, {name: reply[name] for name in reply if not name.startswith("us")}


def compare(make, *readers, burst=100):
    """The outcomes on the gateway's own way, which are those with a reader; and what they cost."""
    hardly_refilled = {"orders_per_s": 1e-9, "orders_burst": burst}
    slow, found = World(**hardly_refilled), []
    expected = [outcome(slow, text) for text in make(slow)]
    for reader, way in zip(readers, (by_task, without_task), strict=True):
        fast = World(**hardly_refilled)
        fast.gateway.signatures = reader
        assert [outcome(fast, text, way) for text in make(fast)] == expected
        assert fast.venue.entries == slow.venue.entries
        for world in (slow, fast):
            left = world.gateway.limits.left(Payer("", CLIENT), shared=False)
            found.append((left["matching"], world.gateway.counters))
    assert all(one == found[0] for one in found)
    return expected


def test_plain_requests_are_read_and_answered_alike():
    readers = Reader(), Reader()
    assert [reply for _, reply in compare(plain, *readers) if "result" not in reply] == []
    assert [reader.read_well for reader in readers] == [[True] * 8] * 2


def test_what_only_looks_plain_is_answered_too():
    readers = Reader(), Reader()
    assert [reply for _, reply in compare(odd, *readers) if "result" not in reply] == []
    assert [reader.read_well for reader in readers] == [[False] * 2] * 2


def test_wrong_requests_are_refused_in_the_same_words():
    readers = Reader(), Reader()
    assert all("error" in reply for _, reply in compare(wrong, *readers))
    for reader in readers:
        assert any(reader.read_well)  # those that only the engine refuses
        assert not all(reader.read_well)


@pytest.mark.parametrize("make", [plain, wrong])
def test_without_credits_each_is_refused_with_its_id(make):
    """Two orders, or a few lines, are all that the pool holds."""
    answers = compare(make, Reader(), Reader(), burst=2)
    assert any(reply["error"]["code"] == 10028 for _, reply in answers if "error" in reply)


def test_a_request_is_never_read_as_another_method():
    world, reader = World(), Reader()
    world.gateway.signatures = reader
    text = text_of("cancel_all", sheet(world, 1, line())).replace(
        b"private/cancel_all", b"private/mass_quotes"
    )
    assert plain_cost(text) is None
    text = text.replace(b"{", b'{"x": {"method": "private/mass_quote"}, ', 1)
    assert plain_cost(text) == 1
    assert "error" in outcome(world, text)[1]
    assert reader.read_well == [False]


def test_a_bug_in_reading_ends_no_process(monkeypatch):
    def broken(text, names):
        raise ZeroDivisionError

    monkeypatch.setattr(recovering, "read", broken)
    assert all(status == 200 for status, _ in compare(plain, Reader(), Reader()))


def test_where_no_process_has_time_the_gateway_reads():
    assert all(status == 200 for status, _ in compare(plain, Overloaded(), Overloaded()))


def test_where_the_process_dies_the_gateway_reads():
    assert all(status == 200 for status, _ in compare(plain, Dead(), Dead()))


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (SequencerBusy("full"), 10047),
        (SequencerStopped("the disk is full"), 13028),
        (SequencerUnreachable("away"), 13028),
        (OutcomeUnknown("nobody said"), 13888),
        (ZeroDivisionError(), 11094),
    ],
)
@pytest.mark.parametrize("way", [by_task, without_task])
def test_without_a_reply_the_client_is_told_why(failure, code, way):
    world = World()
    world.gateway.signatures = Reader()
    world.sequencer.failure = failure
    _, reply = outcome(world, next(plain(world)), way)
    assert (reply["id"], reply["error"]["code"]) == (7, code)


def test_who_waits_when_the_sequencer_stops_is_told():
    """As after a failed commit, when a command may be in the journal or not."""
    world = World()
    world.gateway.signatures, waiting, answers = Reader(), [], []
    world.sequencer.enqueue = lambda command, told: waiting.append(told)
    text = next(plain(world))
    assert world.dispatcher.begin(text, Caller(address=CLIENT), answers.append)
    (told,) = waiting
    assert not told.done()
    assert answers == []
    told.set_exception(SequencerStopped("the disk is full"))
    (answer,) = answers
    assert msgspec.json.decode(answer.body)["error"]["code"] == 13028
    assert told.done(), "nobody is told twice"


def test_who_was_answered_is_not_told_that_the_sequencer_stops():
    """A stop tells the last group too, whose replies are out."""
    world = World()
    world.gateway.signatures, waiting, answers = Reader(), [], []
    submit = world.sequencer.enqueue

    def enqueue(command, told):
        waiting.append(told)
        submit(command, told)

    world.sequencer.enqueue = enqueue
    assert world.dispatcher.begin(next(plain(world)), Caller(address=CLIENT), answers.append)
    assert [told.done() for told in waiting] == [True]
    assert len(answers) == 1


def test_what_is_no_reading_is_a_bug_of_ours():
    world, answers = World(), []
    world.gateway.signatures = Garbled()
    assert world.dispatcher.begin(next(plain(world)), Caller(address=CLIENT), answers.append)
    assert [msgspec.json.decode(one.body)["error"]["code"] for one in answers] == [11094]


def test_a_bug_in_sending_an_answer_ends_no_sequencer():
    world = World()
    world.gateway.signatures, sent = Reader(), []

    def broken(outcome):
        sent.append(outcome)
        raise ZeroDivisionError

    with structlog.testing.capture_logs() as logs:
        assert world.dispatcher.begin(next(plain(world)), Caller(address=CLIENT), broken)
    assert len(sent) == 1
    assert [one["event"] for one in logs] == ["an answer was not sent"]


def test_credits_come_back_to_whom_they_came_from():
    """Though the client signed in while a process read."""
    world, heard, answers = World(orders_per_s=1e-9, orders_burst=100), [], []
    reader = world.gateway.signatures = Reader()
    reader.ask_to_read = lambda text, domain, listed, line, hear: heard.append(hear)
    caller = Caller(address=CLIENT)

    async def play():
        assert world.dispatcher.begin(next(plain(world)), caller, answers.append)
        caller.session = session_of(world).session
        heard[0](None)
        async with asyncio.timeout(5):
            while not answers:  # noqa: ASYNC110 -- it is told once, by a call
                await asyncio.sleep(0)

    asyncio.run(play())
    left = [
        world.gateway.limits.left(Payer(account, CLIENT), shared=False)["matching"]["remaining"]
        for account in ("", caller.session.address)
    ]
    assert left == [100, 99], "the gateway read it, for the session that it has by now"


def test_a_bug_in_an_answer_is_told_and_ends_no_sequencer(monkeypatch):
    world = World()
    world.gateway.signatures = Reader()
    monkeypatch.setattr(world.gateway, "receipt", {}.__getitem__)
    status, reply = outcome(world, next(plain(world)), without_task)
    assert (status, reply["error"]["code"]) == (500, 11094)


def test_the_answer_to_an_order_at_a_speed_bump_waits():
    world = World()
    world.gateway.signatures = Reader()
    world.do(lambda venue: venue.send(SetSpeedBump(instrument_id=C, delay_ns=10**7)))

    async def play():
        maker = text_of("sell", world.order("sell", key=MAKER_KEY))
        await without_task(world, maker, Caller(address=CLIENT))
        taker = text_of("buy", world.order("buy"))
        answer = asyncio.create_task(without_task(world, taker, Caller(address=CLIENT)))
        await asyncio.sleep(0.02)
        assert not answer.done()
        world.venue.time_ns += 10**7
        world.do(lambda venue: venue.send(ReleaseOrders()))
        return msgspec.json.decode((await answer).body)["result"]

    assert asyncio.run(play())["order"]["order_state"] == "filled"


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        (b'{"method": "private/buy", "params": {"signature": "0x"}}', 1),
        (b'{"method":"private/mass_quote","signature":1}', 1),
        (b'{"method": "private/buy", "params": {}}', None),  # an API key signs
        (b'{"method": "private/edit", "params": {"signature": "0x"}}', None),
        (b'{"method": "private/buy", "params": {"signature": "0x", "label": "\\n"}}', None),
        (b"", None),
    ],
)
def test_a_look_at_the_text_tells_what_may_be_read_elsewhere(text, cost):
    assert plain_cost(text) == cost


def test_a_sheet_costs_by_its_lines():
    texts = [
        b'{"method":"private/mass_quote","signature":1}' + b'"instrument_name"' * lines
        for lines in (1, 7, 8, 100)
    ]
    assert [plain_cost(text) for text in texts] == [1, 1, 2, 13]
