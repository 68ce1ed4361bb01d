"""A liquidation begins, moves to another stage and ends; each step is told by its event.

Which step is due, and why, is decided by `liquidation`, `takeover` and `chain_auctions`.
"""

from exchange.engine.liquidated import Liquidation
from exchange.engine.state import Subaccount, Venue
from exchange.events import LiquidationAuctionStarted, LiquidationEnded, LiquidationStarted
from exchange.margin.liquidation import MOVES, Cause
from exchange.model import LiquidationStage


def begin(venue: Venue, subaccount: Subaccount, cause: Cause) -> None:
    """Start a liquidation: of an account below, of what the fund took, or of one left to the chain.

    None of it may run.
    """
    stage = MOVES[None, cause]
    assert stage is not None
    assert subaccount.subaccount_id not in venue.liquidations
    venue.liquidations[subaccount.subaccount_id] = Liquidation(
        subaccount_id=subaccount.subaccount_id, stage=stage, started_ns=venue.time_ns
    )
    venue.emit(
        LiquidationStarted(
            subaccount_id=subaccount.subaccount_id,
            stage=stage,
            equity=subaccount.account.equity(),
            maintenance_margin=subaccount.account.maintenance_margin(),
        )
    )


def move_to(venue: Venue, liquidation: Liquidation, stage: LiquidationStage) -> None:
    """Put a liquidation into another stage; an auction in it begins anew."""
    liquidation.stage = stage
    liquidation.waited_ns = 0
    account = venue.subaccounts[liquidation.subaccount_id].account
    venue.emit(
        LiquidationAuctionStarted(
            subaccount_id=liquidation.subaccount_id,
            stage=stage,
            equity=account.equity(),
            maintenance_margin=account.maintenance_margin(),
        )
    )


def end(venue: Venue, subaccount_id: int) -> None:
    """Let go of an account in liquidation."""
    del venue.liquidations[subaccount_id]
    account = venue.subaccounts[subaccount_id].account
    venue.emit(
        LiquidationEnded(
            subaccount_id=subaccount_id,
            equity=account.equity(),
            maintenance_margin=account.maintenance_margin(),
        )
    )
