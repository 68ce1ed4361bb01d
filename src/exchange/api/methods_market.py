"""Public methods about past trades: by time and currency, as candles, and deliveries.

From what the gateway remembers: the last thousand trades of each instrument, and candles of a year.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from exchange.api import results
from exchange.api.channel_data import candle_result, resolution_s
from exchange.api.dispatch import Method, public_method
from exchange.api.errors import InvalidParams, UnknownInstrument
from exchange.api.gateway import Caller, Gateway
from exchange.api.price_history import Bar
from exchange.api.records import Trade
from exchange.api.results import Result
from exchange.api.schemas import (
    Count,
    Currency,
    Empty,
    InstrumentName,
    InstrumentParams,
    KindName,
    Milliseconds,
    Params,
    Sorting,
    cash_number,
    quantity_number,
)
from exchange.fixed import div_down, to_milliseconds_down, to_seconds_down
from exchange.model import SECONDS_PER_DAY, Instrument, Kind, expiry_code

CANDLES_MAX: Final = 5_000


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


class KindParams(Params, frozen=True, kw_only=True):
    """Instruments of a currency and kind."""

    currency: Currency = "any"
    kind: KindName = "any"


class InstrumentIdBookParams(Params, frozen=True, kw_only=True):
    """A book down to `depth` levels a side, by the number of its instrument."""

    instrument_id: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    depth: Annotated[int, Meta(ge=1, le=10_000)] = 5


class CurrencySettlementsParams(Params, frozen=True, kw_only=True):
    """Deliveries of a currency."""

    currency: Currency
    type: Literal["", "settlement", "delivery", "bankruptcy"] = ""
    count: Count = 20
    search_start_timestamp: Milliseconds = 2**53


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
    """Candles of trades; one without trades repeats the last close."""
    instrument = gateway.instrument(params.instrument_name)
    step_s = resolution_s(params.resolution)
    first = div_down(params.start_timestamp, step_s * 1000)
    last = div_down(min(params.end_timestamp, gateway.now_ms()), step_s * 1000)
    if last - first >= CANDLES_MAX:
        raise InvalidParams(f"at most {CANDLES_MAX} candles", "start_timestamp")
    track = gateway.view.history.trades[instrument.instrument_id]
    start_s = first * step_s
    bars = {bar.time_s: bar for bar in track.bars(start_s, (last + 1) * step_s - 1, step_s)}
    close = track.close_before(start_s, step_s)
    chart: Result = {
        name: [] for name in ("tick", "open", "high", "low", "close", "volume", "cost")
    }
    for time_s in range(start_s, last * step_s + 1, step_s):
        bar = bars.get(time_s) or _still(time_s, close)
        if bar is None:
            continue  # nothing has traded yet
        close = bar.close
        for name, value in candle_result(bar).items():
            chart[name].append(value)
    ticks = chart.pop("tick")
    return {"ticks": ticks} | chart | {"status": "ok" if ticks else "no_data"}


def _still(time_s: int, close: int | None) -> Bar | None:
    """A step without trades, after the last price."""
    return None if close is None else Bar(time_s, close, close, close, close, 0, 0)


async def get_last_settlements_by_instrument(
    gateway: Gateway, _: Caller, params: LastSettlementsParams
) -> Result:
    """How an instrument was delivered; funding is in `public/get_funding_rate_history`."""
    return _settlements(gateway, [gateway.instrument(params.instrument_name)], params)


async def get_last_settlements_by_currency(
    gateway: Gateway, _: Caller, params: CurrencySettlementsParams
) -> Result:
    """How the instruments of a currency were delivered, the newest first."""
    return _settlements(gateway, gateway.select(params.currency, expired=True), params)


def _settlements(
    gateway: Gateway,
    instruments: list[Instrument],
    params: LastSettlementsParams | CurrencySettlementsParams,
) -> Result:
    rows = (
        {
            "type": "delivery",
            "timestamp": to_milliseconds_down(delivery.time_ns),
            "instrument_name": instrument.name,
            "index_price": cash_number(delivery.price),
            "mark_price": cash_number(delivery.price),
        }
        for delivery in reversed(gateway.view.deliveries)
        for instrument in instruments
        if delivery.underlying_id == instrument.underlying_id
        and delivery.expiry == instrument.expiry
        and not instrument.legs
        and to_milliseconds_down(delivery.time_ns) <= params.search_start_timestamp
    )
    wanted = params.type in ("", "delivery")
    return {
        "settlements": list(islice(rows, params.count)) if wanted else [],
        "continuation": None,
    }


async def get_expirations(gateway: Gateway, _: Caller, params: KindParams) -> Result:
    """Expiries that are listed, by kind of instrument, the nearest first; perpetuals last."""
    found: dict[str, set[int]] = {}
    for instrument in gateway.select(params.currency, params.kind):
        if not instrument.legs:
            found.setdefault(results.kind_name(instrument), set()).add(instrument.expiry)
    return {
        kind: [expiry_code(expiry) for expiry in sorted(expiries - {0})]
        + (["PERPETUAL"] if 0 in expiries else [])
        for kind, expiries in found.items()
    }


async def get_contract_size(gateway: Gateway, _: Caller, params: InstrumentParams) -> Result:
    """Units of the underlying in a contract: always one."""
    gateway.instrument(params.instrument_name)
    return {"contract_size": 1}


async def get_trade_volumes(gateway: Gateway, _: Caller, _params: Empty) -> list[Result]:
    """Contracts traded in the last day, by underlying."""
    volumes = {u.underlying_id: [0, 0, 0] for u in gateway.configured().underlyings}
    now_s = to_seconds_down(gateway.view.time_ns)
    for instrument_id, track in gateway.view.history.trades.items():
        instrument = gateway.view.instruments.get(instrument_id)
        if instrument is None or instrument.legs:
            continue  # what combos trade is counted in their legs
        option = instrument.kind is Kind.OPTION
        place = int(instrument.option_kind) if option else 2
        bars = track.bars(now_s - SECONDS_PER_DAY, now_s, 60)
        volumes[instrument.underlying_id][place] += sum(bar.quantity for bar in bars)
    return [
        {
            "currency": gateway.view.underlying_name(underlying_id),
            "calls_volume": quantity_number(calls),
            "puts_volume": quantity_number(puts),
            "futures_volume": quantity_number(futures),
            "spot_volume": 0,
        }
        for underlying_id, (calls, puts, futures) in volumes.items()
    ]


async def get_supported_index_names(gateway: Gateway, _: Caller, _params: Empty) -> list[str]:
    """Names of the indices."""
    return [results.index_name(u.name) for u in gateway.configured().underlyings]


async def get_order_book_by_instrument_id(
    gateway: Gateway, _: Caller, params: InstrumentIdBookParams
) -> Result:
    """The book of an instrument by its number, with the ticker's figures."""
    instrument = gateway.view.instruments.get(params.instrument_id)
    if instrument is None:
        raise UnknownInstrument(f"no instrument {params.instrument_id}", "instrument_id")
    return results.book_result(gateway.view, instrument, params.depth)


MARKET: Final[list[Method[Any]]] = [
    public_method(get_last_trades_by_instrument_and_time, TradesByTimeParams),
    public_method(get_last_trades_by_currency, TradesByCurrencyParams),
    public_method(get_last_trades_by_currency_and_time, TradesByCurrencyParams),
    public_method(get_tradingview_chart_data, ChartParams),
    public_method(get_last_settlements_by_instrument, LastSettlementsParams),
    public_method(get_last_settlements_by_currency, CurrencySettlementsParams),
    public_method(get_expirations, KindParams),
    public_method(get_contract_size, InstrumentParams),
    public_method(get_trade_volumes, Empty),
    public_method(get_supported_index_names, Empty),
    public_method(get_order_book_by_instrument_id, InstrumentIdBookParams),
]
