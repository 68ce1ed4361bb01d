"""Orders that rest in a combo wait, too, before they take from a leg with a speed bump."""

from typing import Any

import pytest
from tests.venue import C, call, contracts, fills, limits, names, open_venue, usdc

from exchange.commands import (
    CancelAll,
    ExpireInstruments,
    Halt,
    ListCombo,
    ReleaseOrders,
    Resume,
    SetSpeedBump,
)
from exchange.events import ComboTraded, OrderDelayed
from exchange.model import Leg, Side

HIGH = call(110_000)
DELAY = 20
ANNE, BOB, CARL = ("0x" + digit * 40 for digit in "123")


class Market:
    """Anne would buy two spreads at 1,000; Bob makes the bumped leg, Carl the other."""

    def __init__(self, **sizes: int) -> None:
        self.venue = open_venue(limits=limits(**sizes))
        self.anne, self.bob, self.carl = map(self.venue.fund, (ANNE, BOB, CARL))
        self.venue.mark({C: 2_500, HIGH: 1_500})
        listed = self.venue.send(ListCombo(legs=(Leg(C, 1), Leg(HIGH, -1))))[-1]
        self.combo = self.venue.engine.instruments[listed.instrument_id]
        self.bump(DELAY)
        self.resting = self.buy(2, 1_000)
        self.pass_ns(DELAY)

    def bump(self, delay_ns: int) -> None:
        self.venue.send(SetSpeedBump(instrument_id=C, delay_ns=delay_ns))

    def buy(self, quantity: int, price: int) -> Any:
        hashed = {"legs_hash": self.combo.legs_hash}
        combo_id = self.combo.instrument_id
        return self.venue.order(self.anne, Side.BUY, quantity, price, combo_id, **hashed)

    def offer(self, price: int = 2_490, quantity: int = 1) -> Any:
        """Bob's quote in the leg that has the bump."""
        return self.venue.sell(self.bob, quantity, price)

    def bid(self, price: int = 1_500, quantity: int = 2) -> Any:
        """Carl's in the leg that has none."""
        return self.venue.buy(self.carl, quantity, price, instrument_id=HIGH)

    def pass_ns(self, time_ns: int) -> Any:
        self.venue.time_ns += time_ns
        return self.venue.send(ReleaseOrders())

    def due(self) -> list[int]:
        return self.venue.engine.release_times_ns()


@pytest.fixture
def market() -> Market:
    return Market()


def trades(events: Any) -> list[tuple[float, float]]:
    """(value in USDC, units) of each trade of a combo."""
    found = [event for event in events if isinstance(event, ComboTraded)]
    return [(event.value / 10**6, event.quantity / 10**4) for event in found]


def test_another_leg_that_moves_does_not_open_the_bumped_one(market: Market) -> None:
    """It rests on meanwhile, with its place, its margin and its status, and trades in its time."""
    market.offer()
    events = market.bid()
    assert names(events) == ["OrderPlaced", "OrderDelayed"]
    delayed = events[1]
    assert delayed.order_id == market.resting[0].order_id
    assert (delayed.quantity, delayed.until_ns) == (contracts(1), market.venue.time_ns + DELAY)
    assert market.due() == [delayed.until_ns]
    combo_id = market.combo.instrument_id
    assert market.venue.book(combo_id) == ([(usdc(1_000), contracts(2))], [])
    assert trades(market.pass_ns(DELAY - 1)) == []
    assert trades(market.pass_ns(1)) == [(990, 1)]
    assert market.due() == []
    assert market.venue.twin().state_hash() == market.venue.engine.state_hash()


def test_a_maker_who_cancels_in_the_window_is_not_taken(market: Market) -> None:
    """And who comes back later has the whole window again."""
    quote = market.offer()
    market.bid()
    market.venue.time_ns += DELAY - 1
    market.venue.cancel(quote)
    assert market.due() == []
    market.venue.time_ns += 1
    assert names(market.offer()) == ["OrderPlaced", "OrderDelayed"]
    assert market.due() == [market.venue.time_ns + DELAY]


