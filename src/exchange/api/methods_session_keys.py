"""What an owner's session keys may do, as the chain has it. They are granted and revoked there."""

from typing import Any, Final

from exchange.api.dispatch import Method, private_method
from exchange.api.gateway import Caller, Gateway
from exchange.api.results import Result
from exchange.api.schemas import Empty, quantity_number, ratio_number
from exchange.fixed import RATIO_SCALE
from exchange.model import KeyScope


async def get_session_keys(gateway: Gateway, caller: Caller, _: Empty) -> list[Result]:
    """Your session keys, with deadline and scope; contracts a UTC day by currency."""
    owner = gateway.session(caller).address
    view = gateway.view
    keys = {key: held[owner] for key, held in view.session_keys.items() if owner in held}
    return [
        {
            "session_key": key,
            "deadline": keys[key] * 1_000,
            "scope": _scope_result(gateway, view.key_scopes.get((owner, key))),
        }
        for key in sorted(keys)
    ]


def _scope_result(gateway: Gateway, scope: KeyScope | None) -> Result | None:
    """None: the key trades whatever its owner may."""
    if scope is None:
        return None
    return {
        "kinds": [kind.name.lower() for kind in scope.kinds],
        "daily_amount": {
            gateway.view.underlying_name(limit.underlying_id): quantity_number(limit.daily_quantity)
            for limit in scope.limits
        },
        "distance": ratio_number(scope.band_rate, RATIO_SCALE) if scope.band_rate else None,
    }


SESSION_KEYS: Final[list[Method[Any]]] = [private_method(get_session_keys, Empty)]
