"""Whether traffic should come here, and if not, why: the truth that load balancers act on.

Four things must hold: the venue is configured, the writer writes, indices are fresh, and whoever
settles was heard of lately. A venue that no relayer ever reported to is not asked for the last.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from exchange.api.ports import EngineState, Sequencer
from exchange.sequencer import SequencerStopped

COMMIT_S_MAX: Final = 2.0  # a group that is written for longer: the store hangs
REPORT_S_MAX: Final = 60.0  # the relayer reports every few seconds as long as it reaches a node


class Readiness:
    """Answers from memory, so that it answers while the store hangs."""

    def __init__(
        self,
        sequencer: Sequencer,
        healthy: Callable[[], bool],
        clock_s: Callable[[], float] = time.monotonic,
        patience_s: float = COMMIT_S_MAX,
        others: Callable[[], dict[str, str]] = dict,
    ) -> None:
        self._sequencer = sequencer
        self._healthy = healthy
        self._clock_s = clock_s
        self._patience_s = patience_s
        self._others = others
        self._reported_s: float | None = None

    def settlement_reported(self) -> None:
        """The relayer reached its node, and us."""
        self._reported_s = self._clock_s()

    async def reasons(self) -> dict[str, str]:
        """What keeps this venue from taking orders, by name; empty when nothing does."""
        found = self._others()
        if not self._healthy():
            found["writer"] = "it stopped, or the gateway lost it: restart"
        elif self._sequencer.commit_s() > COMMIT_S_MAX:
            found["journal"] = self._slow_commit()
        else:
            try:  # between commits, so not while one hangs: it may begin to just now
                asked = self._sequencer.read(self._engine_reasons)
                found |= await asyncio.wait_for(asked, self._patience_s)
            except TimeoutError:
                found["journal"] = self._slow_commit()
            except SequencerStopped:  # in that commit
                found["writer"] = "it stopped: restart"
        if self._reported_s is not None:
            silent_s = self._clock_s() - self._reported_s
            if silent_s > REPORT_S_MAX:
                found["settlement"] = f"no report of the relayer for {silent_s:.0f} s"
        return found

    def _slow_commit(self) -> str:
        return f"a commit has taken {self._sequencer.commit_s():.0f} s so far"

    def _engine_reasons(self, engine: EngineState) -> dict[str, str]:
        if engine.parameters is None:
            return {"parameters": "the venue is not configured"}
        stale = engine.stale_indices(self._sequencer.now_ns())
        return {"index": f"too old: {', '.join(stale)}"} if stale else {}
