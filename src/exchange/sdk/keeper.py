"""A client that watches liquidations and bids in their auctions."""

from decimal import Decimal

import msgspec

from exchange.fixed import CASH_SCALE, RATIO_SCALE, format_decimal
from exchange.model import BidTerms
from exchange.sdk import types
from exchange.sdk.async_client import AsyncClient
from exchange.sdk.errors import BadArgument
from exchange.sdk.session import DEADLINE_S
from exchange.sdk.wallet import Number, scaled


class Keeper(AsyncClient):
    """`AsyncClient` with the two calls that a keeper needs; `liquidations.any` is the channel."""

    async def liquidations(self, currency: str = "any") -> list[types.Liquidation]:
        """What is being liquidated, and what of it is for sale now."""
        answer = await self.call("public/get_liquidations", {"currency": currency})
        return msgspec.convert(answer, list[types.Liquidation], strict=False)

    async def bid(
        self,
        found: types.Liquidation,
        *,
        fraction: Number | None = None,
        price_limit: Number | None = None,
        deadline_s: int = DEADLINE_S,
    ) -> types.TakenOver:
        """Bid for what `found` offers at its price or better; a `fraction` needs its own limit."""
        if found.for_sale is None:
            raise BadArgument("nothing of it is for sale")
        if fraction is not None and price_limit is None:
            raise BadArgument("price_limit: the price that is shown is of all that is for sale")
        wallet = self._wallet()
        share = found.for_sale.fraction if fraction is None else fraction
        limit = found.for_sale.price if price_limit is None else price_limit
        terms = BidTerms(
            subaccount_id=await self.subaccount_id(),
            liquidated_id=found.subaccount_id,
            fraction=scaled(share, RATIO_SCALE, "fraction"),
            price_limit=scaled(limit, CASH_SCALE, "price_limit"),
            expected_step=found.step,
            nonce=self.nonces.allocate(),
            deadline=self._transport.clock.now_s() + deadline_s,
            signer=wallet.address,
        )
        params = {
            "subaccount_id": terms.subaccount_id,
            "liquidated_id": terms.liquidated_id,
            "fraction": format_decimal(terms.fraction, RATIO_SCALE),
            "price_limit": format_decimal(terms.price_limit, CASH_SCALE),
            "expected_step": terms.expected_step,
            "nonce": terms.nonce,
            "deadline": terms.deadline,
            "signer": terms.signer,
            "signature": wallet.sign_bid(await self._signing_domain(), terms),
        }
        return await self._typed(types.TakenOver, "private/liquidation_bid", params)


def carried(found: types.Liquidation) -> Decimal:
    """The maintenance requirement that comes with what is for sale; to weigh the discount."""
    if found.for_sale is None or found.maintenance_margin is None:
        return Decimal(0)
    return found.maintenance_margin * found.for_sale.fraction
