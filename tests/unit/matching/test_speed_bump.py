"""Who waits at a speed bump, until when, and in which order they leave."""

import pytest

from exchange.matching.speed_bump import SpeedBump


def waiting(*orders):
    bump = SpeedBump()
    for order_id, due_ns in orders:
        bump.add(order_id, due_ns)
    return bump


def test_a_delay_is_kept_by_instrument():
    bump = SpeedBump()
    bump.set_delay(7, 20)
    assert (bump.delay_ns(7), bump.delay_ns(8), bump.is_on) == (20, 0, True)
    bump.set_delay(7, 30)
    assert bump.state() == (((7, 30),), (), ())
    bump.set_delay(7, 0)
    assert (bump.state(), bump.is_on) == (((), (), ()), False)
    bump.check()


def test_an_underlying_keeps_a_delay_for_what_it_lists_later():
    """It says nothing of the instruments that stand."""
    bump = SpeedBump()
    bump.set_default(1, 20)
    assert (bump.default_ns(1), bump.default_ns(2), bump.delay_ns(1)) == (20, 0, 0)
    assert bump.state() == ((), ((1, 20),), ())
    bump.check()
    bump.set_default(1, 0)
    assert bump.state() == ((), (), ())
    bump.check()


@pytest.mark.parametrize("setting", [SpeedBump.set_delay, SpeedBump.set_default])
def test_a_delay_is_no_less_than_zero(setting):
    with pytest.raises(AssertionError):
        setting(SpeedBump(), 7, -1)


def test_they_leave_when_due_and_together_as_they_came():
    bump = waiting((3, 20), (1, 10), (2, 10), (9, 15))
    assert bump.state()[2] == ((10, 1), (10, 2), (15, 9), (20, 3))
    assert bump.due_times_ns() == [10, 10, 15, 20]
    assert bump.release(9) == []
    assert bump.release(15) == [1, 2, 9]
    assert (len(bump), 3 in bump, 1 in bump) == (1, True, False)
    bump.check()
    assert bump.release(20) == [3]
    assert bump.due_times_ns() == []
    bump.check()


def test_one_that_is_gone_leaves_nothing_behind():
    bump = waiting((1, 10), (2, 10))
    assert bump.remove(1)
    assert not bump.remove(1)
    bump.check()
    assert bump.release(10) == [2]


def test_one_may_come_again_and_waits_anew():
    """The place that it left in the queue means nothing any more."""
    bump = waiting((1, 10), (2, 12))
    bump.remove(1)
    bump.add(1, 15)
    bump.check()
    assert bump.release(12) == [2]
    assert bump.release(15) == [1]
    bump.add(1, 10)
    with pytest.raises(AssertionError, match="waits already"):
        bump.add(1, 20)


def test_those_whose_waits_end_together_leave_as_they_came_whatever_their_numbers():
    bump = waiting((9, 10), (2, 10), (5, 10))
    assert bump.state()[2] == ((10, 9), (10, 2), (10, 5))
    assert bump.release(10) == [9, 2, 5]
