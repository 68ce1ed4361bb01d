"""Reads confirmed blocks and tells the exchange what happened in them, each block exactly once.

Holds no cursor of its own: the journal says which block came last, and the engine refuses any other
than the next. Where the chain has lost that block, the exchange is told to go back to the newest
that is still there.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

import httpx
import msgspec
import structlog

from exchange.commands import HoldWithdrawals, Novate, ObserveBlocks, RevertBlocks
from exchange.settlement.chain import Chain
from exchange.settlement.cursor import BlockCursor
from exchange.settlement.errors import ChainError, ChainUnavailable, ReorgDetected
from exchange.settlement.pending import PendingPost

_POST_TIMEOUT_S: Final = 10.0
_BLOCKS_AT_ONCE: Final = 500  # nodes bound the span of a log query
_OBSERVATIONS_AT_ONCE: Final = 200  # about 40 kB of JSON

log = structlog.get_logger(__name__)


class ExchangeUnavailable(ChainError):
    """The exchange did not take an observation: try again later."""


class CommandRefused(ExchangeUnavailable):
    """The engine refused it, and the journal holds that: alone, asking again changes nothing."""


class ObservationSink(Protocol):
    """Where observations go."""

    def post(self, command: ObserveBlocks) -> None:
        """Deliver; returns once the journal holds it. Raises `ExchangeUnavailable`."""

    def revert(self, command: RevertBlocks) -> None:
        """The same."""


class AdminSink:
    """The admin listener of the engine that leads, wherever that is among its comma-separated URLs.

    A standby answers nothing but that it is one, so a command goes to one leader at most; one that
    was posted twice is refused by the journal's cursor.
    """

    def __init__(self, urls: str, token: str) -> None:
        self._urls = urls.split(",")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._client = httpx.Client(headers=headers, timeout=_POST_TIMEOUT_S)

    def post(self, command: ObserveBlocks) -> None:
        """Deliver by HTTP."""
        what = f"blocks {command.first_block}..{command.last_block}"
        self._post("/admin/observe_blocks", msgspec.json.encode(command), what)

    def revert(self, command: RevertBlocks) -> None:
        """Undo what lost blocks brought."""
        what = f"to go back to block {command.last_block}"
        self._post("/admin/revert_blocks", msgspec.json.encode(command), what)

    def novate(self, command: Novate) -> None:
        """Let the venue take sides of trades that the chain refuses."""
        what = f"a novation in batch {command.batch}"
        self._post("/admin/novate", msgspec.json.encode(command), what)

    def hold_withdrawals(self, command: HoldWithdrawals) -> None:
        """Let no money leave a subaccount on which journal and chain disagree."""
        what = f"to hold withdrawals of subaccount {command.subaccount_id}"
        self._post("/admin/hold_withdrawals", msgspec.json.encode(command), what)

    def show(self, posts: tuple[PendingPost, ...]) -> None:
        """Show keepers what waits for the chain."""
        self._post("/admin/pending_posts", msgspec.json.encode({"posts": posts}), "pending posts")

    def report(self, status: msgspec.Struct) -> None:
        """Show operators where settlement stands."""
        self._post("/admin/relayer", msgspec.json.encode(status), "the relayer's report")

    def _post(self, path: str, content: bytes, what: str) -> None:
        failure: ExchangeUnavailable | None = None
        for _ in self._urls:
            failure = self._refusal(path, content, what)
            if failure is None:
                return
            if isinstance(failure, CommandRefused):
                break  # the leader itself
            self._urls.append(self._urls.pop(0))  # the next may lead by now
        assert failure is not None
        raise failure

    def _refusal(self, path: str, content: bytes, what: str) -> ExchangeUnavailable | None:
        try:
            answer = self._client.post(self._urls[0] + path, content=content)
        except httpx.HTTPError as error:
            return ExchangeUnavailable(f"the exchange does not answer: {error!r}")
        if answer.status_code == httpx.codes.OK:
            return None
        refused = answer.status_code == httpx.codes.CONFLICT
        return (CommandRefused if refused else ExchangeUnavailable)(
            f"the exchange refused {what}: {answer.status_code} {answer.text[:200]}"
        )

    def close(self) -> None:
        """Release the connection."""
        self._client.close()


class WatcherOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How far behind the head the watcher stays, and how often it reports that nothing happened."""

    confirmations: int = 1  # 1: the newest block counts
    quiet_blocks: int = 32  # blocks without a log are reported this many at a time
    behind_s: float = 30.0  # how long a chain may be shorter than it was before that is a loss


