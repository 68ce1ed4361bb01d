"""Auctions that the chain holds without the operator: the engine stands aside and follows.

From the moment it sees one start it touches the subaccount no more, before the contract begins to
refuse that; and no bid comes before all that was under way has settled. What is sold there is a
fact, moved here at the chain's own figures. The logs are facts, so nothing here refuses one.
"""

from typing import assert_never

from exchange.engine.booking import cancel
from exchange.engine.positions import move_delivered, move_position
from exchange.engine.stages import begin, end, move_to
from exchange.engine.state import Subaccount, Venue
from exchange.engine.treasury import asset_of, credit, take_back
from exchange.events import (
    CancelReason,
    FundingPaid,
    PortfolioTransferred,
    TransferredLeg,
    TransferredToken,
    WithdrawalsHeld,
)
from exchange.margin.linear import LinearPosition
from exchange.margin.liquidation import MOVES, Cause
from exchange.model import InstrumentStatus, Kind, LiquidationStage
from exchange.observations import (
    AuctionEndedSeen,
    AuctionStartedSeen,
    AuctionTakenSeen,
    SoldLeg,
    SoldToken,
)

AuctionSeen = AuctionStartedSeen | AuctionEndedSeen | AuctionTakenSeen


def is_frozen(venue: Venue, subaccount_id: int) -> bool:
    """Whether the chain auctions a subaccount."""
    running = venue.liquidations.get(subaccount_id)
    return running is not None and running.stage is LiquidationStage.ON_CHAIN


def follow(venue: Venue, seen: AuctionSeen) -> int:
    """Do as the chain did; what `go_back` needs to undo it."""
    match seen:
        case AuctionStartedSeen():
            return _freeze(venue, seen.subaccount_id)
        case AuctionEndedSeen():
            return _thaw(venue, seen.subaccount_id)
        case AuctionTakenSeen():
            _move(venue, seen, seen.subaccount_id, seen.taker_id)
            return 0
        case _:
            assert_never(seen)


def go_back(venue: Venue, seen: AuctionSeen, before: int) -> None:
    """The chain lost it."""
    match seen:
        case AuctionStartedSeen():
            _melt(venue, seen.subaccount_id, before)
        case AuctionEndedSeen():
            if before:
                _freeze(venue, seen.subaccount_id)
        case AuctionTakenSeen():
            _hand_back(venue, seen)
        case _:
            assert_never(seen)


def _freeze(venue: Venue, subaccount_id: int) -> int:
    """Leave a subaccount to the chain; the stage that its liquidation had, 0 without one."""
    subaccount = venue.subaccounts[subaccount_id]
    for order in list(subaccount.open_orders.values()):
        cancel(venue, order, CancelReason.LIQUIDATION)
    running = venue.liquidations.get(subaccount_id)
    if running is None:
        begin(venue, subaccount, Cause.FROZEN)
        return 0
    before, stage = running.stage, MOVES[running.stage, Cause.FROZEN]
    assert stage is not None
    move_to(venue, running, stage)
    return before


def _thaw(venue: Venue, subaccount_id: int) -> int:
    """The auction is over: the next sweep begins anew where it must. Whether one ran, 1 or 0."""
    if not is_frozen(venue, subaccount_id):
        return 0
    assert MOVES[LiquidationStage.ON_CHAIN, Cause.THAWED] is None
    end(venue, subaccount_id)
    return 1


def _melt(venue: Venue, subaccount_id: int, before: int) -> None:
    """The chain lost the start of an auction; its orders stay canceled."""
    if not is_frozen(venue, subaccount_id):
        return
    if before:
        move_to(venue, venue.liquidations[subaccount_id], LiquidationStage(before))
    else:
        end(venue, subaccount_id)


def _hand_back(venue: Venue, seen: AuctionTakenSeen) -> None:
    """The chain lost a bid: back at the same prices; nothing leaves until somebody looked."""
    _move(venue, seen, seen.taker_id, seen.subaccount_id)
    for subaccount_id in (seen.subaccount_id, seen.taker_id):
        venue.treasury.held.add(subaccount_id)
        detail = "the chain lost a bid in a reorganisation"
        venue.emit(WithdrawalsHeld(subaccount_id=subaccount_id, held=True, detail=detail))


# -- what moves ---------------------------------------------------------------------------------


def _move(venue: Venue, seen: AuctionTakenSeen, giver_id: int, taker_id: int) -> None:
    giver, taker = venue.subaccounts[giver_id], venue.subaccounts[taker_id]
    running = venue.liquidations.get(seen.subaccount_id)
    if running is not None:
        running.step += 1
    venue.emit(
        PortfolioTransferred(
            subaccount_id=giver_id,
            taker_subaccount_id=taker_id,
            step=running.step if running else 0,
            fraction=seen.fraction,
            legs=tuple(
                TransferredLeg(
                    instrument_id=leg.instrument_id,
                    quantity=leg.quantity,
                    price=leg.price,
                    funding_index=leg.funding_index,
                )
                for leg in seen.legs
            ),
            tokens=tuple(_token(venue, sold) for sold in seen.tokens),
            discount=seen.discount,
            by_fund=False,
            on_chain=True,
        )
    )
    for leg in seen.legs:
        if venue.statuses[leg.instrument_id] is InstrumentStatus.EXPIRED:
            instrument = venue.instruments[leg.instrument_id]
            move_delivered(venue, instrument, giver, taker, leg.quantity, leg.price)
        else:
            _move_leg(venue, leg, giver, taker, back=giver_id != seen.subaccount_id)
    for sold in seen.tokens:
        take_back(venue, giver, sold.token, sold.amount)
        credit(venue, taker, sold.token, sold.amount)
        _pay(taker, giver, sold.value)
    _pay(giver, taker, seen.discount)


def _move_leg(
    venue: Venue, leg: SoldLeg, giver: Subaccount, taker: Subaccount, *, back: bool
) -> None:
    """Of a linear instrument at the chain's funding index, which may be behind the journal's.

    What goes back pays funding up to now: whoever had it, had it so long.
    """
    instrument = venue.instruments[leg.instrument_id]
    index = venue.marks.funding_index(leg.instrument_id) if back else leg.funding_index
    for subaccount, change in ((giver, -leg.quantity), (taker, leg.quantity)):
        if instrument.kind is Kind.OPTION:
            move_position(venue, subaccount.subaccount_id, instrument, change, leg.price)
        else:
            _fill_linear(venue, leg, subaccount, change, index)


def _fill_linear(
    venue: Venue, leg: SoldLeg, subaccount: Subaccount, change: int, index: int
) -> None:
    account, number = subaccount.account, leg.instrument_id
    held = account.linear.get(number, LinearPosition(0, 0, index))
    due = held.funding_due(index)
    after, cash = held._replace(funding_index=index).filled(change, leg.price)
    account.rebuild(number, after, cash - due)
    underlying_id = venue.instruments[number].underlying_id
    venue.count_open_interest(underlying_id, held.quantity, after.quantity)
    if due:
        venue.emit(
            FundingPaid(subaccount_id=subaccount.subaccount_id, instrument_id=number, amount=-due)
        )


def _token(venue: Venue, sold: SoldToken) -> TransferredToken:
    asset = asset_of(venue, sold.token)
    return TransferredToken(
        asset_id=asset.asset_id if asset else 0,
        amount=sold.amount,
        value=sold.value,
        token=sold.token,
        underlying_id=asset.underlying_id if asset else 0,
    )


def _pay(payer: Subaccount, payee: Subaccount, amount: int) -> None:
    payer.account.add_cash(-amount)
    payee.account.add_cash(amount)
