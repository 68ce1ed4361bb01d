"""The premium of a perpetual: slow, bounded, and nothing without a book."""

import pytest
from tests.venue import INDEX, NS, PERP, linear_venue, usdc

from exchange.commands import Halt
from exchange.oracle.perpetual import CLAMP, STEP_S_MAX, Premium, perpetual_middle


def follow(premium, middle, seconds, start_s=0):
    """A sample each second."""
    for second in range(start_s, start_s + seconds):
        premium.note(second * NS, 100_000, middle)
    return premium.value


def test_it_approaches_the_book():
    """63 % of the way in thirty seconds, all of it in some minutes."""
    premium = Premium()
    follow(premium, None, 1)
    assert follow(premium, 100_100, 30, 1) == pytest.approx(0.001 * 0.632, rel=0.01)
    assert follow(premium, 100_100, 300, 31) == pytest.approx(0.001, rel=0.001)


@pytest.mark.parametrize(("middle", "limit"), [(500_000, CLAMP), (1, -CLAMP)])
def test_no_book_moves_it_beyond_the_clamp(middle, limit):
    """However far somebody quotes, and for however long."""
    premium = Premium()
    assert abs(follow(premium, middle, 5)) < CLAMP / 4
    assert follow(premium, middle, 600, 5) == pytest.approx(limit)


def test_one_sample_after_a_silence_is_not_the_average():
    """A leap of the clock counts as a few seconds."""
    premium = Premium()
    premium.note(10**9 * NS, 100_000, 100_500)
    assert 0 < premium.value < CLAMP * STEP_S_MAX / 30


def test_it_fades_without_a_book():
    """Nobody quotes two sides: the mark goes back to the index."""
    premium = Premium()
    follow(premium, 100_400, 300)
    assert follow(premium, None, 300, 300) == pytest.approx(0, abs=1e-6)


def test_the_middle_needs_two_sides_of_a_live_book():
    """And a perpetual to begin with."""
    venue = linear_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    assert perpetual_middle(2, venue.engine) is None
    venue.buy(ann, 1, INDEX - 10, instrument_id=PERP)
    assert perpetual_middle(1, venue.engine) is None
    venue.sell(bob, 1, INDEX + 30, instrument_id=PERP)
    assert perpetual_middle(1, venue.engine) == usdc(INDEX + 10)
    venue.send(Halt(instrument_id=PERP))
    assert perpetual_middle(1, venue.engine) is None
