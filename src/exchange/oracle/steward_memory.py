"""What the steward remembers of the journal: hourly index prices and when liquidations began.

Built from entries alone, so a restart that reads them, or a snapshot of them, forgets nothing.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from exchange.events import IndexUpdated, LiquidationStarted
from exchange.fixed import CASH_SCALE
from exchange.journal import Entry
from exchange.margin.forecast import VolatilityTracker
from exchange.oracle.stress import StressRules


class _Frozen(msgspec.Struct, frozen=True, array_like=True):
    hours: dict[int, tuple[int, list[float]]]  # by underlying_id
    liquidations: list[int]


_decoder: Final = msgspec.msgpack.Decoder(_Frozen)


class StewardMemory:
    """For the underlyings that have rules."""

    def __init__(self, rules: Mapping[int, StressRules]) -> None:
        self.trackers = {key: VolatilityTracker(one.base_volatility) for key, one in rules.items()}
        self.liquidations: deque[int] = deque()  # when they started, venue time

    def note(self, underlying_id: int, time_ns: int, index_price: int) -> None:
        """Take an index sample in micro-USDC."""
        if underlying_id in self.trackers:
            self.trackers[underlying_id].note(time_ns // 10**9, index_price / CASH_SCALE)

    def take(self, entry: Entry) -> None:
        """Note an entry; what was refused changed no index, so events are what counts."""
        for event in entry.events:
            if isinstance(event, IndexUpdated):
                self.note(event.underlying_id, entry.time_ns, event.index_price)
        self.count((entry,))

    def count(self, entries: Sequence[Entry]) -> None:
        """Count liquidations."""
        for entry in entries:
            if any(isinstance(event, LiquidationStarted) for event in entry.events):
                self.liquidations.append(entry.time_ns)

    def follow(self, history: Iterable[Entry]) -> Iterator[Entry]:
        """The journal as it is read, noted on its way."""
        for entry in history:
            self.take(entry)
            yield entry

    def snapshot(self) -> bytes:
        """Everything, for a snapshot."""
        hours = {key: tracker.hours for key, tracker in self.trackers.items()}
        return msgspec.msgpack.encode(_Frozen(hours, list(self.liquidations)))

    def restore(self, data: bytes) -> None:
        """Remember what was frozen; raises `msgspec.MsgspecError` if it is something else."""
        known = _decoder.decode(data)
        for key, (hour, prices) in known.hours.items():
            if key in self.trackers:
                self.trackers[key].hours = (hour, prices)
        self.liquidations.extend(known.liquidations)
