"""An event loop on virtual time: nothing waits, and everything happens in one order.

Time moves only when nobody has anything left to do, and then to the next moment at which somebody
has. Work that would run on a thread runs here too, at the end of a drawn delay, so that other
things happen while it is "under way"; and blocking code runs in a greenlet that hands its waits to
the loop. No wall clock, no threads: the same seed gives the same run.
"""

import asyncio
from asyncio.base_events import BaseEventLoop
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")


class NothingLeft(RuntimeError):
    """Nobody will ever do anything again: a wait that nothing ends."""


class _Idle:
    """Stands where a selector would wait for the machine: moves the clock instead."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise NothingLeft("nothing is scheduled: somebody waits for what never comes")
        self._loop.now_s += max(0.0, timeout)
        return []

    def close(self) -> None:
        """Holds nothing."""


class Work:
    """A blocking call that a thread would run, until its delay is over."""

    def __init__(self, call: Callable[[], Any], done: asyncio.Future[Any]) -> None:
        self._call = call
        self._done = done
        self.timer: asyncio.TimerHandle | None = None

    def run(self) -> None:
        """Make the call, and give its outcome to whoever still waits."""
        try:
            result = self._call()
        except Exception as error:  # noqa: BLE001  the caller's to judge, as with a thread
            if not self._done.done():
                self._done.set_exception(error)
        else:
            if not self._done.done():
                self._done.set_result(result)

    def drop(self) -> None:
        """Nobody will make the call; whoever waits for it hears that."""
        self._done.cancel()


class VirtualLoop(BaseEventLoop):
    """`now_s` is the time; calls given to an executor are made `delay_s()` later."""

    def __init__(self, delay_s: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__()
        self.now_s = 0.0
        self._selector = _Idle(self)
        self._delay_s = delay_s
        self.under_way: list[Work] = []  # blocking calls, in the order in which they began

    def time(self) -> float:
        """Seconds since the beginning of the run."""
        return self.now_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # noqa: ARG002  typeshed asks for a TypeVarTuple; there is no executor
        """Make the call after a delay; `under_way` until then."""
        done: asyncio.Future[Any] = self.create_future()
        work = Work(lambda: func(*args), done)
        self.under_way.append(work)
        work.timer = self.call_later(self._delay_s(), self._finish, work)
        return done

    def _finish(self, work: Work) -> None:
        self.under_way.remove(work)
        work.run()

    def abandon(self, *, happens: Callable[[], bool]) -> None:
        """Whoever made the calls under way is dead; each `happens` nevertheless, or does not."""
        for work in self.under_way:
            assert work.timer is not None
            work.timer.cancel()
            if happens():
                work.run()
            else:
                work.drop()
        self.under_way.clear()

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """Nobody sleeps."""


async def blocking(function: Callable[[], T]) -> T:
    """The result of a function that may call `wait`."""
    inner = greenlet(function)
    waits_for = inner.switch()
    while not inner.dead:
        try:
            value = await waits_for
        except BaseException as error:  # noqa: BLE001  cancellation too is the function's to see
            waits_for = inner.throw(error)
        else:
            waits_for = inner.switch(value)
    result: T = waits_for
    return result


def wait(awaitable: Awaitable[T]) -> T:
    """Let others go on until this is done; only inside of `blocking`."""
    outer = getcurrent().parent
    assert outer is not None, "not inside of `blocking`"
    result: T = outer.switch(awaitable)
    return result


def run(loop: VirtualLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on this loop, then close it."""
    before = asyncio.events._get_running_loop()  # a test's own may be there
    asyncio.events._set_running_loop(None)
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()
        asyncio.events._set_running_loop(before)
