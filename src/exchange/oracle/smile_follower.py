"""Fits smiles beside the oracle's cycle: reads our own book, fits elsewhere, keeps the last fit.

A fit takes longer than a cycle may wait, so it runs in an executor; marks use the last one that is
fresh, and the reference surface without one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Final

import structlog

from exchange.engine import Engine
from exchange.events import Traded
from exchange.journal import Entry
from exchange.margin.surface import Surface
from exchange.model import InstrumentStatus, Kind, Side
from exchange.oracle.smiles import FittedSmiles, Observed, SmileRules, fit_smiles
from exchange.sequencer import Sequencer

_log: Final = structlog.get_logger(__name__)


class SmileFollower:
    """The fits of every underlying and when they were made."""

    def __init__(
        self,
        sequencer: Sequencer,
        *,
        rules: SmileRules | None = None,
        executor: Executor | None = None,
    ) -> None:
        """A fit takes some 0.3 s of an expiry: `executor` is a process; None takes a thread."""
        self._sequencer = sequencer
        self._rules = rules or SmileRules()
        self.executor = executor
        self._fits: dict[int, tuple[int, FittedSmiles]] = {}  # by underlying_id
        self._traded: dict[int, tuple[int, int]] = {}  # by instrument_id: (price, time_ns)
        self._started_ns = 0
        self._task: asyncio.Task[None] | None = None

    def on_entries(self, entries: Sequence[Entry]) -> None:
        """Remember the latest trade of each instrument."""
        for entry in entries:
            for event in entry.events:
                if isinstance(event, Traded):
                    self._traded[event.instrument_id] = (event.price, entry.time_ns)

    def surface(self, underlying_id: int, now_ns: int) -> FittedSmiles | None:
        """The last fit, unless it is too old."""
        made_ns, fit = self._fits.get(underlying_id, (0, None))
        return fit if now_ns - made_ns <= self._rules.age_ns_max else None

    def start_if_due(self, refit: Callable[[], Awaitable[None]]) -> None:
        """Begin a fit beside the cycle, unless one is under way or the last is recent."""
        now_ns = self._sequencer.now_ns()
        busy = self._task is not None and not self._task.done()
        if busy or now_ns - self._started_ns < self._rules.interval_ns:
            return
        self._started_ns = now_ns
        self._task = asyncio.create_task(self._guarded(refit))

    def stop(self) -> None:
        """Give up a fit that is under way."""
        if self._task is not None:
            self._task.cancel()

    async def refit(
        self,
        underlying_id: int,
        reference: Surface,
        forwards: Mapping[int, float],
        rates: Mapping[int, float],
    ) -> None:
        """Fit one underlying to the book as it stands; forwards and rates by expiry."""
        chain = await self._sequencer.read(lambda engine: _book(engine, underlying_id))
        traded = self._traded
        observed = [
            one._replace(
                last_price=price,
                traded_ns=time_ns,
                rate=rates.get(one.instrument.expiry, 0.0),
            )
            for one in chain
            for price, time_ns in (traded.get(one.instrument.instrument_id, (0, 0)),)
        ]
        now_ns = self._sequencer.now_ns()
        fit = await asyncio.get_running_loop().run_in_executor(
            self.executor, fit_smiles, reference, dict(forwards), observed, now_ns, self._rules
        )
        self._fits[underlying_id] = (now_ns, fit)

    async def _guarded(self, refit: Callable[[], Awaitable[None]]) -> None:
        """A fit that fails leaves the last one to age: marks then fall back to the reference."""
        try:
            await refit()
        except Exception:  # noqa: BLE001  a smile is worth less than the cycle
            _log.exception("smiles_not_fitted")


def _book(engine: Engine, underlying_id: int) -> list[Observed]:
    """Best prices of every option that trades now; the others say nothing."""
    found = []
    for instrument_id, instrument in engine.instruments.items():
        if instrument.underlying_id != underlying_id or instrument.kind is not Kind.OPTION:
            continue
        status = engine.status(instrument_id)
        if status is InstrumentStatus.EXPIRED:
            continue
        bids = asks = []
        if status is InstrumentStatus.LIVE:
            bids = engine.levels(instrument_id, Side.BUY, 1)
            asks = engine.levels(instrument_id, Side.SELL, 1)
        found.append(Observed(instrument, bids[0][0] if bids else 0, asks[0][0] if asks else 0))
    return found
