"""The oracle's cycle against a real sequencer and engine, on a clock of the test's own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from exchange.commands import (
    AdvanceClock,
    AnyCommand,
    Configure,
    DepositSeen,
    FeeSchedule,
    ListCombo,
    ObserveBlocks,
    PlaceOrder,
    Reprice,
    SubaccountSeen,
    TradingLimits,
    UpdateIndex,
    UpdateMarks,
)
from exchange.engine import Engine
from exchange.events import ComboListed, Refused, RejectReason
from exchange.fixed import CASH_SCALE
from exchange.journal import Entry, Journal
from exchange.margin.scenarios import load_preset, margin_parameters
from exchange.margin.surface import FlatSurface
from exchange.model import Kind, Leg, OptionKind, OrderTerms, Side, Underlying
from exchange.oracle.dev_market import load_dev_market
from exchange.oracle.index import IndexRules, Verdict, Withheld
from exchange.oracle.loop import Feed, MarksLoop, Timing
from exchange.oracle.marks import MarkModel
from exchange.oracle.sources import Sample, Source
from exchange.sequencer import Reply, Sequencer, SequencerBusy

START_NS = 1_795_271_000 * 10**9
SECOND_NS = 10**9
DAY_S = 86_400
PRESET = load_preset("pm33")
MARKET = load_dev_market()

CONFIGURE = Configure(
    version=1,
    chain_id=31_337,
    clearing="0x" + "11" * 20,
    collateral="0x" + "22" * 20,
    genesis_hash="0x" + "33" * 32,
    underlyings=(Underlying(underlying_id=1, name="BTC"), Underlying(underlying_id=2, name="ETH")),
    fees=FeeSchedule(maker_rate=0, taker_rate=0, premium_cap=0),
    margin=margin_parameters(PRESET),
    limits=TradingLimits(
        band_rate=10**17,
        open_orders_max=100,
        quantity_max=10**8,
        deadline_seconds_max=90 * DAY_S,
        index_age_ns_max=30 * SECOND_NS,
    ),
    delivery_window_s=1800,
)


class FixedSource:
    """Says what the test says; raises where that is an exception."""

    def __init__(self, name: str, price: float) -> None:
        self.name = name
        self.price: float | Exception | None = price

    def sample(self, now_ns: int) -> Sample | None:
        if isinstance(self.price, Exception):
            raise self.price
        return None if self.price is None else Sample(self.price, now_ns)


class Stage:
    """A venue with a hand-set clock, the loop under test, and what the journal got."""

    def __init__(self, path: Path) -> None:
        self.time_ns = START_NS
        self.engine = Engine()
        self.journal = Journal(str(path / "journal.db"))
        self.sequencer = Sequencer(self.engine, self.journal, machine_clock=lambda: self.time_ns)
        self.entries: list[Entry] = []
        self.sequencer.subscribe(self._keep)
        self.btc = [FixedSource(f"b{n}", 100_000.0) for n in range(4)]
        self.eth = [FixedSource(f"e{n}", 3_500.0) for n in range(4)]

    def _keep(self, entries: Sequence[Entry]) -> None:
        self.entries += entries

    def loop(self, timing: Timing | None = None) -> MarksLoop:
        return MarksLoop(
            self.sequencer,
            [self._feed(1, self.btc), self._feed(2, self.eth)],
            PRESET,
            timing=timing,
        )

    def _feed(self, underlying_id: int, sources: Sequence[Source]) -> Feed:
        rules = IndexRules(floor_price=CASH_SCALE, ceiling_price=10**7 * CASH_SCALE, quorum=3)
        return Feed(
            underlying_id=underlying_id,
            sources=tuple(sources),
            rules=rules,
            model=MarkModel(surface=FlatSurface(0.5)),
        )

    async def open(self) -> None:
        await self.sequencer.submit(CONFIGURE)
        for name in ("BTC", "ETH"):
            await self.sequencer.submit(
                MARKET.chain_command(name, MARKET.start_price(name), START_NS // SECOND_NS)
            )

    def epochs(self) -> list[UpdateMarks]:
        return [e.command for e in self.entries if isinstance(e.command, UpdateMarks)]

    def repriced(self) -> list[Reprice]:
        return [e.command for e in self.entries if isinstance(e.command, Reprice)]

    async def volatility_order(self) -> int:
        """A funded bid for the first call of BTC, at one tick until the loop prices it."""
        owner = "0x" + "44" * 20
        seen = (
            SubaccountSeen(subaccount_id=2, owner=owner),
            DepositSeen(subaccount_id=2, amount=10**12),
        )
        block = ObserveBlocks(first_block=1, last_block=1, last_hash="0x1", observations=seen)
        await self.sequencer.submit(block)
        option = next(
            one
            for one in self.engine.instruments.values()
            if (one.underlying_id, one.kind, one.option_kind) == (1, Kind.OPTION, OptionKind.CALL)
        )
        terms = OrderTerms(
            subaccount_id=2,
            instrument_id=option.instrument_id,
            side=Side.BUY,
            quantity=option.min_quantity,
            limit_price=50_000 * CASH_SCALE,
            max_fee=CASH_SCALE,
            nonce=1,
            deadline=START_NS // SECOND_NS + 3600,
            signer=owner,
        )
        order = PlaceOrder(terms=terms, signature=b"", volatility=500_000, worth=option.tick_size)
        return (await self.sequencer.submit(order)).seq

    def samples(self, underlying_id: int) -> list[int]:
        return [
            entry.command.index_price
            for entry in self.entries
            if isinstance(entry.command, UpdateIndex)
            and entry.command.underlying_id == underlying_id
        ]


@contextlib.asynccontextmanager
async def venue(path: Path) -> AsyncIterator[Stage]:
    stage = Stage(path)
    writing = asyncio.create_task(stage.sequencer.run())
    try:
        yield stage
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        stage.journal.close()


def test_a_cycle_gives_every_instrument_a_mark(tmp_path: Path) -> None:
    """An index for each underlying, then one epoch that the engine accepts."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            await stage.loop().cycle()
            assert stage.samples(1) == [100_000 * CASH_SCALE]
            assert stage.samples(2) == [3_500 * CASH_SCALE]
            assert len(stage.epochs()) == 1
            assert stage.engine.epoch == 1
            assert all(stage.engine.mark(key) for key in stage.engine.instruments)

    asyncio.run(play())


