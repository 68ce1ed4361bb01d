"""The oracle's cycle: every second an index sample, every few seconds an epoch of risk arrays.

After each sample volatility orders are moved to what their volatilities are worth.

It talks to the venue through the sequencer alone and keeps the venue's time, so that a leap of
that clock is just a long second. What it withholds the engine notices by age: no price, no trading.
After a restart no epoch is made before every underlying has a fresh index of this process.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
import structlog

from exchange.commands import UpdateIndex, UpdateMarks
from exchange.engine import Engine
from exchange.events import AnyEvent, InstrumentListed, Refused
from exchange.fixed import CASH_SCALE, RATIO_SCALE, to_nanoseconds
from exchange.journal import Entry
from exchange.margin.scenarios import Preset
from exchange.model import Instrument, InstrumentStatus
from exchange.oracle.index import IndexCalculator, IndexReading, IndexRules, Verdict, moved_up
from exchange.oracle.marks import IndexState, MarkModel, Moment, build_marks, forward_now
from exchange.oracle.perpetual import Premium, perpetual_middle
from exchange.oracle.reference_follower import ReferenceFollower
from exchange.oracle.references import ChainSource
from exchange.oracle.repricing import Repricer, followed
from exchange.oracle.smile_follower import SmileFollower
from exchange.oracle.sources import Sample, Source
from exchange.oracle.steward import Steward
from exchange.sequencer import Sequencer, SequencerBusy

_log: Final = structlog.get_logger(__name__)
_SAMPLES_MAX: Final = 7200  # two hours of seconds; more than any delivery window needs


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the oracle needs for one underlying."""

    underlying_id: int
    sources: tuple[Source, ...]
    rules: IndexRules
    model: MarkModel  # where no chain is configured
    chains: tuple[ChainSource, ...] = ()  # reference volatilities, forwards and rates


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When to act."""

    index_interval_s: float = 1.0
    epoch_interval_ns: int = 5 * 10**9
    epoch_move: int = 2_500  # 0.25 %, in 1e-6: an index that moves farther asks for a new epoch


Scale = tuple[float, float]  # of spot moves and of the upward volatility shock


class _Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What one read of the engine tells."""

    epoch: int
    window_s: int
    instruments: tuple[Instrument, ...]
    scales: dict[int, Scale] = {}  # by underlying_id, where any is in force


