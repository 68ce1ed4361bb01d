"""Everything that this publisher signs for the Oracle contract, with its keys. Pure."""

from collections.abc import Sequence

from exchange.settlement.delivery import DeliveryDesk
from exchange.settlement.funding import FundingDesk
from exchange.settlement.index_samples import IndexDesk
from exchange.settlement.risk_root import RiskDesk


class OracleDesks:
    """A desk for each kind of post."""

    def __init__(self, chain_id: int, oracle: str, keys: Sequence[bytes]) -> None:
        self.delivery = DeliveryDesk(chain_id, oracle, keys)
        self.funding = FundingDesk(chain_id, oracle, keys)
        self.risk = RiskDesk(chain_id, oracle, keys)
        self.index = IndexDesk(chain_id, oracle, keys)
