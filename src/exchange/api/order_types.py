"""Parameters of an order: Deribit's types and words, and the triggers that owners sign.

A market order is an IOC at its signed worst price; a trailing stop is one that waits.
"""

from typing import Any, Final, Literal

import msgspec

from exchange.api.errors import BadRequest
from exchange.api.schemas import (
    Address,
    Contracts,
    Deadline,
    InstrumentName,
    Label,
    Nonce,
    Params,
    Price,
    Signature,
    SubaccountId,
    TimeInForceName,
    Version,
    cash_number,
    parse_price,
)
from exchange.model import PriceSource, TimeInForce, Trigger, TriggerKind

_KINDS: Final = {
    "stop_limit": TriggerKind.STOP,
    "stop_market": TriggerKind.STOP,
    "take_limit": TriggerKind.TAKE,
    "take_market": TriggerKind.TAKE,
    "trailing_stop": TriggerKind.TRAILING,
}
_MARKET: Final = {"market", "stop_market", "take_market", "trailing_stop"}
_SOURCES: Final = {
    "index_price": PriceSource.INDEX,
    "mark_price": PriceSource.MARK,
    "last_price": PriceSource.LAST,
}
_SOURCE_NAMES: Final = {source: name for name, source in _SOURCES.items()}


def _absent() -> msgspec.Raw:
    return msgspec.Raw(b"null")  # by a factory: a schema cannot show a raw default


def _is_absent(raw: msgspec.Raw) -> bool:
    """Whether an optional decimal was not given, or is null."""
    return bytes(raw) == b"null"


class TypeParams(Params, frozen=True, kw_only=True):
    """Limit or market, and what the order waits for: a price, or a distance that it trails at."""

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
    trigger_price: Price = msgspec.field(default_factory=_absent)
    trigger_offset: Price = msgspec.field(default_factory=_absent)


class OrderHashParams(TypeParams, frozen=True, kw_only=True):
    """The signed terms of an order, as `private/buy` and `private/sell` take them."""

    direction: Literal["buy", "sell"]
    instrument_name: InstrumentName
    amount: Contracts
    price: Price
    max_fee: Price
    subaccount_id: SubaccountId
    nonce: Nonce
    version: Version = 0
    deadline: Deadline
    signer: Address
    reduce_only: bool = False


class OrderParams(TypeParams, frozen=True, kw_only=True):
    """A signed order. `price` is the limit; for market orders and trailing stops the worst price.

    A post-only order that would trade rests one tick away, or with `reject_post_only` is refused.
    """

    instrument_name: InstrumentName
    amount: Contracts
    price: Price
    time_in_force: TimeInForceName = "good_til_cancelled"
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    mmp: bool = False
    label: Label = ""
    subaccount_id: SubaccountId
    nonce: Nonce
    version: Version = 0
    deadline: Deadline
    max_fee: Price
    signer: Address
    signature: Signature


def is_market(params: TypeParams) -> bool:
    """Whether the order takes what it finds and never rests."""
    return params.type in _MARKET


def trigger_of(params: TypeParams) -> Trigger | None:
    """The trigger that a request's words mean; refuses fields that do not belong to its type."""
    kind = _KINDS.get(params.type)
    trails = kind is TriggerKind.TRAILING
    priced = kind is not None and not trails
    _check_given("trigger", wanted=kind is not None, given=params.trigger is not None)
    _check_given("trigger_price", wanted=priced, given=not _is_absent(params.trigger_price))
    _check_given("trigger_offset", wanted=trails, given=not _is_absent(params.trigger_offset))
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
    return 0 if _is_absent(raw) else parse_price(raw, param)


def type_fields(trigger: Trigger | None, time_in_force: TimeInForce) -> dict[str, Any]:
    """`order_type` of an order, and its trigger if it has one."""
    if trigger is None:
        return {"order_type": "limit"}
    if trigger.kind is TriggerKind.TRAILING:
        return {
            "order_type": "trailing_stop",
            "trigger": _SOURCE_NAMES[trigger.source],
            "trigger_offset": cash_number(trigger.trail_offset),
        }
    word = "market" if time_in_force is TimeInForce.IOC else "limit"
    return {
        "order_type": f"{trigger.kind.name.lower()}_{word}",
        "trigger": _SOURCE_NAMES[trigger.source],
        "trigger_price": cash_number(trigger.trigger_price),
    }
