"""A process for work that must never take the engine's time: fits of smiles, replays.

It ends with its parent, however that ends, and leaves signals to it.
"""

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, ParamSpec, TypeVar

import msgspec

P = ParamSpec("P")
T = TypeVar("T")


def side_executor() -> ProcessPoolExecutor:
    """One worker, started when the first work comes."""
    return ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_live_and_die_with_parent,
    )


class _Renewed(Executor):
    """A side process that is replaced once it died: a standby may wait for weeks beside it."""

    def __init__(self) -> None:
        self._pool = side_executor()

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start work; what was under way in one that died is lost with it."""
        try:
            return self._pool.submit(work, *args, **kwargs)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = side_executor()
            return self._pool.submit(work, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 -- as `Executor` has it
        """End the process."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


@contextlib.contextmanager
def market_executor() -> Iterator[Executor]:
    """For smiles and chains: its worker is there, and has loaded what they need, when they come."""
    executor = _Renewed()
    try:
        executor.submit(_load_market)
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


async def replay_aside(location: str, shard: int, until_seq: int) -> dict[str, Any]:
    """What an audit of a shard's journal up to a seq finds, in a process that ends with it."""
    executor = side_executor()
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, _audited, location, shard, until_seq)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _audited(location: str, shard: int, until_seq: int) -> dict[str, Any]:
    from exchange.bootstrap.audit_command import audit  # the chain's client, which few need

    found: dict[str, Any] = msgspec.to_builtins(audit(location, shard=shard, until_seq=until_seq))
    return found


def _load_market() -> None:
    importlib.import_module("exchange.oracle.references")
    importlib.import_module("exchange.oracle.smile_follower")


def _live_and_die_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(0)
