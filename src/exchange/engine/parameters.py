"""Which parameters a venue can live with: the bounds of each number, and what must fit together.

An operator's mistake is refused with its field, before anything changes. It must not stop the venue
later: a window of no length divides by zero at the first expiry, a number beyond 64 bits cannot be
journaled, and listed instruments need their underlying for ever.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from exchange.commands import Configure, MarginParameters, StandardRates
from exchange.fixed import RATIO_SCALE
from exchange.terms import INTEREST_RATE_MAX

_LARGEST: Final = (1 << 64) - 1  # that the journal can hold
_DAY_S: Final = 86_400
_SHARE: Final = (0, RATIO_SCALE)
_COUNT: Final = (1, _LARGEST)

# Of every number that is not named here: not negative, and fit for the journal.
_BOUNDS: Final[dict[str, tuple[int, int]]] = {
    **dict.fromkeys(
        (
            "fees.maker_rate",
            "fees.taker_rate",
            "fees.premium_cap",
            "fees.linear_maker_rate",
            "fees.linear_taker_rate",
            "funding.damping_rate",
            "funding.rate_max",
            "liquidation.discount_start",
            "liquidation.discount_end",
            "liquidation.fund_rate_max",
            "liquidation.fee_share",
            "publication.band_rate",
            "publication.linear_band_rate",
        ),
        _SHARE,
    ),
    **dict.fromkeys(
        (
            "limits.batch_items_max",
            "limits.quantity_max",
            "limits.deadline_seconds_max",
            "margin.initial_factor",
            "margin.maintenance_factor",
            "breaker.move_rate",
            "breaker.window_ns",
            "breaker.cool_off_ns",
            "breaker.auction_ns",
            "funding.interval_ns",
            "interest.interval_ns",
            "liquidation.fund_subaccount_id",
            "risk_bounds.scan_min",
            "risk_bounds.volatility_min",
            "publication.heartbeat_ns",
            "publication.move_rate",
        ),
        _COUNT,
    ),
    **{f"margin.standard.{name}": (1, RATIO_SCALE) for name in StandardRates.__struct_fields__},
    "delivery_window_s": (1, _DAY_S),
    "interest.rate": (0, INTEREST_RATE_MAX),
    "liquidation.slice_rate": (1, RATIO_SCALE),
}
_CAP_MAX: Final = 125 * 10**15  # of a forced fill's premium, as the contract has it
_LINEAR_MAX: Final = 9 * 10**14  # it takes a thousandth of the value, which is near the index


def wrong_parameters(known: Configure | None, given: Configure) -> str:
    """What is wrong with parameters that follow the `known` ones, in words; empty if nothing is."""
    for path, value in _numbers("", given):
        least, most = _BOUNDS.get(path, (0, _LARGEST))
        if not least <= value <= most:
            return f"{path} must lie between {least} and {most}"
    return (
        _wrong_underlyings(known, given)
        or _wrong_scenarios(given.margin)
        or _wrong_order(given)
        or _wrong_limits(given)
    )


def _numbers(path: str, value: object) -> Iterator[tuple[str, int]]:
    """Every integer in a tree of structs and tuples, with the path of its field."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield path, value
    elif isinstance(value, tuple):
        for item in value:
            yield from _numbers(path, item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _numbers(f"{path}.{name}".lstrip("."), getattr(value, name))


def _wrong_underlyings(known: Configure | None, given: Configure) -> str:
    ids = Counter(item.underlying_id for item in given.underlyings)
    names = Counter(item.name for item in given.underlyings)
    if max((*ids.values(), *names.values()), default=1) > 1:
        return "underlyings: each id and each name stands once"
    for before in known.underlyings if known else ():
        if before not in given.underlyings:
            return f"underlyings: {before.name} was configured before; its instruments need it"
    return ""


def _wrong_scenarios(margin: MarginParameters) -> str:
    count = len(margin.weights)
    if count == 0 or len(margin.absolute) != count or len(margin.spots) not in (0, count):
        return "margin: weights, absolute and spots are of the same scenarios"
    if max(margin.basis_up, margin.basis_down) >= count:
        return "margin: basis_up and basis_down name scenarios"
    return ""


def _wrong_order(given: Configure) -> str:
    bounds, rules = given.risk_bounds, given.liquidation
    if bounds and bounds.scan_min > bounds.scan_max:
        return "risk_bounds.scan_min lies above scan_max"
    if bounds and bounds.volatility_min > bounds.volatility_max:
        return "risk_bounds.volatility_min lies above volatility_max"
    if rules and rules.discount_start > rules.discount_end:
        return "liquidation.discount_start lies above discount_end"
    shown = given.publication
    if shown and shown.heartbeat_ns >= shown.age_max_ns:
        return "publication.heartbeat_ns must be shorter than age_max_ns"
    return _wrong_fees(given) or _wrong_standard(given.margin.standard_rates)


def _wrong_fees(given: Configure) -> str:
    """What the chain would refuse of a forced fill."""
    rules, fees = given.liquidation, given.fees
    linear = max(fees.linear_maker_rate, fees.linear_taker_rate)
    if rules and rules.needs_proof and (fees.premium_cap > _CAP_MAX or linear > _LINEAR_MAX):
        return "fees: the chain takes of a forced fill an eighth of its premium, 0.09 % of an index"
    return ""


def _wrong_standard(rates: StandardRates) -> str:
    """Who may open a position must not be liquidated for it at once."""
    if not rates.option_maintenance <= rates.option_initial_min <= rates.option_initial:
        return "margin.standard: option_maintenance <= option_initial_min <= option_initial"
    if rates.perpetual_maintenance > rates.perpetual_initial:
        return "margin.standard.perpetual_maintenance lies above perpetual_initial"
    return ""


def _wrong_limits(given: Configure) -> str:
    limited = Counter(limit.underlying_id for limit in given.position_limits)
    unknown = set(limited) - {item.underlying_id for item in given.underlyings}
    if unknown or max(limited.values(), default=1) > 1:
        return "position_limits: each underlying at most once"
    return ""
