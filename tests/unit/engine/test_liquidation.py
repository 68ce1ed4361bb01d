"""A liquidation, step by step: when it begins, what each sweep does, when it ends."""

import pytest
from tests.liquidation_world import (
    PERCENT,
    bid,
    liquidating_venue,
    rules,
    short_call,
    sweep,
)
from tests.venue import (
    EXPIRY_S,
    FEE_ID,
    FEES,
    NS,
    USDC_TOKEN,
    WALLET,
    C,
    call,
    configuration,
    contracts,
    limits,
    names,
    open_venue,
    refusals,
    usdc,
)

from exchange.commands import CancelAll, DepositSeen, Halt, Resume, SweepLiquidations
from exchange.events import (
    CancelReason,
    LiquidationAuctionStarted,
    LiquidationEnded,
    LiquidationSliced,
    LiquidationStarted,
    RejectReason,
    Traded,
)
from exchange.exits import PAID_WITHIN_S
from exchange.fixed import RATIO_SCALE
from exchange.model import (
    InstrumentTerms,
    Kind,
    LiquidationStage,
    PriceSource,
    Side,
    Trigger,
    TriggerKind,
    pack_instrument_id,
)
from exchange.observations import ExitSeen

LOSS = 5_000  # a mark at which the short call of `short_call` is below maintenance, yet solvent


def liquidations(venue):
    return venue.engine._venue.liquidations


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def venue():
    return liquidating_venue()


@pytest.fixture
def seller(venue):
    return short_call(venue)[0]


def test_nobody_is_liquidated_unless_configured():
    venue = open_venue()
    assert refusals(sweep(venue)) == [RejectReason.LIQUIDATION_OFF]
    keeper = venue.fund("carol")
    assert refusals(bid(venue, keeper, 99)) == [RejectReason.LIQUIDATION_OFF]


def test_a_sweep_of_healthy_accounts_does_nothing(venue, seller):
    assert sweep(venue) == ()


def test_below_maintenance_orders_are_canceled_first(venue, seller):
    """Resting and waiting ones, and those of nobody else."""
    venue.buy(seller, 1, 100)
    trigger = Trigger(kind=TriggerKind.STOP, source=PriceSource.MARK, trigger_price=usdc(9_000))
    venue.buy(seller, 1, 9_500, trigger=trigger)
    venue.mark({C: LOSS})
    started, *canceled = sweep(venue)
    assert started == LiquidationStarted(
        subaccount_id=seller,
        stage=LiquidationStage.SLICING,
        equity=usdc(5_100),
        maintenance_margin=usdc(10_000),
    )
    assert [event.reason for event in canceled] == [CancelReason.LIQUIDATION] * 2
    assert not venue.engine.open_orders(seller)


def test_only_suspects_are_looked_at_and_each_exactly(venue, seller):
    """A wrong suspect is harmless, an omitted one waits."""
    buyer = seller + 1
    assert sweep(venue, 0, seller, buyer, 99) == ()
    venue.mark({C: LOSS})
    assert sweep(venue, 0, buyer) == ()
    assert names(sweep(venue, 0, seller, seller)) == ["LiquidationStarted"]


def test_a_liquidated_account_takes_no_orders_and_gives_no_cash(venue, seller):
    resting = venue.buy(seller, 1, 100)
    venue.mark({C: LOSS})
    sweep(venue)
    for events in (
        venue.buy(seller, 1, 2_000, reduce_only=True),
        venue.amend(resting, limit_price=usdc(101)),
        venue.withdraw(seller, 1),
        bid(venue, seller, seller),
    ):
        assert refusals(events) == [RejectReason.IN_LIQUIDATION]
    assert venue.send(CancelAll(subaccount_id=seller)) == ()


def test_a_slice_a_second_from_the_book_until_the_buffer_is_restored(venue, seller):
    """Asks at the mark: a quarter of the position a round, until equity is 1.15 times required."""
    maker = venue.fund("carol")
    venue.mark({C: LOSS})
    venue.sell(maker, 4, LOSS)
    assert names(sweep(venue)) == ["LiquidationStarted", "Traded", "LiquidationSliced"]
    assert sweep(venue) == (), "the next round is a second away"
    events = [event for _ in range(5) for event in sweep(venue, 1)]
    assert names(events)[-1] == "LiquidationEnded"
    sliced = of_kind(events, LiquidationSliced)
    assert all(event.excess_after > event.excess_before for event in sliced)
    ended = of_kind(events, LiquidationEnded)[0]
    assert ended.equity * 100 >= ended.maintenance_margin * 115
    assert venue.position(seller) < 0, "no more than was needed"
    assert RejectReason.IN_LIQUIDATION not in refusals(venue.buy(seller, 1, 2_000))
    venue.twin()


