"""Requests for quote: makers answer a taker with signed orders, the best one trades as a block.

A quote and its acceptance are orders like any other (limit, fill or kill): the same struct is
signed, and an API key's session key signs for its clients.
"""

from math import gcd
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from exchange.api import results
from exchange.api.dispatch import Method, private_method
from exchange.api.errors import BadRequest, Forbidden, NotFound, Rejected
from exchange.api.gateway import Caller, Gateway
from exchange.api.methods_combos import ComboLeg, ratios_of
from exchange.api.order_signing import signed_order
from exchange.api.order_types import OrderParams, SignedEntryParams, fields_of
from exchange.api.ports import Reply
from exchange.api.results import DIRECTIONS, Result
from exchange.api.rfq import Rfq, RfqQuote, RfqState, ends_ms
from exchange.api.schemas import (
    Address,
    Contracts,
    Label,
    Params,
    Price,
    SubaccountParams,
    cash_number,
    parse_address,
    parse_quantity,
    quantity_number,
)
from exchange.commands import ListCombo, PlaceOrder, TradeBlock
from exchange.events import ComboListed, Refused, RejectReason, Traded
from exchange.fixed import (
    QUANTITY_SCALE,
    div_exact,
    div_up,
    format_decimal,
    is_multiple,
    to_seconds_down,
)
from exchange.matching.combos import LEGS_MAX
from exchange.model import Leg, OrderTerms, Side, TimeInForce

RfqId = Annotated[int, Meta(ge=1, le=2**53)]
Direction = Literal["buy", "sell"]
SECONDS_MAX: Final = 3_600


class CreateRfqParams(SubaccountParams, frozen=True, kw_only=True):
    """What the taker wants priced.

    `amount` counts the structure, a hedge's `amount` is all its contracts; both are in the price.
    """

    legs: Annotated[tuple[ComboLeg, ...], Meta(min_length=1, max_length=LEGS_MAX - 1)]
    hedge: ComboLeg | None = None
    amount: Contracts
    direction: Direction | None = None
    disclosed: bool = False
    makers: Annotated[tuple[Address, ...], Meta(max_length=32)] = ()
    expires_in: Annotated[int, Meta(ge=5, le=SECONDS_MAX, description="Seconds")] = 300
    label: Label = ""


class RfqParams(Params, frozen=True, kw_only=True):
    """One request."""

    block_rfq_id: RfqId


class RfqsParams(Params, frozen=True, kw_only=True):
    """Requests as their taker or as a maker."""

    role: Literal["taker", "maker", "any"] = "any"
    state: Literal["open", "filled", "cancelled", "expired", "any"] = "any"


class SignedQuoteParams(SignedEntryParams, frozen=True, kw_only=True):
    """A signed order for the whole request; signed fields as in `private/buy`."""

    block_rfq_id: RfqId
    direction: Direction
    price: Price


class QuoteIdParams(Params, frozen=True, kw_only=True):
    """One of your quotes."""

    block_rfq_quote_id: RfqId


async def create_block_rfq(gateway: Gateway, caller: Caller, params: CreateRfqParams) -> Result:
    """Asks makers for a price of a structure; anonymously unless disclosed."""
    gateway.rfqs.require_here()
    session = gateway.session(caller)
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    legs, quantity = _units(gateway, params)
    largest = quantity * max(abs(leg.ratio) for leg in legs)
    if largest < gateway.configured().limits.block_quantity_min or not quantity:
        raise BadRequest("smaller trades belong into the book", "amount")
    instrument_id, factor = await _structure(gateway, legs)
    lot_size = gateway.view.instruments[instrument_id].lot_size
    if not is_multiple(quantity, lot_size):
        units = format_decimal(lot_size, QUANTITY_SCALE)
        raise BadRequest(f"these legs trade in units of {units}", "amount")
    side = None if params.direction is None else Side[params.direction.upper()]
    if side is not None and factor < 0:
        side = side.opposite
    now_ms = gateway.now_ms()
    rfq = gateway.rfqs.create(
        now_ms,
        subaccount_id=subaccount_id,
        owner=session.address,
        instrument_id=instrument_id,
        hedge_id=legs[-1].instrument_id if params.hedge else 0,
        quantity=quantity,
        side=side,
        disclosed=params.disclosed,
        makers=tuple(parse_address(maker, "makers") for maker in params.makers),
        label=params.label,
        ends_ms=ends_ms(now_ms, params.expires_in),
    )
    gateway.tell_rfq(rfq, _for_maker(gateway, rfq), _for_taker(gateway, rfq))
    return _for_taker(gateway, rfq)


