"""Methods about API keys: their owner makes, shows, changes and removes them, by wallet session.

A key's secret is shown once, when it is made or reset. Its session key trades only after the owner
has allowed it on chain (`Clearing.setSessionKey`), and never moves money.
"""

from typing import Annotated, Any, Final

from msgspec import Meta

from exchange.api.api_keys import KEY_SCOPE, ApiKey, key_scope, networks
from exchange.api.dispatch import Method, private_method
from exchange.api.errors import InvalidParams
from exchange.api.gateway import Caller, Gateway
from exchange.api.results import Result
from exchange.api.schemas import Empty, Params, SubaccountId

CHANGE_COST: Final = 50  # credits: each change rewrites and syncs the store

KeyName = Annotated[str, Meta(max_length=16, pattern="^[A-Za-z0-9_]*$")]
KeyId = Annotated[int, Meta(ge=1, le=2**53)]
Networks = Annotated[
    tuple[Annotated[str, Meta(min_length=2, max_length=49)], ...],
    Meta(max_length=16, description="Network addresses or ranges; none: any"),
]
Scope = Annotated[
    str, Meta(max_length=128, examples=[KEY_SCOPE], description="Areas account and trade")
]


class CreateKeyParams(Params, frozen=True, kw_only=True):
    """A new key; for one subaccount, or for all."""

    max_scope: Scope = KEY_SCOPE
    name: KeyName = ""
    subaccount_id: SubaccountId | None = None
    ip_whitelist: Networks = ()


class KeyParams(Params, frozen=True, kw_only=True):
    """One key."""

    id: KeyId


class EditKeyParams(KeyParams, frozen=True, kw_only=True):
    """What is to change; what is left out stays."""

    max_scope: Scope | None = None
    name: KeyName | None = None
    enabled: bool | None = None
    ip_whitelist: Networks | None = None


async def create_api_key(gateway: Gateway, caller: Caller, params: CreateKeyParams) -> Result:
    """Makes an API key; allow its session key on chain with a deadline, then it trades."""
    _pay(gateway, caller)
    session = gateway.session(caller)
    subaccount_id = params.subaccount_id or 0
    owned = gateway.view.owned.get(session.address, ())
    if subaccount_id and subaccount_id not in owned:
        raise InvalidParams("not a subaccount that you own", "subaccount_id")
    key = gateway.keys.create(
        session.address,
        params.name,
        key_scope(params.max_scope),
        gateway.now_ms(),
        subaccount_id=subaccount_id,
        ip_whitelist=networks(params.ip_whitelist),
    )
    return _shown(gateway, key, secret=True)


async def list_api_keys(gateway: Gateway, caller: Caller, _: Empty) -> list[Result]:
    """Your API keys, without their secrets."""
    return [_shown(gateway, key) for key in gateway.keys.of(gateway.session(caller).address)]


async def edit_api_key(gateway: Gateway, caller: Caller, params: EditKeyParams) -> Result:
    """Changes an API key; its sessions end at once."""
    changes: dict[str, object] = {}
    if params.max_scope is not None:
        changes["scope"] = key_scope(params.max_scope)
    if params.ip_whitelist is not None:
        changes["ip_whitelist"] = networks(params.ip_whitelist)
    for name in ("name", "enabled"):
        if getattr(params, name) is not None:
            changes[name] = getattr(params, name)
    return _changed(gateway, caller, params, **changes)


async def enable_api_key(gateway: Gateway, caller: Caller, params: KeyParams) -> Result:
    """Lets a disabled API key work again."""
    return _changed(gateway, caller, params, enabled=True)


async def disable_api_key(gateway: Gateway, caller: Caller, params: KeyParams) -> Result:
    """Stops an API key; its sessions end at once."""
    return _changed(gateway, caller, params, enabled=False)


async def reset_api_key(gateway: Gateway, caller: Caller, params: KeyParams) -> Result:
    """Gives an API key another secret; its sessions end at once."""
    key = _own(gateway, caller, params)
    return _shown(gateway, gateway.keys.reset(key), secret=True)


async def remove_api_key(gateway: Gateway, caller: Caller, params: KeyParams) -> str:
    """Removes an API key with its session key; its sessions end at once. Revoke it on chain too."""
    gateway.keys.remove(_own(gateway, caller, params))
    return "ok"


def _pay(gateway: Gateway, caller: Caller) -> None:
    gateway.limits.take(caller.payer, matching=False, cost=CHANGE_COST)


def _own(gateway: Gateway, caller: Caller, params: KeyParams) -> ApiKey:
    _pay(gateway, caller)
    return gateway.keys.own(gateway.session(caller).address, params.id)


def _changed(gateway: Gateway, caller: Caller, params: KeyParams, **changes: object) -> Result:
    return _shown(gateway, gateway.keys.change(_own(gateway, caller, params), **changes))


def _shown(gateway: Gateway, key: ApiKey, *, secret: bool = False) -> Result:
    deadline = gateway.view.session_keys.get(key.signer, {}).get(key.owner, 0)
    return {
        "id": key.id,
        "client_id": key.client_id,
        **({"client_secret": key.client_secret} if secret else {}),
        "name": key.name,
        "enabled": key.enabled,
        "max_scope": key.scope,
        "ip_whitelist": key.ip_whitelist,
        "subaccount_id": key.subaccount_id or None,
        "timestamp": key.created_ms,
        "default": False,
        "session_key": key.signer,
        "session_key_deadline": deadline,
    }


KEYS: Final[list[Method[Any]]] = [
    private_method(create_api_key, CreateKeyParams, scope="account:read_write"),
    private_method(list_api_keys, Empty, scope="account:read_write"),
    private_method(edit_api_key, EditKeyParams, scope="account:read_write"),
    private_method(enable_api_key, KeyParams, scope="account:read_write"),
    private_method(disable_api_key, KeyParams, scope="account:read_write"),
    private_method(reset_api_key, KeyParams, scope="account:read_write"),
    private_method(remove_api_key, KeyParams, scope="account:read_write"),
]
