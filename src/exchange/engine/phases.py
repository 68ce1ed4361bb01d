"""Trading phases: live, halted, auction, and the one price at which an auction ends.

An underlying's breaker watches its index, an instrument's own one its mark; operators halt an
instrument, an underlying or all. The strictest of an instrument's breakers decides. A halt keeps
every order; cancels work in each phase. Before an instrument goes live its book is uncrossed.
"""

from collections.abc import Iterable, Iterator

from exchange.commands import Halt, Resume
from exchange.engine import published
from exchange.engine.booking import cancel, limit_reduce_only
from exchange.engine.combos import combo_status
from exchange.engine.fills import book_auction_fill
from exchange.engine.proofs import auction_fills_max
from exchange.engine.state import NEVER_NS, Venue, breaker_rules
from exchange.events import (
    AuctionUncrossed,
    CancelReason,
    InstrumentStatusChanged,
    RejectReason,
)
from exchange.fixed import to_nanoseconds, to_seconds_down
from exchange.matching.auction import AuctionOrder, AuctionPrices, Uncrossing, uncross
from exchange.matching.book import OrderBook
from exchange.matching.breaker import Breaker, strictest
from exchange.model import Instrument, InstrumentStatus, Side, arrival, number_at


def sweep_phases(venue: Venue) -> None:
    """Move on every phase whose time is over."""
    if venue.time_ns < venue.phase_due_ns and not venue.uncrossing:
        return
    for breaker in _all_breakers(venue):
        breaker.on_time(venue.time_ns)
    _refresh(venue)


def _all_breakers(venue: Venue) -> Iterator[Breaker]:
    yield from venue.index_breakers.values()
    yield from venue.mark_breakers.values()


def watch_index(venue: Venue, underlying_id: int, index_price: int) -> None:
    """Let the underlying's breaker see an index price."""
    if venue.index_breakers[underlying_id].on_price(venue.time_ns, index_price) is not None:
        _refresh(venue)


def watch_marks(venue: Venue, instrument_ids: Iterable[int]) -> None:
    """Let the instruments' breakers see their new marks; against the index, as bands are."""
    assert venue.parameters is not None
    rules = venue.parameters.breaker
    if rules is None or not rules.mark_move_rate:
        return
    moved = False
    for instrument_id in instrument_ids:
        if venue.statuses[instrument_id] is InstrumentStatus.EXPIRED:
            continue
        index_price = venue.marks.index_price(venue.instruments[instrument_id].underlying_id)
        mark_price = venue.marks.mark_price(instrument_id)
        status = _mark_breaker(venue, instrument_id).on_price(
            venue.time_ns, mark_price, index_price
        )
        moved = moved or status is not None
    if moved:
        _refresh(venue)


def _mark_breaker(venue: Venue, instrument_id: int) -> Breaker:
    assert venue.parameters is not None
    breaker = venue.mark_breakers.get(instrument_id)
    if breaker is None:
        breaker = Breaker(breaker_rules(venue.parameters, of_mark=True))
        venue.mark_breakers[instrument_id] = breaker
    return breaker


def halt(venue: Venue, command: Halt) -> None:
    """Halt what the command names; what an operator halted already stays so."""
    breakers = _breakers(venue, command)
    for breaker in breakers:
        breaker.halt(venue.time_ns)
    if breakers:
        _refresh(venue)


def resume(venue: Venue, command: Resume) -> None:
    """Let what the command names go into its auction, unless the guardian forbids it on chain."""
    until = venue.access.paused_until
    if to_seconds_down(venue.time_ns) < until:
        venue.refuse(RejectReason.PAUSED, f"the guardian stopped new risk until {until}")
        return
    breakers = _breakers(venue, command)
    for breaker in breakers:
        breaker.resume(venue.time_ns)
    if breakers:
        _refresh(venue)


def _breakers(venue: Venue, command: Halt | Resume) -> list[Breaker]:
    """The breakers in scope; refuses an unknown instrument or underlying and returns none."""
    if command.instrument_id:
        if venue.statuses.get(command.instrument_id) in (None, InstrumentStatus.EXPIRED):
            venue.refuse(
                RejectReason.UNKNOWN_INSTRUMENT, f"instrument {command.instrument_id} is not live"
            )
            return []
        if isinstance(command, Resume) and command.instrument_id not in venue.mark_breakers:
            return []  # it was never halted
        return [_mark_breaker(venue, command.instrument_id)]
    if not command.underlying_id:
        return list(venue.index_breakers.values())
    breaker = venue.index_breakers.get(command.underlying_id)
    if breaker is None:
        venue.refuse(RejectReason.UNKNOWN_INSTRUMENT, f"underlying {command.underlying_id}")
        return []
    return [breaker]


