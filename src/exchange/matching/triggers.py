"""Orders that wait for a price: stop, take-profit and trailing stop.

It must never know what becomes of an order that fired, nor books, margin or time: it is told
prices, it says which orders they set off. Whether the child is a limit or a market order is a
matter of its own terms (a market order is an IOC at its protection price).

A price arrives as (source, key): MARK and LAST are keyed by instrument_id, INDEX by underlying_id.
An order fires when that price reaches its trigger; the same price again counts as reaching. Those
that fire together do so in this order: the trigger passed by the greatest distance first (the one
that a continuous price would have met first), then the earlier entry, then the lower order_id.

A trailing stop's trigger follows the best price seen since its entry at `trail_offset` and never
turns back. All trailing orders that have seen the same extreme share it in one group, and a new
extreme merges the groups it passes, the smaller into the larger: no price touches every order.
"""

import msgspec
from sortedcontainers import SortedDict, SortedList

from exchange.model import PriceSource, Side, Trigger, TriggerKind

Key = tuple[PriceSource, int]


class ArmedOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A waiting order. `key` is what the source prices; `entry` is the seq that armed it."""

    order_id: int
    side: Side
    key: int
    entry: int
    trigger: Trigger


def is_well_formed(trigger: Trigger) -> bool:
    """Whether exactly the fields of its kind are given; a trail is at least one unit long."""
    if trigger.kind is TriggerKind.TRAILING:
        return trigger.trigger_price == 0 and trigger.trail_offset > 0
    return trigger.trail_offset == 0


def falls(kind: TriggerKind, side: Side) -> bool:
    """Whether the order waits for a falling price: a stop to sell, or a take to buy."""
    return (side is Side.SELL) is not (kind is TriggerKind.TAKE)


def is_reached(trigger: Trigger, side: Side, price: int) -> bool:
    """Whether a STOP or TAKE entered at this price would fire at once."""
    assert trigger.kind is not TriggerKind.TRAILING
    if falls(trigger.kind, side):
        return price <= trigger.trigger_price
    return price >= trigger.trigger_price


class TriggerBook:
    """All waiting orders of the venue."""

    __slots__ = ("_orders", "_watches")

    def __init__(self) -> None:
        self._orders: dict[int, ArmedOrder] = {}
        self._watches: dict[Key, tuple[_Watch, _Watch]] = {}  # for rising and falling prices

    def add(self, order: ArmedOrder, price: int) -> None:
        """Let `order` wait. A trail starts from `price`, the source's price now.

        Nothing fires here: an order whose trigger is already reached fires at the next price.
        To restore an order from `state()`, give its extreme as `price`. Complexity: O(log n).
        """
        assert order.order_id not in self._orders, "order already waits"
        assert is_well_formed(order.trigger)
        self._orders[order.order_id] = order
        key = (order.trigger.source, order.key)
        if key not in self._watches:
            self._watches[key] = (_Watch(-1), _Watch(1))
        self._watch(order).add(order, price)

    def remove(self, order_id: int) -> bool:
        """Forget an order; False if it does not wait. Complexity: O(log n)."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return False
        self._watch(order).remove(order)
        self._drop_if_empty((order.trigger.source, order.key))
        return True

    def on_price(self, source: PriceSource, key: int, price: int) -> list[int]:
        """Take a new price; the order_ids that fire, in order, which no longer wait.

        Trails move first, then triggers are compared. Complexity: O(log n) amortised for each
        order that fires or whose group merges, O(1) where nothing waits.
        """
        watches = self._watches.get((source, key))
        if watches is None:
            return []
        reached = [entry for watch in watches for entry in watch.on_price(price)]
        fired = [order_id for _, _, order_id in sorted(reached)]
        for order_id in fired:
            del self._orders[order_id]
        self._drop_if_empty((source, key))
        return fired

    def trigger_price(self, order_id: int) -> int:
        """Where a waiting order fires now; a trail's present trigger."""
        order = self._orders[order_id]
        return self._watch(order).trigger_price(order)

    def get(self, order_id: int) -> ArmedOrder | None:
        """A waiting order."""
        return self._orders.get(order_id)

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._orders

    def state(self) -> tuple[tuple[int, ...], ...]:
        """Canonical content, by order_id: id, side, key, entry, trigger, and the extreme or 0."""
        return tuple(self._order_state(self._orders[order_id]) for order_id in sorted(self._orders))

    def check(self) -> None:
        """Assert that each order waits in exactly one place, and that groups are apart."""
        counted = 0
        for key, watches in self._watches.items():
            assert any(map(len, watches)), "an empty watch is dropped"
            for watch in watches:
                watch.check(self._orders, key)
                counted += len(watch)
        assert counted == len(self._orders)

    def _order_state(self, order: ArmedOrder) -> tuple[int, ...]:
        trigger = order.trigger
        extreme = 0
        if trigger.kind is TriggerKind.TRAILING:
            extreme = self.trigger_price(order.order_id) - order.side.sign * trigger.trail_offset
        return (
            order.order_id,
            order.side.value,
            order.key,
            order.entry,
            trigger.kind.value,
            trigger.source.value,
            trigger.trigger_price,
            trigger.trail_offset,
            extreme,
        )

    def _watch(self, order: ArmedOrder) -> "_Watch":
        rising, falling = self._watches[order.trigger.source, order.key]
        return falling if falls(order.trigger.kind, order.side) else rising

    def _drop_if_empty(self, key: Key) -> None:
        if not any(map(len, self._watches[key])):
            del self._watches[key]


