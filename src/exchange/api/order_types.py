"""Parameters of an order: Deribit's types and words, and the triggers that owners sign.

A market order is an IOC at its signed worst price, which the engine narrows to the band around the
mark; a trailing stop is one that waits.
"""

from typing import Any, Final, Literal

import msgspec

from exchange.api.errors import BadRequest, InvalidParams
from exchange.api.records import OrderRecord
from exchange.api.schemas import (
    Address,
    Contracts,
    Deadline,
    InstrumentName,
    Label,
    Nonce,
    OrderId,
    OrderType,
    Params,
    Price,
    Signature,
    SubaccountId,
    TimeInForceName,
    Version,
    cash_number,
    parse_price,
    parse_quantity,
    quantity_number,
)
from exchange.model import PriceSource, TimeInForce, Trigger, TriggerKind

_ABSENT: Final = msgspec.Raw(b"null")
_KINDS: Final = {
    "stop_limit": TriggerKind.STOP,
    "stop_market": TriggerKind.STOP,
    "take_limit": TriggerKind.TAKE,
    "take_market": TriggerKind.TAKE,
    "trailing_stop": TriggerKind.TRAILING,
}
_PLAIN: Final = "limit"
_MARKET: Final = {"market", "stop_market", "take_market", "trailing_stop"}
_SOURCES: Final = {
    "index_price": PriceSource.INDEX,
    "mark_price": PriceSource.MARK,
    "last_price": PriceSource.LAST,
}
TIMES_IN_FORCE: Final = {
    TimeInForce.GTC: "good_til_cancelled",
    TimeInForce.GTD: "good_til_day",
    TimeInForce.IOC: "immediate_or_cancel",
    TimeInForce.FOK: "fill_or_kill",
}
_SOURCE_NAMES: Final = {source: name for name, source in _SOURCES.items()}


def absent() -> msgspec.Raw:
    """The default of a decimal; by a factory, since a schema cannot show a raw default."""
    return _ABSENT


def is_absent(raw: msgspec.Raw) -> bool:
    """Whether an optional decimal was not given, or is null."""
    return raw is _ABSENT or bytes(raw) == b"null"


class TypeParams(Params, frozen=True, kw_only=True):
    """Limit or market, and what the order waits for: a price, or a distance that it trails at.

    With `advanced` the `price` is a volatility in percent, and `limit_price` the worst price.
    """

    type: Literal[
        "limit",
        "market",
        "stop_limit",
        "stop_market",
        "take_limit",
        "take_market",
        "trailing_stop",
    ] = "limit"
    trigger: Literal["index_price", "mark_price", "last_price"] | None = None
    trigger_price: Price = msgspec.field(default_factory=absent)
    trigger_offset: Price = msgspec.field(default_factory=absent)
    price: Price = msgspec.field(default_factory=absent)
    advanced: Literal["implv"] | None = None
    limit_price: Price = msgspec.field(default_factory=absent)


class OrderHashParams(TypeParams, frozen=True, kw_only=True):
    """The signed terms of an order, as `private/buy` and `private/sell` take them."""

    direction: Literal["buy", "sell"]
    instrument_name: InstrumentName
    amount: Contracts
    max_fee: Price
    subaccount_id: SubaccountId
    nonce: Nonce
    version: Version = 0
    deadline: Deadline
    signer: Address
    reduce_only: bool = False


class OrderParams(TypeParams, frozen=True, kw_only=True):
    """A signed order. `price` is the limit; for market orders and trailing stops the worst price.

    An API key's session may leave out the worst price and everything about the signature.
    A post-only order that would trade rests one tick away, or with `reject_post_only` is refused.
    An iceberg shows `max_show` at a time; `display_amount` is its newer name.
    """

    instrument_name: InstrumentName
    amount: Contracts
    max_show: Contracts = msgspec.field(default_factory=absent)
    display_amount: Contracts = msgspec.field(default_factory=absent)
    time_in_force: TimeInForceName = "good_til_cancelled"
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    mmp: bool = False
    label: Label = ""
    subaccount_id: SubaccountId | None = None
    nonce: Nonce | None = None
    version: Version | None = None
    deadline: Deadline | None = None
    max_fee: Price = msgspec.field(default_factory=absent)
    signer: Address | None = None
    signature: Signature | None = None


class SignedParams(Params, frozen=True, kw_only=True):
    """What is signed beside the terms; an API key's session may leave it out."""

    version: Version | None = None
    deadline: Deadline | None = None
    max_fee: Price = msgspec.field(default_factory=absent)
    signer: Address | None = None
    signature: Signature | None = None


class SignedEntryParams(SignedParams, frozen=True, kw_only=True):
    """The same of an order that does not exist yet."""

    subaccount_id: SubaccountId | None = None
    nonce: Nonce | None = None


