"""Watches what stress is made of and submits `AdjustRisk`, once a minute at most.

Reads the engine and the journal's events; all judgement is in `stress`, all limits in the engine.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from exchange.commands import RiskBounds
from exchange.engine import Engine
from exchange.events import Refused
from exchange.fixed import VOL_SCALE
from exchange.journal import Entry
from exchange.model import InstrumentStatus, Kind, Side
from exchange.oracle.steward_memory import StewardMemory
from exchange.oracle.stress import Conditions, StressRules, next_step, target
from exchange.sequencer import Sequencer

_log: Final = structlog.get_logger(__name__)
_FLOW_NS: Final = 10 * 60 * 10**9
_INTERVAL_NS: Final = 60 * 10**9
_DEPTH_KEEP: Final = 0.99  # of the usual depth, a minute later
_LEVELS: Final = 5


class Steward:
    """One for the venue; `note` each index sample, `step` each cycle."""

    def __init__(
        self,
        sequencer: Sequencer,
        rules: Mapping[int, StressRules],
        memory: StewardMemory | None = None,
    ) -> None:
        self._sequencer = sequencer
        self._rules = dict(rules)
        self._memory = memory or StewardMemory(rules)
        self._usual_depth: dict[int, float] = {}
        self._stepped_ns = 0

    def note(self, underlying_id: int, time_ns: int, index_price: int) -> None:
        """Take an index sample in micro-USDC."""
        self._memory.note(underlying_id, time_ns, index_price)

    def on_entries(self, entries: Sequence[Entry]) -> None:
        """Count liquidations."""
        self._memory.count(entries)

    async def step(self) -> None:
        """Move scales where conditions ask for it."""
        now_ns = self._sequencer.now_ns()
        if now_ns - self._stepped_ns < _INTERVAL_NS:
            return
        self._stepped_ns = now_ns
        started = self._memory.liquidations
        while started and started[0] < now_ns - _FLOW_NS:
            started.popleft()
        bounds = await self._sequencer.read(_bounds)
        if bounds is None:
            return
        for underlying_id in self._rules:
            await self._adjust(underlying_id, bounds)

    async def _adjust(self, underlying_id: int, bounds: RiskBounds) -> None:
        rules, tracker = self._rules[underlying_id], self._memory.trackers[underlying_id]
        depth, implied, share = await self._sequencer.read(lambda e: _look(e, underlying_id))
        usual = self._usual_depth.get(underlying_id, depth)
        self._usual_depth[underlying_id] = _DEPTH_KEEP * usual + (1 - _DEPTH_KEEP) * depth
        implied = implied or rules.base_volatility
        now = Conditions(
            forecast=tracker.forecast(),
            realised=tracker.realised(implied),
            implied=implied,
            depth=depth / usual if usual else 1.0,
            largest_share=share,
            liquidations=len(self._memory.liquidations),
        )
        known = await self._sequencer.read(lambda e: _scale(e, underlying_id))
        command = next_step(bounds, known, underlying_id, target(rules, now))
        if command is None:
            return
        reply = await self._sequencer.submit(command)
        for event in reply.events:
            if isinstance(event, Refused):
                _log.warning("adjustment_refused", reason=event.reason, detail=event.detail)


def _bounds(engine: Engine) -> RiskBounds | None:
    return engine.parameters.risk_bounds if engine.parameters else None


def _scale(engine: Engine, underlying_id: int) -> tuple[int, int, int]:
    known = engine.risk_scale(underlying_id)
    return known.version, known.scan, known.volatility


def _look(engine: Engine, underlying_id: int) -> tuple[float, float, float]:
    """(contracts at the best levels of its options, median mark volatility, largest share)."""
    depth, volatilities = 0, []
    for instrument_id, instrument in engine.instruments.items():
        if instrument.underlying_id != underlying_id or instrument.kind is not Kind.OPTION:
            continue
        mark = engine.mark(instrument_id)
        if mark is None or engine.status(instrument_id) is InstrumentStatus.EXPIRED:
            continue
        volatilities.append(mark.mark_iv)
        for side in (Side.BUY, Side.SELL):
            depth += sum(quantity for _, quantity in engine.levels(instrument_id, side, _LEVELS))
    volatilities.sort()
    implied = volatilities[len(volatilities) // 2] / VOL_SCALE if volatilities else 0.0
    held = [sub.account.reach.totals.get(underlying_id, 0) for sub in engine.subaccounts.values()]
    everything = sum(held)
    return float(depth), implied, max(held) / everything if everything else 0.0