class _Group:
    """Trailing orders that have seen one extreme; `members` as (offset, entry, order_id)."""

    __slots__ = ("extreme", "members")

    def __init__(self, extreme: int) -> None:
        self.extreme = extreme
        self.members = SortedList()  # the next to fire first

    @property
    def top(self) -> tuple[int, int]:
        """Sorts groups by their highest trigger, which fires first."""
        return self.members[0][0] - self.extreme, self.extreme


class _Watch:
    """Orders that wait for one source's price to fall (sign 1) or to rise (sign -1).

    Inside, prices are multiplied by the sign, so that everything waits for a fall.
    """

    __slots__ = ("_fixed", "_group_of", "_groups", "_sign", "_tops")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._fixed = SortedList()  # (-trigger, entry, order_id): the next to fire first
        self._groups = SortedDict()  # extreme: _Group
        self._tops = SortedList()  # top of each group
        self._group_of: dict[int, _Group] = {}  # by order_id

    def __len__(self) -> int:
        return len(self._fixed) + len(self._group_of)

    def add(self, order: ArmedOrder, price: int) -> None:
        if order.trigger.kind is not TriggerKind.TRAILING:
            self._fixed.add(self._fixed_entry(order))
            return
        extreme = self._sign * price
        known = self._groups.get(extreme)
        group = self._detach(known) if known else _Group(extreme)
        self._join(group, _member(order))
        self._attach(group)

    def remove(self, order: ArmedOrder) -> None:
        if order.trigger.kind is not TriggerKind.TRAILING:
            self._fixed.remove(self._fixed_entry(order))
            return
        group = self._detach(self._group_of.pop(order.order_id))
        group.members.remove(_member(order))
        self._attach(group)

    def on_price(self, price: int) -> list[tuple[int, int, int]]:
        """Move trails, then take out what fires, as (-distance passed, entry, order_id)."""
        price *= self._sign
        self._ratchet(price)
        fired = []
        while self._fixed and -self._fixed[0][0] >= price:
            trigger, entry, order_id = self._fixed.pop(0)
            fired.append((price + trigger, entry, order_id))
        while self._tops and -self._tops[0][0] >= price:
            group = self._detach(self._groups[self._tops[0][1]])
            offset, entry, order_id = group.members.pop(0)
            del self._group_of[order_id]
            fired.append((price + offset - group.extreme, entry, order_id))
            self._attach(group)
        return fired

    def trigger_price(self, order: ArmedOrder) -> int:
        if order.trigger.kind is not TriggerKind.TRAILING:
            return order.trigger.trigger_price
        extreme = self._group_of[order.order_id].extreme
        return self._sign * (extreme - order.trigger.trail_offset)

    def check(self, orders: dict[int, ArmedOrder], key: Key) -> None:
        members = [(group, *member) for group in self._groups.values() for member in group.members]
        assert len(members) == len(self._group_of)
        assert list(self._groups) == sorted(group.extreme for group in self._groups.values())
        assert list(self._tops) == sorted(group.top for group in self._groups.values())
        for group, *member in members:
            order = orders[member[2]]
            assert self._group_of[order.order_id] is group
            assert tuple(member) == _member(order)
        for entry in self._fixed:
            assert entry == self._fixed_entry(orders[entry[2]])
        for order_id in [entry[2] for entry in self._fixed] + list(self._group_of):
            trigger = orders[order_id].trigger
            assert (trigger.source, orders[order_id].key) == key
            assert falls(trigger.kind, orders[order_id].side) is (self._sign == 1)

    def _fixed_entry(self, order: ArmedOrder) -> tuple[int, int, int]:
        return -self._sign * order.trigger.trigger_price, order.entry, order.order_id

    def _ratchet(self, price: int) -> None:
        """Merge the groups whose extreme the price has passed into one with this extreme."""
        passed = []
        while self._groups and self._groups.peekitem(0)[0] <= price:
            passed.append(self._detach(self._groups.peekitem(0)[1]))
        if not passed:
            return
        kept = max(passed, key=lambda group: len(group.members))
        kept.extreme = price
        for group in passed:
            if group is not kept:
                for member in group.members:
                    self._join(kept, member)
        self._attach(kept)

    def _join(self, group: _Group, member: tuple[int, int, int]) -> None:
        group.members.add(member)
        self._group_of[member[2]] = group

    def _detach(self, group: _Group) -> _Group:
        """Take a group out of the order; it may then change."""
        del self._groups[group.extreme]
        self._tops.remove(group.top)
        return group

    def _attach(self, group: _Group) -> None:
        if group.members:
            self._groups[group.extreme] = group
            self._tops.add(group.top)


def _member(order: ArmedOrder) -> tuple[int, int, int]:
    return order.trigger.trail_offset, order.entry, order.order_id
