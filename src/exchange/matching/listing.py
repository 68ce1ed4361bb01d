"""Which instruments should exist: expiries by the calendar, strikes around the forward.

Pure: the rules are data (`listing_rules.toml` is the packaged set; whoever may read files hands
its text to `parse_rules`), time and forwards are arguments. It must never know what anybody holds:
nothing is ever taken off the list here; an instrument ends at its expiry. So the list grows with
the market: as the forward moves or an expiry comes nearer (and its step finer), strikes are added.
"""

import tomllib
from collections.abc import Container, Mapping
from typing import Final

import msgspec

from exchange.commands import InstrumentListing
from exchange.fixed import (
    CASH_SCALE,
    PRICE_QUANTUM,
    QUANTITY_SCALE,
    div_down,
    div_half_even,
    is_multiple,
    parse_decimal,
)
from exchange.model import (
    EXPIRY_SECOND_OF_DAY,
    SECONDS_PER_DAY,
    InstrumentTerms,
    Kind,
    OptionKind,
    civil_date,
    pack_instrument_id,
)

_FRIDAY: Final = 1  # 1970-01-02, as a day modulo 7
_LEAD_S: Final = 3600  # an expiry nearer than this is not listed any more
_QUARTER_MONTHS: Final = 3
_WEEKS_IN_MONTH_MAX: Final = 5
_WEEKS_IN_QUARTER_MAX: Final = 14


class Expiries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many expiries of each cycle to list ahead."""

    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    quarterly: int = 0


class StrikeStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The grid for expiries fewer than `days_max` days ahead; `step` is decimal text in USDC."""

    days_max: int
    step: str
    strikes_each_side: int

    @property
    def step_size(self) -> int:
        """Distance of strikes in micro-USDC."""
        return _scaled(self.step, CASH_SCALE)


class UnderlyingRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to list on one underlying; prices and quantities are decimal text."""

    underlying_id: int
    tick_size: str  # of options
    linear_tick_size: str  # of perpetuals and futures
    lot_size: str
    min_quantity: str
    perpetual: bool
    options: Expiries
    futures: Expiries
    strike_steps: tuple[StrikeStep, ...]  # by rising days_max; the last one serves beyond it

    def strike_step(self, expiry: int, now_s: int) -> StrikeStep:
        """The grid of an expiry as it stands now."""
        days = div_down(expiry - now_s, SECONDS_PER_DAY)
        steps = self.strike_steps
        return next((step for step in steps if days < step.days_max), steps[-1])


class ListingRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `listing_rules.toml`."""

    underlyings: tuple[UnderlyingRules, ...]


def parse_rules(text: str) -> ListingRules:
    """Rules from TOML text; malformed rules are a deployment's bug and assert."""
    rules = msgspec.convert(tomllib.loads(text), ListingRules)
    ids = [underlying.underlying_id for underlying in rules.underlyings]
    assert len(set(ids)) == len(ids), "an underlying has one table"
    for underlying in rules.underlyings:
        days = [step.days_max for step in underlying.strike_steps]
        assert days == sorted(set(days)), "strike steps stand by days_max"
        assert bool(days) or underlying.options == Expiries(), "options need strike steps"
        assert all(step.strikes_each_side > 0 for step in underlying.strike_steps)
        assert all(is_multiple(step.step_size, PRICE_QUANTUM) for step in underlying.strike_steps)
        for tick_size in (underlying.tick_size, underlying.linear_tick_size):
            assert is_multiple(_scaled(tick_size, CASH_SCALE), PRICE_QUANTUM)
        lot_size = _scaled(underlying.lot_size, QUANTITY_SCALE)
        assert is_multiple(_scaled(underlying.min_quantity, QUANTITY_SCALE), lot_size)
    return rules


