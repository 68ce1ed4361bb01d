"""Linked orders: entered together or not at all, and what each does to the others."""

from collections.abc import Sequence

import pytest
from tests.venue import (
    FEE_ID,
    C,
    P,
    Venue,
    canceled,
    contracts,
    fills,
    limits,
    names,
    open_venue,
    usdc,
)

from exchange.commands import CancelOrder, PlaceLinked, PlaceOrder, SetProtection
from exchange.commands import ProtectionParameters as Limits
from exchange.events import AnyEvent, CancelReason, OrderArmed, Refused, RejectReason
from exchange.model import (
    HitCondition,
    LinkKind,
    OrderStatus,
    PriceSource,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
    numbered,
    seq_and_place,
)

R = RejectReason
BUY, SELL = Side.BUY, Side.SELL
OCO, OTO, OTOCO = LinkKind.OCO, LinkKind.OTO, LinkKind.OTOCO
ANY, COMPLETE = HitCondition.ANY_FILL, HitCondition.COMPLETE_FILL
UNTRIGGERED, OPEN = OrderStatus.UNTRIGGERED, OrderStatus.OPEN
FILLED, CANCELED = OrderStatus.FILLED, OrderStatus.CANCELED


def stop(price, source=PriceSource.MARK):
    return Trigger(kind=TriggerKind.STOP, source=source, trigger_price=usdc(price))


def trail(offset, source=PriceSource.LAST):
    return Trigger(kind=TriggerKind.TRAILING, source=source, trail_offset=usdc(offset))


def link(venue: Venue, kind: LinkKind, *orders: PlaceOrder, condition=ANY) -> tuple[AnyEvent, ...]:
    """Enter linked orders."""
    return venue.send(PlaceLinked(kind=kind, condition=condition, orders=orders))


def ids(events: Sequence[AnyEvent]) -> list[int]:
    """The orders that `events` accepted, in order."""
    return [event.order_id for event in events if isinstance(event, OrderArmed)]


def statuses(venue: Venue, events: Sequence[AnyEvent]) -> list[OrderStatus]:
    """What became of them."""
    return [venue.engine.order(order_id).status for order_id in ids(events)]


def refusal(events) -> tuple[RejectReason, int]:
    """The reason and the nonce of the order to blame."""
    (refused,) = events
    assert isinstance(refused, Refused)
    return refused.reason, refused.nonce


# --- what a hit does ---


def test_one_cancels_the_other(venue, ann, bob):
    """A bid and an offer work at once; the one that is hit takes the other away."""
    events = link(venue, OCO, venue.sign(ann, BUY, 1, 2_400), venue.sign(ann, SELL, 1, 2_600))
    assert names(events) == ["OrderArmed"] * 2 + ["OrdersLinked"] + ["OrderPlaced"] * 2
    assert statuses(venue, events) == [OPEN, OPEN]
    hit = venue.buy(bob, "0.5", 2_600)
    assert canceled(hit) == [(10_000, CancelReason.LINKED)]
    assert statuses(venue, events) == [CANCELED, OPEN]


def test_a_complete_fill_may_be_asked_for(venue, ann, bob):
    """Then a part of it leaves the other alone."""
    orders = venue.sign(ann, BUY, 1, 2_400), venue.sign(ann, SELL, 1, 2_600)
    events = link(venue, OCO, *orders, condition=COMPLETE)
    venue.buy(bob, "0.5", 2_600)
    assert statuses(venue, events) == [OPEN, OPEN]
    venue.buy(bob, "0.5", 2_600)
    assert statuses(venue, events) == [CANCELED, FILLED]


def test_an_order_that_trades_on_entry_cancels_the_others_before_they_enter(venue, ann, bob):
    """The first of two that would both trade at once wins."""
    venue.sell(bob, 1, 2_400)
    venue.buy(bob, 1, 2_400, instrument_id=P)
    events = link(
        venue,
        OCO,
        venue.sign(ann, BUY, 1, 2_400),
        venue.sign(ann, SELL, 1, 2_400, instrument_id=P),
    )
    assert fills(events) == [(usdc(2_400), 10_000)]
    assert statuses(venue, events) == [FILLED, CANCELED]
    assert venue.position(ann, P) == 0


def test_a_taker_that_fills_both_leaves_nothing_to_cancel(venue, ann, bob):
    """One sweep is one instant."""
    events = link(venue, OCO, venue.sign(ann, SELL, 1, 2_600), venue.sign(ann, SELL, 1, 2_610))
    sweep = venue.buy(bob, 2, 2_610)
    assert canceled(sweep) == []
    assert statuses(venue, events) == [FILLED, FILLED]


