"""The signed terms of an order: as its owner signed them, or as an API key's session key signs.

Stock clients name an instrument, an amount and a price; what else is signed (subaccount, nonce,
deadline, fee limit, and the worst price of a market order) is chosen here, within what the venue's
own limits would accept.
"""

from typing import Final, TypeVar

import msgspec

from exchange.api.api_keys import ApiKey
from exchange.api.errors import InvalidParams, OrderNotFound
from exchange.api.gateway import Caller, Gateway
from exchange.api.order_types import (
    EditParams,
    OrderParams,
    TypeParams,
    is_absent,
    is_market,
    limit_price_of,
    trigger_of,
)
from exchange.api.records import OrderRecord
from exchange.api.schemas import parse_fee, parse_hex, parse_quantity
from exchange.api.signed_terms import SignedFields, given_fields, given_terms, order_terms
from exchange.api.views import VenueView
from exchange.commands import Configure
from exchange.fixed import RATIO_SCALE, div_down, div_up, mul_div_down, mul_div_up, to_seconds_down
from exchange.matching.implied import net_band
from exchange.model import Instrument, Kind, OrderTerms, Side
from exchange.signing import order_digest, sign_digest, trigger_hash

T = TypeVar("T")

FEE_MARGIN: Final = 2  # fee limit in multiples of the schedule: the index may rise
FAR: Final = 4  # a waiting market order's worst price to buy, in multiples of the index
CENT: Final = 10_000  # micro-USDC


async def signed_order(
    gateway: Gateway, caller: Caller, params: OrderParams, side: Side
) -> tuple[OrderTerms, bytes]:
    """An order's terms and signature: the client's, checked, or ours for its API key."""
    if params.signature is not None:
        terms = given_terms(gateway, params, side)
        return terms, await _checked(gateway, terms, params.signature)
    key = _trading_key(gateway, caller)
    instrument = gateway.instrument(params.instrument_name)
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    nonce = _next_nonce(gateway, subaccount_id) if params.nonce is None else params.nonce
    fields = _chosen_fields(gateway, params, key, instrument, (subaccount_id, nonce, 0))
    if is_market(params) and is_absent(params.price):
        waits = trigger_of(params) is not None
        price = worst_price(gateway.view, gateway.configured(), instrument, side, waits=waits)
    else:
        price = limit_price_of(params)
    terms = order_terms(gateway, params, side, fields, price)
    return terms, sign_digest(order_digest(gateway.domain(), terms), key.session_key)


async def signed_amendment(
    gateway: Gateway, caller: Caller, order: OrderRecord, params: EditParams
) -> tuple[OrderTerms, bytes]:
    """An edit's terms and signature, likewise; without a price the order keeps its own."""
    if params.signature is not None:
        fields = given_fields(params, order.subaccount_id, order.nonce)
        terms = _amended(gateway, order, params, fields, limit_price_of(price_words(params)))
        return terms, await _checked(gateway, terms, params.signature)
    key = _trading_key(gateway, caller)
    if order.subaccount_id not in gateway.subaccounts(caller):
        raise OrderNotFound(f"no order {order.order_id}", "order_id")
    instrument = gateway.view.instruments[order.instrument_id]
    name = (order.subaccount_id, order.nonce, order.version + 1)
    fields = _chosen_fields(gateway, params, key, instrument, name)
    keeps = is_absent(params.price) and params.advanced is None
    price = order.worst_price if keeps else limit_price_of(price_words(params))
    terms = _amended(gateway, order, params, fields, price)
    return terms, sign_digest(order_digest(gateway.domain(), terms), key.session_key)


def price_words(params: EditParams) -> TypeParams:
    """The fields of an edit that say its price."""
    return TypeParams(price=params.price, advanced=params.advanced, limit_price=params.limit_price)


async def _checked(gateway: Gateway, terms: OrderTerms, signature: str) -> bytes:
    raw = parse_hex(signature, "signature")
    await gateway.check_signature(order_digest(gateway.domain(), terms), raw, terms.signer)
    return raw