def _units(gateway: Gateway, params: CreateRfqParams) -> tuple[list[Leg], int]:
    """The legs, the hedge last, and how many units of them are asked for."""
    legs, quantity = ratios_of(gateway, params.legs), parse_quantity(params.amount)
    if params.hedge is None or not quantity:
        return legs, quantity
    (hedge,) = ratios_of(gateway, [params.hedge])  # its ratio is its direction
    hedged = parse_quantity(params.hedge.amount)
    amounts = [leg.ratio * quantity for leg in legs] + [hedge.ratio * hedged]
    units = gcd(*amounts)
    return [
        Leg(leg.instrument_id, div_exact(amount, units))
        for leg, amount in zip([*legs, hedge], amounts, strict=True)
    ], units


async def _structure(gateway: Gateway, legs: list[Leg]) -> tuple[int, int]:
    """The instrument that the legs are, and whether it is turned around."""
    if len(legs) == 1:
        return legs[0].instrument_id, legs[0].ratio
    reply = await gateway.submit(ListCombo(legs=tuple(legs)))
    listed = next(event for event in reply.events if isinstance(event, ComboListed))
    return listed.instrument_id, listed.factor


async def add_block_rfq_quote(
    gateway: Gateway, caller: Caller, params: SignedQuoteParams
) -> Result:
    """A maker's signed price for all of a request, in the place of its earlier one."""
    session = gateway.session(caller)
    rfq = gateway.rfqs.open(params.block_rfq_id, gateway.now_ms())
    if not rfq.invites(session.address):
        raise Forbidden("you are not asked", "block_rfq_id")
    side = Side[params.direction.upper()]
    if rfq.side is side:
        raise BadRequest(f"the taker wants to {params.direction}", "direction")
    order = await _signed(gateway, caller, rfq, params)
    subaccount_id = order.terms.subaccount_id
    gateway.subaccount(caller, subaccount_id)
    _require_authority(gateway, order.terms)
    rfq = gateway.rfqs.open(params.block_rfq_id, gateway.now_ms())  # it may have ended meanwhile
    quote = gateway.rfqs.add_quote(rfq, subaccount_id, order, gateway.now_ms())
    gateway.tell_rfq(rfq, None, _for_taker(gateway, rfq))
    return _quote_result(gateway, rfq, quote)


def _require_authority(gateway: Gateway, terms: OrderTerms) -> None:
    """As the engine will ask, which sees a quote only once the taker takes it."""
    owner = gateway.view.owners[terms.subaccount_id]
    allowed = gateway.view.session_keys.get(terms.signer, {}).get(owner, -1)
    if terms.signer != owner and allowed < terms.deadline:
        words = f"{terms.signer} may not sign for subaccount {terms.subaccount_id} until then"
        raise Rejected(RejectReason.UNAUTHORIZED_SIGNER, words)
    now_s = to_seconds_down(gateway.sequencer.now_ns())
    if terms.deadline <= now_s:
        words = f"deadline {terms.deadline}, now {now_s}"
        raise Rejected(RejectReason.DEADLINE_PASSED, words)


async def accept_block_rfq(gateway: Gateway, caller: Caller, params: SignedQuoteParams) -> Result:
    """Takes the best quote within the signed limit: a block, at once and whole."""
    rfq = _own(gateway, caller, params.block_rfq_id)
    gateway.rfqs.open(params.block_rfq_id, gateway.now_ms())
    taker = await _signed(gateway, caller, rfq, params)
    if taker.terms.subaccount_id != rfq.subaccount_id:
        raise BadRequest("the subaccount that asked must accept", "subaccount_id")
    if rfq.taking:
        raise BadRequest("the request is being taken", "block_rfq_id")
    rfq.taking = True
    try:
        reply = await _trade(gateway, rfq, taker)
    finally:
        rfq.taking = False
    gateway.rfqs.finish(rfq, RfqState.FILLED, gateway.now_ms(), reply.seq)
    gateway.tell_rfq(rfq, _for_maker(gateway, rfq), _for_taker(gateway, rfq))
    trades = [
        row
        for event in reply.events
        if isinstance(event, Traded)
        for row in results.user_trade_result(
            gateway.view, gateway.view.trades[event.trade_id], rfq.subaccount_id
        )
    ]
    return _for_taker(gateway, rfq) | {"trades": trades} | gateway.receipt(reply)