def test_a_slice_names_nobody_as_its_signer(venue, seller):
    maker = venue.fund("carol")
    venue.mark({C: LOSS})
    venue.sell(maker, 4, LOSS)
    traded = of_kind(sweep(venue), Traded)[0]
    assert (traded.taker_subaccount_id, traded.taker_signed_seq) == (seller, 0)
    assert traded.liquidation
    assert traded.maker_signed_seq > 0


def test_a_slice_pays_the_ordinary_fee():
    venue = liquidating_venue(fees=FEES)
    seller, _ = short_call(venue)
    maker = venue.fund("carol")
    venue.mark({C: LOSS})
    venue.sell(maker, 4, LOSS)
    before = venue.cash(seller), venue.cash(FEE_ID)
    traded = of_kind(sweep(venue), Traded)[0]
    value = usdc(LOSS) * traded.quantity // 10_000
    assert venue.cash(seller) == before[0] - value - traded.taker_fee
    assert venue.cash(FEE_ID) == before[1] + traded.taker_fee + traded.maker_fee
    assert traded.taker_fee > 0


def test_slices_meet_the_owners_own_orders_too(venue, seller):
    """An offer of the same owner, from another subaccount, cannot block the liquidation."""
    other = venue.fund("ann", 100_000)
    venue.mark({C: LOSS})
    venue.sell(other, 4, LOSS)
    assert of_kind(sweep(venue), Traded)[0].maker_subaccount_id == other


def test_an_iceberg_ahead_cannot_stop_the_slices(venue, seller):
    """Its reserve is more fills than one order may have: a slice takes what is shown, and goes on.

    A fill-or-kill order for more was refused, and the venue stopped.
    """
    maker = venue.fund("carol")
    venue.mark({C: LOSS})
    venue.sell(maker, 90, LOSS, max_show=contracts("0.9"))
    venue.sell(maker, 4, LOSS + 1)
    (sliced,) = of_kind(sweep(venue), LiquidationSliced)
    assert (sliced.quantity, sliced.limit_price) == (contracts("0.9"), usdc(LOSS))


def test_the_perpetual_hedges_where_that_is_cheaper(venue, seller):
    """Calls cost 900 above their mark, the perpetual its own: the delta is bought there."""
    maker = venue.fund("carol", 10_000_000)
    perpetual = pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, 1))
    venue.list_instruments(perpetual)
    venue.mark({C: LOSS, perpetual: 100_000})
    venue.sell(maker, 4, LOSS + 900)
    venue.sell(maker, 4, 100_000, instrument_id=perpetual)
    sliced = of_kind(sweep(venue), LiquidationSliced)[0]
    assert (sliced.instrument_id, sliced.side) == (perpetual, Side.BUY)
    assert venue.position(seller, perpetual) == sliced.quantity
    for _ in range(15):
        sweep(venue, 1)
    venue.twin()


def test_prices_outside_the_band_are_not_taken(venue, seller):
    """The band is one percent of the index; within it the cost is weighed against the release."""
    maker = venue.fund("carol")
    venue.mark({C: LOSS})
    venue.sell(maker, 4, LOSS + 1_001)
    assert names(sweep(venue)) == ["LiquidationStarted"]
    venue.sell(maker, 4, LOSS + 1_000)
    assert "LiquidationSliced" in names(sweep(venue, 1))


def test_slices_that_had_their_time_give_way_to_the_auction(venue, seller):
    venue.mark({C: LOSS})
    sweep(venue)
    for _ in range(9):
        assert sweep(venue, 1) == ()
    (started,) = sweep(venue, 1)
    assert started == LiquidationAuctionStarted(
        subaccount_id=seller,
        stage=LiquidationStage.AUCTION,
        equity=usdc(5_100),
        maintenance_margin=usdc(10_000),
    )


def test_a_deposit_ends_it(venue, seller):
    venue.mark({C: LOSS})
    sweep(venue)
    venue.observe(DepositSeen(subaccount_id=seller, amount=usdc(6_400)))
    assert names(sweep(venue, 1)) == ["LiquidationEnded"]


def test_maintenance_alone_is_not_enough_to_end_it(venue, seller):
    """Between maintenance and the buffer it goes on."""
    venue.mark({C: LOSS})
    sweep(venue)
    venue.observe(DepositSeen(subaccount_id=seller, amount=usdc(6_000)))
    assert venue.engine.margin(seller).maintenance_excess > 0
    assert sweep(venue, 1) == ()
    assert seller in liquidations(venue)


