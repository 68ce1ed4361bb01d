"""Cancel-on-disconnect: a maker whose line breaks leaves no orders behind.

The end of a WebSocket, whatever its cause (a close, a broken line, a missed heartbeat or ping, a
queue that nobody reads) but `private/logout`, cancels: in scope `connection` the orders and quotes
that came by it, as Deribit does; in scope `account` all of the session's subaccounts.
"""

from typing import Any, Final, Literal

from exchange.api.dispatch import Method, private_method
from exchange.api.gateway import Caller, Gateway
from exchange.api.methods_public import connection_of
from exchange.api.results import Result
from exchange.api.schemas import Params


class DisconnectParams(Params, frozen=True, kw_only=True):
    """Parameters of the cancel-on-disconnect methods."""

    scope: Literal["connection", "account"] = "connection"


async def enable_cancel_on_disconnect(
    gateway: Gateway, caller: Caller, params: DisconnectParams
) -> str:
    """Turns it on: for what comes by this connection, or for all orders and every connection."""
    return _switch(gateway, caller, params, on=True)


async def disable_cancel_on_disconnect(
    gateway: Gateway, caller: Caller, params: DisconnectParams
) -> str:
    """Turns it off in one scope; the other stands."""
    return _switch(gateway, caller, params, on=False)


def _switch(gateway: Gateway, caller: Caller, params: DisconnectParams, *, on: bool) -> str:
    account = gateway.session(caller).account
    if params.scope == "connection":
        connection_of(caller).cancel_on_disconnect = on
    elif on:
        gateway.account_cancels.add(account)
    else:
        gateway.account_cancels.discard(account)
    return "ok"


async def get_cancel_on_disconnect(
    gateway: Gateway, caller: Caller, params: DisconnectParams
) -> Result:
    """Whether it is on in one scope."""
    session = gateway.session(caller)
    if params.scope == "account":
        enabled = session.account in gateway.account_cancels
    else:
        enabled = connection_of(caller).cancel_on_disconnect
    return {"enabled": enabled, "scope": params.scope}


DISCONNECT: Final[list[Method[Any]]] = [
    private_method(enable_cancel_on_disconnect, DisconnectParams, scope="trade:read_write"),
    private_method(disable_cancel_on_disconnect, DisconnectParams, scope="trade:read_write"),
    private_method(get_cancel_on_disconnect, DisconnectParams),
]
