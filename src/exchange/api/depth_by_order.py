"""The channel `l3.X`: a book order by order, without saying whose.

A snapshot, then what each command put or took, linked by `change_id` and `prev_change_id` as the
`book` channel's are. An order that shows more than before, or at another price, stands behind all
others of its price; one that shows less keeps its place.
"""

from collections.abc import Callable
from typing import Any

from exchange.api.records import OrderRecord, Touched
from exchange.api.results import DIRECTIONS
from exchange.api.schemas import cash_number, quantity_number
from exchange.api.views import VenueView
from exchange.fixed import to_milliseconds_down
from exchange.model import Instrument, OrderStatus, Side


class OrderFeed:
    """What was said last of each instrument, and what to say next."""

    def __init__(self, view: VenueView) -> None:
        self._view = view
        self._said: dict[int, int] = {}  # change_id by instrument

    def snapshot(self, instrument: Instrument) -> dict[str, Any]:
        """Every order that shows itself, best price first, then by time of entry."""
        key = instrument.instrument_id
        shown = [
            order
            for orders in self._view.open_orders.values()
            for order in orders.values()
            if order.instrument_id == key and _is_shown(order)
        ]
        shown.sort(key=lambda o: (o.side, -o.side.sign * o.limit_price, o.updated_ns, o.order_id))
        return self._message(instrument, "snapshot", self._said.get(key, 0)) | {
            "bids": [_row(order) for order in shown if order.side is Side.BUY],
            "asks": [_row(order) for order in shown if order.side is Side.SELL],
        }

    def changes(
        self, touched: Touched, is_heard: Callable[[Instrument], bool]
    ) -> list[tuple[Instrument, dict[str, Any]]]:
        """A message for each instrument that is heard and whose orders one command touched."""
        by_instrument: dict[int, list[OrderRecord]] = {}
        for order in touched.orders.values():
            by_instrument.setdefault(order.instrument_id, []).append(order)
        messages = []
        for key, orders in by_instrument.items():
            instrument = self._view.instruments[key]
            if not is_heard(instrument):
                continue
            before, self._said[key] = self._said.get(key, 0), touched.seq
            message = self._message(instrument, "change", touched.seq)
            message["prev_change_id"] = before
            message["orders"] = [_change(order) for order in orders]
            messages.append((instrument, message))
        return messages

    def _message(self, instrument: Instrument, kind: str, change_id: int) -> dict[str, Any]:
        return {
            "type": kind,
            "timestamp": to_milliseconds_down(self._view.time_ns),
            "instrument_name": instrument.name,
            "change_id": change_id,
        }


def _is_shown(order: OrderRecord) -> bool:
    return order.status is OrderStatus.OPEN and order.displayed_quantity > 0


def _row(order: OrderRecord) -> list[Any]:
    price, amount = cash_number(order.limit_price), quantity_number(order.displayed_quantity)
    return [str(order.order_id), price, amount]


def _change(order: OrderRecord) -> list[Any]:
    if not _is_shown(order):
        return ["delete", str(order.order_id)]
    return ["put", *_row(order), DIRECTIONS[order.side]]
