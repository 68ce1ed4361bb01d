"""Which events of an entry are acts, and their numbers."""

import pytest
from tests.liquidation_world import liquidating_venue, short_call, sweep
from tests.unit.engine.test_acts import acts_of, until_sold
from tests.unit.engine.test_fee_share import later, sharing_venue, trade
from tests.unit.engine.test_remedies import appoint, entry_of, expire, novate, novated
from tests.unit.engine.test_takeover import fill_fund, until_taken_over
from tests.venue import FEE_ID, FEES, FUTURE, C, linear_venue, refusals

from exchange.commands import CutBatch
from exchange.events import (
    ActRefused,
    FeesShared,
    InsuranceUsed,
    InterestPaid,
    PortfolioTransferred,
    PositionExpired,
    Traded,
)
from exchange.journal import EntryEncoder
from exchange.settlement.acts import numbered_events
from exchange.settlement.holdings import expected_holdings


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


@pytest.mark.parametrize(("instrument_id", "price"), [(C, 2_500), (FUTURE, 100_000)])
def test_who_failed_and_was_flat_when_it_expired_is_paid_off_too(instrument_id, price):
    """Without the fill that the venue took the chain leaves him with what closed it."""
    venue = linear_venue(fees=FEES)
    appoint(venue)
    ann, bob, carol = (venue.fund(owner) for owner in ("ann", "bob", "carol"))
    venue.sell(ann, 3, price, instrument_id=instrument_id)
    events = venue.buy(bob, 3, price, instrument_id=instrument_id)
    venue.send(CutBatch())
    fill = next(event for event in events if isinstance(event, Traded))
    venue.sell(carol, 3, price, instrument_id=instrument_id)
    venue.buy(ann, 3, price, instrument_id=instrument_id)
    assert venue.position(ann, instrument_id) == 0
    refused = novated(venue, fill, maker=True, deadline=2**40 - 1)
    expire(venue)
    assert refusals(novate(venue, refused)) == []
    entries = [entry_of(*one) for one in venue.entries]
    holdings = expected_holdings(entries, settled_seq=len(entries), observed_seq=len(entries))
    holdings.check()
    for who in (ann, bob, carol, FEE_ID):
        assert (holdings.positions_of(who), holdings.cash[who]) == ({}, venue.cash(who))


@pytest.mark.parametrize("by_keeper", [True, False])
def test_what_expired_of_a_refused_act_is_paid_off_for_who_has_it_again(by_keeper):
    """The taker's leg where a takeover did not happen; else of who failed."""
    paid = PositionExpired(subaccount_id=2, instrument_id=C, quantity=-5, payoff=-7)
    takeover = PortfolioTransferred(
        subaccount_id=2,
        taker_subaccount_id=9,
        step=1,
        fraction=10**18,
        legs=(),
        discount=0,
        by_fund=False,
    )
    act = takeover if by_keeper else InterestPaid(subaccount_id=4, amount=1)
    refused = ActRefused(batch=1, act_id=8, act=act, subaccount_id=4, fund_subaccount_id=0)
    entry, _ = EntryEncoder().stamp(0, CutBatch(), (paid, refused))
    again = PositionExpired(
        subaccount_id=9 if by_keeper else 4, instrument_id=C, quantity=5, payoff=7
    )
    assert list(numbered_events(entry)) == [(paid, 0), (refused, 0), (again, 0)]
