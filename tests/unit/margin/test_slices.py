"""The slice that releases most for its cost."""

from tests.margin_world import account, instruments, marks_book, option, perpetual

from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE
from exchange.margin.slices import (
    TRIALS_MAX,
    Offer,
    best_slice,
    hedge_quantity,
    slice_quantity_max,
)

ONE = QUANTITY_SCALE
NEVER = 1 << 200
CALL, PUT, FAR = option(100_000, "C"), option(100_000, "P"), option(140_000, "C")


def mark(instrument_id):
    return marks_book().mark_price(instrument_id) // 10_000 * 10_000


def offer(instrument_id, sign=1, quantity=ONE, premium=0, fee=0, levels=None):
    """All of `quantity` at the mark and `premium` USDC worse."""
    price = mark(instrument_id) + sign * premium * 10**6
    shown = levels or [(price, quantity)]
    return Offer(instrument_id, sign, quantity, 100, shown, fee)


def strangle(cash=60_000):
    return account({CALL: -2, PUT: -1, FAR: -1}, cash)


def test_a_slice_is_a_share_of_the_position_in_lots():
    quarter = RATIO_SCALE // 4
    assert slice_quantity_max(-10_000, 100, quarter) == 2_500
    assert slice_quantity_max(350, 100, quarter) == 100
    assert slice_quantity_max(50, 100, quarter) == 50
    assert slice_quantity_max(0, 100, quarter) == 0


def test_the_leg_that_hurts_is_bought_back_first():
    held = strangle()
    before = held.maintenance_excess(), held.state()
    found = best_slice(held, [offer(CALL), offer(PUT), offer(FAR)], held._marks, NEVER)
    assert found.instrument_id == CALL
    assert (found.quantity, found.limit_price) == (ONE, mark(CALL))
    assert (held.maintenance_excess(), held.state()) == before
    held.check()


def test_a_slice_does_what_it_says():
    held = strangle()
    found = best_slice(held, [offer(CALL, premium=40, fee=30 * 10**6)], held._marks, NEVER)
    held.apply_fill(CALL, ONE)
    held.add_cash(-found.limit_price - 30 * 10**6)
    assert held.maintenance_excess() == found.excess
    assert found.cost > 30 * 10**6


def test_a_cheap_release_beats_a_dear_one():
    """The far call releases less, but costs nothing; the near one costs a thousand a contract."""
    held = strangle()
    found = best_slice(held, [offer(CALL, premium=1_000), offer(FAR)], held._marks, NEVER)
    assert found.instrument_id == FAR
    assert found.cost <= 10_000


def test_a_slice_that_costs_more_than_it_releases_is_not_made():
    held = strangle()
    assert best_slice(held, [offer(CALL, premium=90_000)], held._marks, NEVER) is None
    assert best_slice(held, [offer(CALL, sign=-1)], held._marks, NEVER) is None
    assert best_slice(held, [], held._marks, NEVER) is None


def test_no_more_than_restores():
    held = strangle()
    whole = best_slice(held, [offer(CALL)], held._marks, NEVER)
    wanted = held.maintenance_excess() + whole.released // 3
    found = best_slice(held, [offer(CALL)], held._marks, wanted)
    assert found.quantity == ONE // 2
    assert found.excess >= wanted


def test_levels_are_taken_best_first_and_only_as_deep_as_they_go():
    held = strangle()
    price = mark(CALL)
    levels = [(price, 2_000), (price + 10**7, 3_000)]
    found = best_slice(held, [offer(CALL, levels=levels)], held._marks, NEVER)
    assert (found.quantity, found.limit_price) == (5_000, price + 10**7)
    one = best_slice(held, [offer(CALL, quantity=1_000, levels=levels)], held._marks, NEVER)
    assert (one.quantity, one.limit_price) == (1_000, price)


def test_of_many_offers_the_promising_are_tried():
    """More legs than trials: the choice falls on the same leg as among all."""
    calls = [key for key in instruments() if key != perpetual() and key & 1 == 0][: 2 * TRIALS_MAX]
    held = account({key: -(1 + at % 3) for at, key in enumerate(calls)}, 2_000_000)
    offers = [offer(key) for key in calls]
    found = best_slice(held, offers, held._marks, NEVER)
    assert found is not None
    singles = [best_slice(held, [one], held._marks, NEVER) for one in offers]
    most = max(one.released for one in singles if one)
    assert found.released * 2 > most


def test_the_hedge_makes_an_underlying_neutral():
    marks = marks_book()
    held = account({CALL: -10}, 500_000, marks)
    row = marks.row(perpetual())
    quantity = hedge_quantity(held, marks, row)
    assert 0 < quantity < 10 * ONE
    left = marks.row(CALL).delta * held.position(CALL) + row.delta * quantity
    assert abs(left) <= row.delta
    assert hedge_quantity(account({CALL: 10}, 0, marks), marks, row) == -quantity
    assert hedge_quantity(held, marks, marks.row(perpetual(2))) == 0


def test_a_hedge_counts_every_position_of_its_underlying_and_no_other():
    """The delta of all options and of perpetuals held; ETH does not matter to BTC."""
    marks = marks_book()
    held = account({CALL: -10, PUT: -4, perpetual(): 1, perpetual(2): 50}, 500_000, marks)
    row = marks.row(perpetual())
    quantity = hedge_quantity(held, marks, row)
    deltas = [marks.row(key).delta * held.position(key) for key in (CALL, PUT, perpetual())]
    assert 0 <= -sum(deltas) - row.delta * quantity < row.delta


def test_a_hedge_that_costs_less_is_chosen():
    """The call is offered far from its mark, the perpetual at its own."""
    held = account({CALL: -10}, 200_000)
    row = held._marks.row(perpetual())
    hedge = offer(perpetual(), quantity=hedge_quantity(held, held._marks, row) // 100 * 100)
    found = best_slice(held, [offer(CALL, premium=3_000), hedge], held._marks, NEVER)
    assert found.instrument_id == perpetual()


def test_only_what_rises_with_the_index_hedges():
    marks = marks_book()
    held = account({CALL: -10}, 500_000, marks)
    assert hedge_quantity(held, marks, marks.row(PUT)) == 0


def test_an_offer_of_nothing_is_no_slice():
    held = strangle()
    assert best_slice(held, [offer(CALL, quantity=0)], held._marks, NEVER) is None


def test_the_smallest_slice_is_a_sixty_fourth_in_lots():
    held = strangle()
    found = best_slice(held, [offer(CALL)], held._marks, -NEVER)
    assert found.quantity == 100
