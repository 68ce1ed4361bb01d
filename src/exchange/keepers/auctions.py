"""Brings the contract's auctions on, and bids in them where the discount pays for the risk.

Needs no operator: whoever knows proofs says which calls the chain would take now.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from exchange.fixed import CASH_SCALE
from exchange.keepers.liquidate import BidRules
from exchange.keepers.runner import Action, Post


class AuctionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is due. Of a bid, and of what prepares one, micro-USDC; of a step nothing."""

    name: str
    subaccount_id: int
    to: str
    data: bytes
    discount: int = 0
    requirement: int = 0  # maintenance margin that comes along
    deposit: int = 0  # from the wallet


class AuctionKeeper:
    """Steps are taken because they are needed; of bids those that pay."""

    name = "liquidate"

    def __init__(self, due: Callable[[], list[AuctionCall]], rules: BidRules) -> None:
        self._due = due
        self._rules = rules

    async def look(self) -> list[Action]:
        """Steps first; then bids, the best first."""
        actions = [self._action(one) for one in self._due() if self._fits(one)]
        return sorted(actions, key=lambda action: (not action.needed, -action.reward))

    def _fits(self, call: AuctionCall) -> bool:
        if not call.requirement:
            return True
        affordable = Decimal(call.deposit) / CASH_SCALE <= self._rules.price_max
        return affordable and (call.name == "bid" or self._worth(call) > 0)

    def _action(self, call: AuctionCall) -> Action:
        bids = call.name == "bid"
        return Action(
            name=f"{call.name}, subaccount {call.subaccount_id}",
            work=Post(to=call.to, data=call.data),
            reward=self._worth(call) if bids else Decimal(0),
            needed=not bids,
        )

    def _worth(self, call: AuctionCall) -> Decimal:
        risk = Decimal(call.requirement) / CASH_SCALE * self._rules.risk_rate
        return Decimal(call.discount) / CASH_SCALE - risk
