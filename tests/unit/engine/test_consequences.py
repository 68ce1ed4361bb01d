"""What follows from a command: in which order, and that it ends before a batch is cut."""

from tests.venue import C, Venue, limits, names, open_venue, placed_in, usdc

from exchange.commands import BreakerParameters, CutBatch, Halt, Resume
from exchange.fixed import RATIO_SCALE
from exchange.model import OrderStatus, PriceSource, Trigger, TriggerKind

NS = 10**9


def stop(price, source=PriceSource.LAST):
    return Trigger(kind=TriggerKind.STOP, source=source, trigger_price=usdc(price))


def test_effects_of_the_command_come_first(venue: Venue, ann: int, bob: int):
    """All its trades, then what they set off, which trades in its turn."""
    venue.buy(bob, 1, 2_500)
    venue.buy(bob, 1, 2_490)
    venue.buy(bob, 1, 2_480)
    venue.sell(ann, 1, 2_400, trigger=stop(2_500))
    events = venue.sell(venue.fund("carl"), 2, 2_490)
    assert names(events) == [
        "OrderPlaced",
        "Traded",
        "Traded",
        "OrderTriggered",
        "OrderPlaced",
        "Traded",
    ]


def test_those_that_fire_together_enter_by_distance_then_age(venue: Venue, ann: int):
    """The trigger that a continuous price would have met first goes first."""
    orders = [
        venue.sell(ann, 1, 2_400, trigger=stop(price, PriceSource.MARK))
        for price in (2_410, 2_450, 2_450, 2_430)
    ]
    events = venue.mark({C: 2_400})
    entered = [event.order_id for event in events if type(event).__name__ == "OrderPlaced"]
    assert entered == [placed_in(orders[at]).order_id for at in (1, 2, 3, 0)]


def test_a_full_batch_leaves_the_rest_of_a_cascade_to_the_next_command():
    """However many orders fire at once, a settlement batch fits into one transaction."""
    venue = open_venue(limits=limits(batch_items_max=2))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.buy(bob, 5, 2_400)
    for _ in range(5):
        venue.sell(ann, 1, 2_400, trigger=stop(2_450, PriceSource.MARK))
    counts = [names(venue.mark({C: 2_450})), names(venue.send(CutBatch())), names(venue.index())]
    assert [(said.count("Traded"), said[-1]) for said in counts] == [
        (2, "BatchCut"),
        (2, "BatchCut"),
        (1, "Traded"),
    ]


def test_nothing_trades_after_a_batch_was_cut():
    """The auction that ends before the cut sets orders off; they trade into the same batch."""
    breaker = BreakerParameters(
        move_rate=RATIO_SCALE, window_ns=60 * NS, cool_off_ns=NS, auction_ns=NS
    )
    venue = open_venue(breaker=breaker)
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.buy(bob, 3, 2_400)
    venue.send(Halt(instrument_id=C))
    venue.send(Resume(instrument_id=C))
    venue.buy(bob, 1, 2_500)
    venue.sell(venue.fund("carl"), 1, 2_500)
    order = venue.sell(ann, 1, 2_400, trigger=stop(2_500))
    venue.wait(5)
    events = venue.send(CutBatch())
    assert names(events) == [
        "InstrumentStatusChanged",
        "AuctionUncrossed",
        "Traded",
        "OrderTriggered",
        "OrderPlaced",
        "Traded",
        "BatchCut",
    ]
    assert venue.view(order).status is OrderStatus.FILLED
    assert events[-1].state_hash == venue.twin().state_hash()
