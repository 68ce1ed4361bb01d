"""What outsiders read: frozen, and complete."""

import msgspec
import pytest
from tests.venue import C, Venue

from exchange.engine import MarginSummary, Mark, OrderView
from exchange.engine.records import Order

NOT_FOR_OUTSIDERS = {
    "terms",  # its fields stand alone
    "signed_seq",
    "word",
    "max_show",
    "price",  # shown as the limit price
    "deadline_max",
    "canceled_quantity",
    "waited",  # `OrderDelayed` tells until when
    "filled_before",  # a quote's fills under earlier nonces
}


@pytest.mark.parametrize("view", [OrderView, MarginSummary, Mark])
def test_views_are_frozen(view):
    """A reader cannot reach into the engine."""
    assert view.__struct_config__.frozen


def test_a_view_shows_every_field_of_an_order():
    """A new field is shown, or listed above as private."""
    own = {field.name for field in msgspec.structs.fields(Order)}
    assert own - NOT_FOR_OUTSIDERS <= {field.name for field in msgspec.structs.fields(OrderView)}


def test_a_view_does_not_follow(venue: Venue, ann: int, bob: int):
    """What was read stays as it was read."""
    order = venue.sell(ann, 1, 2_500)
    before = venue.view(order)
    venue.buy(bob, 1, 2_500)
    assert before.filled_quantity == 0
    assert venue.view(order).filled_quantity == 10_000


def test_margin_adds_up(venue: Venue, ann: int, bob: int):
    """Equity is cash and marks; excess is equity less requirement."""
    venue.sell(ann, 3, 2_500)
    venue.buy(bob, 2, 2_500)
    for who in (ann, bob):
        summary = venue.engine.margin(who)
        assert summary.equity == summary.cash + summary.mark_value
        assert summary.initial_excess == summary.equity - summary.initial_margin
        assert summary.maintenance_excess == summary.equity - summary.maintenance_margin
        assert summary.initial_margin >= summary.maintenance_margin >= 0
    assert venue.engine.mark(C) is not None
