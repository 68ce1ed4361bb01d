"""The margin part of `exchange bench gas`: a proof of so many legs, as a whole receipt.

Legs are drawn at random from 434 instruments in six expiries of two underlyings, with one token.
"""

import random
from typing import Final

from tests.margin_world import (
    EXPIRIES,
    WETH,
    collaterals,
    market,
    option,
    perpetual,
    preset,
)
from tests.settlement_world import DEPLOYER_KEY, ORACLE_KEYS

from exchange.fixed import ASSET_SCALE, CASH_SCALE
from exchange.margin.risk_arrays import build_update
from exchange.margin.scenarios import margin_parameters
from exchange.settlement.chain import Chain
from exchange.settlement.margin_proof import EpochProver, Portfolio, set_parameters_calldata
from exchange.settlement.risk_root import Publication, RiskDesk

LEGS: Final = (1, 16, 64, 100, 127)
STRIKES: Final = {1: range(40_000, 240_000, 5_000), 2: range(1_000, 9_000, 250)}
SEED: Final = 3


def margin_figures(chain: Chain) -> dict[str, int]:
    """Gas of `excessOf` for each number of legs."""
    prover, instruments = _epoch(chain)
    chance = random.Random(SEED)
    figures = {}
    for legs in LEGS:
        held = chance.sample(instruments, legs)
        portfolio = Portfolio(
            net_cash=1_000_000 * CASH_SCALE,
            positions={one: chance.randint(1, 10**6) * chance.choice((-1, 1)) for one in held},
            collateral={WETH: 10 * ASSET_SCALE},
        )
        data = prover.excess_of_calldata(portfolio)
        receipt = chain.transact(DEPLOYER_KEY, chain.deployment.margin, data)
        figures[f"margin_gas_{legs}_legs"] = receipt.gas_used
    return figures


def _epoch(chain: Chain) -> tuple[EpochProver, list[int]]:
    """An epoch of all instruments, with its root and parameters on chain."""
    terms = margin_parameters(preset()), collaterals()
    instruments = sorted(
        option(strike, letter, expiry, underlying_id)
        for underlying_id, strikes in STRIKES.items()
        for expiry in EXPIRIES
        for strike in strikes
        for letter in "CP"
    )
    instruments += [perpetual(1), perpetual(2)]
    marks = build_update(preset(), market(), tuple(sorted(instruments)), 1)
    chain.transact(DEPLOYER_KEY, chain.deployment.margin, set_parameters_calldata(*terms))
    desk = RiskDesk(chain.deployment.chain_id, chain.deployment.oracle, ORACLE_KEYS[:2])
    data = desk.calldata(Publication.of(marks, chain.block_time()))
    chain.transact(DEPLOYER_KEY, chain.deployment.oracle, data)
    return EpochProver(marks, *terms), instruments
