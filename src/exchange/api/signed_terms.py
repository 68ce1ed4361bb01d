"""What signed orders and sheets mean: from words and decimals to the terms that were signed.

Needs names and the domain alone, no session, view or clock, so that any process can do it
(`recovering`). What it refuses it refuses in the words of the methods that take such requests.
"""

from typing import Annotated, Final, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta

from exchange.api.errors import InvalidParams
from exchange.api.order_types import (
    TIMES_IN_FORCE,
    EditParams,
    OrderHashParams,
    OrderParams,
    is_market,
    limit_price_of,
    max_show_of,
    trigger_of,
)
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
    parse_address,
    parse_fee,
    parse_hex,
    parse_price,
    parse_quantity,
)
from exchange.commands import MassQuote, PlaceOrder
from exchange.matching.quotes import QUOTES_MAX
from exchange.merkle import merkle_root
from exchange.model import OrderTerms, Quote, SheetTerms, Side, TimeInForce
from exchange.signing import Domain, order_digest, sheet_digest, sheet_leaves, trigger_hash

T = TypeVar("T")

_TIMES: Final = {name: value for value, name in TIMES_IN_FORCE.items()}


class Named(Protocol):
    """What an instrument's name stands for in signed terms."""

    @property
    def instrument_id(self) -> int:
        """The number that is signed."""

    @property
    def legs_hash(self) -> bytes:
        """Of a combo's legs; zeros without any."""


class Names(Protocol):
    """What words are read against."""

    def instrument(self, name: str) -> Named:
        """A listed instrument; raises `UnknownInstrument`."""

    def domain(self) -> Domain:
        """Where orders must be signed for."""


# -- orders -------------------------------------------------------------------------------------


class OtherOrderParams(OrderParams, frozen=True, kw_only=True):
    """An order that depends on the one that brings it."""

    direction: Literal["buy", "sell"]


class EntryParams(OrderParams, frozen=True, kw_only=True):
    """A signed order, alone or as the first of several that depend on each other."""

    linked_order_type: (
        Literal["one_cancels_other", "one_triggers_other", "one_triggers_one_cancels_other"] | None
    ) = None
    trigger_fill_condition: Literal["first_hit", "complete_fill"] = "first_hit"
    otoco_config: Annotated[tuple[OtherOrderParams, ...], Meta(max_length=2)] = ()


class SignedFields(msgspec.Struct, frozen=True, kw_only=True):
    """What an order signs besides its instrument, side, amount, price and trigger."""

    subaccount_id: int
    nonce: int
    version: int
    deadline: int
    max_fee: int
    signer: str


def given_fields(
    params: OrderParams | EditParams | OrderHashParams, subaccount_id: int | None, nonce: int | None
) -> SignedFields:
    """What the client says that it signed."""
    return SignedFields(
        subaccount_id=_given(subaccount_id, "subaccount_id"),
        nonce=_given(nonce, "nonce"),
        version=params.version or 0,
        deadline=_given(params.deadline, "deadline"),
        max_fee=parse_fee(params.max_fee),
        signer=parse_address(_given(params.signer, "signer"), "signer"),
    )


def _given(value: T | None, name: str) -> T:
    if value is None:
        raise InvalidParams(f"a signed request needs {name}", name)
    return value


def order_terms(
    names: Names,
    params: OrderHashParams | OrderParams,
    side: Side,
    fields: SignedFields,
    limit_price: int,
) -> OrderTerms:
    """The signed struct that a request's decimals mean."""
    instrument = names.instrument(params.instrument_name)
    return OrderTerms(
        instrument_id=instrument.instrument_id,
        legs_hash=instrument.legs_hash,
        side=side,
        quantity=parse_quantity(params.amount),
        limit_price=limit_price,
        reduce_only=params.reduce_only,
        trigger_hash=trigger_hash(trigger_of(params)),
        subaccount_id=fields.subaccount_id,
        nonce=fields.nonce,
        version=fields.version,
        deadline=fields.deadline,
        max_fee=fields.max_fee,
        signer=fields.signer,
    )


