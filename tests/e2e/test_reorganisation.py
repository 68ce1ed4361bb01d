"""The chain loses blocks that the exchange had acted on; real processes on a real Anvil."""

import pytest
from tests.live_venue import LiveVenue, eventually
from tests.reorganising import reorganise_from

from exchange.events import (
    Deposited,
    FillNovated,
    LiquidationEnded,
    LiquidationStarted,
    Traded,
)
from exchange.fixed import CASH_SCALE
from exchange.reversals import BatchReverted, BlocksReverted, DepositReverted, SubaccountReverted

pytestmark = pytest.mark.e2e


def test_a_deep_reorganisation_is_undone_and_settles_again(venue: LiveVenue) -> None:
    """A deposit and final batches vanish: alarm, debit, hold; then chain = engine again."""
    ann, bob = venue.join(), venue.join()
    name = venue.option()
    venue.trade(ann, bob, name)
    venue.settled()
    venue.observed()
    kept = venue.chain.head()
    bob.wallet.fund(bob.subaccount_id, 777 * CASH_SCALE)
    venue.observed()
    for _ in range(3):
        venue.trade(ann, bob, name)
        venue.settled()
    lost = venue.chain.last_batch().number
    reorganise_from(venue.chain, kept)
    assert venue.chain.last_batch().number < lost
    eventually(lambda: venue.events(BlocksReverted), "the reversal")
    assert [(e.subaccount_id, e.amount) for e in venue.events(DepositReverted)] == [
        (bob.subaccount_id, 777 * CASH_SCALE)
    ]
    assert venue.events(BatchReverted)
    eventually(lambda: "chain_reorganised" in venue.alarms(), "the alarm")
    assert venue.admin("/admin/status")["withdrawals_held"] == [bob.subaccount_id]
    venue.trade(ann, bob, name)
    venue.require_agreement()
    assert len(venue.events(Traded)) == 5


def test_a_subaccount_that_vanished_and_comes_again(venue: LiveVenue) -> None:
    """Its number goes to nobody else's trades: its owner opens and funds it anew, and goes on."""
    ann = venue.join()
    venue.settled()
    venue.observed()
    kept = venue.chain.head()
    bob = venue.join()
    name = venue.option()
    venue.trade(ann, bob, name)
    venue.settled()
    reorganise_from(venue.chain, kept)
    eventually(lambda: venue.events(SubaccountReverted), "the reversal")
    assert bob.wallet.open_subaccount() == bob.subaccount_id
    bob.wallet.fund(bob.subaccount_id, 1_000_000 * CASH_SCALE)
    venue.observed()
    # Without its deposit the account owes money: a mark may have come in between.
    eventually(
        lambda: len(venue.events(LiquidationStarted)) == len(venue.events(LiquidationEnded)),
        "the end of every liquidation",
    )
    venue.trade(ann, bob, name)
    venue.require_agreement()
    deposits = [e for e in venue.events(Deposited) if e.subaccount_id == bob.subaccount_id]
    assert len(deposits) == 2


def test_fills_of_somebody_who_vanished_are_the_venues(venue: LiveVenue) -> None:
    """Novations of an option and a perpetual: who is left stands, the venue holds the rest."""
    ann, bob = venue.join(), venue.join()
    names = (venue.option(), "BTC_USDC-PERPETUAL")
    venue.settled()
    venue.observed()
    kept = venue.chain.head()
    cat = venue.join()
    for name in names:
        venue.trade(ann, cat, name, "0.2")
        venue.trade(ann, bob, name)
        venue.trade(cat, bob, name)
    venue.settled()
    stands = {one.instrument_name: one.size for one in ann.client.positions()}
    reorganise_from(venue.chain, kept)
    eventually(lambda: venue.events(SubaccountReverted), "the reversal")
    novated = eventually(lambda: venue.events(FillNovated), "a novation")
    venue.require_agreement()
    novated = venue.events(FillNovated)
    assert {one.subaccount_id for one in novated} == {cat.subaccount_id}
    assert len(novated) == 4
    assert {one.instrument_name: one.size for one in ann.client.positions()} == stands
    eventually(lambda: "fill_novated" in venue.alarms(), "the alarm, with the next report")
    house = venue.chain.cash_and_positions(1, sorted({one.instrument_id for one in novated}))
    assert [held.quantity for held in house[1].values()] == [1_000, 1_000]
