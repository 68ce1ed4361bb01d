"""Quote sheets on the wire: many two-sided quotes under one signature, replaced in one call.

The leaves of a sheet are derived here as the maker derived them (`model.sheet_orders`); a wrong one
shows as a signature that is not the signer's.
"""

from typing import Annotated, Any, Final

from msgspec import Meta

from exchange.api import results
from exchange.api.dispatch import Method, private_method
from exchange.api.errors import REJECTIONS, InvalidParams
from exchange.api.gateway import Caller, Gateway
from exchange.api.methods_private import asked_subaccounts
from exchange.api.ports import Reply
from exchange.api.results import Result
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
    SubaccountParams,
    parse_address,
    parse_fee,
    parse_hex,
    parse_price,
    parse_quantity,
)
from exchange.commands import CancelAll, MassQuote
from exchange.events import OrderCanceled, QuoteRefused, QuotesReplaced
from exchange.fixed import div_down
from exchange.matching.quotes import QUOTES_MAX
from exchange.merkle import merkle_root
from exchange.model import Quote, SheetTerms
from exchange.signing import sheet_digest, sheet_leaves

LINES_PER_CREDIT: Final = 8  # a sheet is hashed before its signature can be checked


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


async def mass_quote(gateway: Gateway, caller: Caller, params: MassQuoteParams) -> Result:
    """Replaces a subaccount's sheet of post-only quotes; needs no session, since it is signed."""
    more = div_down(len(params.quotes), LINES_PER_CREDIT)  # besides the one of every call
    gateway.limits.take(caller.payer, matching=True, cost=more)
    terms = SheetTerms(
        subaccount_id=params.subaccount_id,
        sheet_nonce=params.sheet_nonce,
        first_nonce=params.first_nonce,
        max_fee=parse_fee(params.max_fee),
        deadline=params.deadline,
        signer=parse_address(params.signer, "signer"),
    )
    quotes = tuple(_quote(gateway, line) for line in params.quotes)
    signature = parse_hex(params.signature, "signature")
    leaves = sheet_leaves(terms, quotes)
    if not leaves:
        raise InvalidParams("quote at least one side", "quotes")
    digest = sheet_digest(gateway.domain(), terms, merkle_root(leaves))
    await gateway.check_signature(digest, signature, terms.signer)
    command = MassQuote(
        terms=terms, quotes=quotes, signature=signature, label=params.label, mmp=params.mmp
    )
    reply = await gateway.submit(command)
    if caller.connection is not None:
        caller.connection.quoted.add(terms.subaccount_id)
    return _answer(gateway, params, reply)


def _quote(gateway: Gateway, line: QuoteLine) -> Quote:
    sides = [
        (parse_price(side.price), parse_quantity(side.amount)) if side else (0, 0)
        for side in (line.bid, line.ask)
    ]
    return Quote(gateway.instrument(line.instrument_name).instrument_id, *sides[0], *sides[1])


def _answer(gateway: Gateway, params: MassQuoteParams, reply: Reply) -> Result:
    """Counts of what the sheet did (none for a repeated one), refusals by side, what stands now."""
    replaced = next((event for event in reply.events if isinstance(event, QuotesReplaced)), None)
    counts = ("canceled", "kept", "placed", "refused")
    standing = gateway.view.open_orders.get(params.subaccount_id, {}) if params.detailed else {}
    return {
        "sheet_nonce": params.sheet_nonce,
        **{name: getattr(replaced, name) if replaced else 0 for name in counts},
        "quotes": [
            results.order_result(gateway.view, order)
            for order in standing.values()
            if order.is_quote
        ],
        "errors": [
            _error(gateway, event) for event in reply.events if isinstance(event, QuoteRefused)
        ],
    } | gateway.receipt(reply)


def _error(gateway: Gateway, event: QuoteRefused) -> Result:
    code, message, _ = REJECTIONS[event.reason]
    return {
        "instrument_name": gateway.view.instruments[event.instrument_id].name,
        "side": event.side.name.lower(),
        "code": code,
        "message": message,
        "reject_reason": event.reason.value,
        "reason": event.detail,
    }


async def cancel_quotes(gateway: Gateway, caller: Caller, params: SubaccountParams) -> int:
    """Cancels the quotes of one subaccount, or of all yours; returns how many."""
    count = 0
    for subaccount_id in asked_subaccounts(gateway, caller, params.subaccount_id):
        reply = await gateway.submit(CancelAll(subaccount_id=subaccount_id, quotes_only=True))
        count += sum(
            isinstance(event, OrderCanceled) and event.subaccount_id == subaccount_id
            for event in reply.events
        )
    return count


QUOTES: Final[list[Method[Any]]] = [
    private_method(mass_quote, MassQuoteParams, matching=True),
    private_method(cancel_quotes, SubaccountParams, matching=True),
]
