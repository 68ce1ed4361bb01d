"""The liquidator sweeps when there is a suspect or something to go on with, and else is silent."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.liquidation_world import liquidating_venue, short_call
from tests.venue import NS, C, Venue, open_venue

from exchange import liquidator as module
from exchange.commands import SweepLiquidations
from exchange.engine import Engine
from exchange.journal import Entry, Journal
from exchange.liquidator import Liquidator
from exchange.sequencer import Sequencer, SequencerBusy

Play = Callable[[Sequencer, Liquidator, list[int]], Awaitable[None]]


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
            await scene(sequencer, Liquidator(sequencer), clock)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            return list(journal.reader.entries(before))

    return asyncio.run(run())


def test_nobody_is_swept_while_all_are_healthy(tmp_path: Path) -> None:
    venue = liquidating_venue()
    short_call(venue)

    async def scene(_: Sequencer, liquidator: Liquidator, clock: list[int]) -> None:
        for _ in range(3):
            await liquidator.step()
            clock[0] += NS

    assert play(venue, tmp_path, scene) == []


def test_nobody_is_swept_where_liquidation_is_off(tmp_path: Path) -> None:
    venue = open_venue()
    short_call(venue)
    venue.mark({C: 5_000})

    async def scene(_: Sequencer, liquidator: Liquidator, __: list[int]) -> None:
        await liquidator.step()

    assert play(venue, tmp_path, scene) == []


def test_suspects_are_named_once_an_epoch_and_then_it_goes_on(tmp_path: Path) -> None:
    """The second sweep names nobody: no new epoch came, but the liquidation runs."""
    venue = liquidating_venue()
    seller, _ = short_call(venue)
    healthy, _ = short_call(venue, cash=100_000)
    venue.mark({C: 5_000})
    again = venue.marks_update()

    async def scene(sequencer: Sequencer, liquidator: Liquidator, clock: list[int]) -> None:
        await liquidator.step()
        clock[0] += NS
        await liquidator.step()
        await sequencer.submit(again)
        await liquidator.step()

    sweeps = [
        entry.command
        for entry in play(venue, tmp_path, scene)
        if isinstance(entry.command, SweepLiquidations)
    ]
    assert [sweep.suspects for sweep in sweeps] == [(seller,), (), ()]
    assert healthy != seller


def test_a_busy_sequencer_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venue = liquidating_venue()
    short_call(venue)
    venue.mark({C: 5_000})
    monkeypatch.setattr(module, "TICK_S", 0.01)

    class Busy:
        """Refuses once."""

        def __init__(self, sequencer: Sequencer) -> None:
            self.sequencer, self.refused = sequencer, 0

        async def read(self, query: Callable[[Engine], object]) -> object:
            if not self.refused:
                self.refused += 1
                raise SequencerBusy("full")
            return await self.sequencer.read(query)

        async def submit(self, command: SweepLiquidations) -> object:
            return await self.sequencer.submit(command)

    async def scene(sequencer: Sequencer, _: Liquidator, __: list[int]) -> None:
        before = sequencer.last_seq
        running = asyncio.create_task(Liquidator(Busy(sequencer)).run())
        async with asyncio.timeout(5):
            while sequencer.last_seq == before:  # noqa: ASYNC110  it goes by itself
                await asyncio.sleep(0.01)
        running.cancel()

    assert isinstance(play(venue, tmp_path, scene)[0].command, SweepLiquidations)