class MarksLoop:
    """Samples sources, submits `UpdateIndex` and `UpdateMarks`. One instance per shard."""

    def __init__(
        self,
        sequencer: Sequencer,
        feeds: Sequence[Feed],
        preset: Preset,
        *,
        timing: Timing | None = None,
        follower: SmileFollower | None = None,
        steward: Steward | None = None,
    ) -> None:
        """Without a follower smiles are fitted in a thread, without a steward nothing is scaled."""
        self._sequencer = sequencer
        self._feeds = {feed.underlying_id: feed for feed in feeds}
        chains = {feed.underlying_id: feed.chains for feed in feeds}
        self._preset = preset
        self._timing = timing or Timing()
        self._calculators: dict[int, IndexCalculator] = {}
        self._states: dict[int, IndexState] = {}
        self._samples: dict[int, deque[tuple[int, int]]] = {}
        self._readings: dict[int, IndexReading] = {}
        self._epoch_ns = 0
        self._epoch_prices: dict[int, int] = {}
        self._premiums: dict[int, Premium] = {}
        self._repricer = Repricer()
        self._follower = follower or SmileFollower(sequencer)
        self._references = ReferenceFollower(sequencer, chains, executor=self._follower.executor)
        self._steward = steward
        self._listed = asyncio.Event()
        self._cycling = asyncio.Lock()
        self._unsubscribe = sequencer.subscribe(self._on_entries)

    @property
    def readings(self) -> Mapping[int, IndexReading]:
        """The last cycle by underlying: index or why there is none, and every source's verdict."""
        return self._readings

    def reset_breaker(self, underlying_id: int) -> None:
        """An operator vouches for the sources of an underlying whose index is withheld."""
        if underlying_id in self._calculators:
            self._calculators[underlying_id].reset()

    async def run(self) -> None:
        """Cycle until cancelled; a listing wakes it early. Ends with the sequencer's failure."""
        try:
            while True:
                try:
                    await self.cycle()
                except SequencerBusy:
                    _log.warning("oracle_cycle_skipped", reason="the sequencer is busy")
                try:
                    async with asyncio.timeout(self._timing.index_interval_s):
                        await self._listed.wait()
                except TimeoutError:
                    pass
        finally:
            self._follower.stop()
            self._references.stop()
            self._unsubscribe()

    async def sample_now(self) -> None:
        """Sample every source and make an epoch at once, due or not: the clock has just moved."""
        await self.cycle(force=True)

    async def cycle(self, *, force: bool = False) -> None:
        """One index sample per underlying, then an epoch where it is due (or forced)."""
        async with self._cycling:
            parameters = await self._sequencer.read(lambda engine: engine.parameters)
            if parameters is None:
                return
            configured = {item.underlying_id for item in parameters.underlyings}
            feeds = [feed for key, feed in self._feeds.items() if key in configured]
            sampling = (self._sample(feed) for feed in feeds)
            for failure in await asyncio.gather(*sampling, return_exceptions=True):
                if failure is not None:
                    raise failure  # only now, when none is still under way
            if force or self._is_due():
                await self._make_epoch([feed.underlying_id for feed in feeds])
            self._follower.start_if_due(self.refit)
            if self._steward is not None:
                await self._steward.step()
            await self._reprice(parameters.delivery_window_s)

    async def _sample(self, feed: Feed) -> None:
        calculator = await self._calculator(feed)
        now_ns = self._sequencer.now_ns()
        reading = calculator.read(_ask(feed.sources, now_ns), now_ns)
        self._note(feed.underlying_id, reading)
        if reading.index_price is None:
            return
        reply = await self._sequencer.submit(
            UpdateIndex(
                underlying_id=feed.underlying_id,
                index_price=reading.index_price,
                confidence=reading.confidence,
            )
        )
        if _refused(reply.events):
            return
        samples = self._samples.setdefault(feed.underlying_id, deque(maxlen=_SAMPLES_MAX))
        samples.append((reply.time_ns, reading.index_price))
        if self._steward is not None:
            self._steward.note(feed.underlying_id, reply.time_ns, reading.index_price)
        premium = self._premiums.setdefault(feed.underlying_id, Premium())
        middle = await self._sequencer.read(partial(perpetual_middle, feed.underlying_id))
        premium.note(now_ns, reading.index_price, middle)
        await self._references.look_if_due(feed.underlying_id, reading.index_price / CASH_SCALE)
        self._states[feed.underlying_id] = IndexState(
            index_price=reading.index_price,
            confidence=reading.confidence,
            samples=samples,
            premium=premium.value,
        )

    async def _calculator(self, feed: Feed) -> IndexCalculator:
        """The guards of a feed; they start from the journal's last index."""
        key = feed.underlying_id
        if key not in self._calculators:
            last_price, last_ns = await self._sequencer.read(
                lambda engine: (engine.index_price(key), engine.time_ns)
            )
            self._calculators[key] = IndexCalculator(
                feed.rules, last_price=last_price, last_ns=last_ns
            )
        return self._calculators[key]

    def _is_due(self) -> bool:
        if self._listed.is_set():
            return True
        if self._sequencer.now_ns() - self._epoch_ns >= self._timing.epoch_interval_ns:
            return True
        return any(
            key not in self._epoch_prices
            or moved_up(self._epoch_prices[key], state.index_price) > self._timing.epoch_move
            for key, state in self._states.items()
        )

    async def _make_epoch(self, underlying_ids: Sequence[int]) -> None:
        self._listed.clear()
        picture = await self._sequencer.read(_look)
        if any(key not in self._states for key in underlying_ids):
            return  # a price is not fresh yet
        now_ns = self._sequencer.now_ns()
        if any(self._references.is_missing(key, now_ns) for key in underlying_ids):
            return  # marks never come from our own book alone
        update = self._draw(picture, now_ns, picture.scales)
        if update is None:
            return
        reply = await self._sequencer.submit(update)
        if not _refused(reply.events):
            self._epoch_ns = now_ns
            self._repricer.forget()
            self._epoch_prices = {key: state.index_price for key, state in self._states.items()}

    async def _reprice(self, window_s: int) -> None:
        orders = await self._sequencer.read(followed)
        if not orders:
            return
        moment = Moment(self._sequencer.now_ns(), window_s)

        def forward(instrument: Instrument) -> tuple[float, float] | None:
            key = instrument.underlying_id
            if key not in self._states:
                return None
            model = self._model(key, moment.now_ns)
            expiry = instrument.expiry
            return forward_now(model, self._states[key], expiry, moment), model.rate_at(expiry)

        for command in self._repricer.due(orders, forward, moment.now_ns):
            _refused((await self._sequencer.submit(command)).events)

    async def refit(self) -> None:
        """Fit smiles to our own book now; the next epoch is drawn by them."""
        picture = await self._sequencer.read(_look)
        moment = Moment(self._sequencer.now_ns(), picture.window_s)
        for key, state in dict(self._states).items():
            model = self._model(key, moment.now_ns)
            expiries = {i.expiry for i in picture.instruments if i.underlying_id == key} - {0}
            forwards = {
                expiry: forward_now(model, state, expiry, moment)
                for expiry in expiries
                if to_nanoseconds(expiry) > moment.now_ns
            }
            rates = {expiry: model.rate_at(expiry) for expiry in forwards}
            await self._follower.refit(key, model.surface, forwards, rates)

    def _model(self, underlying_id: int, now_ns: int) -> MarkModel:
        """What chains of other venues say; the configured model where there are none."""
        found = self._references.model(underlying_id, now_ns)
        return found or self._feeds[underlying_id].model

    def _models_now(self, now_ns: int) -> dict[int, MarkModel]:
        """The models with fitted surfaces where a fit is fresh."""
        return {
            key: msgspec.structs.replace(model, surface=surface) if surface else model
            for key in self._feeds
            for model in (self._model(key, now_ns),)
            for surface in (self._follower.surface(key, now_ns),)
        }

    async def draw(self, scales: Mapping[int, Scale]) -> UpdateMarks | None:
        """The epoch that would follow were scenarios scaled like this; nothing is submitted.

        None before every underlying has a fresh index.
        """
        picture = await self._sequencer.read(_look)
        known = {instrument.underlying_id for instrument in picture.instruments}
        now_ns = self._sequencer.now_ns()
        missing = any(self._references.is_missing(key, now_ns) for key in known)
        if missing or not known <= self._states.keys():
            return None
        return self._draw(picture, now_ns, picture.scales | dict(scales))

    def _draw(
        self, picture: _Picture, now_ns: int, scales: Mapping[int, Scale]
    ) -> UpdateMarks | None:
        states = {
            key: msgspec.structs.replace(state, scan=scan, volatility_scale=volatility)
            for key, state in self._states.items()
            for scan, volatility in (scales.get(key, (1.0, 1.0)),)
        }
        return build_marks(
            self._preset,
            self._models_now(now_ns),
            states,
            picture.instruments,
            Moment(now_ns, picture.window_s),
            epoch=picture.epoch + 1,
        )

    def _on_entries(self, entries: Sequence[Entry]) -> None:
        self._follower.on_entries(entries)
        if self._steward is not None:
            self._steward.on_entries(entries)
        if any(isinstance(event, InstrumentListed) for e in entries for event in e.events):
            self._listed.set()

    def _note(self, underlying_id: int, reading: IndexReading) -> None:
        """Remember a reading; log it where anything but the prices changed."""
        before = self._readings.get(underlying_id)
        self._readings[underlying_id] = reading
        if before is None or _shape(before) != _shape(reading):
            dropped = {r.name: r.verdict for r in reading.sources if r.verdict != Verdict.ACCEPTED}
            _log.info(
                "index_sources_changed",
                underlying_id=underlying_id,
                withheld=reading.withheld,
                dropped=dropped,
            )


