"""Listing, marks, and the end of an instrument's life.

Delivery price = time-weighted average of the journaled index over the window before expiry, as a
step function (a sample holds until the next), rounded half-even to 0.01 USDC so that every payoff
is exact and the payoffs of an instrument sum to zero.
"""

from collections.abc import Callable
from itertools import zip_longest
from typing import Final

from exchange.commands import (
    Configure,
    ExpireInstruments,
    InstrumentListing,
    ListInstruments,
    UpdateIndex,
    UpdateMarks,
)
from exchange.engine import lending
from exchange.engine.adjusting import keep_in_bounds
from exchange.engine.armed import note_price
from exchange.engine.bands import keep_books_in_band
from exchange.engine.booking import cancel
from exchange.engine.bump import inherit_bump
from exchange.engine.combos import end_combos
from exchange.engine.exits import pay_exits
from exchange.engine.funding import accumulate, set_rates
from exchange.engine.parameters import wrong_parameters
from exchange.engine.phases import status_now, watch_index, watch_marks
from exchange.engine.positions import move_position
from exchange.engine.proofs import fills_max
from exchange.engine.publishing import publish_if_due
from exchange.engine.state import Funding, Venue
from exchange.engine.treasury import fill_room
from exchange.events import (
    CancelReason,
    Configured,
    DeliveryPriceFixed,
    IndexUpdated,
    InstrumentExpired,
    InstrumentListed,
    InstrumentStatusChanged,
    MarksUpdated,
    PositionExpired,
    RejectReason,
)
from exchange.fixed import PRICE_QUANTUM, div_half_even, is_multiple, to_nanoseconds
from exchange.margin.collateral import wrong_terms
from exchange.margin.merkle import samples_root
from exchange.matching.book import OrderBook
from exchange.model import (
    FEE_SUBACCOUNT_ID,
    Instrument,
    InstrumentStatus,
    Kind,
    PriceSource,
    instrument_name,
    is_instrument_id,
    unpack_instrument_id,
)

GRACE_NS: Final = 3600 * 10**9  # after it, holes in the window no longer hold an expiry up


def configure(venue: Venue, command: Configure) -> None:
    """Put parameters in force; versions only rise."""
    if venue.parameters is not None and command.version <= venue.parameters.version:
        venue.refuse(
            RejectReason.STALE_VERSION,
            f"version {command.version} is not above {venue.parameters.version}",
        )
        return
    if venue.parameters is not None and not venue.marks.can_configure(command.margin):
        venue.refuse(
            RejectReason.STALE_VERSION,
            "risk arrays of another number of scenarios are in force",
        )
        return
    wrong = wrong_parameters(venue.parameters, command)
    if wrong:
        venue.refuse(RejectReason.BAD_PARAMETERS, wrong)
        return
    wrong = _wrong_collateral(venue, command)
    if wrong:
        venue.refuse(RejectReason.BAD_COLLATERAL, wrong)
        return
    accumulate(venue)
    lending.accumulate(venue)
    venue.configure(command)
    set_rates(venue)
    fill_room(venue)
    venue.emit(Configured(version=command.version))
    keep_books_in_band(venue)
    keep_in_bounds(venue)
    if FEE_SUBACCOUNT_ID not in venue.subaccounts:
        venue.open_subaccount(FEE_SUBACCOUNT_ID, "")


def _wrong_collateral(venue: Venue, command: Configure) -> str:
    """Why these collaterals cannot bind; a token keeps its number and its decimals for ever."""
    known = venue.parameters.collaterals if venue.parameters else ()
    for before, after in zip_longest(known, command.collaterals[: len(known)]):
        same = after and (before.token, before.decimals) == (after.token, after.decimals)
        if not same:
            return f"{before.name} was configured before; it can lose its value, not its place"
    ids = {item.underlying_id for item in command.underlyings}
    return wrong_terms(command.collaterals, ids, command.margin)


