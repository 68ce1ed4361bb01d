"""Public methods that answer with a figure over time: indices, marks, volatilities.

In Deribit's shapes. From what the gateway remembers: a week by the minute, a year by the hour.
"""

from typing import Any, Final, Literal

from exchange.api.dispatch import Method, public_method
from exchange.api.errors import InvalidParams
from exchange.api.gateway import Caller, Gateway
from exchange.api.price_history import HOUR_S, MINUTE_S
from exchange.api.results import Result
from exchange.api.schemas import (
    Currency,
    InstrumentName,
    Milliseconds,
    Name,
    Params,
    cash_number,
    vol_percent_number,
)
from exchange.fixed import VOL_SCALE, div_down, to_seconds_down
from exchange.model import SECONDS_PER_DAY

POINTS_MAX: Final = 1_000
_MILLISECONDS: Final = 1_000
_HISTORY_S: Final = 16 * SECONDS_PER_DAY
# range: (seconds back, seconds between points)
_RANGES: Final = {
    "1h": (HOUR_S, MINUTE_S),
    "1d": (SECONDS_PER_DAY, 5 * MINUTE_S),
    "2d": (2 * SECONDS_PER_DAY, 10 * MINUTE_S),
    "1m": (30 * SECONDS_PER_DAY, HOUR_S),
    "1y": (365 * SECONDS_PER_DAY, 12 * HOUR_S),
    "all": (400 * SECONDS_PER_DAY, SECONDS_PER_DAY),
}
_RESOLUTIONS: Final = {"60": 60, "3600": 3600, "43200": 43_200, "1D": SECONDS_PER_DAY}


class IndexChartParams(Params, frozen=True, kw_only=True):
    """An index and how far back."""

    index_name: Name
    range: Literal["1h", "1d", "2d", "1m", "1y", "all"]


class MarkHistoryParams(Params, frozen=True, kw_only=True):
    """Marks of an instrument between two times."""

    instrument_name: InstrumentName
    start_timestamp: Milliseconds
    end_timestamp: Milliseconds


class CurrencyParams(Params, frozen=True, kw_only=True):
    """One currency."""

    currency: Currency


class VolatilityIndexParams(Params, frozen=True, kw_only=True):
    """Candles of a volatility index; the resolution in seconds, or a day."""

    currency: Currency
    start_timestamp: Milliseconds
    end_timestamp: Milliseconds
    resolution: Literal["60", "3600", "43200", "1D"]


async def get_index_chart_data(
    gateway: Gateway, _: Caller, params: IndexChartParams
) -> list[list[Any]]:
    """Points of an index, the oldest first: milliseconds and the last price of each step."""
    track = gateway.view.history.indices[gateway.underlying_of_index(params.index_name)]
    back_s, step_s = _RANGES[params.range]
    now_s = div_down(gateway.now_ms(), _MILLISECONDS)
    return [
        [one.time_s * _MILLISECONDS, cash_number(one.close)]
        for one in track.candles(now_s - back_s, now_s, step_s)
    ]


async def get_mark_price_history(
    gateway: Gateway, _: Caller, params: MarkHistoryParams
) -> list[list[Any]]:
    """Marks of an instrument every five minutes of the last week: milliseconds and price."""
    instrument = gateway.instrument(params.instrument_name)
    start_s, end_s = _seconds(params.start_timestamp, params.end_timestamp)
    return [
        [time_s * _MILLISECONDS, cash_number(price)]
        for time_s, price in gateway.view.history.mark_prices(
            instrument.instrument_id, start_s, end_s
        )
    ]


async def get_historical_volatility(
    gateway: Gateway, _: Caller, params: CurrencyParams
) -> list[list[Any]]:
    """Realised volatility by the hour for sixteen days: milliseconds and yearly percent."""
    now_s = to_seconds_down(gateway.view.time_ns)
    found = gateway.view.history.realised(
        gateway.underlying_of(params.currency), now_s - _HISTORY_S, now_s
    )
    return [
        [time_s * _MILLISECONDS, vol_percent_number(round(value * VOL_SCALE))]
        for time_s, value in found
    ]


async def get_volatility_index_data(
    gateway: Gateway, _: Caller, params: VolatilityIndexParams
) -> Result:
    """Candles of the thirty-day volatility index: milliseconds, open, high, low, close, percent."""
    track = gateway.view.history.volatilities[gateway.underlying_of(params.currency)]
    start_s, end_s = _seconds(params.start_timestamp, params.end_timestamp)
    candles = track.candles(start_s, end_s, _RESOLUTIONS[params.resolution])
    # The newest page; whoever wants older ones asks again until the continuation.
    page = candles[-POINTS_MAX:]
    more = len(candles) > POINTS_MAX
    return {
        "data": [[one.time_s * _MILLISECONDS, *map(vol_percent_number, one[1:])] for one in page],
        "continuation": page[0].time_s * _MILLISECONDS - 1 if more else None,
    }


def _seconds(start_ms: int, end_ms: int) -> tuple[int, int]:
    if start_ms > end_ms:
        raise InvalidParams("start_timestamp lies after end_timestamp", "start_timestamp")
    return -div_down(-start_ms, _MILLISECONDS), div_down(end_ms, _MILLISECONDS)


CHARTS: Final[list[Method[Any]]] = [
    public_method(get_index_chart_data, IndexChartParams),
    public_method(get_mark_price_history, MarkHistoryParams),
    public_method(get_historical_volatility, CurrencyParams),
    public_method(get_volatility_index_data, VolatilityIndexParams),
]