def _ask(sources: Sequence[Source], now_ns: int) -> dict[str, Sample | None]:
    samples: dict[str, Sample | None] = {}
    for source in sources:
        try:
            samples[source.name] = source.sample(now_ns)
        except Exception:  # noqa: BLE001  a source that fails is silent; the others go on
            samples[source.name] = None
    return samples


def _look(engine: Engine) -> _Picture:
    assert engine.parameters is not None
    return _Picture(
        epoch=engine.epoch,
        window_s=engine.parameters.delivery_window_s,
        instruments=tuple(
            instrument
            for instrument_id, instrument in engine.instruments.items()
            if engine.status(instrument_id) is not InstrumentStatus.EXPIRED
            and not instrument.legs  # a combo is worth its legs
        ),
        scales={
            item.underlying_id: (scale.scan / RATIO_SCALE, scale.volatility / RATIO_SCALE)
            for item in engine.parameters.underlyings
            if (scale := engine.risk_scale(item.underlying_id)).version
        },
    )


def _refused(events: Sequence[AnyEvent]) -> bool:
    refusals = [event for event in events if isinstance(event, Refused)]
    for event in refusals:
        _log.warning("oracle_command_refused", reason=event.reason, detail=event.detail)
    return bool(refusals)


def _shape(reading: IndexReading) -> tuple[object, ...]:
    return reading.withheld, *(source.verdict for source in reading.sources)
