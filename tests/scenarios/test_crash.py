"""A crash in traders' words: a gap, a whale, a dead oracle, and the day of 2020-03-12."""

import pytest
from tests.crash_world import CASES, Case, Crash
from tests.liquidation_world import PERCENT, bid, liquidating_venue, rules, sweep
from tests.venue import FEES, C, P, call, fills, names, put, usdc

from exchange.events import LiquidationSliced, LossSocialised


def strangle(venue, cash=29_000, quantity=2):
    """Somebody short of the 110k call and the 90k put; who bought them is rich."""
    seller, buyer = venue.fund("ann", cash), venue.fund("bob", 10_000_000)
    for leg in (call(110_000), put(90_000)):
        venue.sell(seller, quantity, 2_500, instrument_id=leg)
        venue.buy(buyer, quantity, 2_500, instrument_id=leg)
    return seller, buyer


def test_a_short_strangle_through_a_gap_of_a_fifth():
    """The put is worth 15,000 at once: slices at the market's price bring it home, solvent.

    Asks stand half a percent of the index above the mark; the seller ends with a buffer, owes
    nothing, and nobody else paid.
    """
    venue = liquidating_venue(fees=FEES)
    seller, _ = strangle(venue)
    maker = venue.fund("carol", 10_000_000)
    venue.index(80_000)
    venue.mark({put(90_000): 13_000, call(110_000): 500})
    venue.sell(maker, 4, 13_400, instrument_id=put(90_000))
    events = [event for _ in range(12) for event in sweep(venue, 1)]
    assert names(events)[-1] == "LiquidationEnded"
    sliced = [event for event in events if isinstance(event, LiquidationSliced)]
    assert {event.instrument_id for event in sliced} == {put(90_000)}, "the leg that hurts"
    assert all(price == usdc(13_400) for price, _ in fills(events))
    left = venue.engine.margin(seller)
    assert left.equity * 100 >= left.maintenance_margin * 115
    assert not any(isinstance(event, LossSocialised) for event in events)
    venue.twin()


def test_a_whale_is_carved_up_by_keepers():
    """400 short calls, an empty book: keepers take fractions as the discount grows, not the fund.

    Each takes what its own margin carries; the price falls until somebody comes.
    """
    venue = liquidating_venue(liquidation=rules(slicing_ns=0))
    whale, other = venue.fund("whale", 1_600_000), venue.fund("bob", 10_000_000)
    venue.sell(whale, 400, 2_500)
    venue.buy(other, 400, 2_500)
    keepers = [venue.fund(f"keeper{n}", 600_000) for n in range(8)]
    venue.mark({C: 5_000})
    sweep(venue, 1)
    sweep(venue, 1)
    held = []
    for keeper in keepers:
        sweep(venue, 2)
        if whale in venue.engine.liquidated:
            events = bid(venue, keeper, whale, fraction=10 * PERCENT)
            held += [event for event in events if names([event]) == ["PortfolioTransferred"]]
    sweep(venue, 1)
    assert len(held) > 3
    assert whale not in venue.engine.liquidated
    discounts = [event.discount * 10**18 // event.fraction for event in held]
    assert all(one > 0 for one in discounts)
    assert venue.engine.margin(whale).equity > 0
    assert venue.position(1) == 0, "the fund holds nothing"


def test_a_dead_oracle_liquidates_nobody():
    """The index falls silent in the middle of a crash: no slice, no bid, no takeover, for a day."""
    venue = liquidating_venue()
    seller, _ = strangle(venue)
    venue.mark({put(90_000): 13_000})
    sweep(venue)
    before = venue.engine.positions(seller), venue.cash(seller)
    for _ in range(24):
        venue.wait(3_600)
        venue.mark({})
        assert sweep(venue) == ()
    assert (venue.engine.positions(seller), venue.cash(seller)) == before


def test_a_lie_of_one_epoch_costs_nobody_who_was_hedged():
    """A mark ten times too high for both legs of a spread: the holder is not liquidated."""
    venue = liquidating_venue()
    holder, maker = venue.fund("ann", 30_000), venue.fund("bob", 10_000_000)
    venue.sell(holder, 2, 2_500)
    venue.buy(maker, 2, 2_500)
    venue.buy(holder, 2, 2_500, instrument_id=P)
    venue.sell(maker, 2, 2_500, instrument_id=P)
    venue.mark({C: 25_000, P: 25_000})
    assert sweep(venue) == ()


def crash(accounts, case):
    figures = Crash(accounts, case).play()
    assert figures["accounts_below_zero_at_the_end"] == 0
    assert figures["liquidations"] >= figures["accounts_liquidated"] > accounts // 5
    return figures


def test_half_of_the_price_in_a_day():
    """Makers who thin out and keepers are enough: the fund pays nothing, nobody shares a loss."""
    figures = crash(120, CASES["as it was"])
    assert figures["slices"] > 50
    assert figures["insurance_payments"] == figures["socialised_usdc"] == 0
    assert figures["still_running"] == 0


def test_half_of_the_price_in_a_day_with_nobody_there():
    """No quotes, no bids, prices once an hour: the fund has everything, and losses are shared."""
    case = Case(epoch_s=3_600, depth=0.0, keepers=0, fund=0)
    figures = crash(120, case)
    assert figures["slices"] == figures["sold_to_keepers"] == 0
    assert figures["taken_over_by_fund"] > 20
    assert figures["insurance_payments"] > 0


@pytest.mark.integration
def test_the_same_day_for_a_thousand():
    """The population of the table in docs/margin.md, its first column."""
    figures = crash(1_000, CASES["as it was"])
    assert figures["accounts"] == 1_000
    assert figures["insurance_payments"] == figures["socialised_usdc"] == 0
