"""Liquidations on the wire: what is for sale, bids for it, and what befell one's own subaccounts.

A bid is signed like an order: it moves positions and cash, and the chain must see who wanted that.
"""

from itertools import islice
from typing import Annotated, Any, Final

from msgspec import Meta

from exchange.api.dispatch import Method, private_method, public_method
from exchange.api.errors import InvalidParams
from exchange.api.gateway import Caller, Gateway
from exchange.api.liquidations import (
    leg_result,
    liquidation_result,
    notice_result,
    of_currency,
    token_result,
)
from exchange.api.results import Result
from exchange.api.schemas import (
    Address,
    Count,
    Currency,
    Deadline,
    Nonce,
    Params,
    Signature,
    SubaccountId,
    SubaccountParams,
    Uint63,
    cash_number,
    parse_address,
    parse_hex,
    ratio_number,
)
from exchange.commands import BidLiquidation
from exchange.events import PortfolioTransferred
from exchange.fixed import CASH_SCALE, RATIO_SCALE, notional, parse_decimal
from exchange.model import BidTerms
from exchange.signing import bid_digest

PRICE_MAX: Final = 2**63 - 1

Decimal = Annotated[str, Meta(max_length=40, pattern=r"^-?[0-9]+(\.[0-9]+)?$")]


class LiquidationsParams(Params, frozen=True, kw_only=True):
    """One currency, or all."""

    currency: Currency = "any"


class BidParams(Params, frozen=True, kw_only=True):
    """A signed bid; `fraction` and `price_limit` are decimal text, exactly as they are signed."""

    subaccount_id: SubaccountId
    liquidated_id: SubaccountId
    fraction: Decimal
    price_limit: Decimal
    expected_step: Uint63
    nonce: Nonce
    deadline: Deadline
    signer: Address
    signature: Signature


class HistoryParams(SubaccountParams, frozen=True, kw_only=True):
    """How many of the newest."""

    count: Count = 100


async def get_liquidations(gateway: Gateway, _: Caller, params: LiquidationsParams) -> list[Result]:
    """Liquidations that run, and what of them is for sale at what price."""
    gateway.select(params.currency)  # refuses an unknown currency
    running = of_currency(gateway.view, await gateway.liquidations(), params.currency)
    return [liquidation_result(gateway.view, one) for one in running]


async def liquidation_bid(gateway: Gateway, _: Caller, params: BidParams) -> Result:
    """Takes over a fraction of a liquidated subaccount; needs no session, since it is signed."""
    terms = BidTerms(
        subaccount_id=params.subaccount_id,
        liquidated_id=params.liquidated_id,
        fraction=_scaled(params.fraction, RATIO_SCALE, "fraction"),
        price_limit=_scaled(params.price_limit, CASH_SCALE, "price_limit"),
        expected_step=params.expected_step,
        nonce=params.nonce,
        deadline=params.deadline,
        signer=parse_address(params.signer, "signer"),
    )
    if terms.fraction < 0:
        raise InvalidParams("must not be negative", "fraction")
    signature = parse_hex(params.signature, "signature")
    await gateway.check_signature(bid_digest(gateway.domain(), terms), signature, terms.signer)
    reply = await gateway.submit(BidLiquidation(terms=terms, signature=signature))
    sold = next(event for event in reply.events if isinstance(event, PortfolioTransferred))
    value = sum(notional(leg.price, leg.quantity) for leg in sold.legs)
    value += sum(token.value for token in sold.tokens)
    return {
        "subaccount_id": terms.subaccount_id,
        "liquidated_id": terms.liquidated_id,
        "step": sold.step,
        "fraction": ratio_number(sold.fraction, RATIO_SCALE),
        "price": cash_number(value - sold.discount),
        "discount": cash_number(sold.discount),
        "legs": [leg_result(gateway.view, leg) for leg in sold.legs],
        "tokens": [token_result(gateway.view, token) for token in sold.tokens],
        "seq": reply.seq,
        "journal_hash": "0x" + reply.chain_hash.hex(),
    }


def _scaled(text: str, scale: int, param: str) -> int:
    value = parse_decimal(text, scale)
    if value is None or abs(value) > PRICE_MAX:
        raise InvalidParams("too many decimals, or too large", param)
    return value


async def get_liquidation_history(
    gateway: Gateway, caller: Caller, params: HistoryParams
) -> list[Result]:
    """What befell a subaccount in liquidations, its own or another's; the newest first."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    notices = gateway.view.notices.get(subaccount_id, ())
    return [
        notice_result(gateway.view, notice, subaccount_id)
        for notice in islice(reversed(notices), params.count)
    ]


LIQUIDATIONS: Final[list[Method[Any]]] = [
    public_method(get_liquidations, LiquidationsParams),
    private_method(liquidation_bid, BidParams, matching=True),
    private_method(get_liquidation_history, HistoryParams),
]
