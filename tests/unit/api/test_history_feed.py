"""Which rows an entry leaves, and that they add up to the engine's cash."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st
from tests.engine_flow import Flow
from tests.unit.api.world import FakeSequencer
from tests.venue import CHAIN, FEES, FUNDING, PERP, Venue

from exchange.api.history_feed import rows_of
from exchange.api.views import VenueView


def feed(venue):
    view = VenueView()
    rows = []
    for entry in FakeSequencer(venue).entries():
        touched = view.apply(entry)
        rows += rows_of(view, entry, touched)
    return rows


def bodies(rows, topic):
    return [json.loads(row.body) for row in rows if row.topic == topic]


def test_every_kind_of_movement_has_its_row():
    venue = Venue(fees=FEES, funding=FUNDING)
    venue.index()
    venue.list_instruments(*CHAIN, PERP)
    venue.mark({**dict.fromkeys(CHAIN, 1_000), PERP: 101_000})
    maker, taker = venue.fund("0x" + "1" * 40), venue.fund("0x" + "2" * 40)
    venue.sell(maker, 1, 101_000, instrument_id=PERP)
    venue.buy(taker, 1, 101_000, instrument_id=PERP)
    rows = feed(venue)
    assert [row["change"] for row in bodies(rows, "deposit")] == [1_000_000, 1_000_000]
    assert {row["direction"] for row in bodies(rows, "trade")} == {"buy", "sell"}
    assert {row["order_state"] for row in bodies(rows, "order")} == {"filled"}


def test_places_count_within_an_entry():
    venue = Venue(fees=FEES)
    venue.index()
    venue.list_instruments(*CHAIN)
    venue.mark(dict.fromkeys(CHAIN, 1_000))
    maker, taker = venue.fund("0x" + "1" * 40), venue.fund("0x" + "2" * 40)
    venue.sell(maker, 1, 1_000)
    venue.buy(taker, 1, 1_000)
    last = [row for row in feed(venue) if row.seq == len(venue.entries)]
    assert [row.place for row in last] == list(range(len(last)))
    assert [row.topic for row in last] == ["trade", "trade", "order", "order"]
    assert [json.loads(row.body)["id"] for row in last[:1]] == [f"{len(venue.entries)}.0"]


@given(st.integers(0, 2**32))
def test_rows_of_a_random_flow_are_told_once(seed):
    """Keys are unique and ascend, and each finished order has exactly one row."""
    flow = Flow(random.Random(seed).randint)
    for _ in range(60):
        flow.step()
    flow.finish()
    rows = feed(flow.venue)
    keys = [(row.seq, row.place) for row in rows]
    assert keys == sorted(set(keys))
    orders = [
        json.loads(row.body)["order_id"] for row in rows if row.topic in ("order", "unfilled")
    ]
    assert len(orders) == len(set(orders))
