"""Orders in combos trade at one net price: with each other, or with the books of the legs."""

from typing import Any

import msgspec
import pytest
from tests.venue import (
    FEES,
    C,
    call,
    canceled,
    configuration,
    contracts,
    limits,
    names,
    open_venue,
    placed_in,
    put,
    refusals,
    usdc,
)

from exchange.commands import (
    CancelAll,
    Halt,
    ListCombo,
    MassQuote,
    Resume,
)
from exchange.engine.combo_trading import TRIES_MAX
from exchange.events import (
    CancelReason,
    ComboListed,
    ComboTraded,
    RejectReason,
    Traded,
)
from exchange.fixed import RATIO_SCALE
from exchange.model import (
    Leg,
    OrderStatus,
    PriceSource,
    Quote,
    SelfTradePrevention,
    SheetTerms,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
)

ANNE, BOB, CARL = "0x" + "1" * 40, "0x" + "2" * 40, "0x" + "3" * 40
HIGH = call(110_000)
BUY, SELL = Side.BUY, Side.SELL
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK


class Market:
    """A call spread and its legs; Anne and Bob trade, Carl makes the legs."""

    def __init__(self, *legs: tuple[int, int], **parameters: Any) -> None:
        self.venue = open_venue(**parameters)
        self.venue.mark({C: 2_500, HIGH: 1_500})
        self.anne, self.bob, self.carl = map(self.venue.fund, (ANNE, BOB, CARL))
        given = tuple(Leg(*leg) for leg in legs or ((C, 1), (HIGH, -1)))
        listed = self.venue.send(ListCombo(legs=given))[-1]
        assert isinstance(listed, ComboListed)
        self.combo = self.venue.engine.instruments[listed.instrument_id]

    def order(self, who: int, side: Side, quantity: Any, price: Any, **changes: Any) -> Any:
        fields = {"legs_hash": self.combo.legs_hash} | changes
        return self.venue.order(who, side, quantity, price, self.combo.instrument_id, **fields)

    def buy(self, who: int, quantity: Any, price: Any, **changes: Any) -> Any:
        return self.order(who, BUY, quantity, price, **changes)

    def sell(self, who: int, quantity: Any, price: Any, **changes: Any) -> Any:
        return self.order(who, SELL, quantity, price, **changes)

    def leg(self, who: int, side: Side, quantity: Any, price: Any, instrument_id: int = C) -> Any:
        return self.venue.order(who, side, quantity, price, instrument_id)

    def book(self) -> Any:
        bids, asks = self.venue.book(self.combo.instrument_id)
        return [[(price // 10**6, quantity / 10**4) for price, quantity in s] for s in (bids, asks)]

    def held(self, who: int) -> tuple[float, float]:
        return tuple(self.venue.position(who, leg.instrument_id) / 10**4 for leg in self.combo.legs)


@pytest.fixture
def market() -> Market:
    return Market()


def combo_trades(events: Any) -> list[tuple[int, float]]:
    """(value in USDC, units) of each trade of a combo."""
    return [
        (event.value // 10**6, event.quantity / 10**4)
        for event in events
        if isinstance(event, ComboTraded)
    ]


def legs(events: Any) -> list[tuple[int, int, float]]:
    """(leg, price in USDC, contracts) of each trade."""
    return [
        (event.instrument_id, event.price // 10**6, event.quantity / 10**4)
        for event in events
        if isinstance(event, Traded)
    ]


def test_two_orders_in_a_combo_trade_at_the_makers_net_price(market: Market) -> None:
    """The legs' prices come from their marks and add up to it."""
    market.sell(market.anne, 2, 990)
    events = market.buy(market.bob, 3, 1_010)
    assert names(events) == ["OrderPlaced", "ComboTraded", "Traded", "Traded"]
    assert combo_trades(events) == [(1_980, 2)]
    assert legs(events) == [(C, 2_490, 2), (HIGH, 1_500, 2)]
    first, second = (event for event in events if isinstance(event, Traded))
    assert (first.taker_side, second.taker_side) == (BUY, SELL)
    assert first.maker_combo
    assert first.taker_combo
    assert first.combo_id == market.combo.instrument_id
    assert first.combo_trade_id == first.trade_id - 1
    assert market.book() == [[(1_010, 1)], []]
    assert (market.held(market.anne), market.held(market.bob)) == ((-2, 2), (2, -2))
    assert market.venue.cash(market.bob) == usdc(1_000_000 - 1_980)


def test_an_order_in_a_combo_trades_with_its_legs(market: Market) -> None:
    """Makers get their own prices, the taker one net price; both legs or none."""
    market.leg(market.carl, SELL, 2, 2_500)
    market.leg(market.carl, BUY, 5, 1_450, HIGH)
    events = market.buy(market.anne, 3, 1_060)
    assert combo_trades(events) == [(2_100, 2)]
    assert legs(events) == [(C, 2_500, 2), (HIGH, 1_450, 2)]
    traded = next(event for event in events if isinstance(event, Traded))
    assert (traded.maker_combo, traded.taker_combo) == (False, True)
    assert traded.maker_subaccount_id == market.carl
    assert market.held(market.anne) == (2, -2)
    assert market.held(market.carl) == (-2, 2)
    assert market.book() == [[(1_060, 1)], []]
    assert market.venue.book(HIGH) == ([(usdc(1_450), contracts(3))], [])


def test_a_price_beyond_the_limit_trades_nothing(market: Market) -> None:
    """Not even for the leg that would be cheap."""
    market.leg(market.carl, SELL, 2, 2_000)
    market.leg(market.carl, BUY, 5, 900, HIGH)
    assert legs(market.buy(market.anne, 1, 1_099)) == []
    assert legs(market.buy(market.anne, 1, 1_100)) == [(C, 2_000, 1), (HIGH, 900, 1)]


def test_the_better_net_price_comes_first_and_the_own_book_at_equal_ones(market: Market) -> None:
    """So an order crosses its own book and the legs in turns."""
    market.leg(market.carl, SELL, 1, 2_500)
    market.leg(market.carl, SELL, 1, 2_520)
    market.leg(market.carl, BUY, 9, 1_500, HIGH)
    market.sell(market.bob, 1, 1_000, time_in_force=TimeInForce.GTC)
    market.sell(market.bob, 1, 1_010)
    events = market.buy(market.anne, 5, 1_020)
    assert combo_trades(events) == [(1_000, 1), (1_000, 1), (1_010, 1), (1_020, 1)]
    makers = [event.maker_order_id != 0 for event in events if isinstance(event, ComboTraded)]
    assert makers == [True, False, True, False]


def test_a_resting_order_trades_when_a_leg_improves(market: Market) -> None:
    """After the command that improved it, at the leg orders' own prices."""
    market.leg(market.carl, SELL, 2, 2_600)
    market.leg(market.carl, BUY, 2, 1_500, HIGH)
    placed = market.buy(market.anne, 2, 1_000)
    assert market.book() == [[(1_000, 2)], []]
    events = market.leg(market.bob, SELL, 1, 2_490)
    assert names(events)[0] == "OrderPlaced"
    assert combo_trades(events) == [(990, 1)]
    assert market.venue.view(placed).filled_quantity == contracts(1)
    assert market.venue.view(placed).fill_value == usdc(990)
    market.leg(market.bob, SELL, 1, 2_495)
    assert market.venue.view(placed).status is OrderStatus.FILLED
    assert market.book() == [[], []]


def test_a_resting_seller_follows_too_and_a_quote_may_be_what_moves(market: Market) -> None:
    """Also a leg that comes from a sheet."""
    market.leg(market.carl, SELL, 2, 1_500, HIGH)
    market.sell(market.anne, 2, 1_000)
    events = market.venue.send(
        MassQuote(
            terms=SheetTerms(
                subaccount_id=market.bob,
                sheet_nonce=1,
                first_nonce=900,
                max_fee=usdc(1_000),
                deadline=market.venue.now_s + 600,
                signer=BOB,
            ),
            quotes=(Quote(C, usdc(2_510), contracts(1), usdc(2_600), contracts(1)),),
            signature=b"",
        )
    )
    assert combo_trades(events) == [(1_010, 1)]
    assert market.book() == [[], [(1_000, 1)]]


def test_a_net_price_may_be_negative_and_a_credit_is_paid(market: Market) -> None:
    """A risk reversal that pays its buyer."""
    reversal = Market((put(90_000), 1), (HIGH, -1))
    reversal.sell(reversal.anne, 1, -200)
    assert reversal.book() == [[], [(-200, 1)]]
    reversal.venue.mark({put(90_000): 1_200})
    before = reversal.venue.cash(reversal.bob)
    events = reversal.buy(reversal.bob, 1, -150)
    assert combo_trades(events) == [(-200, 1)]
    assert reversal.venue.cash(reversal.bob) == before + usdc(200)


def test_a_leg_outside_its_band_trades_nothing(market: Market) -> None:
    """Ten thousand around the mark: a resting order that the mark left behind is out of reach."""
    market.leg(market.carl, SELL, 1, 2_400)
    market.leg(market.carl, BUY, 1, 1_500, HIGH)
    market.venue.mark({C: 13_000, HIGH: 12_000})
    events = market.buy(market.anne, 1, 1_000)
    assert legs(events) == []
    market.venue.mark({C: 12_400, HIGH: 11_500})
    assert market.held(market.anne) == (1, -1)


def test_wider_bands_let_resting_orders_trade_at_once(market: Market) -> None:
    """Whatever other parameters allow is not left to whoever moves a book next."""
    market.leg(market.carl, SELL, 1, 2_400)
    market.leg(market.carl, BUY, 1, 1_500, HIGH)
    market.venue.mark({C: 13_000, HIGH: 12_000})
    market.buy(market.anne, 1, 1_000)
    assert market.held(market.anne) == (0, 0)
    market.venue.send(configuration(version=2, limits=limits(band_rate=RATIO_SCALE // 5)))
    assert market.held(market.anne) == (1, -1)


def test_no_prices_inside_the_bands_cancel_the_rest(market: Market) -> None:
    """An order that would rest across such a price does not rest."""
    narrow = Market(limits=limits(band_rate=10**15))
    narrow.sell(narrow.anne, 1, 810)
    narrow.venue.mark({C: 2_700})
    events = narrow.buy(narrow.bob, 1, 1_100)
    assert canceled(events) == [(contracts(1), CancelReason.LEG_BAND)]
    narrow.venue.mark({C: 2_500})
    assert combo_trades(narrow.buy(narrow.bob, 1, 1_100)) == [(810, 1)]


def test_owners_orders_in_legs_are_passed_over(market: Market) -> None:
    """They stay, and the order trades with what is behind them."""
    market.leg(market.anne, SELL, 1, 2_480)
    market.leg(market.carl, SELL, 1, 2_500)
    market.leg(market.carl, BUY, 1, 1_500, HIGH)
    events = market.buy(market.anne, 1, 1_000)
    assert legs(events) == [(C, 2_500, 1), (HIGH, 1_500, 1)]
    assert market.venue.book(C)[1] == [(usdc(2_480), contracts(1))]


@pytest.mark.parametrize(
    ("mode", "standing", "taken"),
    [
        (SelfTradePrevention.CANCEL_TAKER, [(1_000, 2)], [3]),
        (SelfTradePrevention.CANCEL_MAKER, [], [2]),
        (SelfTradePrevention.CANCEL_BOTH, [], [2, 3]),
        (SelfTradePrevention.DECREMENT, [], [2, 2]),
    ],
)
def test_self_trades_in_the_combos_own_book_are_prevented(market, mode, standing, taken) -> None:
    """As the taker asks."""
    market.sell(market.anne, 2, 1_000)
    events = market.buy(market.anne, 3, 1_000, self_trade_prevention=mode)
    assert [quantity for quantity, _ in canceled(events)] == [contracts(n) for n in taken]
    assert {reason for _, reason in canceled(events)} == {CancelReason.SELF_TRADE}
    assert market.book()[1] == standing
    assert legs(events) == []


def test_decrement_leaves_the_larger_maker(market: Market) -> None:
    """With what it has more."""
    market.sell(market.anne, 5, 1_000)
    market.buy(market.anne, 3, 1_000, self_trade_prevention=SelfTradePrevention.DECREMENT)
    assert market.book() == [[], [(1_000, 2)]]


def test_immediate_orders_take_what_is_there(market: Market) -> None:
    """Or, fill or kill, all or nothing."""
    market.sell(market.bob, 1, 1_000)
    market.leg(market.carl, SELL, 1, 2_510)
    market.leg(market.carl, BUY, 1, 1_500, HIGH)
    assert refusals(market.buy(market.anne, 3, 1_010, time_in_force=FOK)) == [
        RejectReason.FOK_NOT_FILLABLE
    ]
    assert combo_trades(market.buy(market.anne, 2, 1_010, time_in_force=FOK)) == [
        (1_000, 1),
        (1_010, 1),
    ]
    market.sell(market.bob, 1, 1_000)
    events = market.buy(market.anne, 3, 1_010, time_in_force=IOC)
    assert canceled(events) == [(contracts(2), CancelReason.IMMEDIATE_OR_CANCEL)]
    assert market.book() == [[], []]


@pytest.mark.parametrize(("side", "price"), [(BUY, "999.99"), (SELL, "1000.01")])
def test_post_only_rests_one_tick_away_from_the_best_of_both_books(side, price) -> None:
    """Be it the combo's own or that of the legs."""
    for own in (True, False):
        market = Market()
        if own:
            market.order(market.bob, side.opposite, 1, 1_000)
        else:
            market.leg(market.carl, side.opposite, 1, 2_500)
            market.leg(market.carl, side, 1, 1_500, HIGH)
        beyond = 1_000 + side.sign * 50
        assert refusals(
            market.order(market.anne, side, 1, beyond, post_only=True, reject_post_only=True)
        ) == [RejectReason.POST_ONLY_WOULD_TRADE]
        events = market.order(market.anne, side, 1, beyond, post_only=True)
        assert placed_in(events).limit_price == usdc(price)
        assert legs(events) == []


def test_post_only_without_anybody_rests_at_its_limit(market: Market) -> None:
    """And one that both books would give takes the distance of the better one."""
    assert placed_in(market.buy(market.anne, 1, 900, post_only=True)).limit_price == usdc(900)
    market.sell(market.bob, 1, 980)
    market.leg(market.carl, SELL, 1, 2_490)
    market.leg(market.carl, BUY, 1, 1_500, HIGH)
    events = market.buy(market.anne, 1, 1_000, post_only=True)
    assert placed_in(events).limit_price == usdc("979.99")
    market.sell(market.bob, 1, 995)


def test_post_only_asks_the_better_of_both_books(market: Market) -> None:
    """A rival beyond the limit does not count, one better than the legs does."""
    market.sell(market.bob, 1, 1_100)
    market.leg(market.carl, SELL, 1, 2_490)
    market.leg(market.carl, BUY, 1, 1_500, HIGH)
    first = market.buy(market.anne, 1, 1_050, post_only=True)
    assert placed_in(first).limit_price == usdc("989.99")
    market.sell(market.bob, 1, 990, post_only=True)
    second = market.buy(market.anne, 1, 1_050, post_only=True)
    assert placed_in(second).limit_price == usdc("989.99")


def test_nothing_trades_between_the_first_expiry_and_its_delivery() -> None:
    """The legs that live on may still move."""
    from tests.venue import EXPIRY_S

    later = call(100_000, expiry=EXPIRY_S + 7 * 86_400)
    market = Market()
    market.venue.list_instruments(later)
    market.venue.mark({later: 3_000})
    listed = market.venue.send(ListCombo(legs=(Leg(C, 1), Leg(later, -1))))[-1]
    market.combo = market.venue.engine.instruments[listed.instrument_id]
    market.venue.wait_until(EXPIRY_S - 60)
    market.venue.index()
    long = {"deadline": EXPIRY_S + 600}
    market.venue.sell(market.carl, 1, 2_500, **long)
    market.buy(market.anne, 1, -400, **long)
    market.venue.wait_until(EXPIRY_S + 1)
    market.venue.index()
    assert legs(market.leg(market.carl, BUY, 1, 2_950, later)) == []
    assert market.book() == [[(-400, 1)], []]


def test_an_amend_keeps_priority_when_only_the_quantity_falls(market: Market) -> None:
    """All else is a new arrival, which may trade."""
    first = market.sell(market.anne, 2, 1_000)
    market.sell(market.carl, 2, 1_000)
    market.venue.amend(first, quantity=contracts(1))
    assert market.book() == [[], [(1_000, 3)]]
    events = market.buy(market.bob, 1, 1_000)
    assert events[1].maker_subaccount_id == market.anne
    bid = market.buy(market.bob, 1, 900)
    amended = market.venue.amend(bid, limit_price=usdc(1_000))
    assert combo_trades(amended) == [(1_000, 1)]
    again = market.buy(market.bob, 1, 900)
    market.venue.amend(again, quantity=contracts(2))
    assert market.book() == [[(900, 2)], [(1_000, 1)]]


def test_an_amend_that_the_books_refuse_changes_nothing(market: Market) -> None:
    """A post-only bid may not reach the offer."""
    bid = market.buy(market.anne, 1, 900, post_only=True, reject_post_only=True)
    market.sell(market.bob, 1, 1_000)
    assert refusals(market.venue.amend(bid, limit_price=usdc(1_000))) == [
        RejectReason.POST_ONLY_WOULD_TRADE
    ]
    assert market.book() == [[(900, 1)], [(1_000, 1)]]
    assert refusals(market.venue.amend(bid, limit_price=usdc(950), reduce_only=True)) == [
        RejectReason.NOT_FOR_COMBOS
    ]


def test_orders_in_combos_are_canceled_like_others(market: Market) -> None:
    """By id, by instrument, all."""
    first = market.buy(market.anne, 1, 900)
    market.buy(market.anne, 1, 910)
    market.venue.cancel(first)
    assert market.book() == [[(910, 1)], []]
    market.venue.send(
        CancelAll(subaccount_id=market.anne, instrument_id=market.combo.instrument_id)
    )
    market.buy(market.anne, 1, 900)
    market.venue.send(CancelAll(subaccount_id=market.anne))
    assert market.book() == [[], []]


STOP = Trigger(kind=TriggerKind.STOP, source=PriceSource.INDEX, trigger_price=usdc(120_000))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"legs_hash": b""}, RejectReason.LEGS_NOT_SIGNED),
        ({"legs_hash": bytes(32)}, RejectReason.LEGS_NOT_SIGNED),
        ({"reduce_only": True}, RejectReason.NOT_FOR_COMBOS),
        ({"max_show": 100}, RejectReason.NOT_FOR_COMBOS),
        ({"trigger": STOP}, RejectReason.NOT_FOR_COMBOS),
        ({"quantity": 50}, RejectReason.QUANTITY_OFF_LOT),
        ({"limit_price": usdc(1_000) + 1}, RejectReason.PRICE_OFF_TICK),
        ({"limit_price": usdc(21_001)}, RejectReason.PRICE_OUTSIDE_BAND),
        ({"quantity": contracts(1_001)}, RejectReason.QUANTITY_TOO_LARGE),
        ({"quantity": contracts(999), "limit_price": usdc(5_000)}, None),
    ],
)
def test_refusals_of_combo_orders(market: Market, changes: Any, reason: Any) -> None:
    """A plain limit order, on the combo's grid, inside the bands of its legs."""
    terms = market.venue.terms(
        market.anne, BUY, 1, 1_000, market.combo.instrument_id, legs_hash=market.combo.legs_hash
    )
    options = {name: changes.pop(name) for name in ("trigger", "max_show") if name in changes}
    refused = refusals(market.venue.place(msgspec.structs.replace(terms, **changes), **options))
    assert refused == [reason or RejectReason.INSUFFICIENT_MARGIN]


def test_a_leg_hash_on_a_plain_order_is_refused(market: Market) -> None:
    """It would be signed as another instrument."""
    events = market.venue.buy(market.anne, 1, 2_500, legs_hash=market.combo.legs_hash)
    assert refusals(events) == [RejectReason.LEGS_NOT_SIGNED]


def test_fees_are_those_of_the_legs_within_the_signed_one() -> None:
    """Each leg pays the schedule, the unit no more than was signed."""
    market = Market(fees=FEES)
    market.sell(market.anne, 1, 1_000)
    least = 2 * 30
    assert refusals(market.buy(market.bob, 1, 1_000, max_fee=usdc(least) - 1)) == [
        RejectReason.MAX_FEE_TOO_LOW
    ]
    events = market.buy(market.bob, 1, 1_000, max_fee=usdc(least))
    trade = events[1]
    assert (trade.maker_fee, trade.taker_fee) == (usdc(60), usdc(60))
    assert [e.taker_fee for e in events if isinstance(e, Traded)] == [usdc(30), usdc(30)]
    market.sell(market.anne, 1, 1_000, max_fee=usdc(1_000))
    market.buy(market.carl, 1, 900, max_fee=usdc(least))
    market.venue.index(105_000)
    market.venue.wait(1)
    sold = market.sell(market.bob, 1, 900)
    assert sold[1].maker_fee == usdc(60)
    assert [e.maker_fee for e in sold if isinstance(e, Traded)] == [usdc("31.5"), usdc("28.5")]


def test_leg_makers_pay_their_own_fee() -> None:
    """No more than they signed themselves."""
    market = Market(fees=FEES)
    market.venue.sell(market.carl, 1, 2_500, max_fee=usdc(30))
    market.venue.order(market.carl, BUY, 1, 1_500, HIGH)
    events = market.buy(market.anne, 1, 1_000)
    assert events[1].maker_fee == 0
    assert [e.maker_fee for e in events if isinstance(e, Traded)] == [usdc(30), usdc(30)]


def test_one_order_trades_at_most_fifty_legs_and_never_half_a_lot(market: Market) -> None:
    """What is left of an arriving one is canceled; a resting one goes on with the next command."""
    for _ in range(15):
        market.leg(market.carl, SELL, 1, 2_500)
        market.leg(market.bob, SELL, 1, 2_500)
    market.leg(market.carl, BUY, 100, 1_500, HIGH)
    events = market.buy(market.anne, 100, 1_000)
    assert len(legs(events)) == 50
    assert canceled(events) == [(contracts(75), CancelReason.TOO_MANY_FILLS)]


def test_a_full_batch_leaves_resting_orders_to_the_next_command() -> None:
    """As for orders whose wait is over."""
    market = Market(limits=limits(batch_items_max=2))
    market.leg(market.carl, BUY, 9, 1_500, HIGH)
    for price in (1_000, 1_000, 1_000):
        market.buy(market.anne, 1, price)
    events = market.leg(market.bob, SELL, 3, 2_500)
    assert len(legs(events)) == 2
    assert names(events)[-1] == "BatchCut"
    assert len(legs(market.venue.index())) == 2
    assert len(legs(market.venue.index())) == 2
    assert legs(market.venue.index()) == []
    assert market.venue.twin().state_hash() == market.venue.engine.state_hash()


def test_a_halted_leg_takes_no_orders_and_keeps_those_that_rest(market: Market) -> None:
    """They trade when all legs are live again."""
    market.buy(market.anne, 1, 1_000)
    market.venue.send(Halt(instrument_id=HIGH))
    market.leg(market.carl, SELL, 1, 2_500)
    assert refusals(market.buy(market.anne, 1, 1_000)) == [RejectReason.INSTRUMENT_HALTED]
    market.venue.send(Resume(instrument_id=HIGH))
    market.leg(market.carl, BUY, 1, 1_500, HIGH)
    market.venue.wait(60)
    events = market.venue.index()
    assert combo_trades(events) == [(1_000, 1)]


def test_a_stale_index_keeps_resting_orders_where_they_are(market: Market) -> None:
    """A cancel still works, and nothing trades by it."""
    market.buy(market.anne, 1, 1_000)
    market.leg(market.carl, BUY, 1, 1_500, HIGH)
    own = market.leg(market.anne, SELL, 1, 2_490)
    market.leg(market.carl, SELL, 1, 2_505)
    market.venue.wait(31)
    assert legs(market.venue.cancel(own)) == []
    assert market.book() == [[(1_000, 1)], []]


def test_a_command_tries_so_many_resting_orders_and_the_next_goes_on():
    """Bids that only their owner's own offers are in reach of cost a plan each, and never trade."""
    venue = open_venue(limits=limits(open_orders_max=200))
    evil = venue.fund(ANNE, 10_000_000)
    for leg in (C, HIGH):
        venue.order(evil, SELL, 1, 2_500, leg)
        venue.order(evil, BUY, 1, 2_490, leg)
    stirred = venue.engine._venue.combos.stirred
    numbers = []
    for ratio in (-1, -2, -3):
        combo = venue.send(ListCombo(legs=(Leg(C, 1), Leg(HIGH, ratio))))[-1].instrument_id
        numbers.append(combo)
        legs_hash = venue.engine.instruments[combo].legs_hash
        for step in range(TRIES_MAX // 2):
            worth = 2_500 * (1 + ratio) + 100 + step
            venue.order(evil, BUY, 1, worth, combo, legs_hash=legs_hash)
    venue.index()
    assert stirred == {numbers[2]}
    venue.index()
    assert stirred == {numbers[1]}, "the third had its turn first, then the first again"
    assert not any(
        isinstance(event, ComboTraded) for *_, events in venue.entries for event in events
    )
    venue.send(CancelAll(subaccount_id=evil))
    venue.index()
    assert not stirred
    venue.twin()
