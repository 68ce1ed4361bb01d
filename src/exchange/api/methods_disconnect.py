"""Cancel-on-disconnect: a maker whose line breaks leaves no orders behind.

While it is on, the end of a WebSocket, whatever its cause but `private/logout`, cancels all open
orders of the session's subaccounts. Deribit cancels only those that came by that connection.
"""

from typing import Any, Final, Literal

from exchange.api.dispatch import Method
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
    """Turns it on for this connection, or for all connections of this address."""
    return _switch(gateway, caller, params, on=True)


async def disable_cancel_on_disconnect(
    gateway: Gateway, caller: Caller, params: DisconnectParams
) -> str:
    """Turns it off in one scope; the other stands."""
    return _switch(gateway, caller, params, on=False)


def _switch(gateway: Gateway, caller: Caller, params: DisconnectParams, *, on: bool) -> str:
    address = gateway.session(caller).address
    if params.scope == "connection":
        connection_of(caller).cancel_on_disconnect = on
    elif on:
        gateway.cancels_on_disconnect.add(address)
    else:
        gateway.cancels_on_disconnect.discard(address)
    return "ok"


async def get_cancel_on_disconnect(
    gateway: Gateway, caller: Caller, params: DisconnectParams
) -> Result:
    """Whether it is on in one scope."""
    session = gateway.session(caller)
    if params.scope == "account":
        enabled = session.address in gateway.cancels_on_disconnect
    else:
        enabled = connection_of(caller).cancel_on_disconnect
    return {"enabled": enabled, "scope": params.scope}


def _method(handler: Any) -> Method[Any]:
    return Method(
        name=f"private/{handler.__name__}",
        params=DisconnectParams,
        handler=handler,
        summary=handler.__doc__.strip(),
    )


DISCONNECT: Final[list[Method[Any]]] = [
    _method(enable_cancel_on_disconnect),
    _method(disable_cancel_on_disconnect),
    _method(get_cancel_on_disconnect),
]
