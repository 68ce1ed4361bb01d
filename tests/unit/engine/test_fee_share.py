"""The insurance fund gets its share of the fees: to the last unit, hourly, of what is there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.liquidation_world import PERCENT, rules
from tests.unit.engine.test_acts import act_of, figures, of_kind, refuse, same_as_a_fold
from tests.unit.engine.test_remedies import novate, novated
from tests.venue import FEE_ID, FEES, C, configuration, names, open_venue, refusals, usdc

from exchange.commands import (
    BatchSeen,
    CutBatch,
    DepositSeen,
    HoldWithdrawals,
    SubaccountSeen,
)
from exchange.engine import Engine
from exchange.engine.fee_share import INTERVAL_NS
from exchange.events import ActRefused, FeesShared, Traded
from exchange.fixed import RATIO_SCALE
from exchange.observations import EscapeSeen

FUND, ANN, BOB = 2, 3, 4
HOUR_S = INTERVAL_NS // 10**9
TENTH = rules(fund_subaccount_id=FUND, fee_share=10 * PERCENT)


def sharing_venue(liquidation=TENTH):
    """The treasury, a fund of its depositors, and two traders."""
    venue = open_venue(fees=FEES, liquidation=liquidation)
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="house"))
    opened = [venue.fund("depositors", 100_000), venue.fund("ann"), venue.fund("bob")]
    assert opened == [FUND, ANN, BOB]
    return venue


@pytest.fixture
def venue():
    return sharing_venue()


def trade(venue, quantity=1, seller=ANN, buyer=BOB, price=2_500):
    """One match; the trade."""
    venue.sell(seller, quantity, price)
    (made,) = of_kind(venue.buy(buyer, quantity, price), Traded)
    return made


def fees_of(made):
    return made.maker_fee + made.taker_fee


def later(venue, seconds=HOUR_S):
    """All that comes with the first prices after some time."""
    venue.wait(seconds)
    return (*venue.index(), *venue.mark({}))


def shared(venue):
    """What the fund got so far, each time."""
    return [one.amount for *_, events in venue.entries for one in of_kind(events, FeesShared)]


def owed(venue):
    return venue.engine._venue.treasury.fees_owed


def test_an_hour_after_the_first_fee_the_fund_is_paid(venue):
    """Cash of the treasury, in a batch that ends with it; then nothing until more fees came."""
    fees = fees_of(trade(venue))
    before = venue.cash(FUND)
    assert not of_kind(later(venue, HOUR_S - 1), FeesShared)
    venue.wait(1)
    paid, cut = venue.send(HoldWithdrawals(subaccount_id=ANN, held=False, detail=""))[1:]
    assert paid == FeesShared(subaccount_id=FEE_ID, fund_subaccount_id=FUND, amount=fees // 10)
    assert names([cut]) == ["BatchCut"]
    assert figures(venue, FEE_ID, FUND) == [(fees - fees // 10, {}), (before + fees // 10, {})]
    assert not of_kind(later(venue), FeesShared)
    same_as_a_fold(venue)


def test_the_fund_is_paid_once_an_hour(venue):
    """Whatever trades meanwhile waits for the next time."""
    first = fees_of(trade(venue)) + fees_of(trade(venue))
    assert [one.amount for one in of_kind(later(venue), FeesShared)] == [first // 10]
    second = fees_of(trade(venue, 3))
    assert not of_kind(later(venue, HOUR_S - 1), FeesShared)
    assert [one.amount for one in of_kind(later(venue, 1), FeesShared)] == [second // 10]


SHARES = (1, RATIO_SCALE // 3, 7 * PERCENT + 1, RATIO_SCALE - 1, RATIO_SCALE)
TRADES = st.tuples(st.integers(1, 30), st.integers(1, 9_999), st.booleans())


@given(st.sampled_from(SHARES), st.lists(TRADES, min_size=1, max_size=8))
def test_nothing_of_the_share_is_lost(share, trades):
    """What was paid and what is owed are the share of all fees, to 1e-18 micro-USDC."""
    venue = sharing_venue(rules(fund_subaccount_id=FUND, fee_share=share))
    fees = paid = 0
    for tenths, price, waits in trades:
        fees += fees_of(trade(venue, f"{tenths // 10}.{tenths % 10}", price=f"{price}.01"))
        if waits:
            paid += sum(one.amount for one in of_kind(later(venue), FeesShared))
        assert paid * RATIO_SCALE + owed(venue) == fees * share
    paid += sum(one.amount for one in of_kind(later(venue), FeesShared))
    assert paid == fees * share // RATIO_SCALE
    assert venue.cash(FEE_ID) == fees - paid
    assert venue.twin().state_hash() == venue.engine.state_hash()


def test_it_waits_while_the_venue_holds_a_position(venue):
    """The chain pays out of nothing else: what it might owe tomorrow is not the fund's today."""
    venue.observe(DepositSeen(subaccount_id=FEE_ID, amount=usdc(100_000)))
    fees = fees_of(trade(venue, buyer=FEE_ID))
    later(venue)
    assert shared(venue) == []
    fees += fees_of(trade(venue, seller=FEE_ID))
    assert shared(venue) == [fees // 10]


def test_it_waits_until_the_cash_is_there(venue):
    """The venue took its earnings; the first that come in again are the fund's."""
    fees = fees_of(trade(venue))
    venue.send(venue.withdrawal(FEE_ID, str(fees / 10**6), signer="house"))
    assert venue.cash(FEE_ID) == 0
    later(venue)
    venue.observe(DepositSeen(subaccount_id=FEE_ID, amount=fees // 10 - 1))
    assert shared(venue) == []
    venue.observe(DepositSeen(subaccount_id=FEE_ID, amount=1))
    assert (shared(venue), venue.cash(FEE_ID)) == ([fees // 10], 0)


def test_orders_of_the_venue_keep_their_margin(venue):
    """Cash that they need is not free."""
    fees = fees_of(trade(venue))
    bid = venue.buy(FEE_ID, "0.16", 600, deadline=venue.now_s + 2 * HOUR_S)
    assert 0 <= venue.engine.margin(FEE_ID).initial_excess < fees // 10 < venue.cash(FEE_ID)
    later(venue)
    assert shared(venue) == []
    venue.cancel(bid)
    assert shared(venue) == [fees // 10]


def test_it_waits_while_somebody_looks_at_the_venues_money(venue):
    trade(venue)
    venue.send(HoldWithdrawals(subaccount_id=FEE_ID, held=True, detail="differs"))
    assert not of_kind(later(venue), FeesShared)
    released = venue.send(HoldWithdrawals(subaccount_id=FEE_ID, held=False, detail="looked at"))
    assert of_kind(released, FeesShared)


def test_a_command_that_ended_a_batch_pays_nothing(venue):
    """The next one does, into the batch after."""
    trade(venue)
    venue.wait(HOUR_S)
    assert names(venue.send(CutBatch())) == ["BatchCut"]
    assert of_kind(venue.index(), FeesShared)


@pytest.mark.parametrize(
    "liquidation",
    [rules(fee_share=RATIO_SCALE), rules(fund_subaccount_id=FUND), None],
    ids=["the fund is the venue's own", "no share", "no liquidations"],
)
def test_where_nothing_is_to_be_shared_nothing_is_owed(liquidation):
    venue = sharing_venue(liquidation)
    trade(venue)
    assert not of_kind(later(venue), FeesShared)
    assert owed(venue) == 0


def test_a_fund_that_is_not_open_yet_is_paid_later(venue):
    """Until then the venue's own subaccount stands in, and pays itself nothing."""
    venue = sharing_venue(rules(fund_subaccount_id=5, fee_share=10 * PERCENT))
    fees = fees_of(trade(venue))
    assert not of_kind(later(venue), FeesShared)
    (paid,) = of_kind(venue.observe(SubaccountSeen(subaccount_id=5, owner="vault")), FeesShared)
    assert (paid.fund_subaccount_id, venue.cash(5)) == (5, fees // 10)


def test_what_is_owed_stays_owed_where_the_venue_changes_its_terms(venue):
    """Fees count at the share in force when they came."""
    fees = fees_of(trade(venue))
    venue.send(configuration(version=2, fees=FEES, liquidation=None))
    assert not of_kind(later(venue), FeesShared)
    none = rules(fund_subaccount_id=FUND)
    venue.send(configuration(version=3, fees=FEES, liquidation=none))
    assert venue.cash(FUND) == usdc(100_000) + fees // 10


def test_a_venue_that_ended_pays_nothing(venue):
    trade(venue)
    venue.wait(HOUR_S)
    assert not of_kind(venue.observe(EscapeSeen(block=1)), FeesShared)


def test_fees_that_went_back_are_taken_off_the_next(venue):
    """The chain refused a fill whose fees were shared: the fund keeps them, and gets less later."""
    first = trade(venue, 4)
    venue.send(CutBatch())
    (paid,) = of_kind(later(venue), FeesShared)
    assert paid.amount == fees_of(first) // 10
    fills = [novated(venue, first, maker=maker, nonce=1 + maker) for maker in (True, False)]
    assert refusals(novate(venue, *fills)) == []
    assert owed(venue) == -paid.amount * RATIO_SCALE
    fees = fees_of(trade(venue))
    later(venue)
    fees += fees_of(trade(venue, 9))
    assert shared(venue) == [paid.amount, fees // 10 - paid.amount]


def test_a_share_that_the_chain_refuses_is_owed_again(venue):
    """The money is back and nobody is held; an hour later it is tried again."""
    trade(venue)
    before = figures(venue, FEE_ID, FUND)
    (paid,) = of_kind(later(venue), FeesShared)
    [refused] = refuse(venue, paid)
    assert (refused.act, refused.subaccount_id) == (paid, FEE_ID)
    assert figures(venue, FEE_ID, FUND) == before
    assert venue.engine.held == []
    same_as_a_fold(venue)
    assert not of_kind(later(venue, HOUR_S - 1), FeesShared)
    (again,) = of_kind(later(venue, 1), FeesShared)
    assert again == paid
    assert act_of(venue, again) != 1
    same_as_a_fold(venue)


def test_what_is_owed_survives_a_snapshot_and_a_reorganisation(venue):
    """And a share of a batch that was final and is lost can be refused again."""
    trade(venue)
    restored = Engine.restored(venue.engine.snapshot())
    assert restored.state_hash() == venue.engine.state_hash()
    assert restored._venue.treasury.fees_owed == owed(venue) > 0
    (paid,) = of_kind(later(venue), FeesShared)
    start = venue.block()
    number = venue.engine.batch_number
    venue.observe(BatchSeen(number=number, batch_hash=bytes(32), block=1, transaction="0x"))
    assert act_of(venue, paid) == 1, "it is final"
    venue.revert(start)
    assert of_kind(refuse(venue, paid), ActRefused)
    same_as_a_fold(venue)


def test_a_fill_that_the_venue_took_delays_its_share(venue):
    """The novation leaves the venue with a position, and the chain refuses the share besides."""
    made = trade(venue)
    venue.wait(HOUR_S)
    (paid,) = of_kind(venue.index(), FeesShared)
    venue.observe(DepositSeen(subaccount_id=FEE_ID, amount=usdc(100_000)))
    assert refusals(novate(venue, novated(venue, made, maker=True))) == []
    refuse(venue, paid)
    assert venue.position(FEE_ID, C) != 0
    assert not of_kind(later(venue), FeesShared)
    same_as_a_fold(venue)
