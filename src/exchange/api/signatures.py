"""Recovering signers off the event loop.

coincurve releases the interpreter lock, so a few threads keep the sequencer's loop free. Requests
that wait while a thread is busy travel together: handing over one job at a time costs more than
recovering.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from exchange.api.errors import Busy
from exchange.signing import recover_signer

JOB_MAX: Final = 64  # signatures a job: bounds the wait of the first one
WAITING_MAX: Final = 8_192

_Item = tuple[bytes, bytes, asyncio.Future[str | None]]


def _recover_all(items: list[_Item]) -> list[str | None]:
    return [recover_signer(digest, signature) for digest, signature, _ in items]


class SignatureRecovery:
    """A queue in front of a thread pool; answers keep the order of requests within a job."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="signatures")
        self._idle = workers
        self._waiting: list[_Item] = []
        self._jobs: set[asyncio.Task[None]] = set()

    async def recover(self, digest: bytes, signature: bytes) -> str | None:
        """The signer's checksummed address, or None for a signature the contract would refuse."""
        if len(self._waiting) >= WAITING_MAX:
            raise Busy("too many signatures wait to be checked; try again")
        future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((digest, signature, future))
        self._start()
        return await future

    def _start(self) -> None:
        if not self._idle or not self._waiting:
            return
        self._idle -= 1
        items, self._waiting = self._waiting[:JOB_MAX], self._waiting[JOB_MAX:]
        job = asyncio.get_running_loop().create_task(self._run(items))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _run(self, items: list[_Item]) -> None:
        try:
            signers = await asyncio.get_running_loop().run_in_executor(
                self._pool, _recover_all, items
            )
            for (_, _, future), signer in zip(items, signers, strict=True):
                if not future.done():  # the caller may have gone away
                    future.set_result(signer)
        except Exception as error:  # noqa: BLE001  each asker gets it
            for _, _, future in items:
                if not future.done():
                    future.set_exception(error)
        finally:
            self._idle += 1
            self._start()

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
