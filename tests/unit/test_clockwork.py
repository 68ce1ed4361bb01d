"""The clockwork submits what time alone causes, and nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.signed_venue import traded_venue
from tests.venue import CHAIN, EXPIRY_S, NS, Venue, limits, linear_venue, open_venue

from exchange.clockwork import RETRY_S, Clockwork
from exchange.commands import (
    AccrueFunding,
    AccrueInterest,
    CutBatch,
    ExpireInstruments,
    InterestParameters,
    PlaceOrder,
    ReleaseOrders,
    SetSpeedBump,
)
from exchange.engine import Engine
from exchange.journal import Entry, Journal
from exchange.model import Side
from exchange.sequencer import Reply, Sequencer, SequencerBusy

MS = 10**6
Play = Callable[[Sequencer, Clockwork, list[int]], Awaitable[None]]


def play(venue: Venue, tmp_path: Path, scene: Play) -> list[Entry]:
    """Run `scene` on a sequencer that lived through the venue's commands; what came after."""

    async def run() -> list[Entry]:
        clock = [venue.time_ns]
        with Journal(str(tmp_path / "journal.db")) as journal:
            sequencer = Sequencer(Engine(), journal, machine_clock=lambda: clock[0])
            writing = asyncio.create_task(sequencer.run())
            for _, _, command, _ in venue.entries:
                await sequencer.submit(command)
            before = sequencer.last_seq
            clockwork = Clockwork(sequencer, batch_interval_s=1.0)
            running = asyncio.create_task(clockwork.run())
            await asyncio.sleep(0)
            await scene(sequencer, clockwork, clock)
            running.cancel()
            writing.cancel()
            await asyncio.gather(running, writing, return_exceptions=True)
            return list(journal.reader.entries(before))

    return asyncio.run(run())


def test_a_batch_is_cut_once_its_oldest_trade_has_waited(tmp_path: Path) -> None:
    """Not before the interval, and not again while nothing new happens."""

    async def scene(sequencer: Sequencer, clockwork: Clockwork, clock: list[int]) -> None:
        async with asyncio.timeout(5):
            while not clockwork._pending_since_ns:  # noqa: ASYNC110  it has begun to watch
                await asyncio.sleep(0)
        clock[0] += NS // 2
        await clockwork.step()
        assert await sequencer.read(lambda engine: engine.batch_number) == 0
        clock[0] += NS
        await clockwork.step()
        clock[0] += 5 * NS
        await clockwork.step()

    after = play(traded_venue(), tmp_path, scene)
    assert [type(entry.command) for entry in after] == [CutBatch]