def _amended(
    gateway: Gateway, order: OrderRecord, params: EditParams, fields: SignedFields, price: int
) -> OrderTerms:
    return OrderTerms(
        instrument_id=order.instrument_id,
        legs_hash=gateway.view.instruments[order.instrument_id].legs_hash,
        side=order.side,
        quantity=parse_quantity(params.amount),
        limit_price=price,
        reduce_only=order.reduce_only,
        trigger_hash=trigger_hash(order.trigger),
        **msgspec.structs.asdict(fields),
    )


# -- what is chosen for an API key ----------------------------------------------------------------


def _trading_key(gateway: Gateway, caller: Caller) -> ApiKey:
    key = gateway.session(caller).key
    if key is None or not key.trades:
        raise InvalidParams("sign the order, or use an API key that trades", "signature")
    return key


def _chosen_fields(
    gateway: Gateway,
    params: OrderParams | EditParams,
    key: ApiKey,
    instrument: Instrument,
    name: tuple[int, int, int],
) -> SignedFields:
    """`name` is (subaccount, nonce, version); what the client chose stays."""
    now_s = to_seconds_down(gateway.sequencer.now_ns())
    allowed = gateway.view.session_keys.get(key.signer, {}).get(key.owner, 0)
    latest = min(allowed, now_s + gateway.configured().limits.deadline_seconds_max)
    return SignedFields(
        subaccount_id=name[0],
        nonce=name[1],
        version=name[2] if params.version is None else params.version,
        deadline=latest if params.deadline is None else params.deadline,
        max_fee=_fee_limit(gateway, instrument)
        if is_absent(params.max_fee)
        else parse_fee(params.max_fee),
        signer=key.signer,
    )


def _next_nonce(gateway: Gateway, subaccount_id: int) -> int:
    """Consecutive, since four neighbours share a storage slot, from the microsecond of the first.

    Signatures are far slower than one a microsecond, so a restart never meets its old nonces.
    """
    last = gateway.order_nonces.get(subaccount_id)
    nonce = div_down(gateway.sequencer.now_ns(), 1_000) if last is None else last + 1
    gateway.order_nonces[subaccount_id] = nonce
    return nonce


def _fee_limit(gateway: Gateway, instrument: Instrument) -> int:
    """Micro-USDC a contract, or a unit of a combo: a multiple of the schedule at today's index."""
    fees, known = gateway.configured().fees, gateway.view.instruments
    legs = [(known[leg.instrument_id].kind, abs(leg.ratio)) for leg in instrument.legs]
    rate = sum(ratio * fees.rate_max(kind) for kind, ratio in legs or [(instrument.kind, 1)])
    index = gateway.view.index_prices.get(instrument.underlying_id, (0, 0))[0]
    return div_up(mul_div_up(index * FEE_MARGIN, rate, RATIO_SCALE), CENT) * CENT


def price_edges(view: VenueView, parameters: Configure, instrument: Instrument) -> tuple[int, int]:
    """The lowest and the highest price of the band around the mark now; 0 and 0 without a mark."""
    if instrument.legs:
        legs = [view.instruments[leg.instrument_id] for leg in instrument.legs]
        return net_band(instrument.legs, [price_edges(view, parameters, leg) for leg in legs])
    mark = view.mark(instrument.instrument_id)
    if mark is None:
        return 0, 0
    limits = parameters.limits
    rate = limits.band_rate
    if instrument.kind is not Kind.OPTION and limits.linear_band_rate:
        rate = limits.linear_band_rate
    index = view.index_prices.get(instrument.underlying_id, (0, 0))[0]
    band = mul_div_down(rate, index, RATIO_SCALE)
    return mark.mark_price - band, mark.mark_price + band


def worst_price(
    view: VenueView, parameters: Configure, instrument: Instrument, side: Side, *, waits: bool
) -> int:
    """What a market order signs: the band's edge; far off if it waits, since the band will move.

    The engine narrows it to the band of the moment when the order takes.
    """
    low, high = price_edges(view, parameters, instrument)
    if waits:
        index = view.index_prices.get(instrument.underlying_id, (0, 0))[0]
        contracts = sum(abs(leg.ratio) for leg in instrument.legs) or 1
        far = FAR * index * contracts
        low, high = -far if instrument.legs else 0, far
    tick = instrument.tick_size
    price = div_down(high, tick) if side is Side.BUY else div_up(low, tick)
    return (price if instrument.legs else max(price, 1)) * tick
