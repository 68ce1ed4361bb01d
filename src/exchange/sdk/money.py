"""What an account holds and owes, what margin would be, and money that its owner moves.

Amounts of USDC have six decimals, those of other tokens eight.
"""

import asyncio
from collections.abc import Mapping

import msgspec

from exchange.model import TransferTerms, WithdrawalTerms
from exchange.sdk import types
from exchange.sdk.order_fields import token_amount, withdrawal_fields
from exchange.sdk.session import DEADLINE_S, Session
from exchange.sdk.wallet import Number, decimal_text


class MoneyCalls(Session):
    """The part of a client that is about money."""

    async def positions(self) -> list[types.Position]:
        """Positions that are not flat."""
        params = {"subaccount_id": await self.subaccount_id()}
        return await self._typed(list[types.Position], "private/get_positions", params)

    async def account(self) -> types.Account:
        """Cash and margin."""
        params = {"subaccount_id": await self.subaccount_id()}
        return await self._typed(types.Account, "private/get_account_summary", params)

    async def my_trades(self, name: str, count: int = 100) -> list[types.Trade]:
        """Own trades in an instrument, the newest first."""
        params = {
            "instrument_name": name,
            "count": count,
            "subaccount_id": await self.subaccount_id(),
        }
        answer = await self.call("private/get_user_trades_by_instrument", params)
        return msgspec.convert(answer["trades"], list[types.Trade], strict=False)

    async def margins(self, name: str, amount: Number, price: Number) -> types.Margins:
        """Initial margin that an order would take, bought or sold."""
        params = {
            "instrument_name": name,
            "amount": decimal_text(amount),
            "price": decimal_text(price),
            "subaccount_id": await self.subaccount_id(),
        }
        return await self._typed(types.Margins, "private/get_margins", params)

    async def simulate_portfolio(
        self,
        positions: Mapping[str, Number] | None = None,
        *,
        collateral: Mapping[str, Number] | None = None,
        cash: Number = 0,
        add_positions: bool = True,
    ) -> types.Simulation:
        """Margin with these signed positions and tokens, added to what is held, or alone."""
        params = {
            "subaccount_id": await self.subaccount_id(),
            "simulated_positions": {
                name: decimal_text(one) for name, one in (positions or {}).items()
            },
            "simulated_collateral": {
                name: decimal_text(one) for name, one in (collateral or {}).items()
            },
            "simulated_cash": decimal_text(cash),
            "add_positions": add_positions,
        }
        return await self._typed(types.Simulation, "private/simulate_portfolio", params)

    async def withdraw(
        self,
        amount: Number,
        address: str | None = None,
        *,
        currency: str = "USDC",
        deadline_s: int = DEADLINE_S,
    ) -> types.WithdrawalReceipt:
        """Take USDC or a token out, to the signer's own address unless told otherwise."""
        wallet = self._wallet()
        token, units = token_amount(await self.domain(), currency, amount)
        terms = WithdrawalTerms(
            subaccount_id=await self.subaccount_id(),
            token=token,
            amount=units,
            recipient=address or wallet.address,
            nonce=self.nonces.allocate(),
            deadline=self._transport.clock.now_s() + deadline_s,
            signer=wallet.address,
        )
        params = withdrawal_fields(terms, currency)
        params["signature"] = wallet.sign_withdrawal(await self._signing_domain(), terms)
        return await self._typed(types.WithdrawalReceipt, "private/withdraw", params)

    async def transfer(
        self,
        amount: Number,
        destination: int,
        *,
        currency: str = "USDC",
        deadline_s: int = DEADLINE_S,
    ) -> types.TransferReceipt:
        """Move USDC or a token to another subaccount of the same owner."""
        wallet = self._wallet()
        token, units = token_amount(await self.domain(), currency, amount)
        terms = TransferTerms(
            subaccount_id=await self.subaccount_id(),
            to_subaccount_id=destination,
            token=token,
            amount=units,
            nonce=self.nonces.allocate(),
            deadline=self._transport.clock.now_s() + deadline_s,
            signer=wallet.address,
        )
        params = {
            "currency": currency,
            "amount": decimal_text(amount),
            "source": terms.subaccount_id,
            "destination": terms.to_subaccount_id,
            "nonce": terms.nonce,
            "deadline": terms.deadline,
            "signer": terms.signer,
            "signature": wallet.sign_transfer(await self._signing_domain(), terms),
        }
        method = "private/submit_transfer_between_subaccounts"
        return await self._typed(types.TransferReceipt, method, params)

    async def settlement(self, trade_id: str) -> types.Settlement:
        """Where a trade stands on its way to the chain."""
        params = {"trade_id": trade_id}
        return await self._typed(types.Settlement, "private/get_settlement_status", params)

    async def wait_settled(
        self, trade_id: str, *, timeout_s: float = 60.0, every_s: float = 0.25
    ) -> types.Settlement:
        """Wait until a trade is confirmed on chain; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while True:
                found = await self.settlement(trade_id)
                if found.state == "confirmed":
                    return found
                await asyncio.sleep(every_s)
