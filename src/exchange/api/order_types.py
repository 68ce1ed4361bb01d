"""Deribit's order types, in words of the wire, and the triggers that owners sign.

A market order is an IOC at its signed worst price; a trailing stop is one that waits.
"""

from typing import Any, Final

import msgspec

from exchange.api.errors import BadRequest
from exchange.api.schemas import TypeParams, cash_number, is_absent, parse_price
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


def is_market(params: TypeParams) -> bool:
    """Whether the order takes what it finds and never rests."""
    return params.type in _MARKET


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
