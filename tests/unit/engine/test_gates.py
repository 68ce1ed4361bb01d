"""A gate answers as the rules that it sums up do, and is forgotten with what it follows from."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.test_published import PERCENT, shown_venue
from tests.venue import (
    EXPIRY_S,
    FEES,
    C,
    Venue,
    configuration,
    contracts,
    limits,
    linear_venue,
    open_venue,
    perpetual,
    usdc,
)

from exchange.commands import Halt, PlaceOrder, PriceBandsSeen
from exchange.engine.checks import _check_by_rules
from exchange.engine.entry import new_order
from exchange.engine.fees import schedule_fee_per_contract
from exchange.engine.gates import find_gate, fits
from exchange.model import Side

PERP = perpetual()


@given(
    instrument_id=st.sampled_from((C, PERP, 1)),
    side=st.sampled_from(Side),
    price=st.one_of(
        st.integers(-2, 12_600).map(usdc), st.integers(0, usdc(120_000)), st.just(usdc(100_000))
    ),
    quantity=st.one_of(st.integers(-2, 1_010).map(contracts), st.integers(0, 50_000)),
    max_fee=st.sampled_from((0, usdc(10), usdc(29), usdc(30), usdc(50), usdc(100))),
    options=st.sampled_from(({}, {"max_show": 100}, {"market": True})),
)
def test_what_fits_is_refused_by_no_rule(
    instrument_id, side, price, quantity, max_fee, options
) -> None:
    """And a plain order that does not fit is, unless its premium is what bounds its fee."""
    venue = WITH_FEES
    terms = msgspec.structs.replace(
        venue.terms(ANN, side, 1, 1, instrument_id),
        limit_price=price,
        quantity=quantity,
        max_fee=max_fee,
    )
    state = venue.engine._venue
    order = new_order(state, PlaceOrder(terms=terms, signature=b"", **options))
    refusal = _check_by_rules(state, order)
    if fits(state, order):
        assert refusal is None
    elif not options and refusal is None:
        instrument = state.instruments[instrument_id]
        assert schedule_fee_per_contract(state, instrument, price) <= max_fee < usdc(30)


WITH_FEES = linear_venue(fees=FEES)
ANN = WITH_FEES.fund("ann")
WITH_FEES.buy(ANN, 1, 2_500)


def narrow(venue: Venue) -> None:
    venue.observe(PriceBandsSeen(option_rate=2 * PERCENT, linear_rate=PERCENT, age_max_s=300))


@pytest.mark.parametrize(
    "happens",
    [
        lambda venue: venue.index(),
        lambda venue: venue.mark({C: 2_600}),
        lambda venue: venue.send(configuration(version=2, limits=limits(quantity_max=1))),
        lambda venue: venue.send(Halt(underlying_id=1)),
        narrow,
    ],
    ids=["index", "marks", "parameters", "phase", "bands"],
)
def test_a_gate_is_forgotten_with_what_it_follows_from(happens: Callable[[Venue], None]) -> None:
    """`Engine.check` compares those that are kept with what would be found."""
    venue = shown_venue()
    venue.buy(venue.fund("ann"), 1, 2_500)
    assert list(venue.engine._venue.gates) == [C]
    happens(venue)
    assert venue.engine._venue.gates == {}


def test_a_gate_ends_when_something_is_stale_or_over() -> None:
    """The index in thirty seconds; with a fresh one, at the expiry."""
    venue = open_venue()
    state = venue.engine._venue
    assert find_gate(state, C).until_ns == venue.time_ns + limits().index_age_ns_max
    venue.wait(31)
    assert find_gate(state, C) is not None, "no command brought the time yet"
    venue.fund("ann")
    assert find_gate(state, C) is None
    venue.wait_until(EXPIRY_S - 1)
    venue.index()
    assert find_gate(state, C).until_ns == EXPIRY_S * 10**9 - 1


def test_what_is_not_listed_or_not_marked_has_no_gate() -> None:
    venue = Venue()
    assert find_gate(venue.engine._venue, C) is None
    venue.list_instruments(C)
    venue.index()
    assert find_gate(venue.engine._venue, C) is None
