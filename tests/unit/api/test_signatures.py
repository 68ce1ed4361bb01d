"""Signers are recovered in batches, in processes or in the loop, each for its own asker."""

import asyncio
import hashlib
import os
import signal

import msgspec
import pytest
from tests.unit.api.test_reading import text_of
from tests.unit.api.world import CALL_NAME, DOMAIN, MAKER_KEY, NAMES, PUT_NAME, World, session_of

from exchange.api import signatures
from exchange.api.connection import Connection
from exchange.api.errors import Busy, Unavailable
from exchange.api.gateway import Caller
from exchange.api.recovering import READ
from exchange.api.signatures import Asked, SignatureWorkers
from exchange.signing import address_of, sign_digest

ANSWER_S = 20.0


def digest(number):
    return hashlib.sha256(b"%d" % number).digest()


def key(number):
    return (number + 1).to_bytes(32, "big")


def signed(number):
    return digest(number), sign_digest(digest(number), key(number))


def run(scenario, workers):
    """With processes of its own, which have ended afterwards."""

    async def whole():
        recovery = SignatureWorkers(workers)
        await recovery.open()
        try:
            async with asyncio.timeout(ANSWER_S):
                return await scenario(recovery)
        finally:
            await recovery.close()

    return asyncio.run(whole())


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_each_asker_gets_its_signer(workers):
    count = 200  # more than one read takes

    async def scenario(recovery):
        return await asyncio.gather(*(recovery.recover(*signed(n)) for n in range(count)))

    assert run(scenario, workers) == [address_of(key(n)) for n in range(count)]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_impossible_signature_is_nobodys(workers):
    async def scenario(recovery):
        return await asyncio.gather(
            *(recovery.recover(digest(1), bytes(size)) for size in (65, 0, 64, 66))
        )

    assert run(scenario, workers) == [None] * 4


def test_a_process_that_dies_is_replaced_and_nobody_waits_in_vain(monkeypatch):
    monkeypatch.setattr(signatures, "RESTART_S", 0.0)

    async def scenario(recovery):
        assert await recovery.recover(*signed(1)) == address_of(key(1))
        (worker,) = recovery._workers
        os.kill(worker._process.pid, signal.SIGSTOP)
        asked = asyncio.create_task(recovery.recover(*signed(2)))
        await asyncio.sleep(0)
        assert worker.waiting() == 1
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="try again"):
            await asked
        assert await recovery.recover(*signed(3)) == address_of(key(3))  # in the loop, meanwhile
        await asyncio.gather(*recovery._restarts)
        assert recovery._workers != [worker]
        await worker._process.wait()
        return await recovery.recover(*signed(4))

    assert run(scenario, 1) == address_of(key(4))


def test_a_process_that_stands_still_is_replaced(monkeypatch):
    """Whoever asked it hears so; one that answers, or was asked nothing, is left alone."""
    monkeypatch.setattr(signatures, "RESTART_S", 0.0)

    async def scenario(recovery):
        (worker,) = recovery._workers
        assert await recovery.recover(*signed(0)) == address_of(key(0))
        monkeypatch.setattr(signatures, "LOOK_S", 0.2)
        for number in range(10):
            await asyncio.sleep(0.2)
            assert await recovery.recover(*signed(number)) == address_of(key(number))
        assert recovery._workers == [worker]
        os.kill(worker._process.pid, signal.SIGSTOP)
        with pytest.raises(Unavailable, match="try again"):
            await recovery.recover(*signed(1))
        await asyncio.gather(*recovery._restarts)
        assert recovery._workers != [worker]
        return await recovery.recover(*signed(4))

    assert run(scenario, 1) == address_of(key(4))


def test_the_queue_is_bounded(monkeypatch):
    monkeypatch.setattr(signatures, "WAITING_MAX", 2)

    async def scenario(recovery):
        asked = (recovery.recover(digest(n), bytes(65)) for n in range(4))
        return await asyncio.gather(*asked, return_exceptions=True)

    assert [type(one) for one in run(scenario, 1)] == [type(None), type(None), Busy, Busy]


def test_an_asker_that_went_away_leaves_the_order_of_answers():
    async def scenario(recovery):
        asked = [asyncio.create_task(recovery.recover(*signed(n))) for n in range(3)]
        await asyncio.sleep(0)
        asked[1].cancel()
        return await asyncio.gather(*asked, return_exceptions=True)

    first, gone, last = run(scenario, 1)
    assert (first, last) == (address_of(key(0)), address_of(key(2)))
    assert isinstance(gone, asyncio.CancelledError)


def test_a_process_that_cannot_be_started_is_tried_again(monkeypatch):
    monkeypatch.setattr(signatures, "RESTART_S", 0.0)

    async def scenario(recovery):
        start, failures = recovery._start, [OSError("no process left"), OSError("no file left")]

        async def tried():
            if failures:
                raise failures.pop()
            await start()

        monkeypatch.setattr(recovery, "_start", tried)
        await recovery._restart()
        assert not failures
        return len(recovery._workers)

    assert run(scenario, 1) == 2