async def _trade(gateway: Gateway, rfq: Rfq, taker: PlaceOrder) -> Reply:
    """The block with the best quote that holds; one whose maker no longer can is dropped."""
    side, limit = taker.terms.side, taker.terms.limit_price
    while True:
        gateway.rfqs.open(rfq.rfq_id, gateway.now_ms())
        quotes = rfq.best_first(side)
        if not quotes or side.sign * (quotes[0].order.terms.limit_price - limit) > 0:
            raise BadRequest("no quote within this limit", "price")
        best = quotes[0]
        reply = await gateway.sequence(TradeBlock(maker=best.order, taker=taker))
        refused = next((event for event in reply.events if isinstance(event, Refused)), None)
        if refused is None:
            return reply
        if refused.subaccount_id != best.subaccount_id:
            raise Rejected(refused.reason, refused.detail)
        rfq.quotes.pop(best.quote_id, None)


async def _signed(
    gateway: Gateway, caller: Caller, rfq: Rfq, params: SignedQuoteParams
) -> PlaceOrder:
    fields = fields_of(params, SignedEntryParams)
    if params.signature is None and params.deadline is None:
        fields["deadline"] = div_up(rfq.ends_ms, 1_000)  # what we sign ends with the request
    order = OrderParams(
        instrument_name=gateway.view.instruments[rfq.instrument_id].name,
        amount=quantity_number(rfq.quantity),
        price=params.price,
        time_in_force="fill_or_kill",
        **fields,
    )
    terms, signature = await signed_order(gateway, caller, order, Side[params.direction.upper()])
    return PlaceOrder(terms=terms, signature=signature, time_in_force=TimeInForce.FOK)


async def cancel_block_rfq(gateway: Gateway, caller: Caller, params: RfqParams) -> Result:
    """Takes a request back."""
    rfq = _own(gateway, caller, params.block_rfq_id)
    gateway.rfqs.open(rfq.rfq_id, gateway.now_ms())
    gateway.rfqs.finish(rfq, RfqState.CANCELED, gateway.now_ms())
    gateway.tell_rfq(rfq, _for_maker(gateway, rfq), _for_taker(gateway, rfq))
    return _for_taker(gateway, rfq)


async def cancel_block_rfq_quote(gateway: Gateway, caller: Caller, params: QuoteIdParams) -> str:
    """Takes a quote back."""
    allowed = gateway.subaccounts(caller)
    gateway.rfqs.expire(gateway.now_ms())
    for rfq in gateway.rfqs:
        quote = rfq.quotes.get(params.block_rfq_quote_id)
        if quote is not None and quote.subaccount_id in allowed:
            del rfq.quotes[quote.quote_id]
            gateway.tell_rfq(rfq, None, _for_taker(gateway, rfq))
            return "ok"
    raise NotFound("no such quote of yours", "block_rfq_quote_id")


async def get_block_rfqs(gateway: Gateway, caller: Caller, params: RfqsParams) -> list[Result]:
    """Requests that you made, and those that you may answer."""
    session, allowed = gateway.session(caller), gateway.subaccounts(caller)
    gateway.rfqs.expire(gateway.now_ms())
    found = []
    for rfq in gateway.rfqs:
        if params.state not in ("any", rfq.state.value):
            continue
        if rfq.subaccount_id in allowed and params.role in ("taker", "any"):
            found.append(_for_taker(gateway, rfq))
        elif rfq.invites(session.address) and params.role in ("maker", "any"):
            found.append(_for_maker(gateway, rfq))
    return found


