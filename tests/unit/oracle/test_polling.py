"""Sources over a network never hold up the cycle that reads them."""

import asyncio
import math
import time

import pytest

from exchange.oracle.polling import PolledSource, mid_or_last
from exchange.oracle.sources import Sample


class Clock:
    def __init__(self) -> None:
        self.now_ns = 10**18

    def __call__(self) -> int:
        return self.now_ns


def test_the_last_answer_stands_with_the_time_of_its_question() -> None:
    """A slow answer is as old as its question; the index judges its age."""

    async def play() -> None:
        clock = Clock()

        async def fetch() -> float:
            clock.now_ns += 2 * 10**9
            return 100.0

        source = PolledSource("x", fetch, clock)
        assert (source.name, source.sample(0)) == ("x", None)
        await source.poll()
        assert source.sample(clock.now_ns) == Sample(100.0, 10**18)

    asyncio.run(play())


def test_failures_leave_the_last_answer_to_age() -> None:
    """Whatever the library raises; the next answer counts again."""

    async def play() -> None:
        clock, answers = Clock(), [100.0, RuntimeError("down"), OSError("reset"), 101.0]

        async def fetch() -> float:
            clock.now_ns += 1
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        source = PolledSource("x", fetch, clock)
        for _ in range(3):
            await source.poll()
        assert source.sample(0) == Sample(100.0, 10**18)
        await source.poll()
        latest = source.sample(0)
        assert latest is not None
        assert latest.price == 101.0

    asyncio.run(play())


def test_a_hanging_exchange_costs_its_own_task_a_time_out() -> None:
    """The cycle reads memory meanwhile, and polling goes on afterwards."""

    async def play() -> None:
        asked, answered = 0, asyncio.Event()

        async def fetch() -> float:
            nonlocal asked
            asked += 1
            if asked == 1:
                await asyncio.sleep(3600)
            if asked == 3:
                answered.set()
            return 5.0

        source = PolledSource("x", fetch, Clock(), interval_s=0.001, timeout_s=0.05)
        running = asyncio.create_task(source.run())
        await asyncio.sleep(0)
        begun = time.perf_counter()
        assert source.sample(0) is None
        assert time.perf_counter() - begun < 0.01
        await asyncio.wait_for(answered.wait(), 10)
        assert source.sample(0) is not None
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(play())


@pytest.mark.parametrize(
    ("quote", "price"),
    [
        ((99.0, 101.0, 50.0), 100.0),
        ((100, 100, None), 100.0),
        ((None, 101.0, 50.0), 50.0),
        ((0.0, 101.0, 50.0), 50.0),
        ((102.0, 101.0, 50.0), 50.0),
        ((99.0, math.inf, 50.0), 50.0),
        ((math.nan, 101.0, 50.0), 50.0),
    ],
)
def test_a_price_is_the_middle_of_a_sound_quote(quote: tuple, price: float) -> None:
    assert mid_or_last(*quote) == price


def test_without_quote_and_trade_there_is_no_price() -> None:
    assert math.isnan(mid_or_last(None, "1", None))