def test_an_account_without_equity_is_insolvent_at_once(venue, seller):
    venue.mark({C: 6_500})
    assert names(sweep(venue)) == ["LiquidationStarted", "LiquidationAuctionStarted"]
    assert liquidations(venue)[seller].stage is LiquidationStage.INSOLVENT


def test_an_auction_turns_with_the_sign_of_equity(venue, seller):
    venue.mark({C: 6_500})
    sweep(venue)
    venue.mark({C: LOSS})
    (back,) = sweep(venue, 1)
    assert (back.stage, liquidations(venue)[seller].waited_ns) == (LiquidationStage.AUCTION, 0)
    venue.mark({C: 6_500})
    (again,) = sweep(venue, 1)
    assert again.stage is LiquidationStage.INSOLVENT


def test_an_auction_that_turns_for_ever_ends_too(venue, seller):
    """Each turn starts the price anew, but all turns together have only so much time."""
    venue.mark({C: LOSS})
    for _ in range(11):
        sweep(venue, 1)
    seen = []
    for turn in range(50):
        venue.mark({C: (6_500, LOSS)[turn % 2]})
        for _ in range(3):
            seen += names(sweep(venue, 2))
    assert "PortfolioTransferred" in seen


# -- what suspends a liquidation ------------------------------------------------------------------


def test_a_dead_oracle_liquidates_nobody(venue, seller):
    """The index is silent: nobody begins, nobody goes on, no bid is taken."""
    keeper = venue.fund("dave")
    venue.mark({C: LOSS})
    venue.wait(31)
    venue.mark({})
    assert sweep(venue) == ()
    venue.index()
    for _ in range(11):
        sweep(venue, 1)
    venue.wait(31)
    venue.mark({})
    assert sweep(venue) == ()
    assert refusals(bid(venue, keeper, seller)) == [RejectReason.LIQUIDATION_SUSPENDED]


def test_old_risk_arrays_liquidate_nobody(venue, seller):
    venue.mark({C: LOSS})
    venue.wait(121)
    venue.index()
    assert sweep(venue) == ()
    venue.mark({})
    assert names(sweep(venue)) == ["LiquidationStarted"]


def test_a_restart_waits_for_fresh_prices(venue, seller):
    """After a day without commands no figure is fresh: first index, then marks, then the sweep."""
    venue.mark({C: LOSS})
    venue.wait(86_400)
    assert sweep(venue) == ()
    venue.index()
    assert sweep(venue) == ()
    venue.mark({})
    assert names(sweep(venue)) == ["LiquidationStarted"]


def test_an_index_that_ran_away_from_the_marks_liquidates_nobody():
    venue = liquidating_venue(liquidation=rules(drift_rate_max=2 * PERCENT))
    short_call(venue)
    venue.mark({C: LOSS})
    venue.index(103_000)
    assert sweep(venue) == ()
    venue.index(102_000)
    assert names(sweep(venue)) == ["LiquidationStarted"]


def test_nothing_trades_in_a_halted_instrument(venue, seller):
    """The account is judged, its orders are canceled, but no slice trades and no auction waits."""
    maker, keeper = venue.fund("carol"), venue.fund("dave")
    venue.mark({C: LOSS})
    venue.sell(maker, 4, LOSS)
    venue.send(Halt(instrument_id=C))
    assert names(sweep(venue)) == ["LiquidationStarted"]
    for _ in range(12):
        sweep(venue, 1)
    assert liquidations(venue)[seller].stage is LiquidationStage.AUCTION
    for _ in range(5):
        assert sweep(venue, 1) == ()
    assert liquidations(venue)[seller].waited_ns == 0
    assert refusals(bid(venue, keeper, seller)) == [RejectReason.LIQUIDATION_SUSPENDED]
    venue.send(Resume(instrument_id=C))
    venue.wait(61)
    sweep(venue, 1)
    sweep(venue, 1)
    assert liquidations(venue)[seller].waited_ns > 0


def test_an_expiry_that_has_come_is_not_for_sale(venue, seller):
    venue.mark({C: LOSS})
    for _ in range(12):
        sweep(venue, 1)
    venue.wait_until(EXPIRY_S)
    venue.index()
    venue.mark({})
    assert sweep(venue) == ()
    keeper = venue.fund("dave")
    assert refusals(bid(venue, keeper, seller)) == [RejectReason.LIQUIDATION_SUSPENDED]


