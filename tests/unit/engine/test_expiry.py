"""Listing, marks and delivery: exact averages, holes in the window, payoffs that sum to zero."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venue import (
    CHAIN,
    COLLATERALS,
    EXPIRY_S,
    FUTURE,
    INDEX,
    MARGIN,
    NS,
    PERP,
    START_S,
    C,
    Venue,
    call,
    canceled,
    configuration,
    future,
    limits,
    linear_venue,
    listing,
    names,
    open_venue,
    perpetual,
    put,
    refusals,
    usdc,
)

from exchange.commands import InterestParameters, ListInstruments, UpdateIndex
from exchange.events import (
    CancelReason,
    Configured,
    DeliveryPriceFixed,
    IndexUpdated,
    InstrumentExpired,
    InstrumentListed,
    MarksUpdated,
    PositionExpired,
    RejectReason,
)
from exchange.fixed import PRICE_QUANTUM, RATIO_SCALE
from exchange.margin.merkle import samples_root
from exchange.model import InstrumentStatus
from exchange.terms import INTEREST_RATE_MAX

R = RejectReason
WINDOW_S = 1_800
AGE_S = 30
GRACE_S = 3_600


# --- parameters ---


def test_versions_of_parameters_rise(venue):
    """An older or equal version is refused; a newer one takes effect."""
    again = venue.engine.parameters
    assert refusals(venue.send(again)) == [R.STALE_VERSION]
    newer = configuration(version=2, limits=limits(quantity_max=100))
    assert venue.send(newer) == (Configured(version=2),)
    assert refusals(venue.buy(venue.fund("ann"), 1, 2_500)) == [R.QUANTITY_TOO_LARGE]


OTHER_SCENARIOS = msgspec.structs.replace(
    MARGIN, weights=MARGIN.weights[:2], absolute=MARGIN.absolute[:2], spots=MARGIN.spots[:2]
)


def test_the_number_of_scenarios_stays_once_there_are_risk_arrays(venue):
    """Without fitting rows no account could be valued; all else may change."""
    other = configuration(version=2, margin=OTHER_SCENARIOS)
    assert refusals(venue.send(other)) == [R.STALE_VERSION]
    same_count = msgspec.structs.replace(MARGIN, maintenance_factor=RATIO_SCALE)
    assert refusals(venue.send(configuration(version=2, margin=same_count))) == []


def test_tokens_are_added_and_keep_their_place(venue):
    """Terms may change, a token may not: what accounts hold is booked under its number."""
    weth, wbtc = COLLATERALS
    assert refusals(venue.send(configuration(version=2, collaterals=(wbtc,)))) == [R.BAD_COLLATERAL]
    assert refusals(venue.send(configuration(version=2, collaterals=(weth,)))) == []
    both = configuration(version=3, collaterals=COLLATERALS)
    assert refusals(venue.send(both)) == []
    other = msgspec.structs.replace(weth, decimals=6)
    stricter = msgspec.structs.replace(weth, account_cap=0, isolated=True)
    for tokens in ((), (weth,), (other, wbtc)):
        command = configuration(version=4, collaterals=tokens)
        assert refusals(venue.send(command)) == [R.BAD_COLLATERAL]
    assert refusals(venue.send(configuration(version=4, collaterals=(stricter, wbtc)))) == []


def test_interest_is_what_the_contract_takes():
    """A higher rate would make a batch that the chain refuses."""
    venue = open_venue()
    for rate, refused in ((-1, True), (INTEREST_RATE_MAX + 1, True), (INTEREST_RATE_MAX, False)):
        terms = InterestParameters(rate=rate, interval_ns=NS, debt_max=0)
        events = venue.send(configuration(version=2, interest=terms))
        assert refusals(events) == [R.BAD_PARAMETERS] * refused


def test_scenarios_may_change_before_the_first_epoch():
    """No row exists that would not fit."""
    venue = Venue()
    assert names(venue.send(configuration(version=2, margin=OTHER_SCENARIOS))) == ["Configured"]


# --- listing ---


def test_listing_opens_trading(venue):
    """The event carries the instrument with its name and grid."""
    (listed,) = venue.list_instruments(
        call(120_000), tick_size=50_000, lot_size=1_000, min_quantity=2_000
    )
    assert isinstance(listed, InstrumentListed)
    instrument = listed.instrument
    assert instrument.name == "BTC_USDC-25DEC26-120000-C"
    assert (instrument.tick_size, instrument.lot_size) == (50_000, 1_000)
    assert venue.engine.status(call(120_000)) is InstrumentStatus.LIVE
    assert venue.engine.instruments[call(120_000)] == instrument


def test_listing_twice_changes_nothing(venue):
    """Old ones are left alone, also within one command."""
    new = call(120_000)
    events = venue.list_instruments(C, new, new, tick_size=20_000)
    assert names(events) == ["InstrumentListed"]
    assert venue.engine.instruments[C].tick_size == 10_000


NEW = call(120_000)
BAD_LISTINGS = [
    (R.UNKNOWN_INSTRUMENT, listing(0)),
    (R.UNKNOWN_INSTRUMENT, listing(NEW | 1 << 63)),
    (R.UNKNOWN_INSTRUMENT, listing(call(120_000, underlying_id=3))),
    (R.UNKNOWN_INSTRUMENT, listing(perpetual(underlying_id=3))),
    (R.INSTRUMENT_EXPIRED, listing(future(START_S))),
    (R.INSTRUMENT_EXPIRED, listing(call(120_000, expiry=START_S))),
    (R.QUANTITY_OFF_LOT, listing(NEW, lot_size=0)),
    (R.QUANTITY_OFF_LOT, listing(NEW, min_quantity=150)),
    (R.PRICE_OFF_TICK, listing(NEW, tick_size=0)),
    (R.PRICE_OFF_TICK, listing(NEW, tick_size=5_000)),
]


@pytest.mark.parametrize(("reason", "bad"), BAD_LISTINGS)
def test_one_bad_listing_refuses_all(venue, reason, bad):
    """A refusal changes nothing: the good one beside it is not listed either."""
    good = listing(put(120_000))
    assert refusals(venue.send(ListInstruments(listings=(good, bad)))) == [reason]
    assert set(venue.engine.instruments) == set(CHAIN)


# --- index and marks ---


def test_an_index_sample_is_public(venue):
    """It prices fees and bands at once."""
    assert venue.index(99_000) == (IndexUpdated(underlying_id=1, index_price=usdc(99_000)),)
    assert venue.engine.index_price(1) == usdc(99_000)
    assert venue.engine.index_price(2) == 0


@pytest.mark.parametrize("price", [0, -1])
def test_an_index_is_positive(venue, price):
    """Breakers and bands divide by it: a source gone mad must not stop the venue."""
    assert refusals(venue.index(price)) == [R.PRICE_NOT_POSITIVE]
    assert venue.engine.index_price(1) == usdc(INDEX)


def test_an_unknown_underlying_has_no_index(venue):
    """Only configured underlyings are sampled."""
    unknown = UpdateIndex(underlying_id=3, index_price=1, confidence=1)
    assert refusals(venue.send(unknown)) == [R.UNKNOWN_INSTRUMENT]


def test_epochs_rise(venue):
    """Equal or older epochs are refused."""
    (updated,) = venue.mark({C: 2_600})
    assert updated == MarksUpdated(epoch=2, root=bytes(31) + b"\x02")
    assert venue.engine.epoch == 2
    assert venue.engine.mark(C).mark_price == usdc(2_600)
    assert refusals(venue.mark({}, epoch=2)) == [R.STALE_VERSION]
    assert refusals(venue.mark({}, epoch=1)) == [R.STALE_VERSION]


def test_an_epoch_keeps_every_marked_instrument(venue):
    """Somebody may hold it: held means marked. New ones may join."""
    venue.list_instruments(NEW)
    assert refusals(venue.mark({NEW: 10})) == []
    del venue.marks[C]
    assert refusals(venue.mark({})) == [R.STALE_VERSION]


@pytest.mark.parametrize(
    "change",
    [{"rows": b""}, {"root": b""}, {"expiries": ()}, {"underlyings": ()}],
    ids=lambda change: next(iter(change)),
)
def test_malformed_epochs_are_refused(venue, change):
    """The arrays in force stay."""
    assert refusals(venue.mark({}, **change)) == [R.STALE_VERSION]
    assert venue.engine.epoch == 1


def test_an_epoch_knows_listed_instruments_only(venue):
    """Ids that nobody listed, canonical or not, do not enter."""
    for unknown in (NEW, 7):
        ids = tuple(sorted((*venue.marks, unknown)))
        update = venue.marks_update(instrument_ids=ids)
        assert refusals(venue.send(update)) == [R.STALE_VERSION]


# --- delivery ---


def sampled(
    samples: list[tuple[int, int]], *, deliver_after_s: int = 0
) -> tuple[Venue, DeliveryPriceFixed | None, list[RejectReason]]:
    """A venue that saw samples (seconds from the expiry, micro-USDC), and its delivery."""
    venue = open_venue()
    venue.checking = False
    for offset_s, price in samples:
        venue.wait_until(EXPIRY_S + offset_s)
        venue.send(UpdateIndex(underlying_id=1, index_price=price, confidence=RATIO_SCALE))
    venue.wait_until(max(EXPIRY_S + deliver_after_s, venue.now_s))
    events = venue.expire()
    fixed = [event for event in events if isinstance(event, DeliveryPriceFixed)]
    return venue, fixed[0] if fixed else None, refusals(events)


def steady(start_s: int = -WINDOW_S, end_s: int = 0, price: int = usdc(100_000)):
    return [(offset, price) for offset in range(start_s, end_s, AGE_S)]


def slow_average(samples: list[tuple[int, int]]) -> int:
    """The same by definition: each second of the window has the price of the last sample."""
    samples = [(START_S - EXPIRY_S, usdc(INDEX)), *samples]
    total = Fraction(0)
    for second in range(-WINDOW_S, 0):
        before = [price for offset, price in samples if offset <= second]
        total += before[-1] if before else samples[0][1]
    return round(total / WINDOW_S / PRICE_QUANTUM) * PRICE_QUANTUM


def test_a_steady_index_is_the_delivery_price():
    """The plainest expiry: an average of equal prices."""
    _, fixed, _ = sampled(steady())
    expected = DeliveryPriceFixed(
        underlying_id=1,
        expiry=EXPIRY_S,
        price=usdc(100_000),
        samples=WINDOW_S // AGE_S - 1,
        samples_root=samples_root(
            [((EXPIRY_S + offset) * NS, price) for offset, price in steady()]
        ),
    )
    assert fixed == expected


def test_prices_count_for_as_long_as_they_hold():
    """Time weighs, not the number of samples: 20 seconds at 100, 10 at 130."""
    venue = open_venue(delivery_window_s=30)
    for offset_s, price in [(-30, 100), (-10, 130), (-10, 130), (-9, 130), (0, 10**6)]:
        venue.wait_until(EXPIRY_S + offset_s)
        venue.index(price)
    (fixed, *_) = venue.expire()
    assert fixed.price == usdc(110)
    assert fixed.samples == 3


def test_a_sample_at_the_second_of_expiry_does_not_count():
    """The window ends there; it only proves that there is no hole."""
    _, fixed, _ = sampled([*steady(), (0, usdc(1))])
    assert fixed.price == usdc(100_000)


ROUNDING = [(0, 0), (5_000, 0), (5_001, 10_000), (15_000, 20_000), (14_999, 10_000)]


@pytest.mark.parametrize(("extra", "rounded"), ROUNDING)
def test_delivery_rounds_half_even_to_a_cent(extra, rounded):
    """Ties go to the even cent, so payoffs are exact and no side is favoured."""
    price = usdc(100_000)
    _, fixed, _ = sampled(steady(price=price + extra))
    assert fixed.price == price + rounded


@given(
    st.lists(
        st.tuples(st.integers(-3 * WINDOW_S, 10), st.integers(1, 2 * 10**11)),
        min_size=1,
        max_size=30,
    )
)
def test_the_average_equals_its_slow_twin(samples):
    """Any samples, after the grace period that forgives holes: exact to the rounded cent."""
    samples.sort(key=lambda sample: sample[0])
    venue, fixed, _ = sampled(samples, deliver_after_s=GRACE_S)
    assert fixed.price == slow_average(samples)
    assert fixed.samples == sum(-WINDOW_S < offset < 0 for offset, _ in samples)
    assert venue.engine.delivery_prices == {(1, EXPIRY_S): fixed.price}


HOLES = [
    ("none", steady(), []),
    ("a second too long in the middle", [s for s in steady() if s[0] != -600], ["hole"]),
    ("at the start", [s for s in steady() if s[0] != -WINDOW_S], ["hole"]),
    ("before the window, and old", [(-WINDOW_S - AGE_S, 1), *steady()[1:]], ["hole"]),
    ("bridged from before", [(-WINDOW_S - 1, 1), (-WINDOW_S + 29, 1), *steady()[1:]], []),
    ("at the end", steady()[:-1], ["hole"]),
    ("none, and samples go on", [*steady(), (1, 1), (600, 1)], []),
    ("at the end, but proven after", [*steady()[:-1], (-1, 1)], ["hole"]),
    ("no sample in the window", [(-WINDOW_S - 500, 1), (5, 1)], ["hole"]),
]


@pytest.mark.parametrize(("where", "samples", "hole"), HOLES, ids=[hole[0] for hole in HOLES])
def test_a_hole_holds_delivery_up(where, samples, hole):
    """Every moment of the window needs a sample no older than an index may be."""
    _, fixed, reasons = sampled(samples)
    assert reasons == ([R.SAMPLES_MISSING] if hole else [])
    assert (fixed is None) == bool(hole)


def slow_hole(samples: list[tuple[int, int]]) -> bool:
    """By definition: some half second of the window is too far from the sample that it has."""
    for half in range(-2 * WINDOW_S, 1):
        ages = [half - 2 * offset for offset, _ in samples if 2 * offset <= half]
        if not ages or min(ages) > 2 * AGE_S:
            return True
    return False


@given(
    st.integers(-WINDOW_S - 40, -WINDOW_S + 2),
    st.lists(st.integers(24, AGE_S), min_size=76, max_size=76),
    st.tuples(st.integers(0, 75), st.integers(0, 8)),
    st.integers(-40, 60),
)
def test_holes_equal_their_slow_twin(first, gaps, late, last):
    """Samples about as far apart as they may be: refused exactly when the definition says so."""
    gaps[late[0]] += late[1]
    samples = [(first, usdc(1))]
    for gap in gaps:
        samples.append((samples[-1][0] + gap, usdc(1)))
    samples = [sample for sample in samples if sample[0] <= last]
    venue, fixed, _ = sampled(samples, deliver_after_s=max(0, last))
    seen = [sample for sample in samples if EXPIRY_S + sample[0] <= venue.now_s]
    assert (fixed is None) == slow_hole(seen)


def test_grace_forgives_holes():
    """An hour later the average of what there is must do: positions cannot wait for ever."""
    samples = [(-WINDOW_S, usdc(90_000)), (-WINDOW_S // 2, usdc(110_000))]
    venue, fixed, reasons = sampled(samples, deliver_after_s=GRACE_S - 1)
    assert (fixed, reasons) == (None, [R.SAMPLES_MISSING])
    venue.wait(1)
    (fixed, *_) = venue.expire()
    assert fixed.price == usdc(100_000)


def test_no_sample_at_all_waits_for_ever():
    """Without any price there is nothing to average, whatever the hour."""
    venue = Venue()
    venue.list_instruments(C)
    venue.wait_until(EXPIRY_S + 2 * GRACE_S)
    assert refusals(venue.expire()) == [R.SAMPLES_MISSING]


def test_a_late_delivery_remembers_its_window():
    """Hours of newer samples do not push out those that an undelivered expiry needs."""
    venue = open_venue()
    samples = [*steady(end_s=-900), *steady(-900, 0, usdc(120_000))]
    for offset_s, price in [*samples, *steady(0, 3 * 3_600, usdc(5))]:
        venue.wait_until(EXPIRY_S + offset_s)
        venue.send(UpdateIndex(underlying_id=1, index_price=price, confidence=RATIO_SCALE))
    (fixed, *_) = venue.expire()
    assert fixed.price == usdc(110_000)


def test_samples_are_forgotten_when_nobody_needs_them(venue):
    """Far from an expiry the engine keeps one window."""
    for _ in range(200):
        venue.wait(AGE_S)
        venue.index()
    samples = venue.engine._venue.samples[1].samples
    assert len(samples) == WINDOW_S // AGE_S + 1
    assert samples[0][0] == venue.time_ns - WINDOW_S * NS


EXPIRY_FAULTS = [
    (R.UNKNOWN_INSTRUMENT, {"underlying_id": 2}),
    (R.UNKNOWN_INSTRUMENT, {"underlying_id": 9}),
    (R.UNKNOWN_INSTRUMENT, {"expiry": 0}),
    (R.UNKNOWN_INSTRUMENT, {"expiry": START_S - 86_400}),
    (R.NOT_EXPIRED, {}),
]


@pytest.mark.parametrize(("reason", "change"), EXPIRY_FAULTS)
def test_only_listed_expiries_that_came_are_delivered(venue, reason, change):
    """No delivery price exists for what nobody could trade, nor ahead of time."""
    assert refusals(venue.expire(**change)) == [reason]
    assert venue.engine.delivery_prices == {}


def test_a_perpetual_never_expires():
    """It has no expiry to be asked for, and its index samples are forgotten all the same."""
    venue = linear_venue()
    assert refusals(venue.expire(0)) == [R.UNKNOWN_INSTRUMENT]
    assert venue.engine.status(PERP) is InstrumentStatus.LIVE
    for _ in range(100):
        venue.wait(AGE_S)
        venue.index()
    assert len(venue.engine._venue.samples[1].samples) == WINDOW_S // AGE_S + 1


def test_a_future_pays_what_it_moved_since_it_was_entered():
    """Delivery less entry, on both sides; the cash of the trade itself never moved."""
    venue = linear_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 2, 100_000, instrument_id=FUTURE)
    venue.buy(bob, 2, 100_000, instrument_id=FUTURE)
    assert venue.cash(ann) == venue.cash(bob) == usdc(1_000_000)
    for offset_s, sample in steady(price=usdc(99_400)):
        venue.wait_until(EXPIRY_S + offset_s)
        venue.send(UpdateIndex(underlying_id=1, index_price=sample, confidence=RATIO_SCALE))
    venue.wait_until(EXPIRY_S)
    paid = [e for e in venue.expire() if isinstance(e, PositionExpired)]
    assert [(e.subaccount_id, e.quantity, e.payoff) for e in paid] == [
        (ann, -20_000, usdc(1_200)),
        (bob, 20_000, -usdc(1_200)),
    ]
    assert venue.cash(ann) == usdc(1_001_200)
    assert venue.engine.positions(bob) == {}


def test_an_expiry_is_delivered_once():
    """The second time is refused and pays nobody."""
    venue, _, _ = sampled(steady())
    assert refusals(venue.expire()) == [R.ALREADY_EXPIRED]


# --- payoffs ---


def at_expiry(price: int) -> tuple[Venue, int, int]:
    """Ann sold bob 2 calls and bought 3 puts from him; the index stands at `price`."""
    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.buy(bob, 2, 2_500)
    venue.sell(ann, 2, 2_500)
    venue.sell(bob, 3, 2_500, instrument_id=put(100_000))
    venue.buy(ann, 3, 2_500, instrument_id=put(100_000))
    for offset_s, sample in steady(price=usdc(price)):
        venue.wait_until(EXPIRY_S + offset_s)
        venue.send(UpdateIndex(underlying_id=1, index_price=sample, confidence=RATIO_SCALE))
    venue.sell(ann, 1, 2_600, deadline=EXPIRY_S + 7_200)
    venue.wait_until(EXPIRY_S)
    return venue, ann, bob


PAYOFFS = [  # delivery price, what ann's 2 short calls and 3 long puts pay her
    (100_000, 0, 0),
    (110_000, -20_000, 0),
    (90_000, 0, 30_000),
]


@pytest.mark.parametrize(("price", "calls", "puts"), PAYOFFS)
def test_positions_are_paid_off(price, calls, puts):
    """Each holder gets quantity times payoff; what one receives the other pays."""
    venue, ann, bob = at_expiry(price)
    before = venue.cash(ann), venue.cash(bob)
    events = venue.expire()
    paid = {
        (e.subaccount_id, e.instrument_id): (e.quantity, e.payoff)
        for e in events
        if isinstance(e, PositionExpired)
    }
    assert paid == {
        (ann, C): (-20_000, usdc(calls)),
        (bob, C): (20_000, -usdc(calls)),
        (ann, put(100_000)): (30_000, usdc(puts)),
        (bob, put(100_000)): (-30_000, -usdc(puts)),
    }
    assert venue.cash(ann) - before[0] == usdc(calls + puts)
    assert venue.cash(bob) - before[1] == -usdc(calls + puts)
    assert venue.engine.positions(ann) == venue.engine.positions(bob) == {}
    assert venue.engine.pending == 2 + 4  # two trades, four payoffs


def test_an_expiry_ends_its_instruments_only():
    """Orders in them are canceled, whatever their deadline; other expiries live on."""
    venue, ann, _ = at_expiry(100_000)
    later = call(100_000, expiry=EXPIRY_S + 7 * 86_400)
    venue.list_instruments(later)
    venue.mark({later: 2_500})
    resting = call(90_000)
    venue.sell(ann, 1, 2_500, instrument_id=later)
    events = venue.expire()
    assert [e.instrument_id for e in events if isinstance(e, InstrumentExpired)] == list(CHAIN)
    assert canceled(events) == [(10_000, CancelReason.EXPIRED)]
    assert venue.engine.status(resting) is InstrumentStatus.EXPIRED
    assert venue.engine.status(later) is InstrumentStatus.LIVE
    assert venue.book(resting) == ([], [])
    assert venue.book(later)[1] == [(usdc(2_500), 10_000)]
    assert refusals(venue.sell(ann, 1, 2_500, instrument_id=resting)) == [R.INSTRUMENT_EXPIRED]
    assert venue.engine.mark(resting) is None


def test_marks_after_an_expiry_need_not_name_it():
    """The next epoch is complete without the instruments that ended."""
    venue, _, _ = at_expiry(100_000)
    venue.expire()
    venue.marks.clear()
    later = call(100_000, expiry=EXPIRY_S + 7 * 86_400)
    venue.list_instruments(later)
    assert refusals(venue.mark({later: 2_500})) == []


def test_an_expiry_is_paid_off_in_parts_when_the_batch_is_full():
    """A command's payoffs settle in one transaction; the next command goes on with it."""
    venue = open_venue(limits=limits(batch_items_max=2))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    for instrument_id in CHAIN:
        venue.sell(ann, 1, 2_500, instrument_id=instrument_id)
        venue.buy(bob, 1, 2_500, instrument_id=instrument_id)
    venue.wait_until(EXPIRY_S + 3_600)
    commands = [venue.expire() for _ in CHAIN]
    paid = [names(events).count("PositionExpired") for events in commands]
    assert paid == [2] * len(CHAIN)
    assert [names(events).count("DeliveryPriceFixed") for events in commands] == [1] + [0] * 5
    assert refusals(venue.expire()) == [RejectReason.ALREADY_EXPIRED]
    assert not venue.engine.positions(ann)
