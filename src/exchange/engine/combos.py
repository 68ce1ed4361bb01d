"""Combos: how they are listed, follow the phases of their legs, and end.

A combo is an instrument with legs: it has a book, a name and a grid of its own, and no position.
Anybody may list one. Its number is `model.combo_number` of the command that listed it, so whoever
reads the journal finds the legs there. It trades while all legs do, and ends with its first leg.
"""

from math import gcd, lcm

from exchange.commands import ListCombo
from exchange.engine.booking import cancel
from exchange.engine.bump import inherit_bump
from exchange.engine.proofs import fills_max
from exchange.engine.state import Venue
from exchange.events import (
    CancelReason,
    ComboListed,
    InstrumentExpired,
    InstrumentListed,
    InstrumentStatusChanged,
    RejectReason,
)
from exchange.fixed import div_down, div_up, to_nanoseconds
from exchange.matching.book import OrderBook
from exchange.matching.combos import canonical, check_legs, combo_name
from exchange.model import (
    Instrument,
    InstrumentStatus,
    Kind,
    Legs,
    OptionKind,
    combo_number,
)
from exchange.signing import legs_hash

PRICE_MIN = -(1 << 60)  # of a combo's book: lower than any sum of prices of legs


def list_combo(venue: Venue, command: ListCombo) -> None:
    """List a combo in its canonical form, or name the one that is listed already."""
    refusal = _check_legs(venue, command.legs)
    if refusal is not None:
        venue.refuse(*refusal)
        return
    form = canonical(command.legs)
    known = venue.combos.by_hash.get(legs_hash(form.legs))
    if known is None:
        if not _make_room(venue):
            venue.refuse(RejectReason.TOO_MANY_COMBOS, "use one of those, or wait for an expiry")
            return
        known = _list(venue, form.legs)
    venue.emit(ComboListed(instrument_id=known, factor=form.factor))


def _check_legs(venue: Venue, legs: Legs) -> tuple[RejectReason, str] | None:
    for leg in legs:
        instrument = venue.instruments.get(leg.instrument_id)
        if instrument is None or instrument.legs:
            return RejectReason.UNKNOWN_INSTRUMENT, f"instrument {leg.instrument_id}"
        over = instrument.expiry and to_nanoseconds(instrument.expiry) <= venue.time_ns
        if over or venue.statuses[leg.instrument_id] is InstrumentStatus.EXPIRED:
            return RejectReason.INSTRUMENT_EXPIRED, instrument.name
    fault = check_legs(legs)
    if fault is not None:
        return RejectReason.BAD_COMBO, fault.value.replace("_", " ")
    lots = {venue.instruments[leg.instrument_id].lot_size for leg in legs}
    if max(lots) != lcm(*lots):
        return RejectReason.BAD_COMBO, "the lot size of one leg does not divide another's"
    return None


def _make_room(venue: Venue) -> bool:
    """Whether one more may be listed; of too many, the oldest without orders ends."""
    assert venue.parameters is not None
    if len(venue.combos.by_hash) < venue.parameters.limits.combos_max:
        return True
    used = {
        order.terms.instrument_id
        for subaccount in venue.subaccounts.values()
        for order in subaccount.open_orders.values()
    }
    unused = (number for number in sorted(venue.combos.by_hash.values()) if number not in used)
    oldest = next(unused, None)
    if oldest is None:
        return False
    _end(venue, venue.instruments[oldest])
    del venue.instruments[oldest], venue.statuses[oldest]  # or whoever lists fills the memory
    return True


def _list(venue: Venue, legs: Legs) -> int:
    instrument = _instrument(venue, legs)
    instrument_id = instrument.instrument_id
    venue.instruments[instrument_id] = instrument
    venue.add_combo(instrument)
    per_command = div_down(fills_max(venue), len(legs))
    venue.books[instrument_id] = OrderBook(instrument.tick_size, PRICE_MIN, per_command)
    status = venue.statuses[instrument_id] = combo_status(venue, instrument)
    venue.emit(InstrumentListed(instrument=instrument))
    inherit_bump(venue, instrument)
    if status is not InstrumentStatus.LIVE:
        venue.emit(InstrumentStatusChanged(instrument_id=instrument_id, status=status))
    return instrument_id


def _instrument(venue: Venue, legs: Legs) -> Instrument:
    """The combo's grid: the finest tick that leg prices can sum to, the lot of the coarsest leg."""
    assert venue.parameters is not None
    parts = [venue.instruments[leg.instrument_id] for leg in legs]
    underlying_id = parts[0].underlying_id
    names = {item.underlying_id: item.name for item in venue.parameters.underlyings}
    lot_size = max(item.lot_size for item in parts)
    least = max(
        div_up(item.min_quantity, abs(leg.ratio)) for item, leg in zip(parts, legs, strict=True)
    )
    return Instrument(
        instrument_id=combo_number(venue.seq),
        name=combo_name(names[underlying_id], legs),
        kind=Kind.COMBO,
        underlying_id=underlying_id,
        expiry=min((item.expiry for item in parts if item.expiry), default=0),
        strike=0,
        option_kind=OptionKind.CALL,
        tick_size=gcd(*(item.tick_size for item in parts)),
        lot_size=lot_size,
        min_quantity=div_up(least, lot_size) * lot_size,
        legs=legs,
        legs_hash=legs_hash(legs),
    )


def combo_status(venue: Venue, combo: Instrument) -> InstrumentStatus:
    """Live while all its legs are, and no operator holds it: combos have no auction."""
    statuses = [venue.statuses[leg.instrument_id] for leg in combo.legs]
    if combo.instrument_id in venue.mark_breakers:
        statuses.append(venue.mark_breakers[combo.instrument_id].status)
    live = all(status is InstrumentStatus.LIVE for status in statuses)
    return InstrumentStatus.LIVE if live else InstrumentStatus.HALTED


def end_combos(venue: Venue, instrument_id: int) -> None:
    """An instrument ends: so do the combos that it is a leg of."""
    for number in list(venue.combos.by_leg.get(instrument_id, ())):
        _end(venue, venue.instruments[number])


def _end(venue: Venue, combo: Instrument) -> None:
    instrument_id = combo.instrument_id
    for subaccount_id in sorted(venue.subaccounts):
        for order in list(venue.subaccounts[subaccount_id].open_orders.values()):
            if order.terms.instrument_id == instrument_id:
                cancel(venue, order, CancelReason.EXPIRED)
    venue.statuses[instrument_id] = InstrumentStatus.EXPIRED
    venue.emit(InstrumentExpired(instrument_id=instrument_id))
    venue.drop_combo(combo)
    del venue.books[instrument_id]
    venue.mark_breakers.pop(instrument_id, None)
    venue.bump.set_delay(instrument_id, 0)