def list_instruments(venue: Venue, command: ListInstruments) -> None:
    """Open trading in all instruments that are new, or refuse all if one cannot be listed."""
    new = {
        listing.instrument_id: listing
        for listing in command.listings
        if listing.instrument_id not in venue.instruments
    }
    for listing in new.values():
        refusal = _check_listing(venue, listing)
        if refusal is not None:
            venue.refuse(*refusal)
            return
    for listing in new.values():
        _list_instrument(venue, listing)


def _underlying_names(venue: Venue) -> dict[int, str]:
    assert venue.parameters is not None
    return {item.underlying_id: item.name for item in venue.parameters.underlyings}


def _check_listing(venue: Venue, listing: InstrumentListing) -> tuple[RejectReason, str] | None:
    if not is_instrument_id(listing.instrument_id):
        return RejectReason.UNKNOWN_INSTRUMENT, f"{listing.instrument_id} encodes no instrument"
    terms = unpack_instrument_id(listing.instrument_id)
    name = _underlying_names(venue).get(terms.underlying_id)
    if name is None:
        return RejectReason.UNKNOWN_INSTRUMENT, f"underlying {terms.underlying_id}"
    if terms.kind is not Kind.PERPETUAL and to_nanoseconds(terms.expiry) <= venue.time_ns:
        return RejectReason.INSTRUMENT_EXPIRED, instrument_name(name, terms)
    if listing.lot_size <= 0 or not is_multiple(listing.min_quantity, listing.lot_size):
        return RejectReason.QUANTITY_OFF_LOT, "min_quantity must be a multiple of lot_size"
    if listing.tick_size <= 0 or not is_multiple(listing.tick_size, PRICE_QUANTUM):
        return RejectReason.PRICE_OFF_TICK, "tick_size must be a multiple of 0.01 USDC"
    return None


def _list_instrument(venue: Venue, listing: InstrumentListing) -> None:
    terms = unpack_instrument_id(listing.instrument_id)
    instrument = Instrument(
        instrument_id=listing.instrument_id,
        name=instrument_name(_underlying_names(venue)[terms.underlying_id], terms),
        kind=terms.kind,
        underlying_id=terms.underlying_id,
        expiry=terms.expiry,
        strike=terms.strike,
        option_kind=terms.option_kind,
        tick_size=listing.tick_size,
        lot_size=listing.lot_size,
        min_quantity=listing.min_quantity,
    )
    venue.instruments[instrument.instrument_id] = instrument
    if instrument.kind is Kind.PERPETUAL:
        venue.fundings[instrument.instrument_id] = Funding(venue.time_ns)
    status = venue.statuses[instrument.instrument_id] = status_now(venue, instrument)
    tick_size = listing.tick_size
    venue.books[instrument.instrument_id] = OrderBook(tick_size, tick_size, fills_max(venue))
    venue.emit(InstrumentListed(instrument=instrument))
    inherit_bump(venue, instrument)
    if status is not InstrumentStatus.LIVE:
        venue.emit(InstrumentStatusChanged(instrument_id=instrument.instrument_id, status=status))


def update_index(venue: Venue, command: UpdateIndex) -> None:
    """Take an index sample: it prices fees and bands now, and delivery later."""
    samples = venue.samples.get(command.underlying_id)
    if samples is None:
        venue.refuse(RejectReason.UNKNOWN_INSTRUMENT, f"underlying {command.underlying_id}")
        return
    if command.index_price <= 0:
        venue.refuse(RejectReason.PRICE_NOT_POSITIVE, f"an index of {command.index_price}")
        return
    accumulate(venue, command.underlying_id)
    venue.marks.set_index(command.underlying_id, command.index_price, command.confidence)
    venue.index_times_ns[command.underlying_id] = venue.time_ns
    venue.gates.clear()
    needed_since_ns = _needed_since_ns(venue, command.underlying_id)
    samples.add(venue.time_ns, command.index_price, needed_since_ns)
    venue.emit(IndexUpdated(underlying_id=command.underlying_id, index_price=command.index_price))
    note_price(venue, PriceSource.INDEX, command.underlying_id, command.index_price)
    watch_index(venue, command.underlying_id, command.index_price)