async def get_block_rfq_quotes(gateway: Gateway, caller: Caller, _: RfqsParams) -> list[Result]:
    """Your quotes that stand."""
    allowed = gateway.subaccounts(caller)
    gateway.rfqs.expire(gateway.now_ms())
    return [
        _quote_result(gateway, rfq, quote)
        for rfq in gateway.rfqs
        for quote in rfq.quotes.values()
        if quote.subaccount_id in allowed
    ]


def _own(gateway: Gateway, caller: Caller, rfq_id: int) -> Rfq:
    allowed = gateway.subaccounts(caller)
    rfq = gateway.rfqs.get(rfq_id, gateway.now_ms())
    if rfq.subaccount_id not in allowed:
        raise NotFound("no such request for quote", "block_rfq_id")
    return rfq


def _for_maker(gateway: Gateway, rfq: Rfq) -> Result:
    """A request without its quotes, and without its taker unless disclosed."""
    instrument = gateway.view.instruments[rfq.instrument_id]
    return {
        "block_rfq_id": rfq.rfq_id,
        "state": rfq.state.value,
        "role": "maker",
        "instrument_name": instrument.name,
        "legs": [
            {
                "instrument_name": gateway.view.instruments[leg.instrument_id].name,
                "ratio": abs(leg.ratio),
                "direction": "buy" if leg.ratio > 0 else "sell",
            }
            for leg in instrument.legs
        ],
        "hedge": _hedge(gateway, rfq),
        "amount": quantity_number(rfq.quantity),
        "taker_direction": DIRECTIONS[rfq.side] if rfq.side is not None else None,
        "disclosed": rfq.disclosed,
        **({"taker": rfq.owner} if rfq.disclosed else {}),
        "creation_timestamp": rfq.created_ms,
        "expiration_timestamp": rfq.ends_ms,
    }


def _hedge(gateway: Gateway, rfq: Rfq) -> Result | None:
    """Which of the legs is the hedge, with all of its contracts."""
    view = gateway.view
    for instrument_id, ratio in view.instruments[rfq.instrument_id].legs:
        if instrument_id == rfq.hedge_id:
            return {
                "instrument_name": view.instruments[instrument_id].name,
                "direction": "buy" if ratio > 0 else "sell",
                "amount": quantity_number(abs(ratio) * rfq.quantity),
            }
    return None


def _for_taker(gateway: Gateway, rfq: Rfq) -> Result:
    """A request with its quotes, makers unnamed."""
    quotes: dict[str, list[Result]] = {}
    for name, side in (("asks", Side.BUY), ("bids", Side.SELL)):
        quotes[name] = [
            {
                "block_rfq_quote_id": quote.quote_id,
                "price": cash_number(quote.order.terms.limit_price),
                "amount": quantity_number(rfq.quantity),
                "creation_timestamp": quote.created_ms,
            }
            for quote in rfq.best_first(side)
        ]
    return (
        _for_maker(gateway, rfq)
        | {
            "role": "taker",
            "label": rfq.label,
            "subaccount_id": rfq.subaccount_id,
            "seq": rfq.seq or None,
        }
        | quotes
    )


def _quote_result(gateway: Gateway, rfq: Rfq, quote: RfqQuote) -> Result:
    return {
        "block_rfq_quote_id": quote.quote_id,
        "block_rfq_id": rfq.rfq_id,
        "instrument_name": gateway.view.instruments[rfq.instrument_id].name,
        "direction": DIRECTIONS[quote.side],
        "price": cash_number(quote.order.terms.limit_price),
        "amount": quantity_number(rfq.quantity),
        "subaccount_id": quote.subaccount_id,
        "creation_timestamp": quote.created_ms,
        "expiration_timestamp": min(quote.ends_ms, rfq.ends_ms),
    }


RFQ: Final[list[Method[Any]]] = [
    private_method(create_block_rfq, CreateRfqParams, matching=True),
    private_method(add_block_rfq_quote, SignedQuoteParams, matching=True),
    private_method(accept_block_rfq, SignedQuoteParams, matching=True),
    private_method(cancel_block_rfq, RfqParams, matching=True),
    private_method(cancel_block_rfq_quote, QuoteIdParams, matching=True),
    private_method(get_block_rfqs, RfqsParams),
    private_method(get_block_rfq_quotes, RfqsParams),
]
