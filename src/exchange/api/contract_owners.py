"""Whether a contract says that it signed (EIP-1271): asked of a node, bounded in number and time.

The question is a callable that bootstrap gives; nothing here knows nodes. What a contract says may
change until its withdrawal settles: the chain asks again, and gives back what it does not confirm.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from exchange.api.errors import Busy, Unavailable

ASKED_MAX: Final = 8  # at once: anybody may ask
TIMEOUT_S: Final = 3.0

# (contract, digest, signature); `ConnectionError` where no node answers.
AskContract = Callable[[str, bytes, bytes], Awaitable[bool]]


class ContractOwners:
    """Asks, or says that contracts cannot be asked."""

    def __init__(self, ask: AskContract | None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._ask = ask
        self._timeout_s = timeout_s
        self._asked = 0

    async def approves(self, owner: str, digest: bytes, signature: bytes) -> bool:
        """Whether the contract confirms; False too where this gateway has no node."""
        if self._ask is None:
            return False
        if self._asked >= ASKED_MAX:
            raise Busy("too many contracts are being asked whether they signed; try again")
        self._asked += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(owner, digest, signature)
        except (TimeoutError, ConnectionError) as error:
            raise Unavailable("no node says now whether the contract signed") from error
        finally:
            self._asked -= 1
