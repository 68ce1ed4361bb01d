"""A client that asks for quotes, and one that gives them: both sides sign their orders here."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from exchange.sdk.async_client import AsyncClient
from exchange.sdk.session import DEADLINE_S
from exchange.sdk.wallet import Number, decimal_text

Direction = Literal["buy", "sell"]
_SIGNED: Final = (
    "price",
    "subaccount_id",
    "nonce",
    "deadline",
    "max_fee",
    "signer",
    "signature",
)


class RfqPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A quote as its taker sees it."""

    block_rfq_quote_id: int
    price: Decimal
    amount: Decimal


class BlockRfq(msgspec.Struct, frozen=True, kw_only=True):
    """A request; `asks` and `bids` are shown to its taker alone, `taker` if it is disclosed."""

    block_rfq_id: int
    state: str
    role: str
    instrument_name: str
    amount: Decimal
    taker_direction: Direction | None = None
    expiration_timestamp: int = 0
    taker: str = ""
    asks: list[RfqPrice] = []
    bids: list[RfqPrice] = []
    seq: int | None = None


class RfqClient(AsyncClient):
    """`AsyncClient` with requests for quote; its channel is `block_rfq.maker.any`, or `.taker`."""

    async def request_quotes(
        self,
        legs: Sequence[tuple[str, Number, Direction]],
        amount: Number,
        direction: Direction | None = None,
        **options: Any,
    ) -> BlockRfq:
        """Ask for so many units of legs; options `disclosed`, `makers`, `expires_in`, `label`."""
        params = {
            "legs": [
                {"instrument_name": name, "amount": decimal_text(ratio), "direction": way}
                for name, ratio, way in legs
            ],
            "amount": decimal_text(amount),
            "subaccount_id": await self.subaccount_id(),
        } | options
        if direction is not None:
            params["direction"] = direction
        return await self._typed(BlockRfq, "private/create_block_rfq", params)

    async def requests(self, role: str = "any", state: str = "open") -> list[BlockRfq]:
        """Requests that you made, or may answer."""
        params = {"role": role, "state": state}
        return await self._typed(list[BlockRfq], "private/get_block_rfqs", params)

    async def quote(
        self, rfq: BlockRfq, direction: Direction, price: Number, deadline_s: int = DEADLINE_S
    ) -> int:
        """Answer a request with a signed price; the quote's id."""
        params = await self._signed_for(rfq, direction, price, deadline_s)
        return int((await self.call("private/add_block_rfq_quote", params))["block_rfq_quote_id"])

    async def accept(
        self, rfq: BlockRfq, direction: Direction, price: Number, deadline_s: int = DEADLINE_S
    ) -> BlockRfq:
        """Take the best quote within a price; whole, or an error."""
        params = await self._signed_for(rfq, direction, price, deadline_s)
        return await self._typed(BlockRfq, "private/accept_block_rfq", params)

    async def cancel_request(self, rfq_id: int) -> None:
        """Take a request back."""
        await self.call("private/cancel_block_rfq", {"block_rfq_id": rfq_id})

    async def cancel_quote(self, quote_id: int) -> None:
        """Take a quote back."""
        await self.call("private/cancel_block_rfq_quote", {"block_rfq_quote_id": quote_id})

    async def _signed_for(
        self, rfq: BlockRfq, direction: Direction, price: Number, deadline_s: int
    ) -> dict[str, Any]:
        order = await self.signed_order(
            direction, rfq.instrument_name, rfq.amount, price, deadline_s=deadline_s
        )
        fields = {name: order[name] for name in _SIGNED}
        return fields | {"block_rfq_id": rfq.block_rfq_id, "direction": direction}
