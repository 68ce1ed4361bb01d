"""What a large share of all open interest costs, with whatever open orders may add to it."""

import itertools
import random

import msgspec
import pytest
from tests.margin_world import account, instruments, market, marks_book, option, order, preset
from tests.venue import MARGIN, NS, P, configuration, open_venue, refusals

from exchange.commands import ConcentrationTerms
from exchange.events import RejectReason
from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.margin.concentration import ConcentrationRates, Reach
from exchange.margin.order import MarginOrder
from exchange.margin.risk_arrays import build_update
from exchange.margin.scenarios import margin_parameters
from exchange.margin.standard import StandardAccount
from exchange.model import Leg, combo_number

TERMS = ConcentrationTerms(
    rate=RATIO_SCALE // 100, share=RATIO_SCALE // 10, free_notional=500_000 * CASH_SCALE
)
PARAMETERS = msgspec.structs.replace(margin_parameters(preset()), concentration=TERMS)
CALL, PUT = option(100_000, "C"), option(90_000, "P")
COMBO = combo_number(1)


def marks(open_interest=0):
    """BTC at 100,000: five contracts cost nothing, or a tenth of the open interest."""
    found = marks_book(parameters=PARAMETERS)
    found.update(build_update(preset(), market(), instruments(), 2), {1: open_interest * 10_000})
    return found


def without(found):
    """The same excess as if nobody could hold too much."""
    return found.initial_excess() + found.concentration()


@pytest.mark.parametrize(
    ("contracts", "open_interest", "cost"),
    [(5, 0, 0), (-5, 50, 0), (6, 0, 1_000), (-8, 50, 3_000), (8, 100, 0), (12, 100, 2_000)],
)
def test_what_lies_beyond_both_bounds_costs_a_hundredth(contracts, open_interest, cost):
    """Long or short alike: what cannot be closed at the mark."""
    found = account({CALL: contracts}, cash=10**6, marks=marks(open_interest))
    assert found.concentration() == cost * CASH_SCALE
    assert found.maintenance_excess() == account({CALL: contracts}, cash=10**6).maintenance_excess()


def test_legs_do_not_offset_but_orders_to_close_are_free():
    """A spread is two positions to close; an order that closes one adds nothing."""
    found = account({CALL: 4, PUT: -4}, cash=10**6, marks=marks())
    assert found.concentration() == 3_000 * CASH_SCALE
    closing, opening = order(CALL, -4, 4_000), order(CALL, 1, 4_000)
    assert found.concentration(closing) == 3_000 * CASH_SCALE
    assert found.concentration(opening) == 4_000 * CASH_SCALE
    found.place_order(1, closing)
    found.place_order(2, order(CALL, -5, 4_000))  # both: from +4 to -5
    assert found.concentration() == 4_000 * CASH_SCALE
    found.check()


def test_another_underlying_has_its_own_bounds():
    """500,000 USDC of ETH at 3,500 are some 142 contracts."""
    ether = option(3_500, "C", underlying_id=2)
    found = account({CALL: 6, ether: 142}, cash=10**6, marks=marks())
    assert found.concentration() == 1_000 * CASH_SCALE
    more = MarginOrder(ether, 1, 10_000, CASH_SCALE, 0)
    assert found.concentration(more) == 1_005_001_500
    found.place_order(1, more)
    assert found.concentration() == 1_005_001_500


def test_no_subset_of_fills_costs_more_than_was_promised():
    """Brute force: every subset, in every company."""
    rng = random.Random(7)
    for _ in range(200):
        held = Reach()
        legs = {1: rng.randint(-9, 9), 2: rng.randint(-9, 9)}
        for instrument_id, quantity in legs.items():
            held.fill(instrument_id, 1, quantity)
        open_orders = [
            (rng.randint(1, 2), rng.choice((-1, 1)), rng.randint(1, 9)) for _ in range(4)
        ]
        for instrument_id, sign, quantity in open_orders:
            grown = held.growth(instrument_id, sign, quantity)
            before = held.totals.get(1, 0)
            held.open(instrument_id, 1, sign, quantity)
            assert held.totals.get(1, 0) == before + grown
        totals = []
        for chosen in itertools.product((0, 1), repeat=4):
            after = dict(legs)
            for taken, (instrument_id, sign, quantity) in zip(chosen, open_orders, strict=True):
                after[instrument_id] += taken * sign * quantity
            totals.append(sum(map(abs, after.values())))
        assert held.totals.get(1, 0) == max(totals)  # the bound is met, not only kept


def test_everything_undone_is_nothing():
    """No instrument is remembered for its zeros."""
    held = Reach()
    held.fill(1, 1, 5)
    held.open(1, 1, 1, 3)
    held.open(1, 1, 1, -3)
    held.fill(1, 1, -5)
    assert (held.state(), held.totals) == ({}, {})


@pytest.mark.parametrize("kind", [None, StandardAccount])
def test_the_decision_foresees_the_cost_to_the_last_unit(kind):
    """`initial_excess_with` is what `initial_excess` says once the order is open."""
    book = marks(open_interest=60)
    found = account({CALL: 5}, cash=10**6, marks=book)
    if kind is not None:
        found = kind(7, book)
        found.add_cash(10**12)
        found.apply_fill(CALL, 50_000)
    one = order(CALL, 3, 4_000)
    expected = found.initial_excess_with(one)
    before = without(found)
    found.place_order(1, one)
    assert found.initial_excess() == expected
    assert found.concentration() == 2_000 * CASH_SCALE
    assert without(found) <= before


def test_a_whale_is_refused_more_where_others_are_not():
    """In the engine: her share is of what all hold together when the marks came."""
    venue = open_venue()
    terms = ConcentrationTerms(rate=RATIO_SCALE // 10, share=RATIO_SCALE // 4, free_notional=0)
    margin = msgspec.structs.replace(MARGIN, concentration=terms)
    venue.send(configuration(version=2, margin=margin))
    whale, maker = venue.fund("whale", 300_000), venue.fund("maker", 10**8)
    for _ in range(2):
        venue.sell(maker, 10, 2_500)
        venue.buy(venue.fund("minnow", 500_000), 10, 2_500)
    venue.time_ns += NS
    venue.mark({})  # 20 contracts are open; 5 are free
    venue.sell(maker, 40, 2_500)
    assert refusals(venue.buy(whale, 30, 2_500)) == [RejectReason.INSUFFICIENT_MARGIN]
    assert refusals(venue.buy(whale, 20, 2_500)) == []
    assert venue.engine.subaccounts[whale].account.concentration() == 150_000 * CASH_SCALE
    venue.mark({P: 2_500})  # 40 are open: 10 are free
    assert venue.engine.subaccounts[whale].account.concentration() == 100_000 * CASH_SCALE
    venue.twin()


def test_an_order_in_a_combo_grows_each_leg_on_its_own_side():
    """Of one unit two are bought and one is sold: what is held already offsets a leg at a time."""
    book = marks()
    book.add_package(COMBO, (Leg(CALL, 2), Leg(PUT, -1)))
    found = account({CALL: 1, PUT: 3}, cash=10**6, marks=book)
    buy, sell = order(COMBO, 4, 1_000), order(COMBO, -4, 1_000)
    assert found.growth_with(buy) == 80_000  # PUT from +3 to -1
    assert found.growth_with(sell) == 60_000 + 40_000  # CALL from +1 to -7
    found.place_order(1, buy)
    assert found.reach.totals == {1: 120_000}
    found.check()


def test_nothing_costs_more_before_there_are_bounds():
    assert ConcentrationRates().addon(1, 10**9) == 0
