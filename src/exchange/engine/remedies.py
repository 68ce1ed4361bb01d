"""What operators and the relayer correct: sides of trades that the chain refuses, and holds.

A novation gives the failing side back what it paid and takes from it what it got, at the trade's
own price; the venue's subaccount steps in (design.md §11.7). The trade itself stays as it was
acknowledged, and so does its other side.
"""

from exchange.commands import HoldWithdrawals, Novate, NovatedFill
from exchange.engine.booking import limit_reduce_only
from exchange.engine.checks import Refusal, may_sign, nonce_is_used
from exchange.engine.positions import move_position
from exchange.engine.state import Venue
from exchange.events import FillNovated, RejectReason, WithdrawalsHeld
from exchange.fixed import to_seconds_down
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
    """All of the fills or none."""
    refusal = _check_batch(venue, command)
    for fill in command.fills:
        refusal = refusal or _check_fill(venue, fill) or _check_terms(venue, fill)
    if refusal is not None:
        venue.refuse(*refusal)
        return
    for fill in command.fills:
        _replace_side(venue, fill, command.batch)
    for fill in command.fills:
        for subaccount_id in (fill.subaccount_id, FEE_SUBACCOUNT_ID):
            subaccount = venue.subaccounts[subaccount_id]
            limit_reduce_only(venue, subaccount, fill.terms.instrument_id)


def _check_batch(venue: Venue, command: Novate) -> Refusal | None:
    batches = venue.batches
    if not batches.confirmed < command.batch <= batches.number:
        return RejectReason.NOT_NOVATABLE, f"batch {command.batch} is not cut, or final"
    keys = {fill.key for fill in command.fills}
    nonces = {fill.terms.nonce for fill in command.fills}
    if not len(keys) == len(nonces) == len(command.fills) > 0:
        return RejectReason.NOT_NOVATABLE, "no fills, or one of them twice"
    return None


def _check_fill(venue: Venue, fill: NovatedFill) -> Refusal | None:
    if fill.key in venue.batches.novated or not 0 < fill.trade_id <= venue.last_trade_id:
        return RejectReason.NOT_NOVATABLE, f"trade {fill.trade_id} was replaced, or never was"
    if fill.subaccount_id not in venue.subaccounts or fill.subaccount_id == FEE_SUBACCOUNT_ID:
        return RejectReason.UNKNOWN_SUBACCOUNT, f"subaccount {fill.subaccount_id}"
    instrument = venue.instruments.get(fill.terms.instrument_id)
    if instrument is None or instrument.kind is not Kind.OPTION:
        return RejectReason.NOT_NOVATABLE, "only fills of options are replaced"
    if venue.statuses[instrument.instrument_id] is InstrumentStatus.EXPIRED:
        return RejectReason.NOT_NOVATABLE, "the instrument has expired"
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


def _replace_side(venue: Venue, fill: NovatedFill, batch: int) -> None:
    terms = fill.terms
    house, failing = venue.subaccounts[FEE_SUBACCOUNT_ID], venue.subaccounts[fill.subaccount_id]
    instrument = venue.instruments[terms.instrument_id]
    quantity = terms.side.sign * terms.quantity
    move_position(venue, fill.subaccount_id, instrument, -quantity, terms.limit_price)
    move_position(venue, FEE_SUBACCOUNT_ID, instrument, quantity, terms.limit_price)
    failing.account.add_cash(fill.fee)
    house.account.add_cash(-fill.fee)
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
