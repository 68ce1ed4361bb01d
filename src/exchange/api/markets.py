"""What an operator sees of the markets: indices and their age, instruments that do not trade."""

from collections import Counter
from typing import Any

from exchange.api.results import STATES
from exchange.api.views import VenueView


def markets(view: VenueView, now_ns: int) -> list[dict[str, Any]]:
    """One row an underlying: index in micro-USDC, its age, instruments by state, those not open.

    `index_price` and `index_age_ns` are null before the first sample; ids of instruments are text,
    since they exceed a float.
    """
    if view.parameters is None:
        return []
    return [
        _market(view, one.underlying_id, one.name, now_ns) for one in view.parameters.underlyings
    ]


def _market(view: VenueView, underlying_id: int, name: str, now_ns: int) -> dict[str, Any]:
    listed = [
        one
        for one in view.instruments.values()
        if one.underlying_id == underlying_id and one.instrument_id not in view.expired
    ]
    states = {one.instrument_id: STATES[view.statuses[one.instrument_id]] for one in listed}
    sample = view.index_prices.get(underlying_id)
    return {
        "underlying_id": underlying_id,
        "name": name,
        "index_price": sample[0] if sample else None,
        "index_age_ns": now_ns - sample[1] if sample else None,
        "states": Counter(states.values()),
        "not_open": [
            {
                "instrument_id": str(one.instrument_id),
                "instrument_name": one.name,
                "state": states[one.instrument_id],
            }
            for one in listed
            if states[one.instrument_id] != "open"
        ],
    }