class ChangeParams(SignedParams, frozen=True, kw_only=True):
    """New terms of an order: its nonce signed again with a higher version.

    An API key's session may leave out the price to keep it.
    """

    amount: Contracts
    price: Price = msgspec.field(default_factory=absent)
    advanced: Literal["implv"] | None = None
    limit_price: Price = msgspec.field(default_factory=absent)
    max_show: Contracts = msgspec.field(default_factory=absent)
    display_amount: Contracts = msgspec.field(default_factory=absent)


class EditParams(ChangeParams, frozen=True, kw_only=True):
    """New terms of the order with this id."""

    order_id: OrderId


def fields_of(params: Params, part: type[Params]) -> dict[str, Any]:
    """What a request says in the fields of one of its bases."""
    assert isinstance(params, part)
    return {name: getattr(params, name) for name in part.__struct_fields__}


def is_market(params: TypeParams) -> bool:
    """Whether the order takes what it finds and never rests."""
    return params.type in _MARKET


def limit_price_of(params: TypeParams) -> int:
    """The signed price: that of the request, or of a volatility order its worst one."""
    _check_fields(params)
    if is_absent(params.price):
        raise InvalidParams("needed, and signed", "price")
    if params.advanced is None:
        return parse_price(params.price)
    return parse_price(params.limit_price, "limit_price")


def _check_fields(params: TypeParams) -> None:
    given = not is_absent(params.limit_price)
    if given is not (params.advanced is not None):
        raise BadRequest("limit_price, the worst price, belongs to advanced orders", "limit_price")
    if params.advanced is not None and params.type != _PLAIN:
        raise BadRequest("advanced orders are limit orders", "type")


def trigger_of(params: TypeParams) -> Trigger | None:
    """The trigger that a request's words mean; refuses fields that do not belong to its type."""
    kind = _KINDS.get(params.type)
    trails = kind is TriggerKind.TRAILING
    priced = kind is not None and not trails
    _check_given("trigger", wanted=kind is not None, given=params.trigger is not None)
    _check_given("trigger_price", wanted=priced, given=not is_absent(params.trigger_price))
    _check_given("trigger_offset", wanted=trails, given=not is_absent(params.trigger_offset))
    if kind is None:
        return None
    assert params.trigger is not None
    return Trigger(
        kind=kind,
        source=_SOURCES[params.trigger],
        trigger_price=_parse(params.trigger_price, "trigger_price"),
        trail_offset=_parse(params.trigger_offset, "trigger_offset"),
    )


def _check_given(name: str, *, wanted: bool, given: bool) -> None:
    if given is not wanted:
        words = "is needed for" if wanted else "does not belong to"
        raise BadRequest(f"{name} {words} this type of order", name)


def _parse(raw: msgspec.Raw, param: str) -> int:
    return 0 if is_absent(raw) else parse_price(raw, param)


def order_type(order: OrderRecord) -> str:
    """Deribit's name of an order's type."""
    word = "market" if order.market else "limit"
    if order.trigger is None:
        return word
    if order.trigger.kind is TriggerKind.TRAILING:
        return "trailing_stop"
    return f"{order.trigger.kind.name.lower()}_{word}"


def is_of_type(order: OrderRecord, wanted: OrderType) -> bool:
    """Whether a filter by type means this order."""
    if wanted in ("all", order_type(order)):
        return True
    if wanted == "trigger_all":
        return order.trigger is not None
    return wanted.endswith("_all") and order_type(order).startswith(wanted.removesuffix("all"))


def put_type(result: dict[str, Any], order: OrderRecord) -> None:
    """Add `order_type` of an order, and its trigger if it has one."""
    result["order_type"] = order_type(order)
    trigger = order.trigger
    if trigger is not None:
        result["trigger"] = _SOURCE_NAMES[trigger.source]
        trails = trigger.kind is TriggerKind.TRAILING
        name = "trigger_offset" if trails else "trigger_price"
        result[name] = cash_number(trigger.trail_offset if trails else trigger.trigger_price)


def put_show(result: dict[str, Any], order: OrderRecord) -> None:
    """Add how much of an order others see; of an iceberg also by Deribit's newer names."""
    result["max_show"] = quantity_number(order.max_show or order.quantity)
    if order.max_show:
        result["refresh_amount"] = quantity_number(order.max_show)
        result["display_amount"] = quantity_number(order.displayed_quantity)


def max_show_of(params: OrderParams | EditParams) -> int | None:
    """The slice that an iceberg shows, in 1e-4 contracts; None if the request names none."""
    given = {
        name: raw
        for name in ("max_show", "display_amount")
        if not is_absent(raw := getattr(params, name))
    }
    slices = {parse_quantity(raw, name) for name, raw in given.items()}
    if len(slices) > 1:
        raise BadRequest("max_show and display_amount are one thing", "display_amount")
    if 0 in slices:
        raise BadRequest("an order shows at least one lot", next(iter(given)))
    return slices.pop() if slices else None
