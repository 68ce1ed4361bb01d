"""Liquidations as clients see them: what runs and what is for sale, and what befell whom.

Positions of a liquidated subaccount are shown while keepers may bid for them, not while slices
trade: nobody should trade against what is known to come.
"""

from collections.abc import Sequence
from typing import Final

from exchange import events as ev
from exchange.api import results
from exchange.api.ports import Leg, Liquidation, SoldToken
from exchange.api.records import Notice
from exchange.api.results import Result
from exchange.api.schemas import cash_number, quantity_number, ratio_number
from exchange.api.views import VenueView
from exchange.events import AnyEvent
from exchange.fixed import ASSET_SCALE, RATIO_SCALE, to_milliseconds_down
from exchange.model import LiquidationStage

STAGES: Final = {
    LiquidationStage.SLICING: "slicing",
    LiquidationStage.AUCTION: "auction",
    LiquidationStage.INSOLVENT: "insolvent",
    LiquidationStage.UNWINDING: "unwinding",
    LiquidationStage.ON_CHAIN: "on_chain",
}
_TURNS: Final[dict[type[AnyEvent], str]] = {
    ev.LiquidationStarted: "started",
    ev.LiquidationAuctionStarted: "auction_started",
    ev.LiquidationEnded: "ended",
}


def notice_result(view: VenueView, notice: Notice, subaccount_id: int) -> Result:
    """One notice as its subaccount reads it."""
    event = notice.event
    row: Result = {
        "subaccount_id": subaccount_id,
        "timestamp": to_milliseconds_down(notice.time_ns),
        "seq": notice.seq,
    }
    match event:
        case ev.LiquidationSliced():
            return row | {
                "type": "slice",
                "step": event.step,
                "instrument_name": view.instruments[event.instrument_id].name,
                "direction": results.DIRECTIONS[event.side],
                "amount": quantity_number(event.quantity),
                "price": cash_number(event.limit_price),
                "excess_before": cash_number(event.excess_before),
                "excess_after": cash_number(event.excess_after),
            }
        case ev.PortfolioTransferred():
            gave = subaccount_id == event.subaccount_id
            return row | {
                "type": "transfer",
                "step": event.step,
                "role": "liquidated" if gave else "taker",
                "fraction": ratio_number(event.fraction, RATIO_SCALE),
                "discount": cash_number(event.discount),
                "discount_paid_by": "insurance_fund" if event.by_fund else "liquidated",
                "legs": [leg_result(view, leg) for leg in event.legs],
                "tokens": [token_result(view, token) for token in event.tokens],
            }
        case ev.LossSocialised():
            share = dict(event.shares)[subaccount_id]
            return row | {
                "type": "socialised_loss",
                "amount": cash_number(share),
                "total": cash_number(event.amount),
            }
        case ev.InsuranceUsed():
            return row | {"type": "insurance", "amount": cash_number(event.amount)}
        case _:
            return row | _turn(event)


def _turn(event: AnyEvent) -> Result:
    """Where a liquidation begins, turns or ends."""
    assert isinstance(
        event, ev.LiquidationStarted | ev.LiquidationAuctionStarted | ev.LiquidationEnded
    )
    figures: Result = {
        "type": _TURNS[type(event)],
        "equity": cash_number(event.equity),
        "maintenance_margin": cash_number(event.maintenance_margin),
    }
    if not isinstance(event, ev.LiquidationEnded):
        figures["state"] = STAGES[event.stage]
    return figures


def leg_result(view: VenueView, leg: Leg) -> Result:
    """A leg; `amount` is signed as the liquidated subaccount holds it."""
    return {
        "instrument_name": view.instruments[leg.instrument_id].name,
        "amount": quantity_number(leg.quantity),
        "price": cash_number(leg.price),
    }


def token_result(view: VenueView, token: SoldToken) -> Result:
    """Some of a token; the taker pays `value` for it."""
    assert view.parameters is not None
    return {
        "currency": view.parameters.collaterals[token.asset_id - 1].name,
        "amount": ratio_number(token.amount, ASSET_SCALE),
        "value": cash_number(token.value),
    }


def liquidation_result(view: VenueView, one: Liquidation) -> Result:
    """A liquidation as keepers see it: figures only of what they may bid for, or the fund's own."""
    shown = one.stage is not LiquidationStage.SLICING
    offer = one.for_sale
    return {
        "subaccount_id": one.subaccount_id,
        "state": STAGES[one.stage],
        "step": one.step,
        "creation_timestamp": to_milliseconds_down(one.started_ns),
        "suspended": one.suspended or None,
        "equity": cash_number(one.equity) if shown else None,
        "maintenance_margin": cash_number(one.maintenance_margin) if shown else None,
        "positions": [
            {
                "instrument_name": view.instruments[instrument_id].name,
                "amount": quantity_number(quantity),
            }
            for instrument_id, quantity in sorted(one.positions.items())
            if shown
        ],
        "for_sale": {
            "fraction": ratio_number(offer.fraction, RATIO_SCALE),
            "price": cash_number(offer.price),
            "discount": cash_number(offer.discount),
            "legs": [leg_result(view, leg) for leg in offer.part.legs],
            "tokens": [token_result(view, token) for token in offer.part.tokens],
        }
        if offer
        else None,
    }


def of_currency(
    view: VenueView, running: Sequence[Liquidation], currency: str
) -> list[Liquidation]:
    """Those that hold something of a currency; all for `any` and USDC."""
    wanted = currency.upper()
    if wanted in ("ANY", "USDC"):
        return list(running)
    return [
        one
        for one in running
        if any(
            view.underlying_name(view.instruments[key].underlying_id) == wanted
            for key in one.positions
        )
    ]
