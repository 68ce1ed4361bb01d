"""What operators and the relayer correct: what the chain refuses of a batch, and holds.

A novation gives the failing side back what it paid and takes from it what it got, at the trade's
own price; the venue's subaccount steps in (docs/adr/0017). The trade itself stays as it was
acknowledged, and so does its other side. Money that the chain does not let go comes back, held.
"""

from collections import Counter

from exchange.commands import HoldWithdrawals, Novate, NovatedFill, RebuiltPosition
from exchange.engine.acts import check_acts, linear_changes, refuse_act
from exchange.engine.booking import limit_reduce_only
from exchange.engine.chain_memory import Move
from exchange.engine.checks import Refusal, may_sign, nonce_is_used
from exchange.engine.fees import fund_share
from exchange.engine.forces import revoke_force
from exchange.engine.positions import move_delivered, move_position
from exchange.engine.state import Venue
from exchange.engine.treasury import give_back
from exchange.events import (
    FillNovated,
    MoveRefused,
    RejectReason,
    WithdrawalsHeld,
)
from exchange.fixed import to_seconds_down
from exchange.margin.linear import LinearPosition
from exchange.model import FEE_SUBACCOUNT_ID, NO_TRIGGER, InstrumentStatus, Kind


def remedy(venue: Venue, command: Novate | HoldWithdrawals) -> None:
    """Apply one of them."""
    if isinstance(command, Novate):
        _novate(venue, command)
    else:
        _hold_withdrawals(venue, command)


def _hold_withdrawals(venue: Venue, command: HoldWithdrawals) -> None:
    """Once more the same is fine: a difference may be found again."""
    subaccount_id, held = command.subaccount_id, venue.treasury.held
    if subaccount_id not in venue.subaccounts:
        venue.refuse(RejectReason.UNKNOWN_SUBACCOUNT, f"subaccount {subaccount_id}")
        return
    if command.held:
        held.add(subaccount_id)
    else:
        held.discard(subaccount_id)
    venue.emit(
        WithdrawalsHeld(subaccount_id=subaccount_id, held=command.held, detail=command.detail)
    )


def _novate(venue: Venue, command: Novate) -> None:
    """All of it or nothing."""
    refusal = _check_batch(venue, command)
    for fill in command.fills:
        refusal = refusal or _check_fill(venue, fill) or _check_terms(venue, fill)
    refusal = refusal or _check_moves(venue, command)
    refusal = refusal or check_acts(venue, command.batch, command.acts)
    refusal = refusal or _check_rebuilt(venue, command)
    if refusal is not None:
        venue.refuse(*refusal)
        return
    for rebuilt in command.rebuilt:
        _rebuild(venue, rebuilt)
    for fill in command.fills:
        _replace_side(venue, fill, command.batch)
    for move in command.moves:
        _refuse_move(venue, move.seq)
    for act in command.acts:
        refuse_act(venue, act)
    for fill in command.fills:
        for subaccount_id in (fill.subaccount_id, FEE_SUBACCOUNT_ID):
            subaccount = venue.subaccounts[subaccount_id]
            limit_reduce_only(venue, subaccount, fill.terms.instrument_id)


def _check_batch(venue: Venue, command: Novate) -> Refusal | None:
    batches = venue.batches
    if not batches.confirmed < command.batch <= batches.number:
        return RejectReason.NOT_NOVATABLE, f"batch {command.batch} is not cut, or final"
    keys = {one.key for one in command.replaced}
    nonces = {fill.terms.nonce for fill in command.fills}
    if not (len(keys) == len(command.replaced) > 0 and len(nonces) == len(command.fills)):
        return RejectReason.NOT_NOVATABLE, "nothing, or something twice"
    return None


def _check_fill(venue: Venue, fill: NovatedFill) -> Refusal | None:
    if fill.key in venue.batches.novated or not 0 < fill.trade_id <= venue.last_trade_id:
        return RejectReason.NOT_NOVATABLE, f"trade {fill.trade_id} was replaced, or never was"
    if fill.subaccount_id not in venue.subaccounts or fill.subaccount_id == FEE_SUBACCOUNT_ID:
        return RejectReason.UNKNOWN_SUBACCOUNT, f"subaccount {fill.subaccount_id}"
    instrument = venue.instruments.get(fill.terms.instrument_id)
    if instrument is None or instrument.legs:
        return RejectReason.NOT_NOVATABLE, "a fill is of a single instrument"
    return None


def _check_rebuilt(venue: Venue, command: Novate) -> Refusal | None:
    """Each linear position that changes is named once, as it is now, and nothing is made."""
    changes = _linear_changes(venue, command)
    named = [(one.subaccount_id, one.instrument_id) for one in command.rebuilt]
    if sorted(named) != sorted(changes):
        return RejectReason.NOT_NOVATABLE, "not the linear positions of these fills"
    made: Counter[int] = Counter()
    for one, key in zip(command.rebuilt, named, strict=True):
        account = venue.subaccounts[one.subaccount_id].account
        before, after = LinearPosition(*one.before), LinearPosition(*one.after)
        held = account.linear.get(one.instrument_id, LinearPosition(0, 0, 0))
        if before != held or after.quantity - before.quantity != changes[key]:
            text = f"subaccount {one.subaccount_id} holds {tuple(held)} now: build it again"
            return RejectReason.NOT_NOVATABLE, text
        index = venue.marks.funding_index(one.instrument_id)
        made[one.instrument_id] += one.cash - after.cost - after.funding_due(index)
        made[one.instrument_id] += before.cost + before.funding_due(index)
    if any(made.values()):
        return RejectReason.NOT_NOVATABLE, "cash, cost and funding do not add up"
    return None


