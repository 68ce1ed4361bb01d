"""When a book halts, and how it comes back."""

import pytest

from exchange.fixed import RATIO_SCALE, div_exact
from exchange.matching.breaker import MOVES, Breaker, BreakerRules, Cause, strictest
from exchange.model import InstrumentStatus

LIVE, HALTED, AUCTION = InstrumentStatus.LIVE, InstrumentStatus.HALTED, InstrumentStatus.AUCTION
RULES = BreakerRules(
    move_rate=div_exact(RATIO_SCALE, 10), window_ns=100, cool_off_ns=50, auction_ns=30
)


def breaker(*prices):
    """`prices` as (time, price)."""
    found = Breaker(RULES)
    for time_ns, price in prices:
        assert found.on_price(time_ns, price) is None
        found.check()
    return found


@pytest.mark.parametrize(
    ("price", "status"), [(1100, None), (1101, HALTED), (900, None), (899, HALTED)]
)
def test_a_move_of_more_than_the_rate_halts(price, status):
    found = breaker((0, 1000))
    assert found.on_price(10, price) == status
    assert found.status is (status or LIVE)
    found.check()


def test_moves_are_measured_from_the_extremes_of_the_window():
    assert breaker((0, 1000), (10, 1050)).on_price(20, 944) is HALTED
    assert breaker((0, 1000), (10, 950)).on_price(20, 1046) is HALTED
    assert breaker((0, 1000), (10, 950)).on_price(20, 1044) is None


def test_a_price_older_than_the_window_does_not_count():
    assert breaker((0, 1000), (10, 1050)).on_price(109, 1101) is HALTED
    assert breaker((0, 1000), (10, 1050)).on_price(110, 1101) is None


def test_a_price_is_in_force_until_the_next_one():
    assert breaker((0, 1000)).on_price(10_000, 1101) is HALTED


def test_a_halt_cools_off_into_an_auction_and_then_goes_live():
    found = breaker((0, 1000))
    assert found.on_time(10**6) is None
    found.on_price(10, 1200)
    assert found.due_ns == 60
    assert found.on_time(59) is None
    assert found.on_time(60) is AUCTION
    assert found.due_ns == 90
    found.check()
    assert found.on_time(89) is None
    assert found.on_time(95) is LIVE
    assert found.due_ns == 0
    found.check()


def test_a_phase_has_its_whole_length_however_late_it_began():
    found = breaker((0, 1000))
    found.on_price(10, 1200)
    assert found.on_time(10_000) is AUCTION
    assert found.on_time(10_000) is None
    assert found.on_time(10_030) is LIVE


def test_the_next_move_is_measured_from_the_price_that_halted():
    found = breaker((0, 1000))
    assert found.on_price(10, 1200) is HALTED
    assert found.on_price(20, 1300) is None
    assert found.on_price(30, 1321) is HALTED
    assert found.due_ns == 80


def test_a_move_during_the_auction_halts_again():
    found = breaker((0, 1000))
    found.on_price(10, 1200)
    found.on_time(60)
    assert found.on_price(61, 1000) is HALTED
    assert found.due_ns == 111


def test_an_operators_halt_lasts_until_resumed():
    found = breaker((0, 1000))
    assert found.halt(10) is HALTED
    assert found.is_held
    assert found.halt(11) is None
    assert found.on_price(12, 5000) is None, "a move does not turn it into a timed halt"
    assert found.on_time(10**9) is None
    found.check()
    assert found.resume(20) is AUCTION
    assert not found.is_held
    assert found.on_time(50) is LIVE


def test_an_operator_may_take_over_a_halt_or_an_auction_and_cut_a_halt_short():
    found = breaker((0, 1000))
    found.on_price(10, 1200)
    assert not found.is_held
    assert found.halt(11) is HALTED
    assert found.is_held
    assert found.resume(12) is AUCTION
    assert found.halt(13) is HALTED
    assert found.resume(14) is AUCTION
    assert found.resume(15) is None
    assert breaker().resume(1) is None


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], LIVE),
        ([LIVE, LIVE], LIVE),
        ([LIVE, AUCTION], AUCTION),
        ([AUCTION, HALTED, LIVE], HALTED),
    ],
)
def test_the_strictest_of_several_breakers_governs(statuses, expected):
    assert strictest(statuses) is expected


def test_only_listed_moves_exist():
    assert {status for status, _ in MOVES} == {LIVE, HALTED, AUCTION}
    assert (LIVE, Cause.ELAPSED) not in MOVES
    assert (LIVE, Cause.RESUME) not in MOVES
    assert (AUCTION, Cause.RESUME) not in MOVES


def test_state_holds_status_price_and_window():
    found = breaker((0, 1000), (10, 990), (20, 1010))
    assert found.state() == (LIVE, 0, 1010, ((10, 1000), (20, 990)), ((20, 990),))


def test_several_prices_may_come_at_one_time():
    found = breaker((5, 1000), (5, 990), (5, 980), (5, 985))
    assert found.state()[3] == ((5, 1000), (5, 990), (5, 980))


def test_a_price_that_stays_is_kept_once_until_it_last_ended():
    found = breaker((0, 1000), (5, 1000), (9, 1000))
    assert found.state()[3:] == (((9, 1000),), ((9, 1000),))


def test_rules_and_prices_are_positive():
    one = {"move_rate": 1, "window_ns": 1, "cool_off_ns": 1, "auction_ns": 1}
    assert Breaker(BreakerRules(**one)).status is LIVE
    for name in one:
        with pytest.raises(AssertionError):
            Breaker(BreakerRules(**(one | {name: 0})))
    assert Breaker(RULES).on_price(0, 1) is None
    assert Breaker(RULES).on_price(0, 0, 1) is None
    with pytest.raises(AssertionError):
        Breaker(RULES).on_price(0, 0)
