"""What changed for one subaccount in one instrument: orders, trades and the position, together.

The `user.changes` channels, as pure functions of the view.
"""

from collections.abc import Callable, Iterator, Sequence

from exchange.api import results
from exchange.api.records import OrderRecord, Position, Trade
from exchange.api.views import VenueView


def changes_of(
    view: VenueView, things: Sequence[Trade | OrderRecord], may_see: Callable[[int], bool]
) -> Iterator[results.Result]:
    """One object for each instrument and subaccount that may be seen, in the order of change."""
    groups: dict[tuple[int, int], tuple[list[Trade], list[OrderRecord]]] = {}
    for thing in things:
        for subaccount_id in _whose(thing):
            key = (thing.instrument_id, subaccount_id)
            trades, orders = groups.setdefault(key, ([], []))
            if isinstance(thing, Trade):
                trades.append(thing)
            else:
                orders.append(thing)
    for (instrument_id, subaccount_id), (trades, orders) in groups.items():
        if not may_see(subaccount_id):
            continue
        yield {
            "instrument_name": view.instruments[instrument_id].name,
            "trades": [
                row
                for trade in trades
                for row in results.user_trade_result(view, trade, subaccount_id)
            ],
            "orders": [results.order_result(view, order) for order in orders],
            "positions": _positions(view, instrument_id, subaccount_id) if trades else [],
        }


def _whose(thing: Trade | OrderRecord) -> list[int]:
    if isinstance(thing, Trade):
        return sorted({thing.maker_subaccount_id, thing.taker_subaccount_id})
    return [thing.subaccount_id]


def _positions(view: VenueView, instrument_id: int, subaccount_id: int) -> list[results.Result]:
    instrument = view.instruments[instrument_id]
    if instrument.legs:  # the legs are held, and say so themselves
        return []
    position = view.positions.get(subaccount_id, {}).get(instrument_id, Position())
    row = results.position_result(view, instrument, position)
    return [row | {"subaccount_id": subaccount_id}]
