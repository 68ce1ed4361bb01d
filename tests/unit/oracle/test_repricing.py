"""Which volatility orders are asked to move, and how often."""

import pytest
from tests.venue import C, limits, open_venue, usdc

from exchange.commands import PricedOrder
from exchange.fixed import VOL_SCALE
from exchange.margin.volatility_price import volatility_price
from exchange.model import Side
from exchange.oracle.repricing import BATCH_MAX, Repricer, followed

VOLATILITY = VOL_SCALE // 4


@pytest.fixture
def venue():
    return open_venue()


def orders(venue, *, worst=5_000, worth=2_400, count=1):
    ann = venue.fund("ann", 10**7)
    for _ in range(count):
        venue.buy(ann, "0.01", worst, volatility=VOLATILITY, worth=usdc(worth))
    return followed(venue.engine)


def due(repricer, found, forward=100_000.0, time_ns=0, rate=0.0):
    commands = repricer.due(
        found, lambda _: forward and (forward, rate), time_ns or found[0].order.placed_ns
    )
    return [move for command in commands for move in command.orders]


def test_an_order_is_asked_to_move_once_until_its_price_changes(venue):
    found, repricer = orders(venue), Repricer()
    (move,) = due(repricer, found)
    forward = usdc(100_000)
    instrument = venue.engine.instruments[C]
    worth = volatility_price(instrument, Side.BUY, VOLATILITY, forward, venue.time_ns)
    assert move == PricedOrder(order_id=found[0].order.order_id, price=worth)
    assert due(repricer, found) == []
    assert len(due(repricer, found, 100_050.0)) == 1
    assert due(repricer, found, 100_050.0) == []
    repricer.forget()
    assert len(due(repricer, found, 100_050.0)) == 1


def test_a_rate_makes_a_volatility_worth_less(venue):
    """Marks are discounted, so what follows them is too."""
    found = orders(venue)
    (plain,), (discounted,) = (due(Repricer(), found, rate=rate) for rate in (0.0, 0.5))
    assert 0.9 * plain.price < discounted.price < plain.price


def test_one_that_rests_where_it_should_stays(venue):
    """Also where that is its worst price."""
    found = orders(venue, worst=2_000, worth=2_000)
    assert due(Repricer(), found) == []


def test_without_a_forward_it_stays(venue):
    assert due(Repricer(), orders(venue), forward=None) == []


def test_many_go_in_several_commands():
    venue = open_venue(limits=limits(open_orders_max=2 * BATCH_MAX))
    venue.checking = False
    found = orders(venue, count=BATCH_MAX + 1)
    commands = list(Repricer().due(found, lambda _: (100_000.0, 0.0), venue.time_ns))
    assert [len(command.orders) for command in commands] == [BATCH_MAX, 1]
    for command in commands:
        assert len(venue.send(command)) == len(command.orders)


def test_waiting_and_other_orders_are_not_followed(venue):
    ann = venue.fund("ann")
    venue.buy(ann, 1, 2_400)
    gone = venue.buy(ann, 1, 2_400, volatility=VOLATILITY, worth=usdc(2_300))
    venue.cancel(gone)
    assert followed(venue.engine) == ()
