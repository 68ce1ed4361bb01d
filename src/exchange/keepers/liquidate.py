"""Bids in liquidation auctions where the discount pays for the risk that comes along."""

from decimal import Decimal
from functools import partial

import msgspec

from exchange.keepers.runner import Action
from exchange.sdk import Keeper
from exchange.sdk.keeper import carried
from exchange.sdk.types import Liquidation


class BidRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a keeper wants to be paid for, and how much it takes."""

    risk_rate: Decimal = Decimal("0.05")  # of the maintenance requirement that it takes over
    price_max: Decimal = Decimal(1_000_000)  # USDC, of one bid


class LiquidateKeeper:
    """Takes all that is for sale and pays; one that costs more than `price_max` is left."""

    name = "liquidate"

    def __init__(self, client: Keeper, rules: BidRules) -> None:
        self._client = client
        self._rules = rules

    async def look(self) -> list[Action]:
        """Bids, the best first; the reward is what is left of the discount after the risk."""
        found = [one for one in await self._client.liquidations() if self._fits(one)]
        actions = [
            Action(
                name=f"take over from subaccount {one.subaccount_id}, step {one.step}",
                work=partial(self._bid, one),
                reward=self._worth(one),
            )
            for one in found
        ]
        return sorted(actions, key=lambda action: action.reward, reverse=True)

    def _fits(self, found: Liquidation) -> bool:
        offer = found.for_sale
        return offer is not None and not found.suspended and offer.price <= self._rules.price_max

    def _worth(self, found: Liquidation) -> Decimal:
        assert found.for_sale is not None
        return found.for_sale.discount - carried(found) * self._rules.risk_rate

    async def _bid(self, found: Liquidation) -> Decimal:
        taken = await self._client.bid(found)
        assert found.for_sale is not None
        share = taken.fraction / found.for_sale.fraction
        return taken.discount - carried(found) * share * self._rules.risk_rate
