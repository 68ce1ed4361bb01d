"""What a client checks before it signs for a combo: that the hash is that of its legs.

Which legs a name means, the venue says; `create_combo` compares them with those asked for.
"""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from exchange.model import Leg, Legs
from exchange.sdk.errors import BadArgument
from exchange.sdk.types import Instrument
from exchange.sdk.wallet import Number
from exchange.signing import legs_hash


class ComboLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One leg of a listed combo; `amount` is its signed ratio."""

    instrument_name: str
    amount: int


class Combo(msgspec.Struct, frozen=True, kw_only=True):
    """A listed combo. `direction` is there when it was created: sell if the legs were given so."""

    id: str
    instrument_id: int
    signed_instrument: str
    state: str
    legs: list[ComboLeg]
    direction: str = "buy"


def checked_hash(combo: Combo, instrument_ids: list[int]) -> bytes:
    """The hash to sign, from the ids of the legs that their names mean."""
    legs: Legs = tuple(
        Leg(instrument_id, leg.amount)
        for instrument_id, leg in zip(instrument_ids, combo.legs, strict=True)
    )
    if list(legs) != sorted(legs) or legs[0].ratio <= 0:
        raise BadArgument(f"the legs of {combo.id} are not in their canonical form")
    hashed = legs_hash(legs)
    if str(int.from_bytes(hashed, "big")) != combo.signed_instrument:
        raise BadArgument(f"the venue's hash of {combo.id} means other legs")
    return hashed


COMBO_KINDS: Final = ("option_combo", "future_combo")
AskedLeg = tuple[str, Number, Literal["buy", "sell"]]  # name, amount, which way
Find = Callable[[str], Awaitable[Instrument]]


async def verified(known: Instrument, details: Any, find: Find) -> Instrument:
    """A combo with the hash to sign, made from legs whose ids were checked against their names."""
    combo = msgspec.convert(details, Combo, strict=False)
    legs = [await find(leg.instrument_name) for leg in combo.legs]
    return msgspec.structs.replace(
        known,
        legs_hash=checked_hash(combo, [leg.instrument_id for leg in legs]),
        contracts=sum(abs(leg.amount) for leg in combo.legs),
    )


def trades(legs: Sequence[AskedLeg]) -> list[dict[str, str]]:
    """The legs asked for, as the wire takes them."""
    return [
        {"instrument_name": name, "amount": str(amount), "direction": way}
        for name, amount, way in legs
    ]


def created(answer: Any, legs: Sequence[AskedLeg]) -> Combo:
    """The venue's answer to `create_combo`, if it has the legs that were asked for."""
    combo = msgspec.convert(answer, Combo, strict=False)
    sign = 1 if combo.direction == "buy" else -1
    wanted = {
        name: Decimal(str(amount)) * (1 if way == "buy" else -1) for name, amount, way in legs
    }
    ratios = {
        wanted.get(leg.instrument_name, Decimal(0)) / (sign * leg.amount) for leg in combo.legs
    }
    if len(wanted) != len(combo.legs) or len(ratios) != 1 or min(ratios) <= 0:
        raise BadArgument(f"{combo.id} is not made of the legs that were asked for")
    return combo
