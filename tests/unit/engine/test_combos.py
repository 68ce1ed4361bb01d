"""Combos are listed by anybody, once; they follow their legs and end with the first of them."""

import pytest
from tests.venue import (
    EXPIRY_S,
    C,
    P,
    Venue,
    call,
    limits,
    names,
    open_venue,
    put,
    refusals,
)

from exchange.commands import CancelAll, Halt, ListCombo, Resume
from exchange.events import (
    ComboListed,
    InstrumentExpired,
    InstrumentListed,
    InstrumentStatusChanged,
    RejectReason,
)
from exchange.model import InstrumentStatus, Kind, Leg, Side, combo_seq
from exchange.signing import legs_hash

HIGH = call(110_000)
LATER = call(100_000, expiry=EXPIRY_S + 7 * 86_400)
SPREAD = (Leg(C, 1), Leg(HIGH, -1))


def ask(venue: Venue, *legs: tuple[int, int]):
    return venue.send(ListCombo(legs=tuple(Leg(*leg) for leg in legs)))


def listed(events) -> ComboListed:
    (event,) = [event for event in events if isinstance(event, ComboListed)]
    return event


def test_a_combo_is_an_instrument_with_legs() -> None:
    """Its number is that of the command, its expiry that of the first leg."""
    venue = open_venue()
    events = ask(venue, *SPREAD)
    assert names(events) == ["InstrumentListed", "ComboListed"]
    combo = events[0].instrument
    assert combo.name == "BTC_USDC-CS-25DEC26-100000_110000"
    assert combo.kind is Kind.COMBO
    assert combo.legs == SPREAD
    assert combo.legs_hash == legs_hash(SPREAD)
    assert (combo.underlying_id, combo.expiry) == (1, EXPIRY_S)
    assert combo_seq(combo.instrument_id) == len(venue.entries)
    assert combo_seq(C) == 0
    assert venue.engine.instruments[combo.instrument_id] == combo
    assert venue.engine.status(combo.instrument_id) is InstrumentStatus.LIVE
    assert venue.engine.mark(combo.instrument_id).mark_price == 0


@pytest.mark.parametrize(
    ("again", "factor"),
    [(((C, 1), (HIGH, -1)), 1), (((HIGH, 1), (C, -1)), -1), (((HIGH, -3), (C, 3)), 3)],
)
def test_whoever_asks_again_gets_the_same_combo(again, factor) -> None:
    """In any order, direction and multiple."""
    venue = open_venue()
    first = listed(ask(venue, *SPREAD))
    events = ask(venue, *again)
    assert names(events) == ["ComboListed"]
    assert listed(events) == ComboListed(instrument_id=first.instrument_id, factor=factor)


@pytest.mark.parametrize(
    ("legs", "reason"),
    [
        (((C, 1), (call(95_000), -1)), RejectReason.UNKNOWN_INSTRUMENT),
        (((C, 1), (P, 0)), RejectReason.BAD_COMBO),
        (((C, 1),), RejectReason.BAD_COMBO),
        (((C, 1), (call(3_500, underlying_id=2), 1)), RejectReason.BAD_COMBO),
    ],
)
def test_legs_that_form_no_combo_are_refused(legs, reason) -> None:
    """Listed instruments of one underlying, with whole ratios."""
    venue = open_venue()
    venue.list_instruments(call(3_500, underlying_id=2))
    assert refusals(ask(venue, *legs)) == [reason]


def test_a_combo_is_no_leg() -> None:
    """Nor may a leg have expired."""
    venue = open_venue()
    number = listed(ask(venue, *SPREAD)).instrument_id
    assert refusals(ask(venue, (number, 1), (P, 1))) == [RejectReason.UNKNOWN_INSTRUMENT]
    venue.wait_until(EXPIRY_S)
    assert refusals(ask(venue, (C, 1), (P, 1))) == [RejectReason.INSTRUMENT_EXPIRED]


def test_the_grid_is_the_finest_tick_and_the_coarsest_lot() -> None:
    """And the least quantity that no leg refuses."""
    venue = Venue()
    venue.list_instruments(C, tick_size=50_000, lot_size=100, min_quantity=1_000)
    venue.list_instruments(P, tick_size=20_000, lot_size=500, min_quantity=500)
    event = ask(venue, (C, 1), (P, 2))[0]
    assert isinstance(event, InstrumentListed)
    combo = event.instrument
    assert (combo.tick_size, combo.lot_size, combo.min_quantity) == (10_000, 500, 1_000)
    venue.list_instruments(HIGH, lot_size=300, min_quantity=300)
    assert refusals(ask(venue, (P, 1), (HIGH, 1))) == [RejectReason.BAD_COMBO]


