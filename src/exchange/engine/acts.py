"""What a batch moves though nobody signed for it: takeovers, losses, fees, interest, exits.

Each is remembered until its batch is final. What the chain refuses of them does
not happen: everything goes back at the act's own prices. Only a takeover that fails for its bid
happens all the same, with the fund in the keeper's place; and a share of fees is owed again.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from exchange.commands import RefusedAct
from exchange.engine.booking import limit_reduce_only
from exchange.engine.chain_memory import Act, AnyAct
from exchange.engine.checks import Refusal
from exchange.engine.forces import revoke_force
from exchange.engine.positions import move_delivered, move_position
from exchange.engine.stages import begin
from exchange.engine.state import Venue
from exchange.engine.takeover import fund
from exchange.engine.treasury import credit, take_back
from exchange.events import (
    ActRefused,
    FeesShared,
    InsuranceUsed,
    InterestPaid,
    LossSocialised,
    PortfolioTransferred,
    RejectReason,
    WithdrawalsHeld,
    Withdrawn,
)
from exchange.fixed import RATIO_SCALE
from exchange.margin.liquidation import Cause
from exchange.model import FEE_SUBACCOUNT_ID, InstrumentStatus, Kind

_HELD: Final = (PortfolioTransferred, InsuranceUsed, Withdrawn)


def known_act(venue: Venue, act_id: int) -> Act | None:
    """An act whose batch is not final."""
    found = venue.batches.moves.get(-act_id)
    return found if isinstance(found, Act) else None


def check_acts(venue: Venue, batch: int, acts: Iterable[RefusedAct]) -> Refusal | None:
    """Each is of this batch; the fund takes only what a keeper bid for."""
    for refused in acts:
        known = known_act(venue, refused.act_id)
        if known is None or known.batch != batch:
            text = f"act {refused.act_id} is not in that batch, or was refused before"
            return RejectReason.NOT_NOVATABLE, text
        if refused.fund_subaccount_id and not _may_take(venue, known.act, refused):
            return RejectReason.NOT_NOVATABLE, f"the fund cannot take act {refused.act_id}"
    return None


def _may_take(venue: Venue, act: AnyAct, refused: RefusedAct) -> bool:
    assert venue.parameters is not None
    if not isinstance(act, PortfolioTransferred) or venue.parameters.liquidation is None:
        return False
    number = fund(venue).subaccount_id
    return refused.fund_subaccount_id == number != act.taker_subaccount_id


def linear_changes(
    venue: Venue, acts: Iterable[RefusedAct]
) -> Iterator[tuple[tuple[int, int], int]]:
    """By how much each live linear position changes: ((subaccount, instrument), quantity)."""
    for refused in acts:
        known = known_act(venue, refused.act_id)
        if known is None or not isinstance(known.act, PortfolioTransferred):
            continue
        for leg in known.act.legs:
            option = venue.instruments[leg.instrument_id].kind is Kind.OPTION
            if not option and not _is_expired(venue, leg.instrument_id):
                to = refused.fund_subaccount_id or known.act.subaccount_id
                yield (known.act.taker_subaccount_id, leg.instrument_id), -leg.quantity
                yield (to, leg.instrument_id), leg.quantity


def refuse_act(venue: Venue, refused: RefusedAct) -> None:
    """Undo it; linear positions that live the caller has rebuilt."""
    known = venue.batches.moves.pop(-refused.act_id)
    assert isinstance(known, Act)
    act, subaccount_id = known.act, _whose(known.act)
    venue.emit(
        ActRefused(
            batch=known.batch,
            act_id=refused.act_id,
            act=act,
            subaccount_id=subaccount_id,
            fund_subaccount_id=refused.fund_subaccount_id,
            payer_subaccount_id=refused.fund_subaccount_id or known.payer_id,
        )
    )
    if isinstance(act, PortfolioTransferred):
        _undo_takeover(venue, act, known.payer_id, refused.fund_subaccount_id)
    else:
        for payer_id, payee_id, amount in _payments(act):
            _pay(venue, payee_id, payer_id, amount)
    if isinstance(act, FeesShared):
        venue.treasury.owe_fund(act.amount * RATIO_SCALE, venue.time_ns)
    if isinstance(act, Withdrawn):
        credit(venue, venue.subaccounts[subaccount_id], act.token, act.amount)
    if refused.fund_subaccount_id:
        return
    if subaccount_id in venue.forces:
        revoke_force(venue, subaccount_id)
    if isinstance(act, _HELD):
        venue.treasury.held.add(subaccount_id)
        detail = f"the chain refused act {refused.act_id}"
        venue.emit(WithdrawalsHeld(subaccount_id=subaccount_id, held=True, detail=detail))


def _whose(act: AnyAct) -> int:
    return act.liquidated_id if isinstance(act, LossSocialised) else act.subaccount_id


def _payments(act: AnyAct) -> Iterator[tuple[int, int, int]]:
    """(payer, payee, cash) of an act; an exit's money left."""
    match act:
        case InterestPaid():
            yield act.subaccount_id, FEE_SUBACCOUNT_ID, act.amount
        case InsuranceUsed():
            yield act.fund_subaccount_id, act.subaccount_id, act.amount
        case FeesShared():
            yield act.subaccount_id, act.fund_subaccount_id, act.amount
        case LossSocialised():
            for payer_id, amount in act.shares:
                yield payer_id, act.fund_subaccount_id, amount
        case _:
            return


def _undo_takeover(venue: Venue, act: PortfolioTransferred, payer_id: int, fund_id: int) -> None:
    """From its taker back to its seller, or on to the fund, which gets the discount then."""
    seller = venue.subaccounts[act.subaccount_id]
    taker = venue.subaccounts[act.taker_subaccount_id]
    to = venue.subaccounts[fund_id] if fund_id else seller
    for leg in act.legs:
        instrument = venue.instruments[leg.instrument_id]
        if _is_expired(venue, leg.instrument_id):
            move_delivered(venue, instrument, taker, to, leg.quantity, leg.price)
        elif instrument.kind is Kind.OPTION:
            move_position(venue, taker.subaccount_id, instrument, -leg.quantity, leg.price)
            move_position(venue, to.subaccount_id, instrument, leg.quantity, leg.price)
    for token in act.tokens:
        take_back(venue, taker, token.token, token.amount)
        credit(venue, to, token.token, token.amount)
        _pay(venue, to.subaccount_id, taker.subaccount_id, token.value)
    _pay(venue, taker.subaccount_id, fund_id or payer_id, act.discount)
    for leg in act.legs:
        for subaccount in (taker, to):
            limit_reduce_only(venue, subaccount, leg.instrument_id)
    if fund_id and fund_id not in venue.liquidations:
        begin(venue, to, Cause.TAKEN_OVER)


def _pay(venue: Venue, payer_id: int, payee_id: int, amount: int) -> None:
    venue.subaccounts[payer_id].account.add_cash(-amount)
    venue.subaccounts[payee_id].account.add_cash(amount)


def _is_expired(venue: Venue, instrument_id: int) -> bool:
    return venue.statuses[instrument_id] is InstrumentStatus.EXPIRED
