"""Public methods about past trades: by time and currency, as candles, and deliveries.

From what the gateway remembers: the last thousand trades of each instrument.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, Literal

from exchange.api import results
from exchange.api.dispatch import Method, public_method
from exchange.api.errors import InvalidParams
from exchange.api.gateway import Caller, Gateway
from exchange.api.records import Trade
from exchange.api.results import Result
from exchange.api.schemas import (
    Count,
    Currency,
    InstrumentName,
    KindName,
    Milliseconds,
    Params,
    Sorting,
    cash_number,
    quantity_number,
)
from exchange.fixed import div_down, notional, to_milliseconds_down
from exchange.model import Instrument

CANDLES_MAX: Final = 5_000
_MINUTE_MS: Final = 60_000
_DAY: Final = "1D"


class TradesByTimeParams(Params, frozen=True, kw_only=True):
    """Public trades of an instrument between two times."""

    instrument_name: InstrumentName
    start_timestamp: Milliseconds = 0
    end_timestamp: Milliseconds = 2**53
    count: Count = 10
    include_old: bool = False
    sorting: Sorting = "default"


class TradesByCurrencyParams(Params, frozen=True, kw_only=True):
    """Public trades of a currency."""

    currency: Currency
    kind: KindName = "any"
    start_timestamp: Milliseconds = 0
    end_timestamp: Milliseconds = 2**53
    count: Count = 10
    include_old: bool = False
    sorting: Sorting = "default"


class ChartParams(Params, frozen=True, kw_only=True):
    """Candles of an instrument; the resolution in minutes, or a day."""

    instrument_name: InstrumentName
    start_timestamp: Milliseconds
    end_timestamp: Milliseconds
    resolution: Literal["1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720", "1D"]


class LastSettlementsParams(Params, frozen=True, kw_only=True):
    """Deliveries of an instrument."""

    instrument_name: InstrumentName
    type: Literal["", "settlement", "delivery", "bankruptcy"] = ""
    count: Count = 20
    search_start_timestamp: Milliseconds = 2**53


async def get_last_trades_by_instrument_and_time(
    gateway: Gateway, _: Caller, params: TradesByTimeParams
) -> Result:
    """Public trades of an instrument between two times, the newest first."""
    instrument = gateway.instrument(params.instrument_name)
    return _page(gateway, gateway.view.instrument_trades[instrument.instrument_id], params)


async def get_last_trades_by_currency(
    gateway: Gateway, _: Caller, params: TradesByCurrencyParams
) -> Result:
    """Public trades of a currency, the newest first."""
    return _of_currency(gateway, params)


async def get_last_trades_by_currency_and_time(
    gateway: Gateway, _: Caller, params: TradesByCurrencyParams
) -> Result:
    """Public trades of a currency between two times, the newest first."""
    return _of_currency(gateway, params)


def _of_currency(gateway: Gateway, params: TradesByCurrencyParams) -> Result:
    found = [
        trade
        for expired in (False, True)
        for instrument in gateway.select(params.currency, params.kind, expired=expired)
        for trade in islice(reversed(_trades(gateway, instrument)), params.count + 1)
    ]
    return _page(gateway, sorted(found, key=lambda trade: trade.trade_id), params)


def _trades(gateway: Gateway, instrument: Instrument) -> Any:
    return gateway.view.instrument_trades[instrument.instrument_id]


def _page(
    gateway: Gateway, trades: Any, params: TradesByTimeParams | TradesByCurrencyParams
) -> Result:
    ordered: Iterable[Trade] = trades if params.sorting == "asc" else reversed(trades)
    matching = (
        trade
        for trade in ordered
        if params.start_timestamp <= to_milliseconds_down(trade.time_ns) <= params.end_timestamp
    )
    found = list(islice(matching, params.count + 1))
    return {
        "trades": [results.trade_result(gateway.view, t) for t in found[: params.count]],
        "has_more": len(found) > params.count,
    }


async def get_tradingview_chart_data(gateway: Gateway, _: Caller, params: ChartParams) -> Result:
    """Candles from the trades kept; one without trades repeats the last close."""
    instrument = gateway.instrument(params.instrument_name)
    minutes = 24 * 60 if params.resolution == _DAY else int(params.resolution)
    step = minutes * _MINUTE_MS
    first = div_down(params.start_timestamp, step)
    last = div_down(min(params.end_timestamp, gateway.now_ms()), step)
    if last - first >= CANDLES_MAX:
        raise InvalidParams(f"at most {CANDLES_MAX} candles", "start_timestamp")
    groups: dict[int, list[Trade]] = {}
    close = 0  # of the last trade before the first candle
    for trade in gateway.view.instrument_trades[instrument.instrument_id]:
        place = div_down(to_milliseconds_down(trade.time_ns), step)
        if place < first:
            close = trade.price
        elif place <= last:
            groups.setdefault(place, []).append(trade)
    return _candles(groups, range(first, last + 1), step, close)


def _candles(groups: dict[int, list[Trade]], places: range, step: int, close: int) -> Result:
    chart: Result = {
        name: [] for name in ("ticks", "open", "high", "low", "close", "volume", "cost")
    }
    for place in places:
        trades = groups.get(place, [])
        prices = [trade.price for trade in trades] or [close]
        if not trades and not close:
            continue  # nothing has traded yet
        close = prices[-1]
        row = (
            place * step,
            *map(cash_number, (prices[0], max(prices), min(prices), close)),
            quantity_number(sum(trade.quantity for trade in trades)),
            cash_number(sum(notional(trade.price, trade.quantity) for trade in trades)),
        )
        for column, value in zip(chart.values(), row, strict=True):
            column.append(value)
    return chart | {"status": "ok" if chart["ticks"] else "no_data"}


async def get_last_settlements_by_instrument(
    gateway: Gateway, _: Caller, params: LastSettlementsParams
) -> Result:
    """How an instrument was delivered; funding is in `public/get_funding_rate_history`."""
    instrument = gateway.instrument(params.instrument_name)
    found = [
        {
            "type": "delivery",
            "timestamp": to_milliseconds_down(delivery.time_ns),
            "instrument_name": instrument.name,
            "index_price": cash_number(delivery.price),
            "mark_price": cash_number(delivery.price),
        }
        for delivery in reversed(gateway.view.deliveries)
        if delivery.underlying_id == instrument.underlying_id
        and delivery.expiry == instrument.expiry
        and to_milliseconds_down(delivery.time_ns) <= params.search_start_timestamp
    ]
    wanted = params.type in ("", "delivery")
    return {"settlements": found[: params.count] if wanted else [], "continuation": None}


MARKET: Final[list[Method[Any]]] = [
    public_method(get_last_trades_by_instrument_and_time, TradesByTimeParams),
    public_method(get_last_trades_by_currency, TradesByCurrencyParams),
    public_method(get_last_trades_by_currency_and_time, TradesByCurrencyParams),
    public_method(get_tradingview_chart_data, ChartParams),
    public_method(get_last_settlements_by_instrument, LastSettlementsParams),
]
