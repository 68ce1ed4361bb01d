"""The surface as its channel sends it: first on joining, then with each epoch."""

from tests.unit.api.test_channels import Listener
from tests.venue import C, usdc

from exchange.api.risk_results import surface_result


def test_before_the_first_epoch_there_is_no_surface(world):
    """Nobody is sent an empty one."""
    world.gateway.view.marks = None
    assert surface_result(world.gateway.view, 1) is None
    listener = Listener(world)
    listener.join("volatility_surface.btc_usdc")
    assert listener.heard() == []


def test_a_surface_is_told_on_joining_and_with_each_epoch(world):
    """The same as the method answers."""
    listener = Listener(world)
    listener.join("volatility_surface.btc_usdc")
    ((channel, first),) = listener.heard()
    assert (channel, first["epoch"]) == ("volatility_surface.btc_usdc", 1)
    before = world.sequencer.last_seq
    world.venue.mark({C: usdc(2) // 10**6})
    world.sequencer.release(before)
    ((_, second),) = listener.heard()
    assert second["epoch"] == 2
    assert second["expiries"][0]["mark_iv"] == [65, 65, 65]
