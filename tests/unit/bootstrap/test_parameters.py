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
    assert rules.fund_subaccount_id == 1
    own = msgspec.structs.replace(with_contract, fund_subaccount_id=2)
    of_depositors = first_parameters(own, UNDERLYINGS).liquidation
    assert of_depositors is not None
    assert of_depositors.fund_subaccount_id == 2, "as Clearing was told"
    assert of_depositors.fee_share == 10**17, "a tenth of the fees"
    assert first_parameters(DEPLOYMENT, UNDERLYINGS).liquidation is None
