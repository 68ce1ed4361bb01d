"""Takes an owner out without the operator: asks on chain, waits, and at last ends the venue.

A request that nobody serves until its deadline lets anyone start the escape; what follows then, and
the claims, need a wallet and a node alone (docs/exits.md).
"""

from typing import Final

import msgspec

from exchange.keepers.ethereum import Ethereum, calldata
from exchange.keepers.runner import Action, Post

_REQUEST: Final = "(address,uint64,address,uint64,uint256)"
_ZERO: Final = "0x" + "0" * 40


class ExitOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves; `amount` in ledger units, 1e-6 USDC or 1e-8 of a token."""

    clearing: str
    subaccount_id: int
    token: str
    amount: int
    recipient: str


class ForceExitKeeper:
    """One request from the owner's wallet, followed to its end. Done when it is paid."""

    name = "force-exit"

    def __init__(self, chain: Ethereum, order: ExitOrder) -> None:
        self.paid = False
        self._chain = chain
        self._order = order

    async def look(self) -> list[Action]:
        """The next step, if it is time for one."""
        order, chain = self._order, self._chain
        token, requested_at, _, ordinal, _ = await chain.call(
            order.clearing, "exitOf(uint64)", [_REQUEST], order.subaccount_id
        )
        if token == _ZERO and not ordinal:
            return [self._request()]
        self.paid = not requested_at
        if self.paid:
            return []
        deadline = await chain.call(order.clearing, "EXIT_DEADLINE()", ["uint64"])
        if await chain.block_time() <= requested_at + deadline:
            return []
        data = calldata("startEscape(uint64)", order.subaccount_id)
        work = Post(to=order.clearing, data=data)
        return [Action(name="start the escape: nobody served it", work=work, needed=True)]

    def _request(self) -> Action:
        order = self._order
        signature = "requestExit(uint64,address,uint256,address)"
        data = calldata(signature, order.subaccount_id, order.token, order.amount, order.recipient)
        work = Post(to=order.clearing, data=data)
        return Action(name=f"ask for {order.amount} of {order.token}", work=work, needed=True)
