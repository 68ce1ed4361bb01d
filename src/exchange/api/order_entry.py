"""From a request to buy or sell to the command that enters it, its signatures checked.

An order may bring others that depend on it, in Deribit's `otoco_config`; each is signed by itself.
"""

from typing import Final

from exchange.api.errors import BadRequest
from exchange.api.gateway import Caller, Gateway
from exchange.api.order_signing import price_words, signed_amendment, signed_order
from exchange.api.order_types import (
    EditParams,
    OrderParams,
    max_show_of,
)
from exchange.api.records import OrderRecord
from exchange.api.signed_terms import EntryParams, order_command
from exchange.api.volatility import price_now, volatility_of
from exchange.commands import AmendOrder, PlaceLinked, PlaceOrder
from exchange.model import HitCondition, LinkKind, OrderTerms, Side

_LINKS: Final = {
    "one_cancels_other": LinkKind.OCO,
    "one_triggers_other": LinkKind.OTO,
    "one_triggers_one_cancels_other": LinkKind.OTOCO,
}
_CONDITIONS: Final = {
    "first_hit": HitCondition.ANY_FILL,
    "complete_fill": HitCondition.COMPLETE_FILL,
}


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
    worth = _worth(gateway, terms, volatility)
    return order_command(params, terms, signature, volatility, worth)


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
