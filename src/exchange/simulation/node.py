"""Between a relayer and the chain: answers that come late, or never, and processes that die there.

Whatever is lost is lost before the call took effect or after it; the caller cannot tell.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from exchange.settlement.errors import ChainUnavailable, NodeRefused
from exchange.simulation.chain import ModelChain
from exchange.simulation.loop import wait
from exchange.simulation.parameters import Faults

_LATE = 0.1  # of calls: others go on meanwhile, so that the chain moves between two answers
_LOCAL = frozenset({"sign"})


class FaultyNode:
    """Has the methods of `settlement.chain.Chain`, for code that runs in `blocking`."""

    def __init__(self, chain: ModelChain, draw: random.Random, faults: Faults) -> None:
        self.chain = chain
        self.faults = faults
        self._draw = draw
        self._surprise: Callable[[], None] | None = None
        self._questions_left = 0

    def surprise(self, act: Callable[[], None]) -> None:
        """Act between two of the next questions: code that looks twice is caught in the middle."""
        self._surprise, self._questions_left = act, self._draw.randint(1, 6)

    def _go_on(self) -> None:
        self._questions_left -= 1
        if self._questions_left <= 0 and self._surprise is not None:
            act, self._surprise = self._surprise, None
            act()

    def __getattr__(self, name: str) -> Any:
        target = getattr(self.chain, name)
        if not callable(target) or name in _LOCAL:
            return target
        return self._asked(name, target)

    def _asked(self, name: str, target: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*arguments: Any, **named: Any) -> Any:
            draw = self._draw.random
            if draw() < _LATE:
                wait(asyncio.sleep(draw() * 0.5))
            if draw() < self.faults.call_lost:
                raise ChainUnavailable(f"{name}: the request was lost")
            if name == "broadcast" and draw() < self.faults.refused:
                raise NodeRefused(-32_000, "transaction pool is full")
            self._go_on()
            answer = target(*arguments, **named)
            if draw() < self.faults.call_lost:
                raise ChainUnavailable(f"{name}: the answer was lost")
            return answer

        return ask