def expiries_ahead(cycles: Expiries, now_s: int) -> tuple[int, ...]:
    """Expiries to list at `now_s`, UTC seconds, ascending, each more than an hour ahead."""
    first_day = div_down(now_s + _LEAD_S - EXPIRY_SECOND_OF_DAY, SECONDS_PER_DAY) + 1
    first_friday = first_day + (_FRIDAY - first_day) % 7
    weeks = max(
        cycles.weekly,
        cycles.monthly * _WEEKS_IN_MONTH_MAX,
        cycles.quarterly * _WEEKS_IN_QUARTER_MAX,
    )
    fridays = [first_friday + 7 * week for week in range(weeks)]
    month_ends = [day for day in fridays if _ends_month(day)]
    quarter_ends = [day for day in month_ends if is_multiple(civil_date(day)[1], _QUARTER_MONTHS)]
    days = {
        *range(first_day, first_day + cycles.daily),
        *fridays[: cycles.weekly],
        *month_ends[: cycles.monthly],
        *quarter_ends[: cycles.quarterly],
    }
    return tuple(day * SECONDS_PER_DAY + EXPIRY_SECOND_OF_DAY for day in sorted(days))


def cycle(expiry: int) -> str:
    """`month` for the last Friday of one, quarters included, `week` for others, else `day`."""
    day = div_down(expiry, SECONDS_PER_DAY)
    if day % 7 != _FRIDAY:
        return "day"
    return "month" if _ends_month(day) else "week"


def _ends_month(friday: int) -> bool:
    return civil_date(friday)[1] != civil_date(friday + 7)[1]


def strikes_around(forward_price: int, step: StrikeStep) -> tuple[int, ...]:
    """Strikes in micro-USDC, ascending: the one nearest to the forward and those on each side."""
    middle = div_half_even(forward_price, step.step_size)
    first = max(1, middle - step.strikes_each_side)
    last = max(1, middle) + step.strikes_each_side
    return tuple(number * step.step_size for number in range(first, last + 1))


def due_instruments(
    rules: UnderlyingRules,
    now_s: int,
    index_price: int,
    forwards: Mapping[int, int],
    listed: Container[int],
) -> list[InstrumentTerms]:
    """What to add to the `listed` instrument_ids, in order of kind, expiry, strike, call and put.

    `forwards` by expiry; where one is missing, the index stands in for it.
    """
    due = [InstrumentTerms(Kind.PERPETUAL, rules.underlying_id)] if rules.perpetual else []
    due += [
        InstrumentTerms(Kind.FUTURE, rules.underlying_id, expiry)
        for expiry in expiries_ahead(rules.futures, now_s)
    ]
    for expiry in expiries_ahead(rules.options, now_s):
        due += option_chain(rules, now_s, expiry, forwards.get(expiry, index_price))
    return [terms for terms in due if pack_instrument_id(terms) not in listed]


def option_chain(
    rules: UnderlyingRules, now_s: int, expiry: int, forward_price: int
) -> list[InstrumentTerms]:
    """The options of one expiry around its forward."""
    step = rules.strike_step(expiry, now_s)
    return [
        InstrumentTerms(Kind.OPTION, rules.underlying_id, expiry, strike, option_kind)
        for strike in strikes_around(forward_price, step)
        for option_kind in OptionKind
    ]


def to_listing(rules: UnderlyingRules, terms: InstrumentTerms) -> InstrumentListing:
    """The entry of a `ListInstruments` command, with the price and quantity grid."""
    is_option = terms.kind is Kind.OPTION
    return InstrumentListing(
        instrument_id=pack_instrument_id(terms),
        tick_size=_scaled(rules.tick_size if is_option else rules.linear_tick_size, CASH_SCALE),
        lot_size=_scaled(rules.lot_size, QUANTITY_SCALE),
        min_quantity=_scaled(rules.min_quantity, QUANTITY_SCALE),
    )


def _scaled(text: str, scale: int) -> int:
    value = parse_decimal(text, scale)
    assert value is not None, f"listing rules: {text} is off the scale"
    assert value > 0, f"listing rules: {text} is not positive"
    return value
