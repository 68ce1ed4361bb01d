"""Delivery prices once more, by definition, from the journaled index samples alone.

Shares no code with the engine but the Merkle tree: an average of exact fractions over every stretch
of the window in which one sample held.
"""

from bisect import bisect_right
from fractions import Fraction
from operator import itemgetter

from exchange.audit.differences import Difference
from exchange.commands import Configure, UpdateIndex
from exchange.events import AnyEvent, DeliveryPriceFixed, IndexUpdated, InstrumentListed
from exchange.fixed import PRICE_QUANTUM, to_nanoseconds
from exchange.journal import Entry
from exchange.margin.merkle import samples_root

_time = itemgetter(0)


class DeliveryAudit:
    """Remembers samples as long as an expiry may ask for them."""

    def __init__(self) -> None:
        self._window_ns = 0
        self._samples: dict[int, list[tuple[int, int]]] = {}  # by underlying_id: (time_ns, price)
        self._expiries: dict[int, set[int]] = {}  # listed and not delivered

    def check(self, entry: Entry) -> None:
        """Take one entry; raises `Difference` where a delivery price is not that of its samples."""
        for event in entry.events:
            self._learn(entry, event)

    def _learn(self, entry: Entry, event: AnyEvent) -> None:
        command = entry.command
        if isinstance(command, Configure):
            self._window_ns = to_nanoseconds(command.delivery_window_s)
        if isinstance(event, InstrumentListed) and event.instrument.expiry:
            listed = event.instrument
            self._expiries.setdefault(listed.underlying_id, set()).add(listed.expiry)
        elif isinstance(event, IndexUpdated) and isinstance(command, UpdateIndex):
            self._add(command.underlying_id, entry.time_ns, command.index_price)
        elif isinstance(event, DeliveryPriceFixed):
            self._compare(entry.seq, event)
            self._expiries[event.underlying_id].discard(event.expiry)

    def _add(self, underlying_id: int, time_ns: int, price: int) -> None:
        samples = self._samples.setdefault(underlying_id, [])
        samples.append((time_ns, price))
        ahead = (to_nanoseconds(expiry) for expiry in self._expiries.get(underlying_id, ()))
        needed_ns = min(time_ns, *ahead, time_ns) - self._window_ns
        held = bisect_right(samples, needed_ns, key=_time) - 1
        if held > 1000:  # in strides, so that a sample costs nothing
            del samples[:held]

    def _compare(self, seq: int, event: DeliveryPriceFixed) -> None:
        end_ns = to_nanoseconds(event.expiry)
        start_ns = end_ns - self._window_ns
        samples = self._samples[event.underlying_id]
        first = max(0, bisect_right(samples, start_ns, key=_time) - 1)
        entered = [one for one in samples[first:] if one[0] < end_ns] or samples[:1]
        begins = [max(start_ns, time_ns) for time_ns, _ in entered]
        begins[0] = start_ns
        ends = [*begins[1:], end_ns]
        total = sum(
            Fraction(price * (end - begin), self._window_ns)
            for (_, price), begin, end in zip(entered, begins, ends, strict=True)
        )
        price = round(total / PRICE_QUANTUM) * PRICE_QUANTUM
        if price != event.price:
            raise Difference(seq, f"the samples average to {price}, not to {event.price}")
        if event.samples_root and samples_root(entered) != event.samples_root:
            raise Difference(seq, "the samples have another Merkle root")
