"""Combos on the wire: Deribit's methods to list and to find them, and to split a price.

A combo is listed in one form (ADR 0010); `direction` tells whoever created it the other way round
that buying what he meant is selling this.
"""

from collections.abc import Sequence
from functools import partial
from math import gcd
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from exchange.api import results
from exchange.api.dispatch import Method, private_method, public_method
from exchange.api.errors import BadRequest, UnknownInstrument
from exchange.api.gateway import Caller, Gateway
from exchange.api.ports import EngineState
from exchange.api.results import Result
from exchange.api.schemas import (
    Contracts,
    Currency,
    InstrumentName,
    Params,
    Price,
    cash_number,
    parse_price,
    parse_quantity,
)
from exchange.commands import ListCombo
from exchange.events import ComboListed
from exchange.fixed import div_exact, to_milliseconds_down
from exchange.matching.combos import LEGS_MAX, canonical, check_legs
from exchange.model import Instrument, Leg, Legs


class ComboLeg(Params, frozen=True, kw_only=True):
    """One leg: how much of it for each unit, and which way."""

    instrument_name: InstrumentName
    amount: Contracts
    direction: Literal["buy", "sell"] = "buy"


ComboLegs = Annotated[tuple[ComboLeg, ...], Meta(min_length=2, max_length=LEGS_MAX)]


class CreateComboParams(Params, frozen=True, kw_only=True):
    """The legs of a combo; only the ratios of their amounts count."""

    trades: ComboLegs


class LegPricesParams(Params, frozen=True, kw_only=True):
    """A structure and its net price a unit."""

    legs: ComboLegs
    price: Price


class ComboIdsParams(Params, frozen=True, kw_only=True):
    """Combos of a currency."""

    currency: Currency
    state: Literal["active", "inactive"] | None = None


class CombosParams(Params, frozen=True, kw_only=True):
    """Combos of a currency."""

    currency: Currency


class ComboParams(Params, frozen=True, kw_only=True):
    """A combo by its name."""

    combo_id: InstrumentName


def combo_result(gateway: Gateway, combo: Instrument) -> Result:
    """`public/get_combo_details`: `amount` of a leg is its signed ratio."""
    view = gateway.view
    number = combo.instrument_id
    created = to_milliseconds_down(view.listed_ns[number])
    ended = view.ended_ns.get(number)
    return {
        "id": combo.name,
        "instrument_id": number,
        "signed_instrument": results.signed_instrument(combo),
        "state": "inactive" if ended is not None else "active",
        "creation_timestamp": created,
        "state_timestamp": created if ended is None else to_milliseconds_down(ended),
        "legs": [
            {"instrument_name": view.instruments[leg.instrument_id].name, "amount": leg.ratio}
            for leg in combo.legs
        ],
    }


def ratios_of(gateway: Gateway, given: Sequence[ComboLeg]) -> list[Leg]:
    """The legs that amounts and directions mean, in lowest terms."""
    amounts = [parse_quantity(leg.amount) for leg in given]
    if not all(amounts):
        raise BadRequest("each leg needs an amount", "amount")
    common = gcd(*amounts)
    return [
        Leg(
            gateway.instrument(leg.instrument_name).instrument_id,
            div_exact(amount, common) * (1 if leg.direction == "buy" else -1),
        )
        for leg, amount in zip(given, amounts, strict=True)
    ]


async def create_combo(gateway: Gateway, caller: Caller, params: CreateComboParams) -> Result:
    """Lists a combo, or finds the one that has these legs; anybody with a session may."""
    gateway.session(caller)
    reply = await gateway.submit(ListCombo(legs=tuple(ratios_of(gateway, params.trades))))
    listed = next(event for event in reply.events if isinstance(event, ComboListed))
    combo = gateway.view.instruments[listed.instrument_id]
    return combo_result(gateway, combo) | {
        "direction": "buy" if listed.factor > 0 else "sell",
        **gateway.receipt(reply),
    }


async def get_leg_prices(gateway: Gateway, caller: Caller, params: LegPricesParams) -> Result:
    """Prices of the legs that two orders in a combo would trade at for a net price, from marks."""
    gateway.session(caller)
    given = ratios_of(gateway, params.legs)
    fault = check_legs(given)
    if fault is not None or any(gateway.view.mark(leg.instrument_id) is None for leg in given):
        raise BadRequest(fault.value if fault else "a leg has no mark", "legs")
    form = canonical(given)
    sign = 1 if form.factor > 0 else -1
    net_price = sign * parse_price(params.price)
    prices = await gateway.sequencer.read(partial(_leg_prices, form.legs, net_price))
    if prices is None:
        raise BadRequest("no prices within the bands of the legs add up to it", "price")
    return {
        "amount": 1,
        "legs": [
            {
                "instrument_name": gateway.view.instruments[leg.instrument_id].name,
                "direction": "buy" if sign * leg.ratio > 0 else "sell",
                "ratio": abs(leg.ratio),
                "price": cash_number(price),
            }
            for leg, price in zip(form.legs, prices, strict=True)
        ],
    }


def _leg_prices(legs: Legs, net_price: int, engine: EngineState) -> tuple[int, ...] | None:
    return engine.leg_prices(legs, net_price)


def _combos(gateway: Gateway, currency: str) -> list[Instrument]:
    return [
        combo
        for expired in (False, True)
        for combo in gateway.select(currency, "combo", expired=expired)
    ]


async def get_combos(gateway: Gateway, _: Caller, params: CombosParams) -> list[Result]:
    """Combos that are listed."""
    return [
        combo_result(gateway, combo)
        for combo in gateway.select(params.currency, "combo", expired=False)
    ]


async def get_combo_ids(gateway: Gateway, _: Caller, params: ComboIdsParams) -> list[str]:
    """Names of combos; of all that ever were without `state`."""
    expired = gateway.view.expired
    return [
        combo.name
        for combo in _combos(gateway, params.currency)
        if params.state is None or (combo.instrument_id in expired) is (params.state == "inactive")
    ]


async def get_combo_details(gateway: Gateway, _: Caller, params: ComboParams) -> Result:
    """One combo and its legs."""
    combo = gateway.instrument(params.combo_id)
    if not combo.legs:
        raise UnknownInstrument(f"{combo.name} is no combo", "combo_id")
    return combo_result(gateway, combo)


COMBOS: Final[list[Method[Any]]] = [
    public_method(get_combos, CombosParams),
    public_method(get_combo_ids, ComboIdsParams),
    public_method(get_combo_details, ComboParams),
    private_method(create_combo, CreateComboParams, matching=True),
    private_method(get_leg_prices, LegPricesParams),
]