def test_a_gap_in_the_sweeps_is_no_wait(venue, seller):
    """An hour without sweeps moves the price as little as five seconds."""
    venue.mark({C: LOSS})
    for _ in range(12):
        sweep(venue, 1)
    before = liquidations(venue)[seller].waited_ns
    sweep(venue, 3_600)
    assert liquidations(venue)[seller].waited_ns == before + 5 * NS


def test_a_full_batch_leaves_the_rest_to_the_next_sweep():
    venue = liquidating_venue(limits=limits(batch_items_max=2))
    sellers = [short_call(venue)[0] for _ in range(3)]
    maker = venue.fund("carol", 10_000_000)
    venue.mark({C: LOSS})
    venue.sell(maker, 20, LOSS)
    first = sweep(venue)
    sliced = [event.subaccount_id for event in of_kind(first, LiquidationSliced)]
    assert len(of_kind(first, LiquidationStarted)) == 3
    assert len(sliced) < 3
    assert (venue.engine.batch_number, venue.engine.pending) == (2, 0)
    second = [event.subaccount_id for event in of_kind(sweep(venue, 1), LiquidationSliced)]
    assert second[0] not in sliced, "who waited longest goes first"
    assert set(sellers) == {*sliced, *second}


# -- bids -----------------------------------------------------------------------------------------


@pytest.fixture
def keeper(venue):
    return venue.fund("dave")


@pytest.fixture
def auctioned(venue, seller):
    venue.mark({C: LOSS})
    for _ in range(11):
        sweep(venue, 1)
    return seller


def test_a_keeper_buys_what_restores_the_buffer(venue, auctioned, keeper):
    """At 5 % off, equity 5,100 and 10,000 required: 6,400 short, 11,245 gained by selling all."""
    before = venue.engine.margin(auctioned)
    (sold,) = bid(venue, keeper, auctioned)
    assert sold.taker_subaccount_id == keeper
    assert sold.fraction == 5_692 * 10**14
    assert sold.discount <= before.equity * 6 // 100
    assert venue.position(keeper) == -sum(-leg.quantity for leg in sold.legs)
    assert venue.cash(keeper) == usdc(1_000_000) + sold.discount - sum(
        leg.price * leg.quantity // 10_000 for leg in sold.legs
    )
    after = venue.engine.margin(auctioned)
    assert after.maintenance_excess > before.maintenance_excess
    assert (venue.engine.batch_number, venue.engine.pending) == (1, 0), "it ends its batch"
    assert names(sweep(venue, 1)) == ["LiquidationEnded"]
    venue.twin()


def test_a_keeper_may_take_less(venue, auctioned, keeper):
    (sold,) = bid(venue, keeper, auctioned, fraction=10 * PERCENT)
    assert (sold.fraction, sold.legs[0].quantity) == (10 * PERCENT, -contracts("0.4"))
    assert sweep(venue, 1) == ()


def test_the_price_falls_while_nobody_bids(venue, auctioned, keeper):
    """A limit that is too low now is good enough later."""
    limit = {"fraction": 10 * PERCENT, "limit": -2_100}
    (refused,) = bid(venue, keeper, auctioned, **limit)
    assert refused.reason is RejectReason.BID_TOO_LOW
    for _ in range(12):
        sweep(venue, 1)
    (sold,) = bid(venue, keeper, auctioned, **limit)
    assert sold.discount >= usdc(100)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"keeper": 99}, RejectReason.UNKNOWN_SUBACCOUNT),
        ({"signer": "mallory"}, RejectReason.UNAUTHORIZED_SIGNER),
        ({"deadline": 1}, RejectReason.DEADLINE_PASSED),
        ({"fraction": 0}, RejectReason.QUANTITY_NOT_POSITIVE),
        ({"fraction": RATIO_SCALE + 1}, RejectReason.QUANTITY_NOT_POSITIVE),
        ({"liquidated": 99}, RejectReason.NO_AUCTION),
        ({"expected_step": 7}, RejectReason.STALE_BID),
        ({"limit": "-1000000"}, RejectReason.BID_TOO_LOW),
    ],
)
def test_bids_that_are_refused(venue, auctioned, keeper, change, reason):
    change = dict(change)
    who, whom = change.pop("keeper", keeper), change.pop("liquidated", auctioned)
    before = venue.engine.margin(auctioned)
    assert refusals(bid(venue, who, whom, **change)) == [reason]
    assert venue.engine.margin(auctioned) == before


def test_a_bid_counts_once(venue, auctioned, keeper):
    bid(venue, keeper, auctioned, fraction=PERCENT, nonce=500)
    again = bid(venue, keeper, auctioned, fraction=PERCENT, nonce=500)
    assert refusals(again) == [RejectReason.NONCE_USED]
    assert refusals(venue.buy(keeper, 1, 2_000, nonce=500)) == [RejectReason.NONCE_USED]


