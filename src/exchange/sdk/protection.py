"""What keeps a maker safe: protection limits, cancels by label, and cancel-on-disconnect."""

from decimal import Decimal
from typing import Any

import msgspec

from exchange.sdk.session import Session
from exchange.sdk.wallet import Number, decimal_text


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a subaccount's `mmp` orders in one underlying; seconds, 0 of a limit: none."""

    subaccount_id: int
    index_name: str
    interval: int
    frozen_time: int
    quantity_limit: Decimal
    delta_limit: Decimal
    vega_limit: Decimal
    frozen: bool
    frozen_until: int


class ProtectionCalls(Session):
    """The part of a client that protects a maker."""

    async def protect(
        self,
        index_name: str,
        interval: int,
        *,
        frozen_time: int = 0,
        quantity_limit: Number = 0,
        delta_limit: Number = 0,
        vega_limit: Number = 0,
    ) -> Protection:
        """Freeze `mmp` orders that trade more than a limit in `interval` seconds; 0 ends it."""
        params = {
            "subaccount_id": await self.subaccount_id(),
            "index_name": index_name,
            "interval": interval,
            "frozen_time": frozen_time,
            "quantity_limit": decimal_text(quantity_limit),
            "delta_limit": decimal_text(delta_limit),
            "vega_limit": decimal_text(vega_limit),
        }
        named = {name: value for name, value in params.items() if value != "0"}
        return await self._typed(Protection, "private/set_mmp_config", named)

    async def protections(self) -> list[Protection]:
        """Limits in force, and until when a maker is frozen."""
        params = {"subaccount_id": await self.subaccount_id()}
        return await self._typed(list[Protection], "private/get_mmp_config", params)

    async def reset_protection(self, index_name: str) -> None:
        """Lift a freeze."""
        params = {"subaccount_id": await self.subaccount_id(), "index_name": index_name}
        await self.call("private/reset_mmp", params)

    async def cancel_by_label(self, label: str) -> int:
        """Cancel orders with a label; returns how many."""
        params = {"subaccount_id": await self.subaccount_id(), "label": label}
        return int(await self.call("private/cancel_by_label", params))

    async def cancel_on_disconnect(self, *, on: bool = True) -> None:
        """Have what came by this connection canceled when it breaks; a new one keeps to it."""
        await self._switch_cancels(on=on)
        self._cancels_on_disconnect = on

    async def rate_limits(self) -> dict[str, Any]:
        """Credits left, and how fast they come back: `matching`, `other`, `network` (of both)."""
        found: dict[str, Any] = await self.call("public/get_rate_limits")
        return found
