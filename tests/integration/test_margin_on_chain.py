"""Margin of random portfolios: the contract on a real Anvil equals the engine, to the last unit."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eth_abi.abi import decode
from tests.margin_world import (
    WBTC,
    WETH,
    collaterals,
    instruments,
    option,
    perpetual,
    preset,
    update,
)
from tests.settlement_world import DEPLOYER_KEY, ORACLE_KEYS, World

from exchange.commands import Collateral, MarginParameters, UpdateMarks
from exchange.margin.account import MarginAccount
from exchange.margin.marks import MarksBook
from exchange.margin.scenarios import margin_parameters
from exchange.margin.standard import StandardAccount
from exchange.settlement.chain import Chain
from exchange.settlement.errors import Reverted
from exchange.settlement.margin_proof import (
    EpochProver,
    Portfolio,
    parameters_hash,
    set_parameters_calldata,
)
from exchange.settlement.risk_root import Publication, RiskDesk

pytestmark = pytest.mark.integration
Terms = tuple[MarginParameters, tuple[Collateral, ...]]


class Venue:
    """One epoch under one set of parameters, on chain and in the engine's own classes."""

    epoch = 0

    def __init__(self, chain: Chain, terms: Terms, marks: UpdateMarks) -> None:
        Venue.epoch += 1
        self.chain = chain
        self.parameters, self.assets = terms
        self.marks = msgspec.structs.replace(marks, epoch=Venue.epoch)
        root = EpochProver(self.marks, self.parameters).root
        self.marks = msgspec.structs.replace(self.marks, root=root)
        self.prover = EpochProver(self.marks, self.parameters, self.assets)
        margin = chain.deployment.margin
        chain.transact(DEPLOYER_KEY, margin, set_parameters_calldata(*terms))
        desk = RiskDesk(chain.deployment.chain_id, chain.deployment.oracle, ORACLE_KEYS)  # it jumps
        publication = Publication.of(self.marks, chain.block_time())
        chain.transact(DEPLOYER_KEY, chain.deployment.oracle, desk.calldata(publication))
        self.book = MarksBook(self.parameters)
        self.book.set_collaterals(self.assets)
        self.book.update(self.marks)

    def call(self, data: bytes) -> tuple[int, int]:
        request = {"to": self.chain.deployment.margin, "data": "0x" + data.hex(), "gas": hex(2**24)}
        with self.chain.translated():
            answer = self.chain.web3.eth.call(request)
        initial, maintenance = decode(["int256", "int256"], bytes(answer))
        return initial, maintenance

    def engine(self, portfolio: Portfolio) -> tuple[int, int]:
        account = (StandardAccount if portfolio.standard else MarginAccount)(7, self.book)
        account.add_cash(portfolio.net_cash)
        for instrument_id, quantity in portfolio.positions.items():
            account.apply_fill(instrument_id, quantity)
        for asset_id, amount in portfolio.collateral.items():
            account.add_collateral(asset_id, amount)
        owed = account.owed()
        account.add_cash(owed)
        return account.initial_excess(), account.maintenance_excess()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(Path(tmp_path_factory.mktemp("margin")))
    yield world
    world.close()


def changed(name: str = "pm33", **changes: Any) -> Terms:
    return msgspec.structs.replace(margin_parameters(preset(name)), **changes), collaterals(name)


def isolated() -> Terms:
    assets = tuple(msgspec.structs.replace(one, isolated=True) for one in collaterals())
    return margin_parameters(preset()), assets


def capped() -> Terms:
    assets = tuple(msgspec.structs.replace(one, account_cap=10**8) for one in collaterals())
    return margin_parameters(preset()), assets


VENUES: dict[str, tuple[Terms, UpdateMarks]] = {
    "pm33": (changed(), update()),
    "after a fall": (changed(), update(move=0.7)),
    "pm35": (changed("pm35"), update(1, "pm35")),
    "little confidence, a weak dollar": (changed(), update(confidence=0.3, stablecoin=0.9)),
    "one risk group": (changed(risk_groups=((1, 0), (2, 0))), update()),
    "negative rates": (changed(), update(rate=-0.4)),
    "wider scans": (changed(), update(scan=1.37)),
    "scans held by the tails": (isolated(), update(scan=3.1)),
    "isolated tokens": (isolated(), update(confidence=0.5)),
    "capped tokens": (capped(), update()),
    "no standard rates": (changed(standard=None), update()),
}


def random_portfolio(chance: random.Random) -> Portfolio:
    count = chance.choice((0, 1, 2, 5, 16, 40, len(instruments())))
    held = chance.sample(instruments(), count)
    size = chance.choice((10, 10**4, 10**6, 10**9))
    return Portfolio(
        net_cash=chance.randint(-(10**14), 10**14),
        positions={one: chance.randint(1, size) * chance.choice((-1, 1)) for one in held},
        collateral={
            asset: amount
            for asset in (WETH, WBTC)
            if (amount := chance.choice((0, 1, chance.randint(1, 10**11))))
        },
    )


@pytest.mark.parametrize("name", VENUES)
def test_the_contract_margins_as_the_engine(world: World, name: str) -> None:
    """Fifty portfolios of 0 to 88 legs under each set of parameters and marks, in both modes."""
    terms, marks = VENUES[name]
    venue = Venue(world.chain, terms, marks)
    stored = world.chain.call(world.chain.margin, "parametersHash")
    assert stored == parameters_hash(*terms)
    chance = random.Random(name)
    for _ in range(50):
        found = random_portfolio(chance)
        for portfolio in (found, msgspec.structs.replace(found, standard=True)):
            data = venue.prover.excess_of_calldata(portfolio)
            assert venue.call(data) == venue.engine(portfolio), portfolio


def test_a_proof_of_other_marks_or_parameters_is_refused(world: World) -> None:
    """A changed row, price, leg order, node or parameter; an old epoch; a root too old."""
    terms, marks = VENUES["pm33"]
    venue = Venue(world.chain, terms, marks)
    legs = [perpetual(1), option(100_000, "C"), option(90_000, "P")]
    portfolio = Portfolio(net_cash=5, positions=dict.fromkeys(legs, 7), collateral={WETH: 3})
    data = venue.prover.excess_of_calldata(portfolio)
    assert venue.call(data) == venue.engine(portfolio)

    other = EpochProver(
        msgspec.structs.replace(venue.marks, stablecoin_price=10**18 - 1), *terms
    ).excess_of_calldata(portfolio)
    with pytest.raises(Reverted, match="WrongRoot"):
        venue.call(other)
    richer = msgspec.structs.replace(terms[0], short_option_initial_rate=0)
    with pytest.raises(Reverted, match="WrongParameters"):
        venue.call(EpochProver(venue.marks, richer, terms[1]).excess_of_calldata(portfolio))

    Venue(world.chain, terms, marks)  # the next epoch
    with pytest.raises(Reverted, match="WrongRoot"):
        venue.call(data)
