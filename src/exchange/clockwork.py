"""Submits what time alone causes: expiries, funding, interest, batches, ends of speed bumps.

Knows the sequencer, no chain and no wire. Its commands are journaled like any others, so a replay
needs no clock.
"""

import asyncio
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

import structlog

from exchange.commands import (
    AccrueFunding,
    AccrueInterest,
    CutBatch,
    ExpireInstruments,
    ReleaseOrders,
)
from exchange.engine import Engine
from exchange.events import (
    BatchCut,
    InterestPaid,
    OrderDelayed,
    PositionExpired,
    Refused,
    Traded,
    Transferred,
    Withdrawn,
)
from exchange.fixed import to_seconds_down
from exchange.journal import Entry
from exchange.model import InstrumentStatus, Kind
from exchange.sequencer import Sequencer, SequencerBusy

TICK_S: Final = 0.05
RETRY_S: Final = 5  # venue seconds before an expiry is asked for again
_SETTLES: Final = (Traded, PositionExpired, Withdrawn, Transferred, InterestPaid)

log = structlog.get_logger(__name__)


class Clockwork:
    """Watches venue time; `run` until cancelled."""

    def __init__(
        self, sequencer: Sequencer, *, batch_interval_s: float, tick_s: float = TICK_S
    ) -> None:
        self._sequencer = sequencer
        self._tick_s = tick_s
        self._batch_interval_ns = int(batch_interval_s * 1e9)
        self._pending_since_ns = 0  # venue time of the oldest item without a batch; 0 for none
        self._retry_at_s: dict[tuple[int, int], int] = {}
        self._funded = 0  # the interval in which funding indices moved last
        self._releases: list[int] = []  # heap of venue times at which orders may enter
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Cut, expire and release for ever."""
        self._releases = await self._sequencer.read(lambda engine: engine.release_times_ns())
        pending = await self._sequencer.read(lambda engine: engine.pending)
        self._pending_since_ns = self._sequencer.now_ns() if pending else 0
        unsubscribe = self._sequencer.subscribe(self._on_entries)
        try:
            while True:
                try:
                    await self.step()
                except SequencerBusy:  # what is due stays due
                    log.warning("the sequencer is busy; trying again")
                await self._pause()
        finally:
            unsubscribe()

    async def _pause(self) -> None:
        """Wait for a tick, or less if an order may enter before."""
        seconds = self._tick_s
        if self._releases:
            seconds = min(seconds, (self._releases[0] - self._sequencer.now_ns()) / 1e9)
        self._woken.clear()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def step(self) -> None:
        """Submit whatever is due now."""
        now_ns = self._sequencer.now_ns()
        if self._releases and self._releases[0] <= now_ns:
            await self._sequencer.submit(ReleaseOrders())
            while self._releases and self._releases[0] <= now_ns:
                heappop(self._releases)
        for underlying_id, expiry in await self._sequencer.read(
            lambda engine: _due(engine, to_seconds_down(now_ns))
        ):
            await self._expire(underlying_id, expiry, to_seconds_down(now_ns))
        await self._accrue(now_ns)
        if await self._sequencer.read(lambda engine: engine.interest_is_due(now_ns)):
            await self._sequencer.submit(AccrueInterest())
        since_ns = self._pending_since_ns
        if since_ns and now_ns - since_ns >= self._batch_interval_ns:
            await self._sequencer.submit(CutBatch())

    def _on_entries(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            for event in entry.events:
                if isinstance(event, BatchCut):
                    self._pending_since_ns = 0
                elif isinstance(event, OrderDelayed):
                    heappush(self._releases, event.until_ns)
                    self._woken.set()
                elif isinstance(event, _SETTLES) and not self._pending_since_ns:
                    self._pending_since_ns = entry.time_ns

    async def _accrue(self, now_ns: int) -> None:
        """Let funding indices move, once in each interval of venue time."""
        interval_ns = await self._sequencer.read(_funding_interval)
        if interval_ns and now_ns // interval_ns != self._funded:
            self._funded = now_ns // interval_ns
            await self._sequencer.submit(AccrueFunding())  # missed, it comes with the next

    async def _expire(self, underlying_id: int, expiry: int, now_s: int) -> None:
        key = (underlying_id, expiry)
        if now_s < self._retry_at_s.get(key, 0):
            return
        self._retry_at_s[key] = now_s + RETRY_S
        reply = await self._sequencer.submit(
            ExpireInstruments(underlying_id=underlying_id, expiry=expiry)
        )
        refused = [event for event in reply.events if isinstance(event, Refused)]
        for event in refused:
            log.warning("expiry refused", expiry=expiry, reason=event.reason.value)
        if not refused:  # a full batch may have left a part of it, which is due at once
            self._retry_at_s.pop(key, None)


def _funding_interval(engine: Engine) -> int:
    """How often funding indices move, in nanoseconds; 0 where there is no perpetual."""
    funding = engine.parameters.funding if engine.parameters else None
    perpetuals = any(one.kind is Kind.PERPETUAL for one in engine.instruments.values())
    return funding.interval_ns if funding and perpetuals else 0


def _due(engine: Engine, now_s: int) -> list[tuple[int, int]]:
    """(underlying_id, expiry) of instruments whose time has come and who are not expired yet."""
    return sorted(
        {
            (instrument.underlying_id, instrument.expiry)
            for instrument in engine.instruments.values()
            if 0 < instrument.expiry <= now_s
            and engine.status(instrument.instrument_id) is not InstrumentStatus.EXPIRED
        }
    )