def test_a_limit_and_a_stop(venue, ann, bob):
    """Profit and loss of one position: the stop fires, trades, and takes the limit away."""
    venue.sell(bob, 1, 2_500)
    venue.buy(ann, 1, 2_500)
    events = link(
        venue,
        OCO,
        venue.sign(ann, SELL, 1, 2_600),
        venue.sign(ann, SELL, 1, 2_300, reduce_only=True, trigger=stop(2_400)),
    )
    assert statuses(venue, events) == [OPEN, UNTRIGGERED]
    assert canceled(venue.mark({C: 2_400})) == [], "firing is no hit"
    assert statuses(venue, events) == [OPEN, OPEN]
    venue.buy(bob, 1, 2_300)
    assert statuses(venue, events)[1] is FILLED
    assert venue.position(ann) == 0
    assert venue.engine.open_orders(ann) == []


def test_one_triggers_the_other(venue, ann, bob):
    """The second sleeps, without margin, until the first is hit; then it enters the book."""
    events = link(venue, OTO, venue.sign(ann, BUY, 1, 2_400), venue.sign(ann, SELL, 1, 2_600))
    assert statuses(venue, events) == [OPEN, UNTRIGGERED]
    assert venue.book() == ([(usdc(2_400), 10_000)], [])
    hit = venue.sell(bob, 1, 2_400)
    assert names(hit) == ["OrderPlaced", "Traded", "OrderActivated", "OrderPlaced"]
    assert statuses(venue, events) == [FILLED, OPEN]


def test_a_primary_that_is_gone_takes_the_sleepers_along(venue, ann):
    """Nothing could wake them any more."""
    events = link(venue, OTO, venue.sign(ann, BUY, 1, 2_400), venue.sign(ann, SELL, 1, 2_600))
    gone = venue.send(CancelOrder(subaccount_id=ann, order_id=ids(events)[0]))
    assert canceled(gone) == [(10_000, CancelReason.BY_OWNER), (10_000, CancelReason.LINKED)]
    assert statuses(venue, events) == [CANCELED, CANCELED]


def test_a_long_silence_ends_and_forgets_them_together(venue, ann):
    """Their deadlines pass, and so does the time for which a dead order is remembered."""
    link(venue, OTO, venue.sign(ann, BUY, 1, 2_400), venue.sign(ann, SELL, 1, 2_600))
    venue.wait(10_000)
    assert canceled(venue.index()) == [(10_000, CancelReason.DEADLINE)] * 2
    assert venue.engine._venue.links.state() == ()


def test_a_sleeper_may_be_canceled_alone(venue, ann, bob):
    """The primary works on."""
    events = link(venue, OTO, venue.sign(ann, BUY, 1, 2_400), venue.sign(ann, SELL, 1, 2_600))
    venue.send(CancelOrder(subaccount_id=ann, order_id=ids(events)[1]))
    venue.sell(bob, 1, 2_400)
    assert statuses(venue, events) == [FILLED, CANCELED]


def test_a_bracket(venue, ann, bob):
    """Entry, then profit and loss as one-cancels-other."""
    events = link(
        venue,
        OTOCO,
        venue.sign(ann, BUY, 1, 2_500),
        venue.sign(ann, SELL, 1, 2_700, reduce_only=True),
        venue.sign(ann, SELL, 1, 2_300, reduce_only=True, trigger=stop(2_400)),
    )
    venue.sell(bob, 1, 2_500)
    assert statuses(venue, events) == [FILLED, OPEN, UNTRIGGERED]
    venue.buy(bob, 1, 2_700)
    assert statuses(venue, events) == [FILLED, FILLED, CANCELED]
    assert venue.position(ann) == 0


def test_a_sleeper_whose_trigger_is_reached_fires_when_it_wakes(venue, ann, bob):
    """It could not have been refused at entry: it did not watch then."""
    events = link(
        venue,
        OTO,
        venue.sign(ann, BUY, 1, 2_500),
        venue.sign(ann, SELL, 1, 2_300, trigger=stop(2_500)),
    )
    hit = venue.sell(bob, 1, 2_500)
    assert names(hit)[2:] == ["OrderActivated", "OrderTriggered", "OrderPlaced"]
    assert statuses(venue, events) == [FILLED, OPEN]


def test_a_trail_starts_where_the_price_is_when_it_wakes(venue, ann, bob):
    """Not where it was when it was signed."""
    venue.sell(bob, 1, 2_700)
    venue.buy(ann, 1, 2_700)
    events = link(
        venue,
        OTO,
        venue.sign(ann, BUY, 1, 2_500),
        venue.sign(ann, SELL, 1, 2_300, trigger=trail(150)),
    )
    venue.sell(bob, 1, 2_500)
    venue.sell(bob, 1, 2_351)
    venue.buy(bob, 1, 2_351)
    assert statuses(venue, events) == [FILLED, UNTRIGGERED]


