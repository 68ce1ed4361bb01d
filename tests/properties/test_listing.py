"""Calendar rules against the standard library's calendar, and strikes around any forward."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.listing import ListingRules, StrikeGrid, expiries, strikes

TIMES = st.integers(1_600_000_000, 3_000_000_000)


ONE = StrikeGrid(9, 1, 1)


def rules(daily=0, weekly=0, monthly=0, quarterly=0, grid=ONE):
    return ListingRules(1, daily, weekly, monthly, quarterly, (grid,))


def days_after(time_s):
    moment = datetime.fromtimestamp(time_s, UTC)
    day = moment.replace(hour=8, minute=0, second=0)
    while True:
        if day > moment:
            yield day
        day += timedelta(days=1)


def take(count, days, wanted):
    found = []
    while len(found) < count:
        day = next(days)
        if wanted(day):
            found.append(int(day.timestamp()))
    return found


def last_friday(day):
    return day.weekday() == 4 and (day + timedelta(days=7)).month != day.month


@given(TIMES, *[st.integers(0, 4)] * 4)
def test_expiries_are_those_of_the_calendar(time_s, daily, weekly, monthly, quarterly):
    expected = {
        *take(daily, days_after(time_s), lambda day: True),
        *take(weekly, days_after(time_s), lambda day: day.weekday() == 4),
        *take(monthly, days_after(time_s), last_friday),
        *take(quarterly, days_after(time_s), lambda d: last_friday(d) and d.month % 3 == 0),
    }
    assert expiries(rules(daily, weekly, monthly, quarterly), time_s) == sorted(expected)


@given(st.integers(1, 10**12), st.integers(1, 100), st.integers(0, 10))
def test_strikes_lie_on_the_grid_around_the_forward(forward, step, each_side):
    step *= 10**6
    found = strikes(rules(grid=StrikeGrid(9, step, each_side)), 1, forward)
    assert found == sorted(set(found))
    assert all(strike % step == 0 and strike > 0 for strike in found)
    assert all(abs(strike - forward) <= (each_side + 1) * step for strike in found)
    if forward > (each_side + 1) * step:
        assert len(found) == 2 * each_side + 1
