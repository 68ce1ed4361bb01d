"""Funding as clients see it: what a perpetual's holders paid each other, and what they pay now.

Built from released events alone. An interest is a share of the index in 1e-18; positive: longs pay.
"""

from typing import Any, Final

from exchange.api.dispatch import Method, public_method
from exchange.api.errors import InvalidParams
from exchange.api.gateway import Caller, Gateway
from exchange.api.results import Result
from exchange.api.schemas import (
    FundingChartParams,
    FundingPeriodParams,
    cash_number,
    ratio_number,
)
from exchange.fixed import RATIO_SCALE, to_milliseconds_down
from exchange.model import Instrument, Kind

_HOUR_MS: Final = 3_600_000
_HOUR_NS: Final = _HOUR_MS * 10**6
_HISTORY_HOURS_MAX: Final = 744  # a month in one answer
_LENGTHS: Final = {"8h": (8, 1), "24h": (24, 1), "1m": (30 * 24, 8)}  # hours, hours a point


async def get_funding_rate_value(gateway: Gateway, _: Caller, params: FundingPeriodParams) -> Any:
    """What longs paid shorts between two times, as a share of the index."""
    instrument = _perpetual(gateway, params.instrument_name)
    start_ns, end_ns = _period(params)
    interest = gateway.view.funding.interest(instrument.instrument_id, start_ns, end_ns)
    return ratio_number(interest, RATIO_SCALE)


async def get_funding_rate_history(
    gateway: Gateway, _: Caller, params: FundingPeriodParams
) -> list[Result]:
    """Interest of each whole hour between two times, the oldest first."""
    instrument = _perpetual(gateway, params.instrument_name)
    start_ns, end_ns = _period(params)
    first = -(-start_ns // _HOUR_NS)
    last = min(end_ns, gateway.view.time_ns) // _HOUR_NS
    first = max(first, last - _HISTORY_HOURS_MAX + 1)
    return [_hour(gateway, instrument, hour * _HOUR_NS) for hour in range(first, last + 1)]


async def get_funding_chart_data(gateway: Gateway, _: Caller, params: FundingChartParams) -> Result:
    """Interest of the last eight hours now, and at points of the past."""
    instrument = _perpetual(gateway, params.instrument_name)
    view, key = gateway.view, instrument.instrument_id
    hours, step = _LENGTHS[params.length]
    last = view.time_ns // _HOUR_NS
    points = range(last - last % step - hours + step, last + 1, step)
    since_ns = view.time_ns - 8 * _HOUR_NS
    return {
        "current_interest": ratio_number(view.current_funding(instrument), RATIO_SCALE),
        "interest_8h": ratio_number(
            view.funding.interest(key, since_ns, view.time_ns), RATIO_SCALE
        ),
        "data": [_hour(gateway, instrument, hour * _HOUR_NS) for hour in points],
    }


def _perpetual(gateway: Gateway, name: str) -> Instrument:
    instrument = gateway.instrument(name)
    if instrument.kind is not Kind.PERPETUAL:
        raise InvalidParams("only a perpetual pays funding", "instrument_name")
    return instrument


def _period(params: FundingPeriodParams) -> tuple[int, int]:
    if params.end_timestamp < params.start_timestamp:
        raise InvalidParams("it lies before start_timestamp", "end_timestamp")
    return params.start_timestamp * 10**6, params.end_timestamp * 10**6


def _hour(gateway: Gateway, instrument: Instrument, end_ns: int) -> Result:
    funding, key = gateway.view.funding, instrument.instrument_id
    return {
        "timestamp": to_milliseconds_down(end_ns),
        "index_price": cash_number(funding.index_price(key, end_ns)),
        "prev_index_price": cash_number(funding.index_price(key, end_ns - _HOUR_NS)),
        "interest_1h": ratio_number(funding.interest(key, end_ns - _HOUR_NS, end_ns), RATIO_SCALE),
        "interest_8h": ratio_number(
            funding.interest(key, end_ns - 8 * _HOUR_NS, end_ns), RATIO_SCALE
        ),
    }


FUNDING: Final[list[Method[Any]]] = [
    public_method(get_funding_rate_value, FundingPeriodParams),
    public_method(get_funding_rate_history, FundingPeriodParams),
    public_method(get_funding_chart_data, FundingChartParams),
]
