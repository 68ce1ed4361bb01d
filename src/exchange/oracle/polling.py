"""Sources that must be asked over a network: polled beside the cycle, read from memory within it.

An exchange that hangs costs its own task a time-out and the cycle nothing: `sample` only looks at
what came last, and its age tells the index how old that is.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, TypeVar

import structlog

from exchange.oracle.references import ChainQuote, ChainSample
from exchange.oracle.sources import Sample

_log: Final = structlog.get_logger(__name__)
_BACKOFF_MAX: Final = 32  # intervals between questions to a source that keeps failing

T = TypeVar("T")
Chain = tuple[tuple[ChainQuote, ...], Mapping[int, float]]


class Poller(Generic[T]):
    """Keeps the latest answer of `fetch` and when it was asked for."""

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Awaitable[T]],
        now_ns: Callable[[], int],
        *,
        interval_s: float = 1.0,
        timeout_s: float = 3.0,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._now_ns = now_ns
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._latest: tuple[T, int] | None = None
        self._failures = 0

    @property
    def name(self) -> str:
        """How operators know it."""
        return self._name

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self.poll()
            pause = min(2**self._failures, _BACKOFF_MAX) if self._failures else 1
            await asyncio.sleep(self._interval_s * pause)

    async def poll(self) -> None:
        """Ask once; a failure leaves the last answer to age."""
        asked_ns = self._now_ns()
        try:
            answer = await asyncio.wait_for(self._fetch(), self._timeout_s)
        except Exception as error:  # noqa: BLE001  whatever a foreign library raises
            self._failures += 1
            if self._failures == 1:
                _log.warning("source_failed", source=self._name, error=repr(error)[:200])
            return
        if self._failures:
            _log.info("source_answers_again", source=self._name, failures=self._failures)
        self._failures = 0
        self._latest = (answer, asked_ns)


class PolledSource(Poller[float]):
    """A price in USDC that nobody judged yet."""

    def sample(self, now_ns: int) -> Sample | None:
        """The last answer, stamped with the moment at which it was asked for."""
        del now_ns  # the index judges age
        return Sample(*self._latest) if self._latest else None


class PolledChain(Poller[Chain]):
    """An option chain that nobody judged yet."""

    def chain(self, now_ns: int) -> ChainSample | None:
        """The last answer, likewise."""
        del now_ns
        if self._latest is None:
            return None
        (quotes, forwards), asked_ns = self._latest
        return ChainSample(quotes, forwards, asked_ns)


def mid_or_last(bid: object, ask: object, last: object) -> float:
    """The middle of a quote that is not crossed, else the last trade; NaN without either."""
    numbers = [float(one) if isinstance(one, int | float) else math.nan for one in (bid, ask, last)]
    low, high, traded = numbers
    return (low + high) / 2 if 0.0 < low <= high < math.inf else traded
