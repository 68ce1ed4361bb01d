"""Replays that operators ask for: one at a time, elsewhere, with what came of each.

Knows only that somebody replays the journal up to a seq and answers with figures.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from exchange.api.errors import TooManyRequests

REMEMBERED: Final = 20
_log: Final = structlog.get_logger("admin")

ReplayUntil = Callable[[int], Awaitable[dict[str, Any]]]  # figures, or `difference` where one is


class ReplayRow(msgspec.Struct, kw_only=True):
    """One replay; `figures` once it is done, among them the state hash."""

    number: int
    until_seq: int
    started_ns: int  # venue time
    state: str = "running"  # done, or failed: it could not be carried out
    figures: dict[str, Any] = {}


class Replays:
    """The replays since start."""

    def __init__(self, replay: ReplayUntil) -> None:
        self._replay = replay
        self._task: asyncio.Task[None] | None = None
        self._count = 0
        self._rows: deque[ReplayRow] = deque(maxlen=REMEMBERED)

    @property
    def rows(self) -> list[ReplayRow]:
        """The newest first."""
        return list(reversed(self._rows))

    def require_idle(self) -> None:
        """Refuse while one runs."""
        if self._task is not None and not self._task.done():
            raise TooManyRequests("a replay is running; ask again when it is done")

    def start(self, until_seq: int, now_ns: int) -> ReplayRow:
        """Begin one, unless one runs."""
        self.require_idle()
        self._count += 1
        row = ReplayRow(number=self._count, until_seq=until_seq, started_ns=now_ns)
        self._rows.append(row)
        self._task = asyncio.create_task(self._run(row))
        return row

    async def _run(self, row: ReplayRow) -> None:
        try:
            row.figures = await self._replay(row.until_seq)
            row.state = "done"
        except Exception:  # noqa: BLE001  the row and the log tell
            row.state = "failed"
            _log.exception("a replay failed", number=row.number, until_seq=row.until_seq)