class Watcher:
    """Turns logs into `ObserveBlocks`. Call `step` with the journal's cursor."""

    def __init__(
        self,
        chain: Chain,
        sink: ObservationSink,
        options: WatcherOptions,
        trail: Callable[[], list[BlockCursor]] = list,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`trail` is every cursor that the journal stands on, oldest first (`cursor.trail`)."""
        self._chain = chain
        self._trail = trail
        self._clock = clock
        self._behind_since: float | None = None  # seconds of the clock
        self._sink = sink
        self._options = options
        self._posted_from = 0

    def step(self, cursor: BlockCursor) -> bool:
        """Report the next blocks if there is something to say; whether it did."""
        if cursor.block and self._is_lost(cursor):
            self._go_back(cursor)
            return True
        self._behind_since = None
        first = cursor.block + 1 if cursor.block else self._chain.deployment.block
        final = self._chain.head() - self._options.confirmations + 1
        last = min(final, first + _BLOCKS_AT_ONCE - 1)
        if last < first:
            return False
        if first == self._posted_from:
            self._posted_from = 0
            raise ExchangeUnavailable(f"the exchange did not journal the blocks from {first} on")
        command = self._read(cursor, first, last)
        quiet = not command.observations and command.last_block == final
        if quiet and final - first + 1 < self._options.quiet_blocks:
            return False
        self._sink.post(command)
        self._posted_from = first
        log.info("observed", first=first, last=command.last_block, logs=len(command.observations))
        return True

    def _is_lost(self, cursor: BlockCursor) -> bool:
        """Whether the chain has another block there, with as many on top as made ours count.

        A node that is behind, or between two branches, is waited for; but not for ever.
        """
        if self._chain.block_hash(cursor.block) == cursor.block_hash:
            return False
        if self._chain.head() - cursor.block + 1 >= self._options.confirmations:
            return True
        now = self._clock()
        self._behind_since = self._behind_since or now
        if now - self._behind_since >= self._options.behind_s:
            return True
        raise ChainUnavailable(f"the chain ends before block {cursor.block}, which it had")

    def _go_back(self, cursor: BlockCursor) -> None:
        """Tell the exchange which of the blocks that it acted on is the newest still there."""
        log.error("the chain was reorganised too deep", block=cursor.block)
        for known in reversed(self._trail()):
            if self._chain.block_hash(known.block) == known.block_hash:
                self._sink.revert(RevertBlocks(last_block=known.block, last_hash=known.block_hash))
                self._posted_from = 0
                return
        raise ReorgDetected(
            f"block {cursor.block} is not the one that the exchange acted on, nor is any before "
            "it: the chain lost its state, or is another one"
        )

    def _read(self, cursor: BlockCursor, first: int, last: int) -> ObserveBlocks:
        tip_hash = self._chain.block_hash(last)
        found = self._chain.observations(first, last)
        end = last
        if len(found) > _OBSERVATIONS_AT_ONCE:
            # Whole blocks only: the cut lies before the block that passes the limit.
            end = max(found[_OBSERVATIONS_AT_ONCE][0] - 1, found[0][0])
            found = [item for item in found if item[0] <= end]
        end_hash = self._chain.block_hash(end)
        # On top of what the journal holds: else a deposit that a reorganisation moved counts twice.
        follows = not cursor.block or self._chain.block_hash(cursor.block) == cursor.block_hash
        # The same tip before and after, so logs and hashes are of one chain.
        same = tip_hash is not None and tip_hash == self._chain.block_hash(last)
        if not follows or not same or end_hash is None:
            raise ChainUnavailable(f"block {last} went away while it was read")
        return ObserveBlocks(
            first_block=first,
            last_block=end,
            last_hash=end_hash,
            observations=tuple(seen for _, seen in found),
        )
