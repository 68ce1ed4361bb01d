"""Takes an owner out without the operator: asks on chain, waits, and at last ends the venue.

A request that nobody serves until its deadline lets anyone start the escape; what follows then, and
the claims, need a wallet and a node alone (docs/exits.md).
"""

from typing import Final

import msgspec

from exchange.keepers.ethereum import Ethereum, calldata
from exchange.keepers.runner import Action, Post

_ESCAPE_BEGAN: Final = "uint64"  # the first word of what `escape()` returns
_REQUEST: Final = "(address,uint64,address,uint64,uint256)"


class ExitOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves; `amount` in ledger units, 1e-6 USDC or 1e-8 of a token."""

    clearing: str
    subaccount_id: int
    token: str
    amount: int
    recipient: str


class ForceExitKeeper:
    """One request from the owner's wallet, or the one that is open, followed to its end.

    Where an earlier one is closed it asks for another only if told to ask `again`: so whoever
    starts it once more after it died does not take out twice as much.
    """

    name = "force-exit"

    def __init__(self, chain: Ethereum, order: ExitOrder, *, again: bool = False) -> None:
        self.is_over = False  # closed, paid as far as it could be; or the venue has ended
        self._chain = chain
        self._order = order
        self._before: int | None = None if again else 0  # ordinal of the request before ours

    async def look(self) -> list[Action]:
        """The next step, if it is time for one."""
        order, chain = self._order, self._chain
        self.is_over = await chain.call(order.clearing, "escape()", [_ESCAPE_BEGAN]) > 0
        if self.is_over:
            return []
        _, requested_at, _, ordinal, _ = await chain.call(
            order.clearing, "exitOf(uint64)", [_REQUEST], order.subaccount_id
        )
        if self._before is None:
            self._before = ordinal - bool(requested_at)
        if not requested_at:
            self.is_over = ordinal > self._before
            return [] if self.is_over else [self._request()]
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