def _needed_since_ns(venue: Venue, underlying_id: int) -> int:
    """Start of the earliest window that a delivery may ask for: an expiry may be held up."""
    assert venue.parameters is not None
    ends_ns = (
        to_nanoseconds(venue.instruments[instrument_id].expiry)
        for instrument_id in venue.books
        if venue.instruments[instrument_id].underlying_id == underlying_id
        and venue.instruments[instrument_id].kind is not Kind.PERPETUAL
    )
    end_ns = min(ends_ns, default=venue.time_ns)
    return min(end_ns, venue.time_ns) - to_nanoseconds(venue.parameters.delivery_window_s)


def update_marks(venue: Venue, command: UpdateMarks, state_hash: Callable[[], bytes]) -> None:
    """Put an epoch of risk arrays in force, and publish it if that is due."""
    if command.epoch <= venue.marks.epoch or not _covers_positions(venue, command):
        venue.refuse(
            RejectReason.STALE_VERSION,
            f"epoch {command.epoch} does not follow {venue.marks.epoch} with all live instruments",
        )
        return
    accumulate(venue)
    venue.marks.update(command, venue.open_interest)
    venue.marks_time_ns = venue.time_ns
    venue.gates.clear()
    set_rates(venue)
    published = publish_if_due(venue, state_hash)
    venue.emit(MarksUpdated(epoch=command.epoch, root=command.root, published=published))
    if published:
        keep_books_in_band(venue)
    for instrument_id in command.instrument_ids:
        mark_price = venue.marks.mark_price(instrument_id)
        note_price(venue, PriceSource.MARK, instrument_id, mark_price)
    watch_marks(venue, command.instrument_ids)
    pay_exits(venue)


def _covers_positions(venue: Venue, command: UpdateMarks) -> bool:
    """Whether every instrument that somebody may hold keeps a row: held means marked."""
    given = set(command.instrument_ids)
    if not given.issubset(venue.instruments) or not venue.marks.accepts(command):
        return False
    return all(
        instrument.instrument_id in given
        or instrument.legs
        or not venue.marks.has(instrument.instrument_id)
        for instrument in venue.live_instruments()
    )


def expire_instruments(venue: Venue, command: ExpireInstruments) -> None:
    """Fix the delivery price; then, instrument by instrument, cancel and pay off.

    When the settlement batch is full, the rest is left to the next command of the same expiry.
    """
    assert venue.parameters is not None
    ending = [item for item in venue.live_instruments() if _ends_with(command, item)]
    price = venue.delivery_prices.get((command.underlying_id, command.expiry))
    if price is None or not ending:
        refusal = _check_expiry(venue, command)
        if refusal is not None:
            venue.refuse(*refusal)
            return
        price = _fix_delivery_price(venue, command)
    ended = []
    for instrument in ending:
        if venue.batches.pending >= venue.parameters.limits.batch_items_max:
            break
        _expire_instrument(venue, instrument, price)
        ended.append(instrument.instrument_id)
    venue.marks.drop(ended)


def _fix_delivery_price(venue: Venue, command: ExpireInstruments) -> int:
    price, count, root = _delivery_price(venue, command)
    venue.delivery_prices[command.underlying_id, command.expiry] = price
    venue.emit(
        DeliveryPriceFixed(
            underlying_id=command.underlying_id,
            expiry=command.expiry,
            price=price,
            samples=count,
            samples_root=root,
        )
    )
    return price


def _ends_with(command: ExpireInstruments, instrument: Instrument) -> bool:
    ends = (instrument.underlying_id, instrument.expiry) == (command.underlying_id, command.expiry)
    return ends and not instrument.legs


