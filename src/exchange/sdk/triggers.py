"""What an order waits for, as its owner signs it."""

from typing import Final

from exchange.model import PriceSource, Trigger, TriggerKind
from exchange.sdk.errors import BadArgument
from exchange.sdk.wallet import Number, to_price

_KINDS: Final = {
    "stop_limit": TriggerKind.STOP,
    "stop_market": TriggerKind.STOP,
    "take_limit": TriggerKind.TAKE,
    "take_market": TriggerKind.TAKE,
    "trailing_stop": TriggerKind.TRAILING,
}
_SOURCES: Final = {
    "index_price": PriceSource.INDEX,
    "mark_price": PriceSource.MARK,
    "last_price": PriceSource.LAST,
}


def trigger_of(
    order_type: str, trigger: str, trigger_price: Number | None, trigger_offset: Number | None
) -> Trigger | None:
    """The trigger that Deribit's words mean; None for a type that does not wait."""
    kind = _KINDS.get(order_type)
    if kind is None:
        return None
    if trigger not in _SOURCES:
        raise BadArgument(f"trigger must be one of {', '.join(_SOURCES)}")
    return Trigger(
        kind=kind,
        source=_SOURCES[trigger],
        trigger_price=0 if trigger_price is None else to_price(trigger_price),
        trail_offset=0 if trigger_offset is None else to_price(trigger_offset),
    )
