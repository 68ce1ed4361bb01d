"""Puts on chain what waits there for somebody who pays: `settle`, `expire`, `funding`, exits.

The venue shows what its relayer has not got in for some seconds (`public/get_pending_posts`), each
with its calldata. What M of N oracle keys signed anybody may post; a batch needs the role.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from exchange.keepers.ethereum import CallRefused, Ethereum, calldata
from exchange.keepers.runner import Action, Post
from exchange.sdk import AsyncClient

KINDS: Final = {
    "settle": ("batch", "root"),
    "expire": ("index", "delivery"),  # a delivery price is held against the samples before it
    "funding": ("funding",),
}


class PendingPost(msgspec.Struct, frozen=True, kw_only=True):
    """What waits; `data` is hex."""

    key: str
    kind: str
    to: str
    data: str
    waiting_s: int


class PostKeeper:
    """Posts what is due of some kinds; it pays nothing, so it is done because it is needed."""

    def __init__(self, name: str, client: AsyncClient, *, patience_s: int = 0) -> None:
        self.name = name
        self._client = client
        self._patience_s = patience_s  # how long the relayer may take

    async def look(self) -> list[Action]:
        """What waits for long enough, in the order in which it must go in."""
        answer = await self._client.call("public/get_pending_posts")
        found = msgspec.convert(answer, list[PendingPost])
        kinds = KINDS[self.name]
        return [
            Action(
                name=post.key,
                work=Post(to=post.to, data=bytes.fromhex(post.data.removeprefix("0x"))),
                needed=True,
            )
            for post in found
            if post.kind in kinds and post.waiting_s >= self._patience_s
        ]


class RealiseKeeper:
    """Pays off positions that expired so long ago that no batch can do it any more.

    Anybody may (`Clearing.realise`). Looks at the subaccounts it is given, or at all.
    """

    name = "expire"

    def __init__(
        self, client: AsyncClient, chain: Ethereum, *, subaccount_ids: tuple[int, ...] = ()
    ) -> None:
        self._client = client
        self._chain = chain
        self._subaccount_ids = subaccount_ids

    async def look(self) -> list[Action]:
        """One action a subaccount."""
        clearing = (await self._client.domain()).verifying_contract
        expired = await self._expired(clearing)
        if not expired:
            return []
        actions = []
        for subaccount_id in self._subaccount_ids or await self._everybody(clearing):
            held = await self._held(clearing, subaccount_id, expired)
            if held:
                data = calldata("realise(uint64,uint64[])", subaccount_id, held)
                name = f"realise {len(held)} positions of subaccount {subaccount_id}"
                actions.append(Action(name=name, work=Post(to=clearing, data=data), needed=True))
        return actions

    async def _expired(self, clearing: str) -> list[int]:
        """Instruments whose positions no batch can reach any more, and whose price is fixed."""
        age = await self._chain.call(clearing, "MAX_BATCH_AGE()", ["uint64"])
        now_s = await self._chain.block_time()
        params = {"currency": "any", "expired": True}
        rows = await self._client.call("public/get_instruments", params)
        return [
            row["instrument_id"]
            for row in rows
            if row["expiration_timestamp"] // 1000 + age < now_s and not row.get("legs")
        ]

    async def _everybody(self, clearing: str) -> tuple[int, ...]:
        count = await self._chain.call(clearing, "subaccountCount()", ["uint64"])
        return tuple(range(1, count + 1))

    async def _held(self, clearing: str, subaccount_id: int, expired: list[int]) -> list[int]:
        """Those of the expired instruments that it holds and whose payoff is known."""
        _, positions = await self._chain.call(
            clearing,
            "cashAndPositions(uint64,uint64[])",
            ["int96", "(int64,int64,int128)[]"],
            subaccount_id,
            expired,
        )
        held = [one for one, (quantity, *_) in zip(expired, positions, strict=True) if quantity]
        return [one for one in held if await self._is_priced(clearing, subaccount_id, one)]

    async def _is_priced(self, clearing: str, subaccount_id: int, instrument_id: int) -> bool:
        signature, returns = "payoffOf(uint64,uint64)", ["int256", "int256"]
        try:
            await self._chain.call(clearing, signature, returns, subaccount_id, instrument_id)
        except CallRefused:  # no delivery price yet
            return False
        return True


class ExitPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A forced exit that anybody may serve now: what it pays, in ledger units, and the call."""

    subaccount_id: int
    paid: int
    data: bytes


class ExitKeeper:
    """Serves forced exits, so that none ends the venue; whoever knows proofs says which are due."""

    name = "serve-exits"

    def __init__(self, clearing: str, due: Callable[[], list[ExitPayment]]) -> None:
        self._clearing = clearing
        self._due = due

    async def look(self) -> list[Action]:
        """One action a request; what pays nothing is closed all the same."""
        return [
            Action(
                name=f"pay {one.paid} to subaccount {one.subaccount_id}, and close its request",
                work=Post(to=self._clearing, data=one.data),
                needed=True,
            )
            for one in self._due()
        ]
