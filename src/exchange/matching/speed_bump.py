"""The taker speed bump: orders that would take wait, so that makers' cancels go ahead of them.

It must never know books, orders or what becomes of one that waited: it is told how long takers
wait in an instrument and who waits until when, it says whose wait is over. Those whose waits end
together leave in the order in which they came.
"""

from heapq import heappop, heappush


class SpeedBump:
    """Delays by instrument, and the orders that wait."""

    __slots__ = ("_arrivals", "_defaults", "_delays", "_due", "_queue")

    def __init__(self) -> None:
        self._delays: dict[int, int] = {}  # instrument_id: nanoseconds
        self._defaults: dict[int, int] = {}  # underlying_id: nanoseconds, of what is listed later
        self._queue: list[tuple[int, int, int]] = []  # heap of (due, arrival, order_id)
        self._due: dict[int, tuple[int, int]] = {}  # order_id: (due, arrival), of those that wait
        self._arrivals = 0

    def set_delay(self, instrument_id: int, delay_ns: int) -> None:
        """Let takers of an instrument wait so long from now on; 0: not at all."""
        assert delay_ns >= 0
        self._delays.pop(instrument_id, None)
        if delay_ns:
            self._delays[instrument_id] = delay_ns

    @property
    def is_on(self) -> bool:
        """Whether takers wait anywhere."""
        return bool(self._delays)

    def delay_ns(self, instrument_id: int) -> int:
        """How long takers wait there; 0: not at all."""
        return self._delays.get(instrument_id, 0)

    def set_default(self, underlying_id: int, delay_ns: int) -> None:
        """Let takers of what an underlying lists from now on wait so long; 0: not at all."""
        assert delay_ns >= 0
        self._defaults.pop(underlying_id, None)
        if delay_ns:
            self._defaults[underlying_id] = delay_ns

    def default_ns(self, underlying_id: int) -> int:
        """How long takers wait in what the underlying lists now; 0: not at all."""
        return self._defaults.get(underlying_id, 0)

    def add(self, order_id: int, due_ns: int) -> None:
        """Let an order wait. Complexity: O(log n)."""
        assert order_id not in self._due, "it waits already"
        self._arrivals += 1
        self._due[order_id] = (due_ns, self._arrivals)
        heappush(self._queue, (due_ns, self._arrivals, order_id))

    def remove(self, order_id: int) -> bool:
        """Forget an order; False if it does not wait. Complexity: O(1)."""
        return self._due.pop(order_id, None) is not None

    def release(self, time_ns: int) -> list[int]:
        """Orders whose wait is over, which wait no more. Complexity: O(log n) each."""
        released = []
        while self._queue and self._queue[0][0] <= time_ns:
            due_ns, arrival, order_id = heappop(self._queue)
            if self._due.get(order_id) == (due_ns, arrival):
                del self._due[order_id]
                released.append(order_id)
        return released

    def due_times_ns(self) -> list[int]:
        """When the waits end, the first first."""
        return sorted(due_ns for due_ns, _ in self._due.values())

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._due

    def __len__(self) -> int:
        return len(self._due)

    def state(self) -> tuple[object, ...]:
        """Canonical content: delays, defaults, and (due, order_id) in the order of release."""
        waiting = sorted((*when, order_id) for order_id, when in self._due.items())
        delays = tuple(sorted(self._delays.items()))
        defaults = tuple(sorted(self._defaults.items()))
        return delays, defaults, tuple((due_ns, order_id) for due_ns, _, order_id in waiting)

    def check(self) -> None:
        """Assert that each order that waits stands in the queue once."""
        standing = [(order_id, due, arrival) for due, arrival, order_id in self._queue]
        current = [row for row in standing if self._due.get(row[0]) == row[1:]]
        assert sorted(current) == sorted((key, *when) for key, when in self._due.items())
        assert all(self._delays.values())
        assert all(self._defaults.values())
