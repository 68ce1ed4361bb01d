"""A position changes at a price: cash or cost, funding, and the open interest with it."""

from tests.venue import PERP, C, linear_venue, names, usdc

from exchange.engine.positions import move_position


def test_an_option_pays_its_premium_and_a_perpetual_nothing():
    """Both count toward the open interest of their underlying."""
    venue = linear_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    state = venue.engine._venue
    state.events = []
    before = state.open_interest.get(1, 0)
    for instrument_id, price in ((C, 2_500), (PERP, 100_000)):
        instrument = state.instruments[instrument_id]
        move_position(state, ann, instrument, 10_000, usdc(price))
        move_position(state, bob, instrument, -10_000, usdc(price))
    assert venue.cash(ann) == usdc(997_500)
    assert venue.cash(bob) == usdc(1_002_500)
    assert state.open_interest[1] - before == 20_000
    assert names(state.events) == []
    venue.engine.check()


def test_funding_is_told_before_the_position_moves():
    """The holder realises it; somebody who held nothing does not."""
    venue = linear_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    state = venue.engine._venue
    perpetual = state.instruments[PERP]
    move_position(state, ann, perpetual, 10_000, usdc(100_000))
    move_position(state, bob, perpetual, -10_000, usdc(100_000))
    state.marks.set_funding(PERP, 50_000)
    state.events = []
    move_position(state, ann, perpetual, -10_000, usdc(100_000))
    move_position(state, bob, perpetual, 10_000, usdc(100_000))
    assert [event.amount for event in state.events] == [-50_000, 50_000]
    assert venue.cash(ann) == usdc(1_000_000) - 50_000
