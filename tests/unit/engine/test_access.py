"""Scopes of session keys and passes: whatever rests may fill, whenever it does."""

import pytest
from tests.sheets import sheet
from tests.venue import (
    PERP,
    C,
    P,
    Venue,
    call,
    contracts,
    names,
    open_venue,
    placed_in,
    refusals,
    usdc,
)

from exchange.commands import (
    AccessSeen,
    BidLiquidation,
    KeyScopeSeen,
    ListCombo,
    PlaceLinked,
    SessionKeySeen,
)
from exchange.events import QuoteRefused, RejectReason
from exchange.fixed import RATIO_SCALE
from exchange.model import (
    BidTerms,
    HitCondition,
    KeyLimit,
    KeyScope,
    Kind,
    Leg,
    LinkKind,
    PriceSource,
    Side,
    Trigger,
    TriggerKind,
)

R = RejectReason
DAY_S = 86_400


def grant(venue: Venue, daily=10, *, key="key", kinds=(Kind.OPTION,), band_rate=0) -> None:
    """Ann's key, for options on BTC."""
    limits = (KeyLimit(underlying_id=1, daily_quantity=contracts(daily)),)
    scope = KeyScope(kinds=kinds, limits=limits, band_rate=band_rate)
    venue.observe(
        KeyScopeSeen(owner="ann", key=key, scope=scope),
        SessionKeySeen(owner="ann", key=key, deadline=venue.now_s + 30 * DAY_S),
    )


def sell(venue: Venue, who: int, quantity, price=2_500, **changes):
    return venue.sell(who, quantity, price, signer="key", **changes)


def test_a_scoped_key_trades_what_it_may(venue, ann):
    """Other kinds and other underlyings are refused, whatever the owner may do."""
    grant(venue)
    ether = call(4_000, underlying_id=2)
    venue.list_instruments(PERP, ether)
    venue.index(4_000, underlying_id=2)
    venue.mark({PERP: 100_000, ether: 100})
    assert refusals(sell(venue, ann, 1)) == []
    for instrument_id, price in ((PERP, 100_000), (ether, 100)):
        events = sell(venue, ann, 1, price, instrument_id=instrument_id)
        assert refusals(events) == [R.OUTSIDE_KEY_SCOPE]
        assert refusals(venue.sell(ann, 1, price, instrument_id=instrument_id)) == []


def test_open_orders_and_fills_share_a_days_limit(venue, ann, bob):
    """Bids and offers count alike; a cancel frees what did not fill."""
    grant(venue, 10)
    first = sell(venue, ann, 6)
    assert refusals(sell(venue, ann, 5)) == [R.KEY_LIMIT]
    venue.buy(bob, 2, 2_500)
    bid = venue.buy(ann, 4, 2_400, signer="key")
    assert refusals(bid) == []
    assert refusals(sell(venue, ann, "0.01")) == [R.KEY_LIMIT]
    venue.cancel(first)
    assert refusals(sell(venue, ann, 5)) == [R.KEY_LIMIT], "two contracts filled today"
    assert refusals(sell(venue, ann, 4)) == []
    venue.twin()


