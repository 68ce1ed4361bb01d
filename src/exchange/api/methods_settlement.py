"""Settlement as anybody may help with it: what waits for the chain, ready to be sent."""

from typing import Any, Final

import msgspec

from exchange.api.dispatch import Method, public_method
from exchange.api.gateway import Caller, Gateway
from exchange.api.results import Result
from exchange.api.schemas import Params


class PendingPostsBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the relayer reports; each row as `get_pending_posts` shows it."""

    posts: tuple["PendingPost", ...]


class PendingPost(msgspec.Struct, frozen=True, kw_only=True):
    """A call that the relayer has not got in for `waiting_s` seconds; `data` in hex."""

    key: str
    kind: str
    to: str
    data: str
    waiting_s: int


class PendingPostsParams(Params, frozen=True, kw_only=True):
    """Nothing is asked."""


async def get_pending_posts(gateway: Gateway, _: Caller, __: PendingPostsParams) -> list[Result]:
    """Calls that wait for the chain, in the order in which they must go in."""
    rows: list[Result] = msgspec.to_builtins(gateway.pending_posts)
    return rows


SETTLEMENT: Final[list[Method[Any]]] = [public_method(get_pending_posts, PendingPostsParams)]
