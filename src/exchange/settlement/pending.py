"""What the relayer has not got on chain for some seconds, for whoever else would pay for it.

Everything in it is public: batches come on chain as they are, and what the oracle's keys signed
anybody may post (`exchange keeper settle|expire|funding`).
"""

import time
from collections.abc import Iterator
from typing import Final

import msgspec

from exchange.journal.outbox import Job, JobKind, JobState, Outbox

SHOWN_AFTER_S: Final = 10
_SHOWN_MAX: Final = 8  # the first ones: the others cannot go before them, but for index samples
_SAMPLES_MAX: Final = 64  # of two underlyings, over the window of a delivery price
_BYTES_MAX: Final = 512 * 1024

_WAITING: Final = (JobState.BUILT, JobState.SENT)


class PendingPost(msgspec.Struct, frozen=True, kw_only=True):
    """A call that waits; `data` in hex, `waiting_s` since this process saw it first."""

    key: str
    kind: str
    to: str
    data: str
    waiting_s: int


class PendingPosts:
    """Remembers since when jobs wait."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._since: dict[str, float] = {}  # monotonic seconds, by key

    def read(self) -> tuple[PendingPost, ...]:
        """Those that wait for long enough, in the order in which they must go in."""
        now = time.monotonic()
        jobs = [job for job in self._outbox.unfinished() if job.state in _WAITING]
        self._since = {job.key: self._since.get(job.key, now) for job in jobs}
        found: list[PendingPost] = []
        room = _BYTES_MAX
        for job in _first(jobs):
            waited = int(now - self._since[job.key])
            room -= len(job.data)
            if waited < SHOWN_AFTER_S or room < 0:
                break
            found.append(
                PendingPost(
                    key=job.key,
                    kind=job.kind,
                    to=job.to,
                    data="0x" + job.data.hex(),
                    waiting_s=waited,
                )
            )
        return tuple(found)


def _first(jobs: list[Job]) -> Iterator[Job]:
    """As many as are shown, in their order: samples, one a minute, would hide all others."""
    left = {True: _SAMPLES_MAX, False: _SHOWN_MAX}
    for job in jobs:
        is_sample = job.kind is JobKind.INDEX
        left[is_sample] -= 1
        if left[is_sample] >= 0:
            yield job