def test_the_next_day_begins_with_what_is_open(venue, ann, bob):
    """Days are those of UTC; a quiet day forgets the last one."""
    grant(venue, 10)
    sell(venue, ann, 10, deadline=venue.now_s + 10 * DAY_S)
    venue.buy(bob, 7, 2_500)
    venue.wait(DAY_S // 2)
    venue.index()
    venue.mark({})
    assert refusals(sell(venue, ann, 8)) == [R.KEY_LIMIT]
    assert refusals(sell(venue, ann, 7)) == []
    assert refusals(venue.buy(bob, 10, 2_500)) == []
    assert refusals(sell(venue, ann, "0.01")) == [R.KEY_LIMIT]


def test_limits_are_of_the_key_not_of_a_subaccount(venue, ann):
    """The owner's other subaccount shares them, the owner's own orders do not count."""
    also_ann = venue.fund("ann")
    grant(venue, 10)
    sell(venue, ann, 6)
    venue.sell(ann, 100, 2_500)
    assert refusals(sell(venue, also_ann, 5)) == [R.KEY_LIMIT]
    assert refusals(sell(venue, also_ann, 4)) == []


def test_an_amend_counts_in_the_place_of_what_it_amends(venue, ann, bob):
    """Also one that waits; and an order that the owner signed comes under the key that amends."""
    grant(venue, 10)
    resting = sell(venue, ann, 6)
    assert refusals(venue.amend(resting, quantity=contracts(11))) == [R.KEY_LIMIT]
    assert refusals(venue.amend(resting, quantity=contracts(10), version=2)) == []
    venue.amend(resting, quantity=contracts(2))
    waiting = sell(venue, ann, 8, trigger=STOP)
    assert refusals(venue.amend(waiting, quantity=contracts(9))) == [R.KEY_LIMIT]
    own = venue.sell(ann, 1, 2_600)
    assert refusals(venue.amend(own, signer="key")) == [R.KEY_LIMIT]
    venue.cancel(waiting)
    assert refusals(venue.amend(own, signer="key", version=2)) == []


STOP = Trigger(kind=TriggerKind.STOP, source=PriceSource.MARK, trigger_price=usdc(2_000))


def test_what_waits_counts_too_and_fires_once(venue, ann):
    """A stop holds its share of the limit, and needs no second one when it enters."""
    grant(venue, 10)
    sell(venue, ann, 10, 1_900, trigger=STOP)
    assert refusals(sell(venue, ann, 1)) == [R.KEY_LIMIT]
    venue.mark({C: 1_950})
    assert venue.book(C)[1], "it entered"


def test_linked_orders_count_together(venue, ann):
    """Both of two alternatives may fill at once."""
    grant(venue, 10)
    orders = [venue.sign(ann, Side.SELL, 6, price, signer="key") for price in (2_500, 2_600)]
    command = PlaceLinked(kind=LinkKind.OCO, condition=HitCondition.ANY_FILL, orders=tuple(orders))
    assert refusals(venue.send(command)) == [R.KEY_LIMIT]
    assert not venue.engine.open_orders(ann)


def test_quotes_beyond_the_limit_are_refused_one_by_one(venue, ann):
    """A standing quote that a new sheet keeps counts once."""
    grant(venue, 10)
    for nonce in (1, 2):
        lines = [(instrument_id, 2_480, 3, 2_520, 3) for instrument_id in sorted((C, P))]
        events = venue.send(sheet(venue, ann, nonce, *lines, signer="key"))
        refused = [event.reason for event in events if isinstance(event, QuoteRefused)]
        assert refused == [R.KEY_LIMIT]
        assert len(venue.engine.open_orders(ann)) == 3


def test_a_combo_counts_each_leg(venue, ann, bob):
    """Two calls for one: a unit is three contracts."""
    grant(venue, 10)
    legs = (Leg(C, 1), Leg(call(110_000), -2))
    combo = venue.send(ListCombo(legs=tuple(sorted(legs))))[-1].instrument_id
    hashed = {"legs_hash": venue.engine.instruments[combo].legs_hash}
    buy = {"instrument_id": combo, "signer": "key", **hashed}
    assert refusals(venue.buy(ann, 4, 100, **buy)) == [R.KEY_LIMIT]
    assert refusals(venue.buy(ann, 3, 100, **buy)) == []
    venue.sell(bob, 3, 100, instrument_id=combo, **hashed)
    assert venue.position(ann) == contracts(3)
    assert refusals(sell(venue, ann, 2)) == [R.KEY_LIMIT]
    assert refusals(sell(venue, ann, 1)) == []


def test_a_combo_with_a_leg_outside_is_refused(venue, ann):
    """Every leg must be the key's to trade."""
    grant(venue)
    venue.list_instruments(PERP)
    venue.mark({PERP: 100_000})
    combo = venue.send(ListCombo(legs=tuple(sorted((Leg(C, 1), Leg(PERP, -1))))))[-1].instrument_id
    legs_hash = venue.engine.instruments[combo].legs_hash
    events = venue.buy(ann, 1, -97_000, instrument_id=combo, signer="key", legs_hash=legs_hash)
    assert refusals(events) == [R.OUTSIDE_KEY_SCOPE]


def test_a_key_is_kept_near_the_mark(venue, ann):
    """Half a percent of the index: 500 USDC around the mark of 2,500; the venue's own is 10 %."""
    grant(venue, band_rate=RATIO_SCALE // 200)
    assert refusals(sell(venue, ann, 1, 1_999)) == [R.PRICE_OUTSIDE_BAND]
    assert refusals(sell(venue, ann, 1, 2_000)) == []
    assert refusals(venue.buy(ann, 1, 3_001, signer="key")) == [R.PRICE_OUTSIDE_BAND]
    assert refusals(venue.sell(ann, 1, 1_999)) == []


def test_a_scope_cannot_widen_the_venues_band(venue, ann):
    """The stricter of both holds."""
    grant(venue, band_rate=RATIO_SCALE)
    assert refusals(venue.buy(ann, 1, 13_000, signer="key")) == [R.PRICE_OUTSIDE_BAND]


def test_a_scoped_key_takes_over_no_portfolio(venue, ann):
    """No limit would bound that."""
    grant(venue)
    terms = BidTerms(
        subaccount_id=ann,
        liquidated_id=9,
        fraction=RATIO_SCALE,
        price_limit=0,
        expected_step=0,
        nonce=1,
        deadline=venue.now_s + 60,
        signer="key",
    )
    events = venue.send(BidLiquidation(terms=terms, signature=b""))
    assert refusals(events) == [R.OUTSIDE_KEY_SCOPE]


def test_a_key_without_a_scope_is_bounded_by_its_deadline_alone(venue, ann):
    """Another key's scope is not its own."""
    grant(venue, 1)
    venue.observe(SessionKeySeen(owner="ann", key="free", deadline=venue.now_s + DAY_S))
    assert refusals(venue.sell(ann, 50, 2_500, signer="free")) == []


# --- passes ---


@pytest.fixture
def gated() -> Venue:
    return open_venue(access_pass=True)


def test_new_risk_needs_a_pass_that_outlives_the_order(gated):
    """Cancels, withdrawals and what reduces a position need none."""
    ann, bob = gated.fund("ann"), gated.fund("bob")
    assert refusals(gated.sell(ann, 1, 2_500)) == [R.ACCESS_DENIED]
    gated.observe(
        AccessSeen(owner="ann", until=gated.now_s + 3_600),
        AccessSeen(owner="bob", until=gated.now_s + 3_600),
    )
    late = {"deadline": gated.now_s + 3_601}
    assert refusals(gated.sell(ann, 1, 2_500, **late)) == [R.ACCESS_DENIED]
    resting = gated.sell(ann, 2, 2_500)
    gated.buy(bob, 1, 2_500)
    gated.cancel(resting)
    gated.observe(AccessSeen(owner="ann", until=0))
    assert refusals(gated.buy(ann, 1, 2_500)) == [R.ACCESS_DENIED]
    assert names(gated.buy(ann, 1, 2_400, reduce_only=True)) == ["OrderPlaced"]
    assert names(gated.withdraw(ann, 1)) == ["Withdrawn"]


def test_a_session_key_trades_on_its_owners_pass(gated):
    """The pass is the owner's; so are the key's bounds."""
    ann = gated.fund("ann")
    grant(gated, 1)
    assert refusals(sell(gated, ann, 1)) == [R.ACCESS_DENIED]
    gated.observe(AccessSeen(owner="ann", until=gated.now_s + 3_600))
    assert placed_in(sell(gated, ann, 1)).quantity == contracts(1)
