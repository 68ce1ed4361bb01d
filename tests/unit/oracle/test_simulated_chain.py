"""A simulated venue's options: smiles without arbitrage that parity can read."""

import numpy as np
import pytest

from exchange.margin.svi import surface_faults
from exchange.oracle.dev_market import load_dev_market
from exchange.oracle.references import ReferenceRules, combine
from exchange.oracle.simulated_chain import CarryModel, SimulatedChain, simulated_slice
from exchange.oracle.sources import MarketModel, SimulatedMarket

NS, DAY = 10**9, 86_400
START_NS = 1_795_271_000 * NS
GRID = np.linspace(-1.5, 1.5, 121)
MODEL = MarketModel(volatility=0.6)


def simulated(seed=3):
    return SimulatedMarket(MODEL, seed=seed, start_price=100_000.0, start_ns=START_NS)


def ladder(second, index_price):
    for days in (3, 30, 90):
        for step in range(-4, 5):
            yield second + days * DAY, index_price * (1 + step / 20)


def venue(noise=0.0, seed=1):
    carry = CarryModel(carry=0.05, rate=0.03)
    return SimulatedChain("alder", simulated(), ladder, carry, seed=seed, noise=noise)


@pytest.mark.parametrize("variance", [0.01, 0.36, 2.0, -0.1])
def test_smiles_have_no_arbitrage(variance):
    taus = [1 / 365, 7 / 365, 30 / 365, 0.25, 1.0, 2.0]
    slices = [simulated_slice(MODEL, variance, tau) for tau in taus]
    assert surface_faults(slices, GRID) == []


def test_a_wild_moment_lifts_near_expiries_most():
    """Variance returns to its mean, so a year from now little of it is left."""
    here = np.zeros(1)
    near, far = (simulated_slice(MODEL, 2.0, tau).volatility(here)[0] for tau in (0.02, 2.0))
    assert near > 1.2
    assert 0.6 < far < 0.75


def test_the_reference_gives_carry_and_rate_back():
    now_ns = START_NS + 3_600 * NS
    found = combine(
        {"alder": venue().chain(now_ns)}, simulated().price(now_ns), now_ns, ReferenceRules()
    )
    expiry = now_ns // NS + 90 * DAY
    assert found.model.carry_at(expiry) == pytest.approx(0.05, abs=1e-4)
    assert found.model.rate_at(expiry) == pytest.approx(0.03, abs=1e-4)


def test_venues_stray_by_their_own_noise():
    now_ns = START_NS + 60 * NS
    plain = venue().chain(now_ns).quotes
    for seed in (1, 2):
        noisy = venue(0.01, seed).chain(now_ns).quotes
        ratios = {round(a.volatility / b.volatility, 9) for a, b in zip(noisy, plain, strict=True)}
        assert len(ratios) == 3, "one for each expiry"
        assert all(abs(ratio - 1) <= 0.01 for ratio in ratios)
    assert venue(0.01).chain(now_ns) == venue(0.01).chain(now_ns)


def test_the_packaged_market_has_three_venues_with_what_we_list():
    market = load_dev_market()
    watched = market.simulated_market("BTC", seed=7, start_price=10**11, start_ns=START_NS)
    chains = market.simulated_chains("BTC", watched, 7)
    assert [one.name for one in chains] == ["alder", "birch", "cedar"]
    samples = {one.name: one.chain(START_NS) for one in chains}
    listed = market.chain_command("BTC", 10**11, START_NS // NS).listings
    assert len(samples["alder"].quotes) >= len(listed) / 2
    found = combine(samples, 100_000.0, START_NS, ReferenceRules())
    assert {str(verdict) for verdict in found.verdicts.values()} == {"accepted"}
