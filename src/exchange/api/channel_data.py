"""What channels say, as pure functions of the view: books, candles, indices, marks.

Knows no client and no channel. None where there is nothing to say yet.
"""

from collections.abc import Iterable
from typing import Final

from exchange.api import results
from exchange.api.book_view import BookDelta, BookView, Level
from exchange.api.price_history import Bar
from exchange.api.risk_results import surface_result
from exchange.api.schemas import cash_number, quantity_number, vol_percent_number
from exchange.api.views import VenueView
from exchange.fixed import CASH_SCALE, div_down, div_up, to_milliseconds_down, to_seconds_down
from exchange.model import SECONDS_PER_DAY, Instrument, Kind, Side

_WINDOW_S: Final = 1_800  # of the delivery price
_DAY: Final = "1D"
UNGROUPED: Final = "none"


def _head(view: VenueView, instrument: Instrument) -> results.Result:
    return {
        "timestamp": to_milliseconds_down(view.time_ns),
        "instrument_name": instrument.name,
    }


def snapshot(view: VenueView, instrument: Instrument, change_id: int) -> results.Result:
    """A whole book as the `book` channel begins."""
    book = view.books[instrument.instrument_id]
    return _head(view, instrument) | {
        "type": "snapshot",
        "change_id": change_id,
        "bids": [["new", cash_number(p), quantity_number(q)] for p, q in book.levels(Side.BUY)],
        "asks": [["new", cash_number(p), quantity_number(q)] for p, q in book.levels(Side.SELL)],
    }


def change(view: VenueView, instrument: Instrument, delta: BookDelta) -> results.Result:
    """A step of a book."""
    return _head(view, instrument) | {
        "type": "change",
        "change_id": delta.change_id,
        "prev_change_id": delta.prev_change_id,
        "bids": [[c.action, cash_number(c.price), quantity_number(c.quantity)] for c in delta.bids],
        "asks": [[c.action, cash_number(c.price), quantity_number(c.quantity)] for c in delta.asks],
    }


def depth(view: VenueView, instrument: Instrument, group: str, levels: int) -> results.Result:
    """The best levels of a book, as wide as `group` says in USDC."""
    book = view.books[instrument.instrument_id]
    return _head(view, instrument) | {
        "change_id": book.change_id,
        "bids": _rows(_best(book, Side.BUY, group, levels)),
        "asks": _rows(_best(book, Side.SELL, group, levels)),
    }


def _rows(levels: Iterable[Level]) -> list[list[object]]:
    return [[cash_number(price), quantity_number(quantity)] for price, quantity in levels]


def _best(book: BookView, side: Side, group: str, levels: int) -> list[Level]:
    if group == UNGROUPED:
        return book.levels(side, levels)
    return grouped(book.levels(side), side, int(group) * CASH_SCALE, levels)


def grouped(found: Iterable[Level], side: Side, width: int, levels: int) -> list[Level]:
    """Levels, best first, put together: each as good as the worst price in it."""
    wide: list[Level] = []
    for price, quantity in found:
        edge = (div_down if side is Side.BUY else div_up)(price, width) * width
        if wide and wide[-1][0] == edge:
            wide[-1] = (edge, wide[-1][1] + quantity)
        elif len(wide) == levels:
            break
        else:
            wide.append((edge, quantity))
    return wide


def quote(view: VenueView, instrument: Instrument) -> results.Result:
    """Best bid and ask."""
    book = view.books[instrument.instrument_id]
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    return _head(view, instrument) | {
        "best_bid_price": cash_number(bid[0]) if bid else None,
        "best_bid_amount": quantity_number(bid[1]) if bid else 0,
        "best_ask_price": cash_number(ask[0]) if ask else None,
        "best_ask_amount": quantity_number(ask[1]) if ask else 0,
    }


def state(view: VenueView, instrument: Instrument) -> results.Result:
    """The phase of an instrument."""
    word = results.STATES[view.statuses[instrument.instrument_id]]
    return _head(view, instrument) | {"state": word}


def resolution_s(resolution: str) -> int:
    """Seconds of a candle."""
    return SECONDS_PER_DAY if resolution == _DAY else int(resolution) * 60


def candle(view: VenueView, instrument: Instrument, resolution: str) -> results.Result | None:
    """The candle of trades that time is in; None before the first trade in it."""
    step_s = resolution_s(resolution)
    now_s = to_seconds_down(view.time_ns)
    bars = view.history.trades[instrument.instrument_id].bars(
        div_down(now_s, step_s) * step_s, now_s, step_s
    )
    return candle_result(bars[-1]) if bars else None


def candle_result(bar: Bar) -> results.Result:
    """One candle of trades."""
    return {
        "tick": bar.time_s * 1000,
        "open": cash_number(bar.open),
        "high": cash_number(bar.high),
        "low": cash_number(bar.low),
        "close": cash_number(bar.close),
        "volume": quantity_number(bar.quantity),
        "cost": cash_number(bar.cost),
    }


# -- by index -----------------------------------------------------------------------------------


def index_ids(view: VenueView) -> dict[str, int]:
    """Underlyings by the names of their indices."""
    parameters = view.parameters
    if parameters is None:
        return {}
    return {results.index_name(u.name): u.underlying_id for u in parameters.underlyings}


def index(view: VenueView, name: str) -> results.Result | None:
    """The newest index price."""
    found = view.index_prices.get(index_ids(view)[name])
    if found is None:
        return None
    price, time_ns = found
    return {
        "index_name": name,
        "price": cash_number(price),
        "timestamp": to_milliseconds_down(time_ns),
    }


def expiration(view: VenueView, name: str) -> results.Result | None:
    """The index as an estimate of what comes next to be delivered at."""
    underlying_id = index_ids(view)[name]
    found = view.index_prices.get(underlying_id)
    now_s = to_seconds_down(view.time_ns)
    left_s = [
        instrument.expiry - now_s
        for instrument in view.instruments.values()
        if instrument.underlying_id == underlying_id and instrument.expiry > now_s
    ]
    if found is None or not left_s:
        return None
    seconds = min(left_s)
    return {
        "price": cash_number(found[0]),
        "seconds": seconds,
        "is_estimated": seconds > _WINDOW_S,
    }


def surface(view: VenueView, name: str) -> results.Result | None:
    """As `public/get_volatility_surface`."""
    return surface_result(view, index_ids(view)[name])


def volatility_index(view: VenueView, name: str) -> results.Result | None:
    """The newest value of the thirty-day volatility index."""
    now_s = to_seconds_down(view.time_ns)
    candles = view.history.volatilities[index_ids(view)[name]].candles(now_s - 3_600, now_s, 60)
    if not candles:
        return None
    return {
        "index_name": name,
        "volatility": vol_percent_number(candles[-1].close),
        "timestamp": candles[-1].time_s * 1000,
    }


def mark_prices(view: VenueView, name: str) -> list[results.Result] | None:
    """Marks of all options of an underlying."""
    if view.marks is None:
        return None
    underlying_id = index_ids(view)[name]
    rows = []
    for instrument_id in view.marks.command.instrument_ids:
        instrument = view.instruments[instrument_id]
        mark = view.mark(instrument_id)
        if instrument.underlying_id == underlying_id and instrument.kind is Kind.OPTION and mark:
            rows.append(
                {
                    "instrument_name": instrument.name,
                    "mark_price": cash_number(mark.mark_price),
                    "iv": vol_percent_number(mark.mark_iv),
                }
            )
    return rows