def test_a_sleeper_that_may_not_enter_is_canceled(venue, ann, bob):
    """It meets the checks when it wakes, here that of its position."""
    events = link(
        venue,
        OTO,
        venue.sign(ann, BUY, 1, 2_500),
        venue.sign(ann, BUY, 1, 2_400, reduce_only=True),
    )
    hit = venue.sell(bob, 1, 2_500)[-1]
    assert (hit.reason, hit.reject_reason) == (CancelReason.REFUSED, R.REDUCE_ONLY_INCREASES)
    assert statuses(venue, events) == [FILLED, CANCELED]


def test_a_primary_that_the_book_refuses_ends_the_link(venue, ann):
    """Fill-or-kill with nobody to fill it."""
    events = link(
        venue,
        OTO,
        venue.sign(ann, BUY, 1, 2_500, time_in_force=TimeInForce.FOK),
        venue.sign(ann, SELL, 1, 2_600),
    )
    assert canceled(events) == [(10_000, CancelReason.REFUSED), (10_000, CancelReason.LINKED)]
    assert venue.engine.open_orders(ann) == []


def test_protection_cancels_after_links_took_effect(venue, ann, bob):
    """A fill wakes the sleepers first; those that are protected leave with the others."""
    venue.send(
        SetProtection(
            subaccount_id=ann,
            underlying_id=1,
            limits=Limits(interval_ns=1, frozen_ns=0, quantity_limit=1),
        )
    )
    events = link(
        venue,
        OTO,
        venue.sign(ann, BUY, 1, 2_400, mmp=True),
        venue.sign(ann, SELL, 1, 2_600, mmp=True),
    )
    hit = venue.sell(bob, 1, 2_400)
    assert canceled(hit) == [(10_000, CancelReason.PROTECTION)]
    assert statuses(venue, events) == [FILLED, CANCELED]


# --- entry: all or none ---


def sold(venue, who, *quantities, **changes):
    return tuple(venue.sign(who, SELL, quantity, 2_600, **changes) for quantity in quantities)


def test_groups_of_other_sizes_are_refused(venue, ann):
    """An OTOCO has three orders, the others two or three."""
    for kind, sizes in ((OCO, (0, 1, 4)), (OTO, (0, 1, 4)), (OTOCO, (0, 2, 4))):
        for size in sizes:
            assert refusal(link(venue, kind, *sold(venue, ann, *[1] * size)))[0] is R.BAD_LINK
    for kind, size in ((OCO, 2), (OCO, 3), (OTO, 2), (OTO, 3), (OTOCO, 3)):
        assert len(ids(link(venue, kind, *sold(venue, ann, *["0.01"] * size)))) == size


def test_orders_of_two_subaccounts_are_refused(venue, ann, bob):
    """Margin is checked for all together."""
    orders = (*sold(venue, ann, 1), *sold(venue, bob, 1))
    assert refusal(link(venue, OCO, *orders))[0] is R.BAD_LINK


def test_orders_of_one_nonce_are_refused(venue, ann):
    """They would be one order."""
    (order,) = sold(venue, ann, 1)
    assert refusal(link(venue, OCO, order, order))[0] is R.BAD_LINK


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        (OCO, {"signer": "mallory"}, R.UNAUTHORIZED_SIGNER),
        (OCO, {"trigger": stop(2_600)}, R.TRIGGER_REACHED),
        (OCO, {"max_fee": -1}, R.MAX_FEE_TOO_LOW),
        (OTO, {"trigger_hash": b"\1" * 32}, R.TRIGGER_NOT_SIGNED),
        (OTO, {"trigger": trail(5)}, R.TRIGGER_UNPRICED),
        (OTO, {"limit_price": 1}, R.PRICE_OFF_TICK),
    ],
    ids=lambda value: str(getattr(value, "name", "")),
)
def test_one_bad_order_keeps_all_out(venue, ann, kind, changes, reason):
    """The refusal names it, and the others were not entered; again it is the same."""
    good, bad = *sold(venue, ann, 1), *sold(venue, ann, 1, **changes)
    events = link(venue, kind, good, bad)
    assert refusal(events) == (reason, bad.terms.nonce)
    assert venue.engine.open_orders(ann) == []
    assert venue.book() == ([], [])
    again = link(venue, kind, good, bad)
    assert {event.reason for event in again} == {reason}


def test_margin_must_hold_with_all_that_work():
    """Each alone would pass; a sleeper does not count."""
    venue = open_venue()
    poor = venue.fund("poor", 4_000)
    orders = [venue.sign(poor, SELL, 1, 2_500, instrument_id=i) for i in (C, P)]
    excess = venue.engine.margin(poor).initial_excess
    events = link(venue, OCO, *orders)
    assert refusal(events) == (R.INSUFFICIENT_MARGIN, orders[1].terms.nonce)
    assert venue.engine.margin(poor).initial_excess == excess
    orders = [venue.sign(poor, SELL, 1, 2_500, instrument_id=i) for i in (C, P)]
    assert statuses(venue, link(venue, OTO, *orders)) == [OPEN, UNTRIGGERED]


