"""What operators see of the markets."""

from exchange.api.markets import markets
from exchange.api.views import VenueView
from exchange.commands import Halt


def seen(world):
    found = markets(world.gateway.view, world.sequencer.now_ns())
    return {row["name"]: row for row in found}


def test_each_underlying_has_its_index_and_how_many_instruments_are_in_which_state(world):
    """Indices in micro-USDC; everything listed is open at first."""
    rows = seen(world)
    assert set(rows) == {"BTC", "ETH"}
    assert rows["ETH"]["index_price"] == 3_500 * 10**6
    assert 0 <= rows["ETH"]["index_age_ns"] < 10**12
    listed = [one for one in world.gateway.view.instruments.values() if one.underlying_id == 1]
    assert rows["BTC"]["states"] == {"open": len(listed)}
    assert rows["BTC"]["not_open"] == []


def test_what_does_not_trade_is_named_with_its_number_as_text(world):
    """Numbers of instruments exceed a float, which is what a browser reads them into."""
    world.do(lambda venue: venue.send(Halt(underlying_id=1, reason="test")))
    row = seen(world)["BTC"]
    assert list(row["states"]) == ["halted"]
    view = world.gateway.view
    assert {one["instrument_name"] for one in row["not_open"]} == {
        one.name for one in view.instruments.values() if one.underlying_id == 1
    }
    assert all(int(one["instrument_id"]) in view.instruments for one in row["not_open"])


def test_a_venue_without_parameters_has_no_market():
    """Before the first configuration there is nothing to show, and no index to be old."""
    view = VenueView()
    assert markets(view, 0) == []