def _check_expiry(venue: Venue, command: ExpireInstruments) -> tuple[RejectReason, str] | None:
    ends = any(_ends_with(command, instrument) for instrument in venue.instruments.values())
    if command.expiry == 0 or not ends:  # a perpetual has none
        return RejectReason.UNKNOWN_INSTRUMENT, f"nothing listed expires at {command.expiry}"
    if to_nanoseconds(command.expiry) > venue.time_ns:
        return RejectReason.NOT_EXPIRED, f"expiry {command.expiry} lies ahead"
    if (command.underlying_id, command.expiry) in venue.delivery_prices:
        return RejectReason.ALREADY_EXPIRED, f"expiry {command.expiry} was delivered"
    samples = venue.samples[command.underlying_id].samples
    if not samples:
        return RejectReason.SAMPLES_MISSING, "there is no index sample at all"
    late = venue.time_ns >= to_nanoseconds(command.expiry) + GRACE_NS
    if not late and _has_hole(venue, command):
        return RejectReason.SAMPLES_MISSING, "the delivery window has a hole in its samples"
    return None


def _window(venue: Venue, command: ExpireInstruments) -> tuple[int, int]:
    assert venue.parameters is not None
    end_ns = to_nanoseconds(command.expiry)
    return end_ns - to_nanoseconds(venue.parameters.delivery_window_s), end_ns


def _has_hole(venue: Venue, command: ExpireInstruments) -> bool:
    """Whether some moment of the window is farther from its last sample than an index may age."""
    assert venue.parameters is not None
    start_ns, end_ns = _window(venue, command)
    oldest = venue.parameters.limits.index_age_ns_max
    held_ns = 0
    for time_ns, _ in venue.samples[command.underlying_id].samples:
        if time_ns > end_ns:
            break
        if time_ns > start_ns and time_ns - max(held_ns, start_ns - oldest) > oldest:
            return True
        held_ns = time_ns
    return end_ns - held_ns > oldest


def _delivery_price(venue: Venue, command: ExpireInstruments) -> tuple[int, int, bytes]:
    """(price, samples in the window, Merkle root). Before the first sample its price holds."""
    start_ns, end_ns = _window(venue, command)
    samples = venue.samples[command.underlying_id].samples
    inside = [one for one in samples if start_ns < one[0] < end_ns]
    held = next((one for one in reversed(samples) if one[0] <= start_ns), samples[0])
    price, since_ns, weighted = held[1], start_ns, 0
    for time_ns, sample in inside:
        weighted += price * (time_ns - since_ns)
        price, since_ns = sample, time_ns
    weighted += price * (end_ns - since_ns)
    average = div_half_even(weighted, (end_ns - start_ns) * PRICE_QUANTUM)
    entered = inside if inside and held == inside[0] else [held, *inside]
    return average * PRICE_QUANTUM, len(inside), samples_root(entered)


def _expire_instrument(venue: Venue, instrument: Instrument, delivery_price: int) -> None:
    instrument_id = instrument.instrument_id
    end_combos(venue, instrument_id)
    for subaccount_id in sorted(venue.subaccounts):
        subaccount = venue.subaccounts[subaccount_id]
        for order in list(subaccount.open_orders.values()):
            if order.terms.instrument_id == instrument_id:
                cancel(venue, order, CancelReason.EXPIRED)
    venue.statuses[instrument_id] = InstrumentStatus.EXPIRED
    venue.gates.pop(instrument_id, None)
    venue.emit(InstrumentExpired(instrument_id=instrument_id))
    payoff = instrument.payoff(delivery_price)
    total = 0
    for subaccount_id in sorted(venue.subaccounts):
        account = venue.subaccounts[subaccount_id].account
        if account.position(instrument_id) == 0:
            continue
        total += account.entry_cost(instrument_id)
        quantity, before = account.position(instrument_id), account.cash
        move_position(venue, subaccount_id, instrument, -quantity, payoff)
        amount = account.cash - before
        total += amount
        venue.batches.pending += 1
        venue.emit(
            PositionExpired(
                subaccount_id=subaccount_id,
                instrument_id=instrument_id,
                quantity=quantity,
                payoff=amount,
            )
        )
    assert total == 0, "payoffs of an instrument, costs returned, sum to zero"
    del venue.books[instrument_id]
    venue.mark_breakers.pop(instrument_id, None)
    venue.bump.set_delay(instrument_id, 0)
