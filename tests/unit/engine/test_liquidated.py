"""Liquidations, proofs and losses are part of the state that is hashed."""

from tests.liquidation_world import liquidating_venue, rules, short_call, sweep
from tests.venue import C

from exchange.engine.liquidated import Force, Loss


def test_each_figure_enters_the_state_hash() -> None:
    venue = liquidating_venue(liquidation=rules(needs_proof=True))
    seller, buyer = short_call(venue)
    venue.mark({C: 5_000})
    sweep(venue)
    state = venue.engine._venue
    seen = {venue.engine.state_hash()}
    state.liquidations[seller].step += 1
    seen.add(venue.engine.state_hash())
    state.forces[seller] = Force(until=1, contracts=2, budget=3)
    seen.add(venue.engine.state_hash())
    state.forces[seller].spent += 1
    seen.add(venue.engine.state_hash())
    state.losses.append(Loss(liquidated_id=seller, declared=1, shares=[(buyer, 1)]))
    seen.add(venue.engine.state_hash())
    assert len(seen) == 5
