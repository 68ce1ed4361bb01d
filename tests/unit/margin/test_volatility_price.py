"""What a volatility is worth on the tick grid."""

import math

import pytest
from tests.venue import EXPIRY_S, NS, START_S, C, P, listing, usdc

from exchange.fixed import VOL_SCALE
from exchange.margin.pricing import price
from exchange.margin.volatility_price import volatility_price
from exchange.model import Instrument, Side, unpack_instrument_id

YEARS = (EXPIRY_S - START_S) / 86_400 / 365
HALF = VOL_SCALE // 2


def instrument(instrument_id=C, tick_size=10_000):
    terms = unpack_instrument_id(instrument_id)
    grid = listing(instrument_id)
    return Instrument(
        instrument_id=instrument_id,
        name="",
        kind=terms.kind,
        underlying_id=terms.underlying_id,
        expiry=terms.expiry,
        strike=terms.strike,
        option_kind=terms.option_kind,
        tick_size=tick_size,
        lot_size=grid.lot_size,
        min_quantity=grid.min_quantity,
    )


@pytest.mark.parametrize(("instrument_id", "is_put"), [(C, False), (P, True)])
def test_it_is_the_black_76_price_between_two_ticks(instrument_id, is_put):
    """A buyer pays no more than it, a seller takes no less."""
    exact = float(price(101_000, 100_000, YEARS, 0.5, is_put)) * 10**6
    bid, ask = (
        volatility_price(instrument(instrument_id), side, HALF, usdc(101_000), START_S * NS)
        for side in Side
    )
    assert bid <= exact <= ask == bid + 10_000


def test_a_rate_discounts_it():
    discount = math.exp(-0.1 * YEARS)
    plain, discounted = (
        volatility_price(instrument(), Side.BUY, HALF, usdc(101_000), START_S * NS, rate)
        for rate in (0.0, 0.1)
    )
    assert abs(discounted - plain * discount) <= 20_000


def test_it_rises_with_the_volatility_and_the_forward():
    def bid(volatility, forward):
        return volatility_price(instrument(), Side.BUY, volatility, usdc(forward), START_S * NS)

    assert bid(HALF, 100_000) < bid(HALF + 1_000, 100_000) < bid(HALF + 1_000, 100_100)


def test_at_and_after_expiry_it_is_the_intrinsic_value():
    for time_s in (EXPIRY_S, EXPIRY_S + 5):
        found = volatility_price(instrument(), Side.BUY, HALF, usdc(101_000), time_s * NS)
        assert found == usdc(1_000)


@pytest.mark.parametrize("side", Side)
def test_it_is_at_least_a_tick(side):
    worthless = volatility_price(instrument(tick_size=50_000), side, 1, usdc(50_000), START_S * NS)
    assert worthless == 50_000
