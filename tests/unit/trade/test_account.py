"""Risk and payoff of what is held and of what would be, from a real gateway."""

from decimal import Decimal

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_ID,
    PERPETUAL_NAME,
    PUT_NAME,
    TAKER_ID,
    TAKER_KEY,
    served,
)
from tests.venue import PERP

from exchange.sdk import BadArgument, Client
from exchange.trade.account import payoff_of, risk


@pytest.fixture(scope="module")
def venue():
    with served() as (world, url), Client(url, TAKER_KEY, transport="http") as client:
        yield world, client


@pytest.fixture
def client(venue):
    return venue[1]


def curves(client, added=None, *, alone=False, currency=None):
    return payoff_of(client, currency, added or {}, alone=alone, reach=0.2)


def test_nothing_held_says_what_to_do(client):
    with pytest.raises(BadArgument, match="--add"):
        curves(client)
    assert risk(client, {}).positions == []


def test_what_is_held_and_what_is_added(venue):
    world, client = venue
    world.do(lambda venue: venue.sell(MAKER_ID, 2, 1_200))
    world.do(lambda venue: venue.buy(TAKER_ID, 2, 1_200))
    found = curves(client, {PUT_NAME: Decimal(-1)})
    assert [(leg.kind, leg.size, leg.entry) for leg in found.legs] == [
        ("call", 2, 1_200), ("put", -1, 1_000),
    ]  # fmt: skip
    assert min(found.at_expiry) == -2_400 + 1_000 - 20_000
    only = curves(client, {CALL_NAME: Decimal(1)}, alone=True, currency="btc")
    assert [(leg.size, leg.entry) for leg in only.legs] == [(1, 1_000)]
    with pytest.raises(BadArgument, match="ETH"):
        curves(client, currency="ETH")


def test_risk_adds_the_greeks_of_all_positions(client):
    found = risk(client, {PUT_NAME: Decimal(-1)})
    by_name = {row.instrument_name: row for row in found.positions}
    assert {name: row.size for name, row in by_name.items()} == {CALL_NAME: 2, PUT_NAME: -1}
    ticker = client.ticker(CALL_NAME)
    assert by_name[CALL_NAME].greeks["delta"] == 2 * ticker.greeks["delta"]
    total = sum(row.greeks["vega"] for row in found.positions)
    assert found.greeks["BTC"]["vega"] == total
    assert found.simulation.groups[0].worst < 0


def test_a_perpetual_counts_as_its_size(venue):
    world, client = venue
    world.do(lambda venue: venue.list_instruments(PERP))
    world.do(lambda venue: venue.mark({PERP: 100_000}))
    found = risk(client, {PERPETUAL_NAME: Decimal("0.5")})
    (row,) = [row for row in found.positions if row.instrument_name == PERPETUAL_NAME]
    assert row.greeks == {"delta": Decimal("0.5"), "gamma": 0, "vega": 0, "theta": 0}
    curve = curves(client, {PERPETUAL_NAME: Decimal(1)}, alone=True)
    assert (curve.expiry_ms, curve.now[0], curve.now[-1]) == (0, -20_000, 20_000)


def test_what_has_no_curve_is_named(client):
    combo = client.create_combo((CALL_NAME, 1, "buy"), (PUT_NAME, 1, "buy"))
    with pytest.raises(BadArgument, match="legs of a combo"):
        curves(client, {combo.id: Decimal(1)}, alone=True)
