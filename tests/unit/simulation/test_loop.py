"""Virtual time: order, delays, deaths, and blocking code among coroutines."""

import asyncio

import pytest

from exchange.sequencer import aside
from exchange.simulation.loop import NothingLeft, VirtualLoop, blocking, run, wait


def test_time_moves_only_by_waiting() -> None:
    """An hour's sleep takes no time here, and things happen in the order of their moments."""
    seen: list[tuple[str, float]] = []
    loop = VirtualLoop()

    async def one(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, loop.time()))

    async def main() -> None:
        await asyncio.gather(one("late", 3_600.0), one("soon", 0.5), one("sooner", 0.25))

    run(loop, main())
    assert seen == [("sooner", 0.25), ("soon", 0.5), ("late", 3_600.0)]


def test_a_wait_that_nothing_ends_is_told() -> None:
    """A real loop would hang."""
    loop = VirtualLoop()
    with pytest.raises(NothingLeft):
        run(loop, asyncio.wait_for(asyncio.Event().wait(), None))


def test_work_of_threads_is_done_after_its_delay() -> None:
    """Others go on meanwhile, and an error is the caller's."""
    loop, seen = VirtualLoop(lambda: 2.0), []

    def fail() -> None:
        raise ValueError("no")

    async def main() -> float:
        work = asyncio.create_task(asyncio.to_thread(seen.append, "work"))
        await asyncio.sleep(1.0)
        assert seen == []
        await work
        with pytest.raises(ValueError, match="no"):
            await asyncio.to_thread(fail)
        return loop.time()

    assert run(loop, main()) == 4.0
    assert seen == ["work"]


@pytest.mark.parametrize("happens", [True, False])
def test_work_under_way_at_a_death_happens_or_not(*, happens: bool) -> None:
    """Nobody hears of it either way."""
    loop, seen = VirtualLoop(lambda: 2.0), []

    async def main() -> None:
        work = asyncio.create_task(asyncio.to_thread(seen.append, "work"))
        await asyncio.sleep(1.0)
        work.cancel()
        loop.abandon(happens=lambda: happens)
        await asyncio.gather(work, return_exceptions=True)
        await asyncio.sleep(5.0)

    run(loop, main())
    assert seen == ["work"] * happens
    assert not loop.under_way


def test_nobody_waits_for_work_that_never_happens() -> None:
    """Also not a writer that waits for its commit, though it was itself told to stop."""
    loop = VirtualLoop(lambda: 2.0)

    async def main() -> None:
        waiting = asyncio.create_task(aside(lambda: None))
        await asyncio.sleep(1.0)
        waiting.cancel()
        loop.abandon(happens=lambda: False)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(loop, main())
    assert loop.now_s < 2.0


def test_blocking_code_lets_others_go_on() -> None:
    """It waits by `wait`, gets results and errors there, and can be canceled there."""
    seen: list[str] = []

    async def fail() -> None:
        raise ValueError("no")

    def code() -> str:
        wait(asyncio.sleep(1.0))
        seen.append("code")
        with pytest.raises(ValueError, match="no"):
            wait(fail())
        return "done"

    def endless() -> None:
        try:
            wait(asyncio.sleep(100.0))
        finally:
            seen.append("canceled")

    async def main() -> str:
        task = asyncio.create_task(blocking(code))
        await asyncio.sleep(0.5)
        seen.append("other")
        other = asyncio.create_task(blocking(endless))
        await asyncio.sleep(0)
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
        return await task

    assert run(VirtualLoop(), main()) == "done"
    assert seen == ["other", "canceled", "code"]