def test_a_keeper_needs_initial_margin(venue, auctioned):
    poor = venue.fund("eve", 1_000)
    assert refusals(bid(venue, poor, auctioned)) == [RejectReason.INSUFFICIENT_MARGIN]
    assert venue.position(poor) == 0


def test_a_keeper_that_asked_for_its_money_takes_nothing_over(venue, auctioned, keeper):
    """The chain pays it what is free without what it would take."""
    asked = ExitSeen(
        subaccount_id=keeper,
        ordinal=1,
        token=USDC_TOKEN,
        amount=1,
        recipient=WALLET,
        requested_s=venue.now_s - PAID_WITHIN_S - 1,
    )
    venue.observe(asked)
    assert refusals(bid(venue, keeper, auctioned)) == [RejectReason.EXIT_OPEN]


def test_nothing_is_sold_beyond_the_buffer(venue, auctioned, keeper):
    """A deposit restored it before the next sweep."""
    venue.observe(DepositSeen(subaccount_id=auctioned, amount=usdc(10_000)))
    assert refusals(bid(venue, keeper, auctioned)) == [RejectReason.NO_AUCTION]


def test_a_fraction_that_would_add_risk_is_refused():
    """One lot of an option worth 100,000 hedges 3 calls short: no fraction may take it alone."""
    venue = liquidating_venue(liquidation=rules(slicing_ns=0))
    seller, keeper = venue.fund("ann", 25_000), venue.fund("dave")
    hedge = call(90_000)
    venue.mark({hedge: 100_000})
    venue.sell(keeper, "0.01", 100_000, instrument_id=hedge)
    venue.buy(seller, "0.01", 100_000, instrument_id=hedge)
    venue.buy(keeper, 3, 2_500)
    venue.sell(seller, 3, 2_500)
    venue.mark({C: 7_600})
    sweep(venue, 1)
    sweep(venue, 1)
    assert liquidations(venue)[seller].stage is LiquidationStage.AUCTION
    assert refusals(bid(venue, keeper, seller, fraction=1)) == [RejectReason.RISK_NOT_REDUCED]
    assert not refusals(bid(venue, keeper, seller))


def test_a_keeper_of_an_insolvent_account_is_paid_by_the_fund(venue, seller, keeper):
    """Half way through, half of what its requirement releases; the hole is covered at the end."""
    venue.observe(DepositSeen(subaccount_id=FEE_ID, amount=usdc(50_000)))
    venue.mark({C: 6_500})
    sweep(venue)
    for _ in range(10):
        assert sweep(venue, 1) == ()
    required = venue.engine.margin(seller).maintenance_margin
    sold, used = bid(venue, keeper, seller)
    assert (sold.by_fund, sold.discount) == (True, required // 2)
    assert (used.subaccount_id, used.amount) == (keeper, required // 2)
    covered, ended = sweep(venue, 1)
    assert (covered.subaccount_id, covered.amount) == (seller, usdc(900))
    assert (ended.equity, venue.cash(seller)) == (0, 0)
    assert venue.cash(FEE_ID) == usdc(50_000) - required // 2 - usdc(900)


def test_figures_of_what_is_for_sale(venue, auctioned, keeper):
    (view,) = venue.engine.liquidations()
    assert (view.subaccount_id, view.stage, view.step) == (auctioned, LiquidationStage.AUCTION, 0)
    assert view.for_sale is not None
    (sold,) = bid(venue, keeper, auctioned, limit=-8_000)
    assert (sold.fraction, sold.discount) == (view.for_sale.fraction, view.for_sale.discount)
    value = sum(leg.price * leg.quantity // 10_000 for leg in view.for_sale.part.legs)
    assert view.for_sale.price == value - view.for_sale.discount
    assert view.positions == {C: -contracts(4)}


def test_what_runs_is_suspended_while_liquidation_is_switched_off(venue, auctioned):
    """Whoever asks for figures gets them, and nobody is sold."""
    venue.send(configuration(version=2))
    (view,) = venue.engine.liquidations()
    assert (view.suspended, view.for_sale) == ("liquidation is off", None)
    assert refusals(sweep(venue)) == [RejectReason.LIQUIDATION_OFF]


def test_figures_while_nothing_is_for_sale(venue, seller):
    venue.mark({C: LOSS})
    sweep(venue)
    (view,) = venue.engine.liquidations()
    assert (view.for_sale, view.suspended) == (None, "")
    venue.wait(31)
    venue.send(SweepLiquidations())
    assert venue.engine.liquidations()[0].suspended == "the index is stale"