def _linear_changes(venue: Venue, command: Novate) -> Counter[tuple[int, int]]:
    """By how much each live linear position changes, by (subaccount, instrument)."""
    changes: Counter[tuple[int, int]] = Counter()
    for key, change in linear_changes(venue, command.acts):
        changes[key] += change
    for fill in command.fills:
        instrument_id = fill.terms.instrument_id
        option = venue.instruments[instrument_id].kind is Kind.OPTION
        if option or venue.statuses[instrument_id] is InstrumentStatus.EXPIRED:
            continue
        quantity = fill.terms.side.sign * fill.terms.quantity
        changes[fill.subaccount_id, instrument_id] -= quantity
        changes[FEE_SUBACCOUNT_ID, instrument_id] += quantity
    return changes


def _check_moves(venue: Venue, command: Novate) -> Refusal | None:
    for move in command.moves:
        known = venue.batches.moves.get(move.seq)
        if not isinstance(known, Move) or known.batch != command.batch:
            text = f"seq {move.seq} moved nothing in that batch, or was refused before"
            return RejectReason.NOT_NOVATABLE, text
    return None


def _check_terms(venue: Venue, fill: NovatedFill) -> Refusal | None:
    """The venue's order must be one that the contract takes."""
    terms, house = fill.terms, venue.subaccounts[FEE_SUBACCOUNT_ID]
    special = terms.reduce_only or terms.legs_hash or terms.max_fee
    plain = not special and terms.trigger_hash == NO_TRIGGER
    if terms.subaccount_id != FEE_SUBACCOUNT_ID or terms.quantity <= 0 or not plain:
        return RejectReason.NOT_NOVATABLE, "not a plain order of the venue's own subaccount"
    now_s = to_seconds_down(venue.time_ns)
    if terms.deadline < now_s:
        return RejectReason.DEADLINE_PASSED, f"deadline {terms.deadline}, now {now_s}"
    if not may_sign(venue, house, terms.signer, now_s):
        return RejectReason.UNAUTHORIZED_SIGNER, f"{terms.signer} may not sign for the venue"
    if terms.nonce < house.nonce_floor:
        return RejectReason.STALE_NONCE, f"nonce {terms.nonce} is below {house.nonce_floor}"
    if nonce_is_used(house, terms.nonce):
        return RejectReason.NONCE_USED, f"nonce {terms.nonce} is taken"
    return None


def _rebuild(venue: Venue, rebuilt: RebuiltPosition) -> None:
    account = venue.subaccounts[rebuilt.subaccount_id].account
    instrument = venue.instruments[rebuilt.instrument_id]
    held = LinearPosition(*rebuilt.after)
    before = account.position(rebuilt.instrument_id)
    account.rebuild(rebuilt.instrument_id, held, rebuilt.cash)
    venue.count_open_interest(instrument.underlying_id, before, held.quantity)


def _replace_side(venue: Venue, fill: NovatedFill, batch: int) -> None:
    terms = fill.terms
    house, failing = venue.subaccounts[FEE_SUBACCOUNT_ID], venue.subaccounts[fill.subaccount_id]
    instrument = venue.instruments[terms.instrument_id]
    quantity = terms.side.sign * terms.quantity
    if venue.statuses[instrument.instrument_id] is InstrumentStatus.EXPIRED:
        move_delivered(venue, instrument, failing, house, quantity, terms.limit_price)
    elif instrument.kind is Kind.OPTION:
        move_position(venue, fill.subaccount_id, instrument, -quantity, terms.limit_price)
        move_position(venue, FEE_SUBACCOUNT_ID, instrument, quantity, terms.limit_price)
    if fill.subaccount_id in venue.liquidations and fill.subaccount_id in venue.forces:
        revoke_force(venue, fill.subaccount_id)  # it may have been a slice of it
    failing.account.add_cash(fill.fee)
    house.account.add_cash(-fill.fee)
    venue.treasury.owe_fund(-fund_share(venue, fill.fee), venue.time_ns)
    house.used_nonces.add(terms.nonce)
    venue.batches.novated[fill.key] = batch
    venue.emit(
        FillNovated(
            batch=batch,
            trade_id=fill.trade_id,
            maker=fill.maker,
            subaccount_id=fill.subaccount_id,
            house_subaccount_id=FEE_SUBACCOUNT_ID,
            instrument_id=terms.instrument_id,
            quantity=quantity,
            price=terms.limit_price,
            fee=fill.fee,
        )
    )


def _refuse_move(venue: Venue, seq: int) -> None:
    """Its nonce stays used; who moved and who received may move nothing until somebody looked."""
    move = venue.batches.moves.pop(seq)
    assert isinstance(move, Move)
    missing = give_back(venue, move)
    venue.emit(
        MoveRefused(
            batch=move.batch,
            seq=seq,
            subaccount_id=move.subaccount_id,
            to_subaccount_id=move.to_subaccount_id,
            amount=move.amount,
            nonce=move.nonce,
            token=move.token,
            missing=missing,
        )
    )
    detail = f"the chain refused the move of seq {seq}"
    for subaccount_id in filter(None, (move.subaccount_id, move.to_subaccount_id)):
        venue.treasury.held.add(subaccount_id)
        venue.emit(WithdrawalsHeld(subaccount_id=subaccount_id, held=True, detail=detail))