def test_an_unconfigured_venue_is_left_alone(tmp_path: Path) -> None:
    """Nothing is submitted before the first parameters."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.loop().cycle()
            assert stage.entries == []

    asyncio.run(play())


@pytest.mark.parametrize(
    ("seconds", "price", "epochs"),
    [(1, 100_000.0, 1), (1, 100_251.0, 2), (1, 100_240.0, 1), (5, 100_000.0, 2), (4, 99_700.0, 2)],
)
def test_an_epoch_is_due_by_time_or_move(
    tmp_path: Path, seconds: int, price: float, epochs: int
) -> None:
    """Every five seconds of the venue's clock, or at 0.25 %; the index every time."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            loop = stage.loop()
            await loop.cycle()
            stage.time_ns += seconds * SECOND_NS
            for source in stage.btc:
                source.price = price
            await loop.cycle()
            assert len(stage.samples(1)) == 2
            assert len(stage.epochs()) == epochs

    asyncio.run(play())


def test_a_listing_asks_for_an_epoch(tmp_path: Path) -> None:
    """New instruments are marked in the next cycle."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            loop = stage.loop()
            await loop.cycle()
            later_s = START_NS // SECOND_NS + 100 * DAY_S
            await stage.sequencer.submit(MARKET.chain_command("BTC", 10**11, later_s))
            await loop.cycle()
            assert len(stage.epochs()) == 2
            assert all(stage.engine.mark(key) for key in stage.engine.instruments)

    asyncio.run(play())


def test_a_combo_is_left_to_its_legs(tmp_path: Path) -> None:
    """It has no row of its own in an epoch, and does not end the loop."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            loop = stage.loop()
            await loop.cycle()
            legs = [
                Leg(key, ratio)
                for key, ratio in zip(sorted(stage.engine.instruments)[:2], (1, -1), strict=True)
            ]
            reply = await stage.sequencer.submit(ListCombo(legs=tuple(legs)))
            combos = [event for event in reply.events if isinstance(event, ComboListed)]
            assert combos
            await loop.sample_now()
            assert len(stage.epochs()) == 2
            rows = stage.epochs()[-1].instrument_ids
            assert set(rows) == set(stage.engine.instruments) - {combos[0].instrument_id}

    asyncio.run(play())


