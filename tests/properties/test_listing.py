"""The calendar is that of the standard library, and the list only ever grows."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.listing import (
    Expiries,
    StrikeStep,
    UnderlyingRules,
    due_instruments,
    expiries_ahead,
)
from exchange.model import Kind, pack_instrument_id

TIMES = st.integers(1_700_000_000, 2_500_000_000)
COUNTS = st.integers(0, 4)


def ahead(now_s, count, is_due):
    """The next `count` days with `is_due(day)` whose 08:00 is more than an hour ahead."""
    day = datetime.fromtimestamp(now_s, UTC).replace(hour=8, minute=0, second=0)
    found = []
    while len(found) < count:
        if day.timestamp() - now_s > 3600 and is_due(day):
            found.append(int(day.timestamp()))
        day += timedelta(days=1)
    return found


def is_friday(day):
    return day.weekday() == 4


def ends_month(day):
    return is_friday(day) and (day + timedelta(days=7)).month != day.month


def ends_quarter(day):
    return ends_month(day) and day.month in (3, 6, 9, 12)


@given(TIMES, COUNTS, COUNTS, COUNTS, COUNTS)
def test_expiries_are_those_of_a_walk_through_the_days(now_s, daily, weekly, monthly, quarterly):
    expected = {
        *ahead(now_s, daily, lambda day: True),
        *ahead(now_s, weekly, is_friday),
        *ahead(now_s, monthly, ends_month),
        *ahead(now_s, quarterly, ends_quarter),
    }
    cycles = Expiries(daily, weekly, monthly, quarterly)
    assert list(expiries_ahead(cycles, now_s)) == sorted(expected)


RULES = UnderlyingRules(
    underlying_id=1,
    tick_size="5",
    linear_tick_size="1",
    lot_size="0.01",
    min_quantity="0.01",
    perpetual=True,
    options=Expiries(daily=2, weekly=1),
    futures=Expiries(monthly=1),
    strike_steps=(StrikeStep(3, "1000", 2), StrikeStep(400, "5000", 2)),
)


@given(TIMES, st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 200_000)), max_size=8))
def test_after_each_move_the_strikes_around_the_index_exist_and_none_is_listed_twice(now_s, moves):
    listed = set()
    for later, price in moves:
        now_s += later
        due = due_instruments(RULES, now_s, price * 10**6, {}, listed)
        ids = [pack_instrument_id(terms) for terms in due]
        assert len(set(ids)) == len(ids)
        assert not listed & set(ids)
        assert ids == [pack_instrument_id(terms) for terms in sorted(due, key=order)]
        listed |= set(ids)
        assert due_instruments(RULES, now_s, price * 10**6, {}, listed) == []


def order(terms):
    kinds = (Kind.PERPETUAL, Kind.FUTURE, Kind.OPTION)
    return kinds.index(terms.kind), terms.expiry, terms.strike, terms.option_kind