class Known:
    """What a gateway has heard of so far."""

    def __init__(self, instruments):
        self.instruments = instruments
        self.instrument_ids = {}

    def list(self, name):
        self.instrument_ids[name] = NAMES[name]


def test_a_process_learns_what_is_listed_before_it_reads():
    world = World()
    texts = {
        name: text_of("buy", world.order("buy", instrument_name=name))
        for name in (CALL_NAME, PUT_NAME)
    }

    async def scenario(workers):
        known = Known(world.gateway.view.instruments)
        found = []
        for listed in (CALL_NAME, PUT_NAME):
            known.list(listed)
            found += [await workers.read(text, DOMAIN, known, None) for text in texts.values()]
        return [one and one.command.terms.instrument_id for one in found]

    call, put = NAMES[CALL_NAME], NAMES[PUT_NAME]
    assert run(scenario, 1) == [call, None, call, put]


def test_a_gateway_has_its_orders_read_by_a_process():
    """Through the listener, as in a venue: the process is started and ended with it."""
    world = World(signature_workers=1)

    async def scenario():
        await world.gateway.signatures.open()
        try:
            text = text_of("sell", world.order("sell", key=MAKER_KEY))
            answer = await world.dispatcher.call_text(text, Caller(address="here"))
        finally:
            await world.gateway.signatures.close()
        return msgspec.json.decode(answer.body)

    assert asyncio.run(scenario())["result"]["order"]["order_state"] == "open"
    assert world.gateway.counters.requests == {"private/sell": 1}


def test_one_line_asks_one_process_until_that_has_answered():
    """Others ask the process that has the least to do."""
    world = World()
    text = text_of("sell", world.order("sell", key=MAKER_KEY))

    async def scenario(workers):
        def read(line):
            coming = workers.read(text, DOMAIN, world.gateway.view, line)
            return asyncio.create_task(coming)

        one, other = (Connection("test", world.settings, lambda *_: None) for _ in range(2))
        asked = [read(one) for _ in range(5)]
        await asyncio.sleep(0)
        first = one.last_read.worker
        asked.append(read(other))
        await asyncio.sleep(0)
        assert first.waiting() == 5
        assert other.last_read.worker is not first
        assert all(await asyncio.gather(*asked))
        crowd = [Asked(first, list) for _ in range(3)]
        for asked_directly in crowd:
            first.ask(READ, text, asked_directly)
        later = read(one)
        await asyncio.sleep(0)
        assert one.last_read.worker is not first
        assert await later
        assert one.last_read is None, "nothing to wait for"
        await asyncio.gather(*(one.answered() for one in crowd if not one.is_answered))

    run(scenario, 2)


def plainly(dispatcher, text, caller, answered):
    return dispatcher.begin(text, caller, answered)


def by_task(dispatcher, text, caller, answered):
    """As where traces are on."""
    return dispatcher._by_task(dispatcher.call_text(text, caller), answered)


@pytest.mark.parametrize("begin", [plainly, by_task])
@pytest.mark.parametrize("cancel_first", [False, True])
def test_a_line_keeps_its_order(begin, cancel_first):
    """A cancel takes what was sent before it in the same breath, and nothing that came after."""
    world = World(signature_workers=1)
    session = session_of(world).session

    async def scenario():
        await world.gateway.signatures.open()
        line = Connection("test", world.settings, lambda *_: None)
        line.session = session
        texts = [text_of("buy", world.order("buy", nonce=1 + n)) for n in range(3)]
        texts.insert(0 if cancel_first else 3, text_of("cancel_all", {}))
        try:
            answers, kept = [], []
            for text in texts:
                caller = Caller(address="test", connection=line)
                answers.append(asyncio.get_running_loop().create_future())
                kept.append(begin(world.dispatcher, text, caller, answers[-1].set_result))
            async with asyncio.timeout(ANSWER_S):
                found = await asyncio.gather(*answers)
        finally:
            await world.gateway.signatures.close()
        assert line.last_read is None
        return [msgspec.json.decode(answer.body)["result"] for answer in found]

    results = asyncio.run(scenario())
    canceled = results[0] if cancel_first else results[-1]
    left = sum(map(len, world.gateway.view.open_orders.values()))
    assert (canceled, left) == ((0, 3) if cancel_first else (3, 0))


def test_what_was_read_for_a_task_is_followed_until_that_goes_on(monkeypatch):
    """A cancel may come in the turn in which a process answers."""
    workers, asked = SignatureWorkers(0), []
    line = Connection("test", World().settings, lambda *_: None)

    class Process:
        def ask(self, kind, text, one):
            asked.append(one)

    async def scenario():
        monkeypatch.setattr(workers, "_reader", lambda *_: Process())
        reading = asyncio.create_task(workers.read(b"", DOMAIN, None, line))
        await asyncio.sleep(0)
        asked[0].tell(b"")
        assert line.last_read is asked[0], "its task has not gone on"
        assert await reading is None
        assert line.last_read is None

    asyncio.run(scenario())