def given_terms(names: Names, params: OrderParams, side: Side) -> OrderTerms:
    """The terms of an order that its client signed."""
    fields = given_fields(params, params.subaccount_id, params.nonce)
    return order_terms(names, params, side, fields, limit_price_of(params))


def order_command(
    params: OrderParams, terms: OrderTerms, signature: bytes, volatility: int = 0, worth: int = 0
) -> PlaceOrder:
    """The command that enters an order; `worth` is what its volatility is worth now."""
    return PlaceOrder(
        terms=terms,
        signature=signature,
        time_in_force=_time_in_force(params),
        post_only=params.post_only,
        reject_post_only=params.reject_post_only,
        label=params.label,
        mmp=params.mmp,
        max_show=max_show_of(params) or 0,
        trigger=trigger_of(params),
        market=is_market(params),
        volatility=volatility,
        worth=worth,
    )


def _time_in_force(params: OrderParams) -> TimeInForce:
    time_in_force = _TIMES[params.time_in_force]
    if is_market(params) and time_in_force is not TimeInForce.FOK:
        return TimeInForce.IOC  # the signed price is the worst one; nothing may rest there
    return time_in_force


def is_plain(params: EntryParams) -> bool:
    """Whether an order is signed and comes alone, and its price is its own."""
    return (
        params.signature is not None
        and params.linked_order_type is None
        and not params.otoco_config
        and params.advanced is None
    )


def plain_order(names: Names, params: EntryParams, side: Side) -> tuple[PlaceOrder, bytes]:
    """A plain order's command, and the digest that its signer signed."""
    assert params.signature is not None
    terms = given_terms(names, params, side)
    command = order_command(params, terms, parse_hex(params.signature, "signature"))
    return command, order_digest(names.domain(), terms)


# -- sheets -------------------------------------------------------------------------------------


class QuoteSide(Params, frozen=True, kw_only=True):
    """One side of a quote."""

    price: Price
    amount: Contracts


class QuoteLine(Params, frozen=True, kw_only=True):
    """One instrument's quote; a side that is left out is not quoted."""

    instrument_name: InstrumentName
    bid: QuoteSide | None = None
    ask: QuoteSide | None = None


class MassQuoteParams(Params, frozen=True, kw_only=True):
    """A signed sheet. Its orders have the nonces from `first_nonce` on, line by line, bid first."""

    subaccount_id: SubaccountId
    sheet_nonce: Annotated[int, Meta(ge=1, le=2**63 - 1, description="Higher in each new sheet")]
    first_nonce: Nonce
    max_fee: Price
    deadline: Deadline
    signer: Address
    signature: Signature
    quotes: Annotated[tuple[QuoteLine, ...], Meta(min_length=1, max_length=QUOTES_MAX)]
    mmp: bool = False
    label: Label = ""
    detailed: bool = True  # whether the answer lists the quotes that stand


def sheet_command(names: Names, params: MassQuoteParams) -> tuple[MassQuote, bytes]:
    """A sheet's command, and the digest that its maker signed.

    The leaves are derived here as the maker derived them (`model.sheet_orders`); a wrong one shows
    as a signature that is not the signer's.
    """
    terms = SheetTerms(
        subaccount_id=params.subaccount_id,
        sheet_nonce=params.sheet_nonce,
        first_nonce=params.first_nonce,
        max_fee=parse_fee(params.max_fee),
        deadline=params.deadline,
        signer=parse_address(params.signer, "signer"),
    )
    quotes = tuple(_quote(names, line) for line in params.quotes)
    signature = parse_hex(params.signature, "signature")
    leaves = sheet_leaves(terms, quotes)
    if not leaves:
        raise InvalidParams("quote at least one side", "quotes")
    command = MassQuote(
        terms=terms, quotes=quotes, signature=signature, label=params.label, mmp=params.mmp
    )
    return command, sheet_digest(names.domain(), terms, merkle_root(leaves))


def _quote(names: Names, line: QuoteLine) -> Quote:
    sides = [
        (parse_price(side.price), parse_quantity(side.amount)) if side else (0, 0)
        for side in (line.bid, line.ask)
    ]
    return Quote(names.instrument(line.instrument_name).instrument_id, *sides[0], *sides[1])
