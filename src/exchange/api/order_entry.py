"""From a request to buy or sell to the command that enters it, its signatures checked.

An order may bring others that depend on it, in Deribit's `otoco_config`; each is signed by itself.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta

from exchange.api.errors import BadRequest
from exchange.api.gateway import Caller, Gateway
from exchange.api.order_signing import price_words, signed_amendment, signed_order
from exchange.api.order_types import (
    EditParams,
    OrderParams,
    is_market,
    max_show_of,
    trigger_of,
)
from exchange.api.records import OrderRecord
from exchange.api.results import TIMES_IN_FORCE
from exchange.api.volatility import price_now, volatility_of
from exchange.commands import AmendOrder, PlaceLinked, PlaceOrder
from exchange.model import HitCondition, LinkKind, OrderTerms, Side, TimeInForce

_TIMES: Final = {name: value for value, name in TIMES_IN_FORCE.items()}
_LINKS: Final = {
    "one_cancels_other": LinkKind.OCO,
    "one_triggers_other": LinkKind.OTO,
    "one_triggers_one_cancels_other": LinkKind.OTOCO,
}
_CONDITIONS: Final = {
    "first_hit": HitCondition.ANY_FILL,
    "complete_fill": HitCondition.COMPLETE_FILL,
}


class OtherOrderParams(OrderParams, frozen=True, kw_only=True):
    """An order that depends on the one that brings it."""

    direction: Literal["buy", "sell"]


class EntryParams(OrderParams, frozen=True, kw_only=True):
    """A signed order, alone or as the first of several that depend on each other."""

    linked_order_type: (
        Literal["one_cancels_other", "one_triggers_other", "one_triggers_one_cancels_other"] | None
    ) = None
    trigger_fill_condition: Literal["first_hit", "complete_fill"] = "first_hit"
    otoco_config: Annotated[tuple[OtherOrderParams, ...], Meta(max_length=2)] = ()


async def entry_command(
    gateway: Gateway, caller: Caller, params: EntryParams, side: Side
) -> PlaceOrder | PlaceLinked:
    """The command that a request means; refuses it for a signature that does not hold."""
    if (params.linked_order_type is None) is not (params.otoco_config == ()):
        raise BadRequest("linked_order_type and otoco_config come together", "otoco_config")
    first = await _entered(gateway, caller, params, side)
    if params.linked_order_type is None:
        return first
    if any(order.advanced for order in (params, *params.otoco_config)):
        raise BadRequest("linked orders have prices of their own", "advanced")
    others = [
        await _entered(gateway, caller, other, Side[other.direction.upper()])
        for other in params.otoco_config
    ]
    return PlaceLinked(
        kind=_LINKS[params.linked_order_type],
        condition=_CONDITIONS[params.trigger_fill_condition],
        orders=(first, *others),
    )


async def _entered(gateway: Gateway, caller: Caller, params: OrderParams, side: Side) -> PlaceOrder:
    terms, signature = await signed_order(gateway, caller, params, side)
    volatility = volatility_of(params)
    return PlaceOrder(
        terms=terms,
        signature=signature,
        time_in_force=_time_in_force(params),
        post_only=params.post_only,
        reject_post_only=params.reject_post_only,
        label=params.label,
        mmp=params.mmp,
        max_show=max_show_of(params) or 0,
        trigger=trigger_of(params),
        market=is_market(params),
        volatility=volatility,
        worth=_worth(gateway, terms, volatility),
    )


def _worth(gateway: Gateway, terms: OrderTerms, volatility: int) -> int:
    if not volatility:
        return 0
    instrument = gateway.view.instruments[terms.instrument_id]
    return price_now(gateway.view, instrument, terms.side, volatility, terms.limit_price)


async def amend_command(
    gateway: Gateway, caller: Caller, order: OrderRecord, params: EditParams
) -> AmendOrder:
    """The command that an edit means."""
    if (params.advanced is not None) is not (order.volatility > 0):
        raise BadRequest("advanced stays what it was when the order was placed", "advanced")
    terms, signature = await signed_amendment(gateway, caller, order, params)
    volatility = volatility_of(price_words(params))
    return AmendOrder(
        terms=terms,
        signature=signature,
        max_show=max_show_of(params),
        volatility=volatility,
        worth=_worth(gateway, terms, volatility),
    )


def _time_in_force(params: OrderParams) -> TimeInForce:
    time_in_force = _TIMES[params.time_in_force]
    if is_market(params) and time_in_force is not TimeInForce.FOK:
        return TimeInForce.IOC  # the signed price is the worst one; nothing may rest there
    return time_in_force