def test_sample_now_follows_a_leap_of_the_clock(tmp_path: Path) -> None:
    """Index and epoch belong to the new time, and an expired chain still has its rows."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            loop = stage.loop()
            await loop.sample_now()
            await stage.sequencer.submit(AdvanceClock(by_ns=2 * DAY_S * SECOND_NS))
            await loop.sample_now()
            assert len(stage.epochs()) == 2
            assert stage.epochs()[1].instrument_ids == stage.epochs()[0].instrument_ids
            assert stage.entries[-1].time_ns >= START_NS + 2 * DAY_S * SECOND_NS

    asyncio.run(play())


def test_a_withheld_index_is_not_submitted(tmp_path: Path) -> None:
    """Its marks stay where they were, the other underlying goes on, and the reason is shown."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            loop = stage.loop()
            await loop.cycle()
            stage.time_ns += 6 * SECOND_NS
            stage.btc[0].price = None
            stage.btc[1].price = RuntimeError("the source is down")
            await loop.cycle()
            assert len(stage.samples(1)) == 1
            assert len(stage.samples(2)) == 2
            assert len(stage.epochs()) == 2
            reading = loop.readings[1]
            assert reading.withheld is Withheld.NO_QUORUM
            assert [source.verdict for source in reading.sources[:2]] == [Verdict.SILENT] * 2

    asyncio.run(play())


def test_after_a_restart_no_epoch_before_every_price_is_fresh(tmp_path: Path) -> None:
    """One dead underlying holds the first epoch back; then numbering goes on where it ended."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            await stage.loop().cycle()
            restarted = stage.loop()
            for source in stage.eth:
                source.price = None
            await restarted.sample_now()
            assert len(stage.epochs()) == 1
            for source in stage.eth:
                source.price = 3_500.0
            await restarted.sample_now()
            assert [update.epoch for update in stage.epochs()] == [1, 2]

    asyncio.run(play())


def test_a_restart_is_guarded_by_the_journals_index(tmp_path: Path) -> None:
    """Prices with a shifted decimal do not pass as first ones, until an operator says so."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            await stage.loop().cycle()
            restarted = stage.loop()
            for source in stage.btc:
                source.price = 1_000_000.0
            await restarted.cycle()
            assert restarted.readings[1].withheld is Withheld.IMPLAUSIBLE
            restarted.reset_breaker(1)
            restarted.reset_breaker(99)  # nobody's: nothing to vouch for
            await restarted.cycle()
            assert stage.samples(1)[-1] == 1_000_000 * CASH_SCALE

    asyncio.run(play())


def test_a_busy_sequencer_costs_one_cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is made as usual."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            submit, calls = stage.sequencer.submit, []

            async def busy_once(command: AnyCommand) -> Reply:
                calls.append(command)
                if len(calls) == 1:
                    raise SequencerBusy("try again")
                return await submit(command)

            monkeypatch.setattr(stage.sequencer, "submit", busy_once)
            enough = asyncio.Event()
            stage.sequencer.subscribe(lambda _: enough.set() if stage.epochs() else None)
            running = asyncio.create_task(stage.loop(Timing(index_interval_s=0.005)).run())
            await asyncio.wait_for(enough.wait(), 10)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            assert len(stage.samples(2)) > len(stage.samples(1)) > 0

    asyncio.run(play())


def test_a_refused_sample_is_not_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks are made of what the engine took, and of nothing else."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()

            async def refuse(command: AnyCommand) -> Reply:
                refusal = Refused(reason=RejectReason.UNKNOWN_INSTRUMENT)
                return Reply(seq=0, time_ns=0, events=(refusal,), chain_hash=b"")

            monkeypatch.setattr(stage.sequencer, "submit", refuse)
            loop = stage.loop()
            await loop.sample_now()
            monkeypatch.undo()
            assert loop.readings[1].index_price == 100_000 * CASH_SCALE
            assert stage.epochs() == []

    asyncio.run(play())


def test_run_cycles_until_it_is_cancelled(tmp_path: Path) -> None:
    """Several samples in a moment, and none after the end."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            enough = asyncio.Event()
            stage.sequencer.subscribe(lambda _: enough.set() if len(stage.samples(1)) > 2 else None)
            running = asyncio.create_task(stage.loop(Timing(index_interval_s=0.005)).run())
            await asyncio.wait_for(enough.wait(), 10)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            count = len(stage.entries)
            await asyncio.sleep(0.02)
            assert len(stage.entries) == count

    asyncio.run(play())


def test_volatility_orders_follow_the_index(tmp_path: Path) -> None:
    """Each sample moves them; an index that stands still moves none."""

    async def play() -> None:
        async with venue(tmp_path) as stage:
            await stage.open()
            loop = stage.loop()
            await loop.cycle()
            order_id = await stage.volatility_order()
            await loop.cycle()
            first = stage.engine.order(order_id)
            assert first is not None
            await loop.cycle()
            assert len(stage.repriced()) == 1
            for source in stage.btc:
                source.price = 100_050.0
            stage.time_ns += SECOND_NS
            await loop.cycle()
            moved = stage.engine.order(order_id)
            assert moved is not None
            assert first.limit_price < moved.limit_price < moved.worst_price
            assert len(stage.repriced()) == 2
            stage.engine.check()

    asyncio.run(play())
