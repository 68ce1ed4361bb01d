"""The steward in a venue: a wild index stretches the next epochs, in journaled steps."""

import asyncio
import math
from pathlib import Path

import msgspec
from tests.unit.oracle.test_loop import CONFIGURE, MARKET, PRESET, SECOND_NS, START_NS, Stage, venue

from exchange.commands import AdjustRisk, RiskBounds
from exchange.events import LiquidationStarted
from exchange.fixed import RATIO_SCALE
from exchange.journal import Entry
from exchange.oracle.loop import MarksLoop
from exchange.oracle.steward import Steward
from exchange.oracle.steward_memory import StewardMemory
from exchange.oracle.stress import StressRules

HOUR_NS = 3600 * SECOND_NS
BOUNDS = RiskBounds(
    scan_min=RATIO_SCALE,
    scan_max=RATIO_SCALE * 16 // 10,
    volatility_min=RATIO_SCALE,
    volatility_max=2 * RATIO_SCALE,
    rise_max=RATIO_SCALE // 10,
    fall_max=RATIO_SCALE // 100,
    interval_ns=60 * SECOND_NS,
)
RULES = {1: StressRules(base_volatility=0.5), 2: StressRules(base_volatility=0.7)}


async def open_stage(stage: Stage, bounds: RiskBounds | None) -> MarksLoop:
    await stage.sequencer.submit(msgspec.structs.replace(CONFIGURE, risk_bounds=bounds))
    for name in ("BTC", "ETH"):
        await stage.sequencer.submit(
            MARKET.chain_command(name, MARKET.start_price(name), START_NS // SECOND_NS)
        )
    feeds = [stage._feed(1, stage.btc), stage._feed(2, stage.eth)]
    return MarksLoop(stage.sequencer, feeds, PRESET, steward=Steward(stage.sequencer, RULES))


async def live(stage: Stage, loop: MarksLoop, hours: int, move: float) -> None:
    """An hour a cycle: BTC jumps to and fro, ETH stands."""
    for hour in range(hours):
        stage.time_ns += HOUR_NS
        for source in stage.btc:
            source.price = 100_000.0 * math.exp(move * (hour % 2))
        await loop.cycle()


def steps(stage: Stage) -> list[AdjustRisk]:
    return [e.command for e in stage.entries if isinstance(e.command, AdjustRisk)]


def test_a_wild_index_stretches_its_own_grid(tmp_path: Path) -> None:
    """2 % an hour is 190 % a year: up a tenth a step to the bound; ETH is left alone."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            loop = await open_stage(stage, BOUNDS)
            await loop.cycle()
            await live(stage, loop, 14, 0.02)
            made = steps(stage)
            assert {step.underlying_id for step in made} == {1}
            assert [step.version for step in made] == list(range(1, len(made) + 1))
            assert made[0].scan == RATIO_SCALE * 11 // 10
            assert made[-1].scan == BOUNDS.scan_max
            assert made[0].reason.startswith("forecast ")
            await loop.cycle(force=True)
            scans = {u.underlying_id: u.scan for u in stage.epochs()[-1].underlyings}
            assert scans == {1: BOUNDS.scan_max, 2: RATIO_SCALE}

    asyncio.run(play())


def test_a_steady_index_and_a_venue_without_bounds_are_left_alone(tmp_path: Path) -> None:
    """Nothing to say, or nobody to say it to."""

    async def play() -> None:
        for folder, bounds, move in (("a", BOUNDS, 0.0005), ("b", None, 0.02)):
            (tmp_path / folder).mkdir()
            async with venue(tmp_path / folder) as stage:
                loop = await open_stage(stage, bounds)
                await live(stage, loop, 10, move)
                assert steps(stage) == []

    asyncio.run(play())


def test_liquidations_are_stress_for_ten_minutes(tmp_path: Path) -> None:
    """Five starts are full stress of that signal: half of the index."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            loop = await open_stage(stage, BOUNDS)
            await loop.cycle()
            steward = loop._steward
            assert steward is not None
            started = LiquidationStarted(subaccount_id=5, **_rest())
            for _ in range(5):
                entry = stage.entries[-1]
                steward.on_entries([msgspec.structs.replace(entry, events=(started,))])
            stage.time_ns += 61 * SECOND_NS
            await loop.cycle()
            assert "liquidations 1.00" in steps(stage)[-1].reason
            count = len(steps(stage))
            stage.time_ns += 601 * SECOND_NS
            await loop.cycle()
            assert all("liquidations 0.00" in step.reason for step in steps(stage)[count:])

    asyncio.run(play())


def _rest() -> dict[str, int]:
    names = [name for name in LiquidationStarted.__struct_fields__ if name != "subaccount_id"]
    return dict.fromkeys(names, 0)


def test_a_restart_forecasts_from_the_journal(tmp_path: Path) -> None:
    """Hourly prices and recent liquidations come back; nothing that was refused is among them."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            loop = await open_stage(stage, None)
            await loop.cycle()
            await live(stage, loop, 30, 0.02)
            started = LiquidationStarted(subaccount_id=5, **_rest())
            last = stage.entries[-1]
            stage.entries.append(msgspec.structs.replace(last, events=(*last.events, started)))
            assert loop._steward is not None
            before, after = loop._steward._memory, StewardMemory(RULES)
            assert list(after.follow(stage.entries)) == stage.entries
            for key in RULES:
                assert after.trackers[key].forecast() == before.trackers[key].forecast()
            assert after.trackers[1].forecast() > 2 * RULES[1].base_volatility
            assert len(after.liquidations) == 1

    asyncio.run(play())


def test_an_entry_without_liquidations_counts_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        async with venue(tmp_path) as stage:
            steward = Steward(stage.sequencer, RULES)
            await stage.open()
            kept: list[Entry] = list(stage.entries)
            steward.on_entries(kept)
            assert not steward._memory.liquidations
            steward.note(99, START_NS, 1)  # nobody's index

    asyncio.run(play())
