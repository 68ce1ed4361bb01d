"""From a market to integers, rounded once."""

import math

import numpy as np
import pytest
from tests import naive_margin
from tests.margin_world import (
    EXPIRIES,
    NOW,
    Smile,
    instruments,
    market,
    marks_book,
    option,
    perpetual,
    preset,
    update,
)

from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.margin.market import ExpiryMarket, Market, UnderlyingMarket
from exchange.margin.marks import MarksBook
from exchange.margin.merkle import update_root
from exchange.margin.pricing import greeks
from exchange.margin.risk_arrays import build_update, linear_price, risk_rows, to_cash
from exchange.margin.scenarios import margin_parameters
from exchange.margin.surface import FlatSurface
from exchange.model import InstrumentTerms, Kind, pack_instrument_id


def test_an_update_is_accepted_and_signed_for():
    assert MarksBook(margin_parameters(preset())).accepts(update())
    assert update().root == update_root(update())
    assert update().instrument_ids == instruments()


def test_shocked_prices_are_the_formula_rounded_half_even():
    marks = marks_book()
    expiry = EXPIRIES[1]
    days = (expiry - NOW) / 86_400
    forward = market().underlying(1).expiry(expiry).whole_forward
    for strike, letter in ((60_000, "P"), (100_000, "C"), (140_000, "C"), (140_000, "P")):
        row = marks.row(option(strike, letter, expiry))
        vol = float(Smile().volatilities(expiry, forward, np.array([strike]))[0])
        put = letter == "P"
        mark = naive_margin.black(forward, strike, days / 365, vol, put, 0.03)
        assert row.mark_price == round(mark * CASH_SCALE)
        assert row.mark_iv == round(vol * 1e6)
        for found, (spot, mode, _) in zip(row.shocked, naive_margin.SCENARIOS, strict=True):
            shocked = naive_margin.shocked_vol(vol, mode, days, strike, forward)
            price = naive_margin.black(forward * spot, strike, days / 365, shocked, put, 0.03)
            assert found == pytest.approx(price * CASH_SCALE, abs=0.51)


def test_rows_carry_greeks_with_the_forward_held():
    """Delta in 1e-6; vega in micro-USDC for one volatility point."""
    expiry, days = EXPIRIES[1], 34
    forward = market().underlying(1).expiry(expiry).whole_forward
    for strike, letter in ((100_000, "C"), (90_000, "P")):
        row = marks_book().row(option(strike, letter, expiry))
        vol = float(Smile().volatilities(expiry, forward, np.array([strike]))[0])
        known = greeks(forward, strike, days / 365, vol, letter == "P", 0.03)
        assert row.delta == round(float(known.delta) * 1e6)
        assert row.vega == round(float(known.vega) / 100 * CASH_SCALE)


def test_a_stretched_grid_moves_shocked_prices_and_not_marks():
    """Spot moves and the upward shock alone: what is marked is what is traded."""
    plain, wide = (MarksBook(margin_parameters(preset())) for _ in range(2))
    plain.update(update())
    wide.update(update(scan=1.5))
    put, linear = option(100_000, "P"), perpetual(1)
    assert wide.row(put).mark_price == plain.row(put).mark_price
    assert wide.row(put).shocked[0] != plain.row(put).shocked[0]
    down = 22  # spot * 0.82
    mark = plain.row(linear).mark_price
    assert plain.row(linear).shocked[down] == round(mark * 0.82)
    assert wide.row(linear).shocked[down] == round(mark * 0.73)


def test_expiries_carry_discounts_and_the_perpetual_none():
    found = {(one.underlying_id, one.expiry): one for one in update().expiries}
    linear = found[1, 0]
    assert (linear.discount_long, linear.discount_short) == (RATIO_SCALE, RATIO_SCALE)
    assert (linear.basis_weight, linear.forward_price) == (0, 100_050 * CASH_SCALE)
    dated = found[1, EXPIRIES[2]]
    tau = 125 / 365
    assert dated.discount_long == pytest.approx(0.98 * math.exp(-0.1 * tau) * 1e18)
    assert dated.discount_short == pytest.approx(math.exp(0.03 * tau) * 1e18)
    assert dated.basis_weight == pytest.approx((0.5 + 2 * tau) * 1e18)
    assert (linear.rate, dated.rate) == (0, 3 * RATIO_SCALE // 100)


def test_linear_instruments_move_with_the_spot():
    future = pack_instrument_id(InstrumentTerms(Kind.FUTURE, 1, EXPIRIES[0]))
    rows = risk_rows(preset(), market(), [perpetual(), future])
    assert rows[0, 0] == 100_050 * CASH_SCALE
    assert rows[0, 4] == 100_050 * CASH_SCALE * 118 // 100
    assert rows[1, 0] == 100_000 * CASH_SCALE


def test_the_index_stands_in_for_a_perpetual_without_a_market():
    plain = UnderlyingMarket(
        underlying_id=1, index_price=5.0, surface=FlatSurface(0.5), expiries=()
    )
    assert linear_price(plain, 0) == 5.0


def test_at_expiry_an_option_is_its_intrinsic_value_in_every_scenario():
    world = Market(
        time_ns=(EXPIRIES[0] + 60) * 10**9,
        underlyings=(
            UnderlyingMarket(
                underlying_id=1,
                index_price=100_000.0,
                surface=FlatSurface(0.5),
                expiries=(
                    ExpiryMarket(expiry=EXPIRIES[0], forward_price=0.0, fixed_price=100_000.0),
                ),
            ),
        ),
    )
    ids = [option(90_000, "C", EXPIRIES[0]), option(90_000, "P", EXPIRIES[0])]
    found = risk_rows(preset(), world, ids)
    assert set(found[0, 4:]) == {10_000 * CASH_SCALE}
    assert set(found[1, 4:]) == {0}
    MarksBook(margin_parameters(preset())).update(build_update(preset(), world, ids, 1))


@pytest.mark.parametrize("volatility", [math.nan, math.inf, 1e20, -0.1])
def test_what_is_no_volatility_is_refused(volatility):
    with pytest.raises(ValueError, match="has a volatility that is none"):
        risk_rows(preset(), market(surface=FlatSurface(volatility)), [option(90_000, "C")])


@pytest.mark.parametrize("move", [math.nan, math.inf, 0.0, -1.0])
def test_what_is_no_forward_is_refused(move):
    with pytest.raises(ValueError, match="is no price"):
        risk_rows(preset(), market(move=move), [option(90_000, "C")])


@pytest.mark.parametrize("move", [math.nan, 1e30])
def test_what_does_not_fit_a_row_is_refused(move):
    with pytest.raises(ValueError, match="not a number or too large"):
        risk_rows(preset(), market(move=move), [perpetual()])


def test_cash_rounds_half_even():
    assert to_cash(0.0000025) == 2