def test_a_full_queue_delays_what_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clockwork outlives it, and asks again."""

    async def scene(sequencer: Sequencer, clockwork: Clockwork, clock: list[int]) -> None:
        refused = asyncio.Event()

        async def busy(_: object) -> Reply:
            refused.set()
            raise SequencerBusy

        with monkeypatch.context() as full:
            full.setattr(sequencer, "submit", busy)
            clock[0] = EXPIRY_S * NS
            async with asyncio.timeout(5):
                await refused.wait()
        written = asyncio.Event()
        sequencer.subscribe(lambda _: written.set())
        clock[0] += RETRY_S * NS
        async with asyncio.timeout(5):
            await written.wait()

    after = play(open_venue(), tmp_path, scene)
    assert [type(entry.command) for entry in after] == [ExpireInstruments]


def test_interest_is_charged_once_an_hour(tmp_path: Path) -> None:
    """Due a full interval after the last time, and not before."""
    terms = InterestParameters(rate=10**17, interval_ns=3600 * NS, debt_max=0)
    venue = open_venue(interest=terms)

    async def scene(_: Sequencer, clockwork: Clockwork, clock: list[int]) -> None:
        clock[0] = venue.time_ns + 3599 * NS
        await clockwork.step()
        for _ in range(3):
            clock[0] += 1801 * NS
            await clockwork.step()

    after = play(venue, tmp_path, scene)
    assert [type(entry.command) for entry in after] == [AccrueInterest, AccrueInterest]


def test_an_expiry_that_came_is_delivered(tmp_path: Path) -> None:
    """Refused while the window has a hole, asked for again later, and granted after the grace."""

    async def scene(sequencer: Sequencer, clockwork: Clockwork, clock: list[int]) -> None:
        clock[0] = EXPIRY_S * NS
        await clockwork.step()
        await clockwork.step()
        clock[0] += RETRY_S * NS
        await clockwork.step()
        clock[0] += 3600 * NS
        await clockwork.step()
        await clockwork.step()

    after = play(open_venue(), tmp_path, scene)
    tries = [entry for entry in after if isinstance(entry.command, ExpireInstruments)]
    assert len(tries) == 3
    assert [type(entry.events[0]).__name__ for entry in tries] == [
        "Refused",
        "Refused",
        "DeliveryPriceFixed",
    ]


def test_an_expiry_that_a_full_batch_delivers_in_parts_is_asked_for_again(tmp_path: Path) -> None:
    """At once, without the wait after a refusal."""
    venue = open_venue(limits=limits(batch_items_max=2))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    for instrument_id in CHAIN:
        venue.sell(ann, 1, 2_500, instrument_id=instrument_id)
        venue.buy(bob, 1, 2_500, instrument_id=instrument_id)

    async def scene(_: Sequencer, clockwork: Clockwork, clock: list[int]) -> None:
        clock[0] = (EXPIRY_S + 3600) * NS
        for _ in range(len(CHAIN) + 2):
            await clockwork.step()

    after = play(venue, tmp_path, scene)
    assert [type(entry.command) for entry in after] == [ExpireInstruments] * len(CHAIN)


def test_funding_moves_once_in_each_interval(tmp_path: Path) -> None:
    """A minute of venue time; a venue without perpetuals or without funding is left alone."""

    async def scene(_: Sequencer, clockwork: Clockwork, clock: list[int]) -> None:
        await clockwork.step()
        for _ in range(3):
            clock[0] += 60 * NS
            await clockwork.step()
            clock[0] += NS
            await clockwork.step()

    after = play(linear_venue(), tmp_path, scene)
    assert [type(entry.command) for entry in after] == [AccrueFunding] * 4


def test_a_venue_without_funding_is_left_alone(tmp_path: Path) -> None:
    """Nothing is journaled that would do nothing."""

    async def scene(_: Sequencer, clockwork: Clockwork, clock: list[int]) -> None:
        clock[0] += 60 * NS
        await clockwork.step()

    assert play(linear_venue(funding=None), tmp_path, scene) == []


def test_orders_are_let_over_a_speed_bump_when_their_time_has_come(tmp_path: Path) -> None:
    """Also those that waited when this process began; once for all that are due together."""
    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.send(SetSpeedBump(underlying_id=1, delay_ns=20 * MS))
    venue.sell(ann, 3, 2_500)
    for _ in range(2):
        venue.buy(bob, 1, 2_500)

    async def scene(sequencer: Sequencer, clockwork: Clockwork, clock: list[int]) -> None:
        await asyncio.sleep(0.03)
        assert await sequencer.read(lambda engine: engine.pending) == 0
        clock[0] += 20 * MS
        await asyncio.sleep(0.1)
        assert await sequencer.read(lambda engine: engine.pending) == 2
        await sequencer.submit(venue.sign(bob, Side.BUY, 1, 2_500))
        clock[0] += 20 * MS
        await asyncio.sleep(0.1)
        assert await sequencer.read(lambda engine: engine.pending) == 3

    commands = [entry.command for entry in play(venue, tmp_path, scene)]
    assert [type(command) for command in commands] == [ReleaseOrders, PlaceOrder, ReleaseOrders]
