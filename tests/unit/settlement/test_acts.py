"""Which events of an entry are acts, and their numbers."""

from tests.liquidation_world import liquidating_venue, short_call, sweep
from tests.unit.engine.test_acts import acts_of, until_sold
from tests.unit.engine.test_fee_share import later, sharing_venue, trade
from tests.unit.engine.test_remedies import entry_of
from tests.unit.engine.test_takeover import fill_fund, until_taken_over
from tests.venue import C

from exchange.events import FeesShared, InsuranceUsed, PortfolioTransferred
from exchange.settlement.acts import numbered_events


def numbered_acts(venue):
    """By number, all events of the act."""
    found = {}
    for entry in (entry_of(*one) for one in venue.entries):
        for event, act_id in numbered_events(entry):
            if act_id:
                found.setdefault(act_id, []).append(event)
    return found


def test_the_numbers_are_those_of_the_engine():
    """Of a takeover by the fund, of what it paid and of the shares of the loss."""
    venue = liquidating_venue()
    short_call(venue)
    fill_fund(venue, 300)
    venue.mark({C: 6_500})
    until_taken_over(venue)
    known = venue.engine._venue.batches.moves
    found = numbered_acts(venue)
    assert sorted(found) == sorted(act_id for act_id, _ in acts_of(venue))
    assert all(events == [known[-act_id].act] for act_id, events in found.items())
    assert len(found) == 3


def test_a_share_of_fees_is_an_act():
    venue = sharing_venue()
    trade(venue)
    later(venue)
    [(number, events)] = numbered_acts(venue).items()
    assert [number] == [act_id for act_id, _ in acts_of(venue)]
    assert [type(event) for event in events] == [FeesShared]


def test_a_discount_that_the_fund_paid_is_part_of_its_takeover():
    venue = liquidating_venue()
    seller, _ = short_call(venue)
    fill_fund(venue, 50_000)
    keeper = venue.fund("carol")
    venue.mark({C: 6_500})
    for _ in range(18):
        sweep(venue, 1)
    until_sold(venue, keeper, seller)
    [events] = numbered_acts(venue).values()
    assert [type(event) for event in events] == [PortfolioTransferred, InsuranceUsed]
