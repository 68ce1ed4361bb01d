"""Deribit's conveniences over orders: close a position, find orders by label, cancel by sort.

Each is a lookup in the session's own subaccounts, and then what `methods_private` does anyway.
"""

from typing import Any, Final, Literal

import msgspec

from exchange.api.dispatch import Method, private_method
from exchange.api.errors import BadRequest, OrderNotFound
from exchange.api.gateway import Caller, Gateway
from exchange.api.methods_private import (
    asked_subaccounts,
    cancel_in,
    edit,
    open_orders,
    place,
)
from exchange.api.order_types import (
    ChangeParams,
    EditParams,
    SignedEntryParams,
    absent,
    fields_of,
)
from exchange.api.records import Position
from exchange.api.results import Result
from exchange.api.schemas import (
    Currency,
    InstrumentName,
    KindName,
    Label,
    OrderType,
    Price,
    SubaccountId,
    SubaccountParams,
    quantity_number,
)
from exchange.api.signed_terms import EntryParams
from exchange.model import Side


class ClosePositionParams(SignedEntryParams, frozen=True, kw_only=True):
    """The order that closes a position: of its size, on the other side, reduce-only.

    What a wallet signs is that order.
    """

    instrument_name: InstrumentName
    type: Literal["limit", "market"]
    price: Price = msgspec.field(default_factory=absent)
    label: Label = ""


class EditByLabelParams(ChangeParams, frozen=True, kw_only=True):
    """New terms of the one open order with a label in an instrument, as in `private/edit`."""

    label: Label
    instrument_name: InstrumentName
    subaccount_id: SubaccountId | None = None


class OpenByLabelParams(SubaccountParams, frozen=True, kw_only=True):
    """Open orders with a label."""

    label: Label
    currency: Currency = "any"


class CancelBySortParams(SubaccountParams, frozen=True, kw_only=True):
    """Cancel orders of a sort."""

    currency: Currency = "any"
    kind: KindName = "any"
    type: OrderType = "all"


async def close_position(gateway: Gateway, caller: Caller, params: ClosePositionParams) -> Result:
    """Trades a whole position away, reduce-only: at the market, or at a limit that may rest."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    instrument_id = gateway.instrument(params.instrument_name).instrument_id
    held = gateway.view.positions.get(subaccount_id, {}).get(instrument_id, Position()).quantity
    if not held:
        raise BadRequest("there is no position to close", "instrument_name")
    signed = fields_of(params, SignedEntryParams) | {"subaccount_id": subaccount_id}
    order = EntryParams(
        instrument_name=params.instrument_name,
        type=params.type,
        price=params.price,
        label=params.label,
        amount=quantity_number(abs(held)),
        reduce_only=True,
        **signed,
    )
    return await place(gateway, caller, order, Side.SELL if held > 0 else Side.BUY)


async def edit_by_label(gateway: Gateway, caller: Caller, params: EditByLabelParams) -> Result:
    """Edits the open order with this label; of none or several it touches none."""
    instrument = gateway.instrument(params.instrument_name)
    found = [
        order
        for order in _labelled(gateway, caller, params.subaccount_id, params.label)
        if order.instrument_id == instrument.instrument_id
    ]
    if not found:
        raise OrderNotFound("no open order with this label in this instrument", "label")
    if len(found) > 1:
        raise BadRequest(f"{len(found)} open orders have this label", "label")
    terms = fields_of(params, ChangeParams)
    return await edit(gateway, caller, EditParams(order_id=str(found[0].order_id), **terms))


async def get_open_orders_by_label(
    gateway: Gateway, caller: Caller, params: OpenByLabelParams
) -> list[Result]:
    """Open orders with a label, in order of entry."""
    wanted = {one.instrument_id for one in gateway.select(params.currency)}
    subaccounts = asked_subaccounts(gateway, caller, params.subaccount_id)
    rows = await open_orders(gateway, subaccounts, wanted, "all")
    return [row for row in rows if row["label"] == params.label]


async def cancel_all_by_kind_or_type(
    gateway: Gateway, caller: Caller, params: CancelBySortParams
) -> int:
    """Cancels orders of a kind of instrument, a type of order, or both; returns how many."""
    subaccounts = asked_subaccounts(gateway, caller, params.subaccount_id)
    wanted = {one.instrument_id for one in gateway.select(params.currency, params.kind)}
    return await cancel_in(gateway, subaccounts, wanted, params.type)


def _labelled(gateway: Gateway, caller: Caller, subaccount_id: int | None, label: str) -> Any:
    if not label:
        raise BadRequest("an empty label names nothing", "label")
    return [
        order
        for number in asked_subaccounts(gateway, caller, subaccount_id)
        for order in gateway.view.open_orders.get(number, {}).values()
        if order.label == label
    ]


ORDERS: Final[list[Method[Any]]] = [
    private_method(close_position, ClosePositionParams, matching=True),
    private_method(edit_by_label, EditByLabelParams, matching=True),
    private_method(get_open_orders_by_label, OpenByLabelParams),
    private_method(cancel_all_by_kind_or_type, CancelBySortParams, matching=True),
]