def status_now(venue: Venue, instrument: Instrument) -> InstrumentStatus:
    """The strictest status of the breakers over an instrument that has not expired.

    A combo follows its legs: they come before it in order of ids.
    """
    if instrument.legs:
        return combo_status(venue, instrument)
    statuses = [venue.index_breakers[instrument.underlying_id].status]
    if instrument.instrument_id in venue.mark_breakers:
        statuses.append(venue.mark_breakers[instrument.instrument_id].status)
    return strictest(statuses)


def _refresh(venue: Venue) -> None:
    """Bring every instrument to its status; uncross those that go live.

    None goes live again once its expiry has come: the contract refuses a fill from then on. An
    auction that has more fills than the settlement batch has room goes on with the next command.
    """
    venue.uncrossing = False
    ends = (breaker.due_ns for breaker in _all_breakers(venue) if breaker.due_ns)
    venue.phase_due_ns = min(ends, default=NEVER_NS)
    for instrument in list(venue.live_instruments()):
        if instrument.expiry and to_nanoseconds(instrument.expiry) <= venue.time_ns:
            continue
        status = status_now(venue, instrument)
        if status is venue.statuses[instrument.instrument_id]:
            continue
        crossed = _crossed(venue, instrument) if status is InstrumentStatus.LIVE else None
        if crossed is not None and len(crossed.fills) > _room(venue):
            venue.uncrossing = True
        else:
            venue.statuses[instrument.instrument_id] = status
            venue.gates.pop(instrument.instrument_id, None)
            venue.emit(
                InstrumentStatusChanged(instrument_id=instrument.instrument_id, status=status)
            )
        if crossed is not None:
            _uncross(venue, instrument, crossed)


def _room(venue: Venue) -> int:
    """How many more fills the settlement batch can take: none by an epoch that is too old."""
    assert venue.parameters is not None
    if venue.batches.last_seq == venue.seq or published.is_stale(venue):
        return 0
    room = max(0, venue.parameters.limits.batch_items_max - venue.batches.pending)
    return auction_fills_max(venue, room)


def _crossed(venue: Venue, instrument: Instrument) -> Uncrossing | None:
    """What an auction's book asks for; None if nothing in it crosses."""
    book = venue.books[instrument.instrument_id]
    if (
        instrument.legs
        or book.best_bid is None
        or book.best_ask is None
        or book.best_bid < book.best_ask
    ):
        return None
    return _price(venue, instrument, book)


def _uncross(venue: Venue, instrument: Instrument, result: Uncrossing) -> None:
    """Trade what crosses at one price; orders that would meet their own owner are canceled."""
    for arrived in result.prevented:
        cancel(venue, venue.orders[number_at(arrived)], CancelReason.AUCTION_SELF_TRADE)
    fills = result.fills[: _room(venue)]
    if result.price is None or not fills:
        return
    venue.emit(
        AuctionUncrossed(
            instrument_id=instrument.instrument_id,
            price=result.price,
            quantity=sum(fill.quantity for fill in fills),
            imbalance=result.imbalance,
        )
    )
    touched: set[int] = set()
    for fill in fills:
        older, younger = sorted((fill.bid_order_id, fill.ask_order_id))
        maker, taker = venue.orders[number_at(older)], venue.orders[number_at(younger)]
        book_auction_fill(venue, maker, taker, result.price, fill.quantity)
        touched |= {maker.terms.subaccount_id, taker.terms.subaccount_id}
    for subaccount_id in sorted(touched):
        limit_reduce_only(venue, venue.subaccounts[subaccount_id], instrument.instrument_id)


def _price(venue: Venue, instrument: Instrument, book: OrderBook) -> Uncrossing:
    bids, asks = _orders(book, Side.BUY), _orders(book, Side.SELL)
    has_mark = venue.marks.has(instrument.instrument_id)
    reference = venue.marks.mark_price(instrument.instrument_id) if has_mark else bids[0].price
    prices = AuctionPrices(
        tick_size=instrument.tick_size,
        reference=reference,
        price_min=instrument.tick_size,
        price_max=bids[0].price,
    )
    return uncross(bids, asks, prices)


def _orders(book: OrderBook, side: Side) -> list[AuctionOrder]:
    """By time of arrival: an order_id does not tell it where a command brought several."""
    return [
        AuctionOrder(
            order_id=arrival(order.order_id),
            owner_key=order.owner_key,
            price=order.price,
            quantity=order.remaining_quantity,
        )
        for order in book.orders(side)
    ]
