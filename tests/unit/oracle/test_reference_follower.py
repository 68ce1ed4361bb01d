"""The oracle with chains of other venues: no chain, no marks; a dead one is held for a while."""

import asyncio
from pathlib import Path

import msgspec
from tests.unit.oracle.test_loop import PRESET, SECOND_NS, Stage, venue
from tests.unit.oracle.test_references import chain

from exchange.margin.surface import FlatSurface
from exchange.oracle.loop import MarksLoop
from exchange.oracle.reference_follower import ReferenceFollower
from exchange.oracle.references import ChainSample, ChainVerdict

MINUTE_NS = 60 * SECOND_NS


class Chain:
    """Says what the test says, always fresh; raises where that is an exception."""

    def __init__(self, stage: Stage, name: str = "alder") -> None:
        self.name = name
        self.stage = stage
        self.answer: ChainSample | Exception | None = None

    def chain(self, now_ns: int) -> ChainSample | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer._replace(time_ns=now_ns) if self.answer else None


async def open_stage(stage: Stage) -> tuple[MarksLoop, Chain]:
    await stage.open()
    source = Chain(stage)
    feeds = [
        msgspec.structs.replace(stage._feed(1, stage.btc), chains=(source,)),
        stage._feed(2, stage.eth),
    ]
    return MarksLoop(stage.sequencer, feeds, PRESET), source


async def settled(loop: MarksLoop) -> None:
    await asyncio.gather(*loop._references._tasks.values())


def test_nothing_is_marked_before_a_chain_speaks(tmp_path: Path) -> None:
    """Nor previewed; once it does, marks carry its volatility, forwards and rates."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            loop, source = await open_stage(stage)
            await loop.cycle()
            assert stage.epochs() == []
            assert await loop.draw({}) is None
            assert loop._references.verdicts == {1: {"alder": ChainVerdict.SILENT}}
            source.answer = chain(0.8)
            stage.time_ns += 15 * SECOND_NS
            await loop.cycle()
            [epoch] = stage.epochs()
            *_, far = [e for e in epoch.expiries if e.underlying_id == 1 and e.expiry]
            assert far.forward_price > 100_300 * 10**6, "the carry of the chain"
            assert far.discount_short > 10**18, "its rate"
            assert await loop.draw({}) is not None

    asyncio.run(play())


def test_a_dead_chain_is_held_for_twenty_minutes(tmp_path: Path) -> None:
    """Then marks stop, and with them trading; they come back with the chain."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            loop, source = await open_stage(stage)
            source.answer = chain(0.8)
            await loop.cycle()
            for answer in (None, ValueError("down"), None):
                source.answer = answer
                stage.time_ns += 6 * MINUTE_NS
                count = len(stage.epochs())
                await loop.cycle()
                await settled(loop)
                assert len(stage.epochs()) == count + 1
            stage.time_ns += 3 * MINUTE_NS
            count = len(stage.epochs())
            await loop.cycle()
            assert len(stage.epochs()) == count
            source.answer = chain(0.9)
            stage.time_ns += 15 * SECOND_NS
            await loop.cycle()
            assert len(stage.epochs()) == count + 1
            assert loop._references.verdicts[1] == {"alder": ChainVerdict.ACCEPTED}

    asyncio.run(play())


def test_looks_are_not_made_more_often_than_asked(tmp_path: Path) -> None:
    """A second look within fifteen seconds, or beside one under way, is none."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            loop, source = await open_stage(stage)
            source.answer = chain(0.8)
            await loop.cycle()
            first = loop._references._tasks[1]
            stage.time_ns += SECOND_NS
            await loop.cycle()
            assert loop._references._tasks[1] is first
            stage.time_ns += 15 * SECOND_NS
            await loop._references.look_if_due(1, 100_000.0)
            second = loop._references._tasks[1]
            stage.time_ns += 15 * SECOND_NS
            await loop._references.look_if_due(1, 100_000.0)
            assert loop._references._tasks[1] is second is not first
            loop._references.stop()
            await asyncio.gather(second, return_exceptions=True)

    asyncio.run(play())


def test_an_underlying_without_chains_keeps_its_model(tmp_path: Path) -> None:
    async def play() -> None:
        async with venue(tmp_path) as stage:
            follower = ReferenceFollower(stage.sequencer, {1: ()})
            await follower.look_if_due(1, 100_000.0)
            assert follower.model(1, stage.time_ns) is None
            assert not follower.is_missing(1, stage.time_ns)
            assert isinstance(stage._feed(1, stage.btc).model.surface, FlatSurface)

    asyncio.run(play())