def test_all_count_toward_the_limit_of_open_orders():
    """Sleepers too."""
    venue = open_venue(limits=limits(open_orders_max=2))
    ann = venue.fund("ann")
    assert refusal(link(venue, OTO, *sold(venue, ann, 1, 1, 1)))[0] is R.TOO_MANY_ORDERS
    events = link(venue, OTO, *sold(venue, ann, 1, 1))
    assert statuses(venue, events) == [OPEN, UNTRIGGERED]


def test_the_same_content_returns_the_first_outcome(venue, ann):
    """Whole groups repeat; a part of one, or one with another order, does not."""
    orders = sold(venue, ann, 1, 1)
    events = link(venue, OTO, *orders)
    assert names(link(venue, OTO, *orders)) == ["OrderRepeated"] * 2
    assert names(venue.enter(orders[1])) == ["OrderRepeated"]
    other = (orders[0], *sold(venue, ann, 1))
    assert refusal(link(venue, OCO, *other)) == (R.NONCE_USED, orders[0].terms.nonce)
    assert statuses(venue, events) == [OPEN, UNTRIGGERED]


def test_a_nonce_that_paid_out_is_taken(venue, ann):
    """Withdrawals use the same nonces."""
    withdrawal = venue.withdrawal(ann, 1)
    venue.send(withdrawal)
    orders = (*sold(venue, ann, 1), *sold(venue, ann, 1, nonce=withdrawal.terms.nonce))
    assert refusal(link(venue, OCO, *orders)) == (R.NONCE_USED, withdrawal.terms.nonce)


# --- names, amends, replay ---


def test_each_order_has_its_own_number(venue, ann, bob):
    """The first has the seq of the command; trades name the signature of the right one."""
    events = link(venue, OCO, *sold(venue, ann, 1, 2))
    seq = len(venue.entries)
    assert ids(events) == [seq, numbered(seq, 1)]
    assert [seq_and_place(order_id) for order_id in ids(events)] == [(seq, 0), (seq, 1)]
    venue.cancel([event for event in events if getattr(event, "order_id", 0) == seq][:1])
    trade = venue.buy(bob, 1, 2_600)[1]
    assert trade.maker_signed_seq == numbered(seq, 1)


def test_an_amended_sleeper_wakes_with_its_new_terms(venue, ann, bob):
    """Version by version, like any order."""
    primary, sleeper = venue.sign(ann, BUY, 1, 2_400), venue.sign(ann, SELL, 1, 2_600)
    events = link(venue, OTO, primary, sleeper)
    venue.signed[ann, sleeper.terms.nonce] = sleeper.terms
    assert names(venue.amend([events[1]], limit_price=usdc(2_650))) == ["OrderAmended"]
    venue.sell(bob, 1, 2_400)
    assert venue.book() == ([], [(usdc(2_650), 10_000)])


def test_a_replay_is_equal(venue, ann, bob):
    """Links and triggers are part of the state that the hash covers."""
    link(venue, OTOCO, venue.sign(ann, BUY, 1, 2_500), *sold(venue, ann, 1, 1))
    before = venue.engine.state_hash()
    assert venue.twin().state_hash() == before
    venue.sell(bob, "0.5", 2_500)
    assert venue.twin().state_hash() == venue.engine.state_hash() != before
    assert venue.engine.subaccounts[FEE_ID].open_orders == {}


def test_two_reduce_only_limits_of_one_side_share_the_position(venue, ann, bob):
    """As alternatives too: a taker could fill both in one sweep. A stop shares nothing yet."""
    venue.sell(bob, 2, 2_500)
    venue.buy(ann, 2, 2_500)
    close = {"reduce_only": True}
    stop = Trigger(kind=TriggerKind.STOP, source=PriceSource.MARK, trigger_price=usdc(2_000))
    orders = (
        venue.sign(ann, Side.SELL, 2, 2_700, **close),
        venue.sign(ann, Side.SELL, 2, 2_600, **close),
        venue.sign(ann, Side.SELL, 2, 1_900, trigger=stop, **close),
    )
    events = venue.send(
        PlaceLinked(kind=LinkKind.OCO, condition=HitCondition.ANY_FILL, orders=orders)
    )
    assert canceled(events) == [(contracts(2), CancelReason.REDUCE_ONLY)]
    assert venue.book()[1] == [(usdc(2_600), contracts(2))]
    events = venue.buy(bob, 2, 2_600)
    assert canceled(events) == [(contracts(2), CancelReason.LINKED)]
    assert venue.position(ann) == 0