def test_of_too_many_combos_the_oldest_without_orders_ends() -> None:
    """So nobody can fill the list and keep others out."""
    venue = open_venue(limits=limits(combos_max=2))
    first = listed(ask(venue, (C, 1), (P, 1))).instrument_id
    second = listed(ask(venue, *SPREAD)).instrument_id
    events = ask(venue, (C, 1), (HIGH, -2))
    assert names(events) == ["InstrumentExpired", "InstrumentListed", "ComboListed"]
    assert first not in venue.engine.instruments, "whoever lists must not fill the memory"
    assert listed(ask(venue, *SPREAD)).instrument_id == second
    assert listed(ask(venue, (C, 1), (P, 1))).instrument_id not in (first, second)
    gone = venue.order(venue.fund("0x" + "1" * 40), Side.BUY, 1, 100, first)
    assert refusals(gone) == [RejectReason.UNKNOWN_INSTRUMENT]


def test_a_combo_with_orders_keeps_its_place() -> None:
    """Then one more is refused."""
    venue = open_venue(limits=limits(combos_max=1))
    first = listed(ask(venue, *SPREAD)).instrument_id
    anne = venue.fund("0x" + "1" * 40)
    venue.buy(anne, 1, 2_500)
    venue.order(anne, Side.BUY, 1, 100, first, legs_hash=legs_hash(SPREAD))
    assert refusals(ask(venue, (C, 1), (P, 1))) == [RejectReason.TOO_MANY_COMBOS]
    venue.send(CancelAll(subaccount_id=anne))
    venue.buy(anne, 1, 2_500)
    assert names(ask(venue, (C, 1), (P, 1)))[0] == "InstrumentExpired"


def test_a_combo_is_halted_with_any_leg_and_live_again_with_all() -> None:
    """It has no auction of its own."""
    venue = open_venue()
    number = listed(ask(venue, *SPREAD)).instrument_id
    events = venue.send(Halt(instrument_id=HIGH))
    changed = [event for event in events if isinstance(event, InstrumentStatusChanged)]
    assert [event.instrument_id for event in changed] == [HIGH, number]
    late = ask(venue, (HIGH, 1), (put(110_000), 1))
    assert names(late) == ["InstrumentListed", "InstrumentStatusChanged", "ComboListed"]
    venue.send(Resume(instrument_id=HIGH))
    assert venue.engine.status(HIGH) is InstrumentStatus.AUCTION
    assert venue.engine.status(number) is InstrumentStatus.HALTED
    venue.wait(60)
    venue.index()
    assert venue.engine.status(number) is InstrumentStatus.LIVE


def test_an_operator_halts_a_combo_alone() -> None:
    """Its legs go on."""
    venue = open_venue()
    number = listed(ask(venue, *SPREAD)).instrument_id
    venue.send(Halt(instrument_id=number))
    assert venue.engine.status(number) is InstrumentStatus.HALTED
    assert venue.engine.status(C) is InstrumentStatus.LIVE
    venue.send(Resume(instrument_id=number))
    venue.wait(60)
    venue.index()
    assert venue.engine.status(number) is InstrumentStatus.LIVE


def test_a_combo_ends_with_its_first_leg() -> None:
    """A calendar spread with the near leg, whose place in the list is free then."""
    venue = open_venue()
    venue.list_instruments(LATER)
    venue.mark({LATER: 3_000})
    number = listed(ask(venue, (C, 1), (LATER, -1))).instrument_id
    assert venue.engine.instruments[number].expiry == EXPIRY_S
    venue.wait_until(EXPIRY_S + 3_600)
    events = venue.expire()
    assert venue.engine.status(number) is InstrumentStatus.EXPIRED
    ended = [event.instrument_id for event in events if isinstance(event, InstrumentExpired)]
    assert ended.index(number) < ended.index(C)
    assert venue.engine.status(LATER) is InstrumentStatus.LIVE
    assert venue.engine.mark(number) is None


def test_twins_agree() -> None:
    """Listing and ending enter the state."""
    venue = open_venue(limits=limits(combos_max=2))
    for high in (-1, -2, -3):
        ask(venue, (C, 1), (HIGH, high))
    assert venue.twin().state_hash() == venue.engine.state_hash()
