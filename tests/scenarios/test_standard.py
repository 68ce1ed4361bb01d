"""Small accounts in traders' words: every position by itself, from opening to liquidation."""

import msgspec
import pytest
from tests.liquidation_world import liquidating_venue, sweep
from tests.venue import (
    INDEX,
    MARGIN,
    PERP,
    C,
    Venue,
    call,
    linear_venue,
    open_venue,
    refusals,
    usdc,
)

from exchange.commands import DepositSeen, SubaccountSeen
from exchange.events import LiquidationEnded, LiquidationStarted, RejectReason, Traded
from exchange.margin.remargin import liquidatable

HIGHER = call(110_000)


@pytest.fixture
def venue() -> Venue:
    return open_venue()


def test_a_short_call_needs_its_mark_and_a_tenth_to_a_sixth_of_the_index(venue):
    """At the money 15 %; 10 % out of the money still the least of 10 %."""
    ann, bob = venue.fund("ann", 15_000, standard=True), venue.fund("bob")
    venue.buy(bob, 1, 2_500)
    assert refusals(venue.sell(ann, "1.1", 2_500, max_fee=0)) == [RejectReason.INSUFFICIENT_MARGIN]
    assert refusals(venue.sell(ann, 1, 2_500, max_fee=0)) == []
    margin = venue.engine.margin(ann)
    assert (margin.standard, margin.initial_excess) == (True, 0)
    assert margin.maintenance_excess == usdc(7_500)
    venue.buy(bob, 1, 2_500, instrument_id=HIGHER)
    less = venue.fund("ann", 10_000, standard=True)
    assert refusals(venue.sell(less, 1, 2_500, instrument_id=HIGHER, max_fee=0)) == []
    assert venue.engine.margin(less).initial_excess == 0


def test_nothing_offsets(venue):
    """A call spread costs its short leg; in a portfolio it would cost its width at most."""
    ann, bob = venue.fund("ann", 20_000, standard=True), venue.fund("bob")
    venue.sell(bob, 1, 2_500, instrument_id=HIGHER)
    venue.buy(ann, 1, 2_500, instrument_id=HIGHER)
    venue.buy(bob, 1, 2_500)
    venue.sell(ann, 1, 2_500, max_fee=0)
    margin = venue.engine.margin(ann)
    assert margin.equity == usdc(20_000)
    assert margin.initial_margin == usdc(15_000 + 2_500), "and what the long leg is worth"
    found = venue.engine.simulate(ann, {}, {})
    assert (found.groups, found.initial_addons) == ((), margin.initial_margin)


def test_a_perpetual_needs_a_tenth():
    """And 6.5 % to stay."""
    venue = linear_venue()
    ann, bob = venue.fund("ann", 10_000, standard=True), venue.fund("bob")
    venue.sell(bob, 1, INDEX, instrument_id=PERP)
    assert refusals(venue.buy(ann, 1, INDEX, instrument_id=PERP, max_fee=0)) == []
    margin = venue.engine.margin(ann)
    assert (margin.initial_excess, margin.maintenance_excess) == (0, usdc(3_500))


def test_without_rates_a_short_needs_the_whole_index():
    """A venue that never thought of small accounts lends them nothing."""
    venue = open_venue(margin=msgspec.structs.replace(MARGIN, standard=None))
    ann = venue.fund("ann", 99_999, standard=True)
    assert refusals(venue.sell(ann, 1, 2_500, max_fee=0)) == [RejectReason.INSUFFICIENT_MARGIN]
    rich = venue.fund("ann", 100_000, standard=True)
    assert refusals(venue.sell(rich, 1, 2_500, max_fee=0)) == []


def test_it_is_liquidated_like_any_other():
    """The batch re-margin finds it, slices close it at the mark, and it ends restored."""
    venue = liquidating_venue()
    ann, bob = venue.fund("ann", 61_000, standard=True), venue.fund("bob")
    venue.buy(bob, 4, 2_500)
    venue.sell(ann, 4, 2_500, max_fee=0)
    venue.mark({C: 11_000})
    accounts = [one.account for one in venue.engine.subaccounts.values()]
    assert liquidatable(venue.engine.marks, accounts) == [ann]
    venue.sell(bob, 4, 11_100)
    events = sweep(venue, 1, ann)
    assert [e.subaccount_id for e in events if isinstance(e, LiquidationStarted)] == [ann]
    assert [e.quantity for e in events if isinstance(e, Traded)] == [10_000], "a quarter"
    ended = [e for e in sweep(venue, 1) if isinstance(e, LiquidationEnded)]
    assert [e.subaccount_id for e in ended] == [ann]
    assert venue.engine.positions(ann) == {C: -30_000}, "no more than was needed"
    assert venue.engine.margin(ann).maintenance_excess == usdc(4_400)
    assert venue.twin().state_hash() == venue.engine.state_hash()


def test_its_mode_is_part_of_the_state():
    """Two journals that differ in nothing else have different hashes."""
    hashes = set()
    for standard in (False, True):
        venue = open_venue()
        venue.fund("ann", standard=standard)
        hashes.add(venue.engine.state_hash())
    assert len(hashes) == 2


def test_a_reorganisation_may_open_it_in_the_other_mode():
    """Two openings of one owner changed places on chain: what the chain says last holds."""
    venue = open_venue()
    venue.observe()
    before = venue.block()
    ann, bob = venue.fund("ann", 40_000), venue.fund("bob")
    venue.buy(bob, 1, 2_500)
    venue.sell(ann, 1, 2_500)
    portfolio = venue.engine.margin(ann)
    assert refusals(venue.revert(before)) == []
    venue.observe(
        SubaccountSeen(subaccount_id=ann, owner="ann", standard=True),
        DepositSeen(subaccount_id=ann, amount=usdc(40_000)),
        SubaccountSeen(subaccount_id=bob, owner="bob"),
        DepositSeen(subaccount_id=bob, amount=usdc(1_000_000)),
    )
    standard = venue.engine.margin(ann)
    assert (portfolio.standard, standard.standard) == (False, True)
    assert standard.equity == portfolio.equity
    assert standard.initial_margin == usdc(15_000)
    assert venue.twin().state_hash() == venue.engine.state_hash()
