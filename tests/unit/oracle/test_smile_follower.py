"""The marks loop draws epochs by fits of the book, and does without when there is none."""

import asyncio
from pathlib import Path

from tests.unit.oracle.test_loop import SECOND_NS, venue

from exchange.oracle.smiles import REFERENCE, SmileRules


def test_fits_are_made_beside_the_cycle_and_drawn_with_the_next_epoch(tmp_path: Path) -> None:
    """An empty book's fit is the reference, and its notes say so."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            loop = stage.loop()
            await loop.cycle()
            assert stage.epochs()[0].smiles == ()
            await loop.refit()
            stage.time_ns += 5 * SECOND_NS
            await loop.cycle()
            first, second = stage.epochs()
            assert {note.method for note in second.smiles} == {REFERENCE}
            assert {note.expiry for note in second.smiles} <= {e.expiry for e in second.expiries}
            assert second.instrument_ids == first.instrument_ids

    asyncio.run(play())


def test_an_old_fit_gives_way_to_the_reference(tmp_path: Path) -> None:
    """Two minutes after the last fit marks come from outside alone."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            loop = stage.loop()
            await loop.cycle()
            await loop.refit()
            loop._follower._rules = SmileRules(interval_ns=10**18)
            stage.time_ns += 121 * SECOND_NS
            await loop.cycle()
            assert stage.epochs()[-1].smiles == ()

    asyncio.run(play())


def test_a_fit_that_fails_stops_nothing(tmp_path: Path) -> None:
    """The cycle goes on; the last fit ages."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            loop = stage.loop()

            async def broken() -> None:
                raise ValueError("no surface")

            loop._follower.start_if_due(broken)
            await loop.cycle()
            assert len(stage.epochs()) == 1
            assert loop._follower._task is not None
            await loop._follower._task
            loop._follower.stop()

    asyncio.run(play())
