"""The parameters that a venue begins with."""

import msgspec

from exchange.bootstrap.parameters import first_parameters
from exchange.model import Underlying
from exchange.settlement.deployment import Deployment

ADDRESS = "0x" + "11" * 20
DEPLOYMENT = Deployment(
    chain_id=31_337,
    clearing=ADDRESS,
    oracle=ADDRESS,
    usdc=ADDRESS,
    access_manager=ADDRESS,
    genesis_hash="0x00",
    block=1,
)
UNDERLYINGS = (Underlying(underlying_id=1, name="BTC"), Underlying(underlying_id=2, name="ETH"))


def test_a_venue_with_the_contract_liquidates() -> None:
    """Nobody before the chain saw a proof; without the contract nobody at all."""
    with_contract = msgspec.structs.replace(DEPLOYMENT, liquidations=ADDRESS)
    rules = first_parameters(with_contract, UNDERLYINGS).liquidation
    assert rules is not None
    assert rules.needs_proof
    assert first_parameters(DEPLOYMENT, UNDERLYINGS).liquidation is None
