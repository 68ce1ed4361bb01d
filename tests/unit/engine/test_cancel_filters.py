"""Cancel by instrument, underlying, kind, label and nonce: every given filter must match."""

from typing import Any

import pytest
from tests.venue import C, P, open_venue

from exchange.commands import CancelAll
from exchange.model import Kind


@pytest.mark.parametrize(
    ("filters", "canceled"),
    [
        ({}, {"a", "b", "c"}),
        ({"instrument_id": C}, {"a", "c"}),
        ({"underlying_id": 1}, {"a", "b", "c"}),
        ({"underlying_id": 2}, set()),
        ({"kind": Kind.OPTION}, {"a", "b", "c"}),
        ({"kind": Kind.PERPETUAL}, set()),
        ({"label": "b"}, {"b"}),
        ({"nonce_below": 102}, {"a", "b"}),
        ({"instrument_id": C, "nonce_below": 102}, {"a"}),
    ],
)
def test_filters(filters: dict[str, Any], canceled: set[str]) -> None:
    """Labels of the orders that go, out of a and c in one instrument and b in another."""
    venue = open_venue()
    ann = venue.fund("0x" + "1" * 40)
    venue.buy(ann, 1, 2_400, label="a", nonce=100)
    venue.buy(ann, 1, 2_400, label="b", nonce=101, instrument_id=P)
    venue.buy(ann, 1, 2_300, label="c", nonce=102)
    venue.send(CancelAll(subaccount_id=ann, **filters))
    left = {order.label for order in venue.engine.open_orders(ann)}
    assert left == {"a", "b", "c"} - canceled
