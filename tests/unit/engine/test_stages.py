"""A liquidation's life: what is remembered of it, and what is told."""

import pytest
from tests.liquidation_world import liquidating_venue, rules, short_call
from tests.venue import C

from exchange.engine.stages import begin, end, move_to
from exchange.margin.liquidation import Cause
from exchange.model import LiquidationStage


@pytest.fixture
def venue():
    return liquidating_venue(liquidation=rules(needs_proof=True))


def test_it_begins_moves_and_ends_with_an_event_each(venue) -> None:
    """The events carry equity and requirement as they are; another stage waits from zero."""
    seller, _ = short_call(venue)
    venue.mark({C: 5_000})
    state = venue.engine._venue
    subaccount = state.subaccounts[seller]
    state.events = []
    begin(state, subaccount, Cause.BELOW)
    running = state.liquidations[seller]
    assert (running.stage, running.started_ns) == (LiquidationStage.SLICING, state.time_ns)
    running.waited_ns = 7
    move_to(state, running, LiquidationStage.AUCTION)
    assert (running.stage, running.waited_ns) == (LiquidationStage.AUCTION, 0)
    end(state, seller)
    assert seller not in state.liquidations
    told = [
        (type(event).__name__, event.subaccount_id, event.equity, event.maintenance_margin)
        for event in state.events
    ]
    figures = (seller, subaccount.account.equity(), subaccount.account.maintenance_margin())
    assert told == [
        ("LiquidationStarted", *figures),
        ("LiquidationAuctionStarted", *figures),
        ("LiquidationEnded", *figures),
    ]


def test_one_that_runs_cannot_begin(venue) -> None:
    seller, _ = short_call(venue)
    state = venue.engine._venue
    state.events = []
    begin(state, state.subaccounts[seller], Cause.FROZEN)
    with pytest.raises(AssertionError):
        begin(state, state.subaccounts[seller], Cause.BELOW)