def test_a_leg_that_comes_and_goes_saves_no_wait(market: Market) -> None:
    """A reach that was lost counts for nothing when it is found again."""
    market.offer()
    bait = market.bid()
    market.venue.time_ns += DELAY - 1
    market.venue.cancel(bait)
    market.bid()
    assert trades(market.pass_ns(DELAY - 1)) == []
    assert trades(market.pass_ns(1)) == [(990, 1)]


def test_what_came_within_reach_later_waits_on_its_own(market: Market) -> None:
    """A small quantity that waits does not open the door for a large one."""
    market.offer(quantity=2)
    market.bid(quantity=1)
    market.venue.time_ns += DELAY - 1
    market.bid(quantity=1)
    events = market.pass_ns(1)
    assert trades(events) == [(990, 1)]
    assert [e.quantity for e in events if isinstance(e, OrderDelayed)] == [contracts(1)]
    assert trades(market.pass_ns(DELAY)) == [(990, 1)]


def test_marks_that_open_the_band_start_the_wait(market: Market) -> None:
    """The leg's offer stood outside its band, where nobody takes it."""
    market.offer()
    market.venue.mark({C: 12_500})
    assert names(market.bid()) == ["OrderPlaced"]
    assert "OrderDelayed" in names(market.venue.mark({C: 2_500}))
    assert trades(market.pass_ns(DELAY)) == [(990, 1)]


def test_an_amend_lets_it_wait_anew(market: Market) -> None:
    market.offer()
    market.bid()
    market.venue.time_ns += DELAY - 1
    events = market.venue.amend(market.resting, quantity=contracts(1))
    assert "OrderDelayed" not in names(events)  # the legs have not moved
    market.venue.time_ns += 1
    events = market.venue.send(ReleaseOrders())
    assert names(events) == ["OrderDelayed"]
    assert trades(market.pass_ns(DELAY)) == [(990, 1)]


def test_one_that_is_canceled_leaves_no_wait_behind(market: Market) -> None:
    """Nor does a combo that ends."""
    market.offer()
    market.bid()
    market.venue.send(CancelAll(subaccount_id=market.anne))
    assert market.pass_ns(DELAY) == ()
    assert market.due() == []


def test_a_combo_that_ends_leaves_no_wait_behind(market: Market) -> None:
    market.offer()
    expiry = market.venue.engine.instruments[C].expiry
    market.venue.wait_until(expiry - 1_800)
    for _ in range(61):
        market.venue.index()
        market.venue.wait(30)
    market.venue.send(ExpireInstruments(underlying_id=1, expiry=expiry))
    assert market.due() == []
    market.venue.engine.check()


def test_a_bump_turned_off_lets_who_waits_wait_as_he_was_told(market: Market) -> None:
    """Who comes later does not wait."""
    market.offer()
    market.bid()
    market.bump(0)
    assert trades(market.pass_ns(DELAY - 1)) == []
    assert trades(market.pass_ns(1)) == [(990, 1)]
    assert trades(market.offer()) == [(990, 1)]


def test_a_halt_ends_the_wait_and_live_trading_begins_it(market: Market) -> None:
    market.offer()
    market.bid()
    market.venue.send(Halt(instrument_id=C))
    assert market.due() == []
    assert trades(market.pass_ns(DELAY)) == []
    market.venue.send(Resume(instrument_id=C))
    market.venue.wait(61)
    events = market.venue.index()
    assert "OrderDelayed" in names(events)
    assert trades(market.pass_ns(DELAY)) == [(990, 1)]


def test_a_full_batch_keeps_it_for_the_next_command() -> None:
    market = Market(batch_items_max=1)
    market.offer()
    market.bid()
    market.venue.sell(market.bob, 1, 1_600, instrument_id=HIGH)
    market.venue.time_ns += DELAY
    taker = market.venue.buy(market.anne, 1, 1_600, instrument_id=HIGH)
    assert len(trades(taker)) == 1
    assert fills(taker[: names(taker).index("BatchCut")])
