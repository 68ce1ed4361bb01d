"""Whoever holds as many instruments as one may keeps only the orders in these."""

from tests.venue import C, P, call, limits, open_venue, refusals

from exchange.commands import ListCombo
from exchange.events import OrderCanceled
from exchange.model import Leg, Side
from exchange.reasons import CancelReason

FAR = call(110_000)


def canceled(events):
    return [event.instrument_id for event in events if isinstance(event, OrderCanceled)]


def test_a_maker_quotes_all_that_is_listed_until_it_is_full():
    """Then its orders in what it does not hold are canceled, combos too; the others stay."""
    venue = open_venue(limits=limits(positions_max=2))
    maker, ann = venue.fund("maker"), venue.fund("ann")
    legs = venue.send(ListCombo(legs=(Leg(P, 1), Leg(FAR, -1))))[-1].instrument_id
    hashed = venue.engine.instruments[legs].legs_hash
    for instrument_id in (C, P, FAR):
        assert refusals(venue.sell(maker, 4, 2_500, instrument_id=instrument_id)) == []
    venue.order(maker, Side.BUY, 1, 100, legs, legs_hash=hashed)
    assert canceled(venue.buy(ann, 1, 2_500)) == []
    events = venue.buy(ann, 1, 2_500, instrument_id=P)
    assert canceled(events) == [FAR, legs]
    assert all(
        e.reason is CancelReason.POSITION_LIMIT for e in events if isinstance(e, OrderCanceled)
    )
    left = venue.engine.open_orders(maker)
    assert sorted(order.instrument_id for order in left) == [C, P]
    venue.buy(maker, 1, 2_400, instrument_id=C)
    venue.sell(ann, 1, 2_400)
    assert venue.position(maker) == 0, "it closed one"
    assert refusals(venue.sell(maker, 4, 2_500, instrument_id=FAR)) == []


def test_a_sweep_of_a_combo_may_pass_the_limit_by_its_legs():
    """Both legs are of one maker: they are one trade, so the limit takes hold after it."""
    venue = open_venue(limits=limits(positions_max=2))
    maker, ann, bob = venue.fund("maker"), venue.fund("ann"), venue.fund("bob")
    venue.sell(bob, 1, 2_500)
    venue.buy(maker, 1, 2_500)
    combo = venue.send(ListCombo(legs=(Leg(P, 1), Leg(FAR, -1))))[-1].instrument_id
    hashed = venue.engine.instruments[combo].legs_hash
    venue.sell(maker, 1, 2_500, instrument_id=P)
    venue.buy(maker, 1, 2_400, instrument_id=FAR)
    venue.order(ann, Side.BUY, 1, 100, combo, legs_hash=hashed)
    assert len(venue.engine.positions(maker)) == 3
