"""Deribit's shapes, to the field."""

import math

import msgspec
import pytest
from tests.unit.api.world import World
from tests.venue import EXPIRY_S, C

from exchange.api import results
from exchange.api.records import Batch, Marks

# What ccxt's `deribit` class reads of an instrument and of a ticker.
INSTRUMENT_FIELDS = {
    "instrument_name", "kind", "instrument_type", "base_currency", "quote_currency",
    "counter_currency", "settlement_currency", "contract_size", "tick_size", "tick_size_steps",
    "min_trade_amount", "strike", "option_type", "expiration_timestamp", "creation_timestamp",
    "maker_commission", "taker_commission", "is_active", "state", "price_index", "instrument_id",
}  # fmt: skip
TICKER_FIELDS = {
    "best_ask_amount", "best_ask_price", "best_bid_amount", "best_bid_price", "greeks",
    "index_price", "instrument_name", "last_price", "mark_iv", "mark_price", "open_interest",
    "state", "stats", "timestamp", "underlying_price", "interest_rate", "settlement_price",
}  # fmt: skip


@pytest.fixture(scope="module")
def world():
    world = World()
    yield world
    world.gateway.stop()


def test_an_instrument_has_what_clients_read(world):
    view = world.gateway.view
    assert results.instrument_result(view, view.instruments[C]).keys() >= INSTRUMENT_FIELDS


def test_a_ticker_has_what_clients_read(world):
    view = world.gateway.view
    assert results.ticker_result(view, view.instruments[C]).keys() >= TICKER_FIELDS


def test_greeks_of_an_at_the_money_call(world):
    """Black-76 by hand: forward and strike 100,000, volatility 0.65, 33.83 days."""
    view = world.gateway.view
    mark = view.mark(C)
    greeks = results.greeks_result(view, view.instruments[C], mark, 100_000 * 10**6)
    assert greeks["gamma"] == pytest.approx(2.006e-5, rel=1e-3)
    assert greeks["theta"] == pytest.approx(-116.1, rel=1e-3)


def test_a_rate_is_shown_and_discounts_greeks(world):
    """At 10 % a year gamma is 0.9 % less after 33.83 days; time gives the interest back."""
    view = world.gateway.view
    before, mark = view.marks, view.mark(C)
    plain = results.greeks_result(view, view.instruments[C], mark, 100_000 * 10**6)
    expiries = tuple(msgspec.structs.replace(risk, rate=10**17) for risk in before.command.expiries)
    view.marks = Marks(msgspec.structs.replace(before.command, expiries=expiries), before.time_ns)
    found = results.greeks_result(view, view.instruments[C], mark, 100_000 * 10**6)
    ticker = results.ticker_result(view, view.instruments[C])
    view.marks = before
    assert found["gamma"] / plain["gamma"] == pytest.approx(math.exp(-0.1 * 33.83 / 365), rel=1e-4)
    interest = 0.1 * mark.mark_price / 10**6 / 365
    assert found["theta"] - plain["theta"] * found["gamma"] / plain["gamma"] == pytest.approx(
        interest, rel=1e-3
    )
    assert (bytes(ticker["interest_rate"]), found["vega"]) == (b"0.1", plain["vega"])


def test_greeks_at_expiry_are_zero(world):
    view = world.gateway.view
    before = view.time_ns
    view.time_ns = EXPIRY_S * 10**9
    greeks = results.greeks_result(view, view.instruments[C], view.mark(C), 100_000 * 10**6)
    view.time_ns = before
    assert (greeks["gamma"], greeks["theta"], greeks["rho"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("batch", "state"),
    [
        (None, "sequenced"),
        (Batch(1, 2, 3), "batched"),
        (Batch(1, 2, 3, 9, "0xaa"), "confirmed"),
    ],
)
def test_settlement_has_three_steps(batch, state):
    assert results.settlement_result(2, batch)["state"] == state


def test_dates_are_iso():
    assert results.date_text(EXPIRY_S) == "2026-12-25"
