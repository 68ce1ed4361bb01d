"""The float reference says what the formulas on the page say."""

import random

import msgspec
import numpy as np
import pytest
from tests import naive_margin
from tests.margin_world import EXPIRIES, INDEX, NOW, Smile, instruments, market, perpetual, preset

from exchange.fixed import CASH_SCALE
from exchange.margin.reference import FloatPortfolio, evaluate
from exchange.model import Kind, OptionKind, unpack_instrument_id


def naive(portfolio, **changes):
    world = market(**changes).underlying(1)
    expiries = []
    for at, expiry in enumerate(EXPIRIES):
        known = world.expiries[at]
        forward = known.forward_price + known.fixed_price
        legs = []
        for instrument_id, quantity in portfolio.positions.items():
            terms = unpack_instrument_id(instrument_id)
            if terms.kind is Kind.OPTION and terms.expiry == expiry:
                strike = terms.strike / CASH_SCALE
                vol = float(Smile().volatilities(expiry, forward, np.array([strike]))[0])
                legs.append((quantity, strike, terms.option_kind is OptionKind.PUT, vol))
        days = (expiry - NOW) / 86_400
        expiries.append(
            {
                "days": days,
                "forward": known.forward_price,
                "fixed": known.fixed_price,
                "rate": known.rate,
                "legs": legs,
            }
        )
    linear = (portfolio.positions.get(perpetual(), 0.0), world.perpetual_price)
    return naive_margin.margin(
        world.index_price,
        world.confidence,
        changes.get("stablecoin", 1.0),
        portfolio.cash,
        linear,
        expiries,
    )


CASES = [
    {},
    {"rate": 0.0},
    {"rate": 0.2},
    {"rate": -0.01},
    {"confidence": 0.5},
    {"confidence": 0.56},
    {"stablecoin": 0.9},
    {"move": 0.4},
    {"fixed": 0.5},
]


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_random_portfolios_match_the_formulas_to_one_part_in_a_hundred_million(changes):
    rng = random.Random(str(changes))
    btc = [one for one in instruments() if unpack_instrument_id(one).underlying_id == 1]
    for _ in range(20):
        chosen = rng.sample(btc, rng.randint(1, 12))
        positions = {one: rng.randint(-100, 100) / 10 for one in chosen}
        portfolio = FloatPortfolio(cash=rng.uniform(-1e5, 1e6), positions=positions)
        results, basis, initial, maintenance = naive(portfolio, **changes)
        found = evaluate(preset(), market(**changes), portfolio)
        scale = max(INDEX[1], *map(abs, results))
        assert found.groups[0].results == pytest.approx(results, rel=1e-8, abs=1e-12 * scale)
        assert found.groups[0].basis_contingency == pytest.approx(basis, rel=1e-8)
        assert found.initial_excess == pytest.approx(initial, rel=1e-8, abs=1e-12 * scale)
        assert found.maintenance_excess == pytest.approx(maintenance, rel=1e-8, abs=1e-12 * scale)


def test_no_position_needs_no_margin():
    found = evaluate(preset(), market(), FloatPortfolio(cash=5.0, positions={}))
    assert (found.initial_excess, found.maintenance_excess, found.worst) == (5.0, 5.0, 0)


def test_underlyings_do_not_offset_unless_they_share_a_risk_group():
    """A preset may say that BTC and ETH move together; by default each has its own worst."""
    positions = {perpetual(1): 1.0, perpetual(2): -INDEX[1] / INDEX[2]}
    portfolio = FloatPortfolio(cash=0.0, positions=positions)
    apart = evaluate(preset(), market(), portfolio)
    together = msgspec.structs.replace(preset(), risk_groups=((1, 2),))
    shared = evaluate(together, market(), portfolio)
    notional = INDEX[1] * 1.0005
    assert apart.worst == pytest.approx(-0.36 * notional)
    assert shared.worst == pytest.approx(0.0, abs=1e-6)
