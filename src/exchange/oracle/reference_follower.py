"""Looks at other venues' chains beside the oracle's cycle, and keeps the last reference of each.

Combining chains takes tens of milliseconds, so it runs in an executor. A reference serves until its
age limit when no chain counts any more; after that there are no marks (`references` says why).
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Final

import structlog

from exchange.oracle.marks import MarkModel
from exchange.oracle.references import ChainSource, ChainVerdict, ReferenceRules, combine
from exchange.sequencer import Sequencer

_log: Final = structlog.get_logger(__name__)


class ReferenceFollower:
    """The references of every underlying that has chains."""

    def __init__(
        self,
        sequencer: Sequencer,
        chains: Mapping[int, Sequence[ChainSource]],
        *,
        rules: ReferenceRules | None = None,
        executor: Executor | None = None,
    ) -> None:
        """`chains` by underlying_id; one without any is not looked at."""
        self._sequencer = sequencer
        self._chains = {key: tuple(sources) for key, sources in chains.items() if sources}
        self._rules = rules or ReferenceRules()
        self._executor = executor
        self._made: dict[int, tuple[int, MarkModel]] = {}
        self._looked_ns: dict[int, int] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.verdicts: dict[int, dict[str, ChainVerdict]] = {}  # of the last look

    def model(self, underlying_id: int, now_ns: int) -> MarkModel | None:
        """The last reference, unless it is too old."""
        made_ns, model = self._made.get(underlying_id, (0, None))
        return model if now_ns - made_ns <= self._rules.hold_ns else None

    def is_missing(self, underlying_id: int, now_ns: int) -> bool:
        """Whether an underlying needs a reference and has none: it must not be marked."""
        return underlying_id in self._chains and self.model(underlying_id, now_ns) is None

    async def look_if_due(self, underlying_id: int, index_price: float) -> None:
        """Begin a look beside the cycle; wait for it only while there is no reference."""
        now_ns = self._sequencer.now_ns()
        task = self._tasks.get(underlying_id)
        busy = task is not None and not task.done()
        due = now_ns - self._looked_ns.get(underlying_id, 0) >= self._rules.interval_ns
        if underlying_id not in self._chains or busy or not due:
            return
        self._looked_ns[underlying_id] = now_ns
        task = asyncio.create_task(self._look(underlying_id, index_price, now_ns))
        self._tasks[underlying_id] = task
        if self.is_missing(underlying_id, now_ns):
            await task

    def stop(self) -> None:
        """Give up looks that are under way."""
        for task in self._tasks.values():
            task.cancel()

    async def _look(self, underlying_id: int, index_price: float, now_ns: int) -> None:
        """A look that fails leaves the last reference to age."""
        try:
            samples = {one.name: one.chain(now_ns) for one in self._chains[underlying_id]}
            found = await asyncio.get_running_loop().run_in_executor(
                self._executor, combine, samples, index_price, now_ns, self._rules
            )
        except Exception:  # noqa: BLE001  a reference is worth less than the cycle
            _log.exception("chains_not_combined", underlying_id=underlying_id)
            return
        if found.verdicts != self.verdicts.get(underlying_id):
            dropped = {
                name: verdict
                for name, verdict in found.verdicts.items()
                if verdict is not ChainVerdict.ACCEPTED
            }
            _log.info("chain_sources_changed", underlying_id=underlying_id, dropped=dropped)
        self.verdicts[underlying_id] = found.verdicts
        if found.model is not None:
            self._made[underlying_id] = (now_ns, found.model)
