"""Which volatility orders should rest elsewhere now: the marks loop asks in every cycle.

A price is asked for once until it changes, or until `forget`: what the engine leaves where it is (a
halt, the band, a full batch) would otherwise be asked for each second.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from exchange.commands import PricedOrder, Reprice
from exchange.engine import Engine, OrderView
from exchange.fixed import CASH_SCALE
from exchange.margin.volatility_price import volatility_price
from exchange.model import Instrument, OrderStatus

BATCH_MAX: Final = 256  # orders in one command


class Followed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order to price, and what it is an order for."""

    order: OrderView
    instrument: Instrument


def followed(engine: Engine) -> tuple[Followed, ...]:
    """Volatility orders that rest."""
    return tuple(
        Followed(order=order, instrument=engine.instruments[order.instrument_id])
        for order in engine.volatility_orders()
        if order.status is OrderStatus.OPEN
    )


class Repricer:
    """Remembers what it asked for."""

    def __init__(self) -> None:
        self._asked: dict[int, int] = {}

    def forget(self) -> None:
        """Ask again for what the engine did not do."""
        self._asked.clear()

    def due(
        self,
        orders: Iterable[Followed],
        forward: Callable[[Instrument], tuple[float, float] | None],
        now_ns: int,
    ) -> Iterator[Reprice]:
        """Commands for orders whose volatility is worth another price than theirs.

        `forward` in USDC with the rate a year; None where there is none, and the order stays.
        """
        moves: list[PricedOrder] = []
        for item in orders:
            value = forward(item.instrument)
            price = None if value is None else _price(item, *value, now_ns)
            if price is None or price in (
                item.order.limit_price,
                self._asked.get(item.order.order_id),
            ):
                continue
            self._asked[item.order.order_id] = price
            moves.append(PricedOrder(order_id=item.order.order_id, price=price))
        for start in range(0, len(moves), BATCH_MAX):
            yield Reprice(orders=tuple(moves[start : start + BATCH_MAX]))


def _price(item: Followed, forward: float, rate: float, now_ns: int) -> int:
    """What the volatility is worth, at most the worst price."""
    order = item.order
    micro = round(forward * CASH_SCALE)
    worth = volatility_price(item.instrument, order.side, order.volatility, micro, now_ns, rate)
    sign = order.side.sign
    return sign * min(sign * worth, sign * order.worst_price)
