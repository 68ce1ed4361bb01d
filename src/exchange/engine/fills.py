"""What a match does to two orders and their accounts.

The order of effects: funding, cash and position of the maker, of the taker, the venue's fees and
what it owes the insurance fund of them, then `Traded`. What is left to reduce `booking` sees to
when the command's matches are done. Decides nothing: `entry` and `combo_trading` ask the books
first.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from exchange.engine.access import note_use
from exchange.engine.armed import note_price
from exchange.engine.fees import fee_limit, fund_share, schedule_fee
from exchange.engine.positions import move_position
from exchange.engine.proofs import count_proof
from exchange.engine.published import allows
from exchange.engine.records import LinkNews, Order
from exchange.engine.state import Venue
from exchange.events import Traded
from exchange.fixed import notional
from exchange.matching.protection import ProtectedTrade
from exchange.model import FEE_SUBACCOUNT_ID, OrderStatus, PriceSource, Side

# Looking a member up costs as much as a call.
_FILLED: Final = OrderStatus.FILLED
_LAST: Final = PriceSource.LAST


def book_auction_fill(venue: Venue, maker: Order, taker: Order, price: int, quantity: int) -> None:
    """One match of two resting orders at an auction's price; the younger one is the taker."""
    book = venue.books[maker.terms.instrument_id]
    book_fill(venue, taker, maker.order_id, price, quantity, auction=True)
    after_fill(venue, taker)
    for order in (maker, taker):
        book.reduce(order.order_id, order.remaining_quantity)


def book_fill(
    venue: Venue, taker: Order, maker_id: int, price: int, quantity: int, *, auction: bool = False
) -> int:
    """One match in the book of both orders; returns the maker's subaccount."""
    maker = venue.orders[maker_id]
    instrument_id = taker.terms.instrument_id
    instrument = venue.instruments[instrument_id]
    parties = [
        Party(
            order,
            order.terms.side,
            min(
                schedule_fee(venue, instrument, price, quantity, maker=order is maker),
                fee_limit(order.terms, quantity),
            ),
        )
        for order in (maker, taker)
    ]
    book_match(venue, parties, Price(instrument_id, price, quantity), auction=auction)
    after_fill(venue, maker)
    return maker.terms.subaccount_id


class Party(NamedTuple):
    """One side of a match: its order, whether that buys or sells here, and its fee."""

    order: Order
    side: Side
    fee: int


class Price(NamedTuple):
    """What is traded: `quantity` of an instrument at `price`."""

    instrument_id: int
    price: int
    quantity: int


def book_match(
    venue: Venue,
    parties: Sequence[Party],
    what: Price,
    *,
    auction: bool = False,
    combo_trade_id: int = 0,
) -> None:
    """Cash, positions, fees and `Traded` of one match between a maker and a taker.

    An order of the instrument itself is filled by it; an order in a combo, of which this is a leg,
    is filled by `note_fill` once all its legs are.
    """
    instrument_id, price, quantity = what  # each field that is read by its name costs a lookup
    instrument = venue.instruments[instrument_id]
    fees = 0
    for order, side, fee in parties:
        terms = order.terms
        subaccount_id = terms.subaccount_id
        move_position(venue, subaccount_id, instrument, side.sign * quantity, price)
        if not terms.reduce_only:
            count_proof(venue, subaccount_id)
        venue.subaccounts[subaccount_id].account.add_cash(-fee)
        fees += fee
        if terms.instrument_id == instrument_id:
            note_fill(venue, order, quantity, notional(price, quantity))
        if venue.access.scopes:
            note_use(venue, order, instrument_id, quantity)
        if order.mmp:
            _count_protected(venue, order, side, what)
    maker, taker = parties
    venue.subaccounts[FEE_SUBACCOUNT_ID].account.add_cash(fees)
    venue.treasury.owe_fund(fund_share(venue, fees), venue.time_ns)
    venue.last_trade_id += 1
    venue.last_prices[instrument_id] = price
    note_price(venue, _LAST, instrument_id, price)
    venue.batches.pending += 1
    assert allows(venue, instrument_id, price), "the chain would refuse this price"
    traded = _traded(venue.last_trade_id, maker, taker, what)
    venue.emit(
        msgspec.structs.replace(traded, auction=auction, combo_trade_id=combo_trade_id)
        if auction or combo_trade_id
        else traded
    )


def _traded(trade_id: int, maker: Party, taker: Party, what: Price) -> Traded:
    instrument_id, price, quantity = what
    maker_order, _, maker_fee = maker
    taker_order, taker_side, taker_fee = taker
    maker_terms, taker_terms = maker_order.terms, taker_order.terms
    made, taken = maker_terms.instrument_id, taker_terms.instrument_id
    maker_combo, taker_combo = made != instrument_id, taken != instrument_id
    taker_signed_seq = taker_order.signed_seq
    return Traded(
        trade_id=trade_id,
        instrument_id=instrument_id,
        price=price,
        quantity=quantity,
        taker_side=taker_side,
        maker_order_id=maker_order.order_id,
        taker_order_id=taker_order.order_id,
        maker_subaccount_id=maker_terms.subaccount_id,
        taker_subaccount_id=taker_terms.subaccount_id,
        maker_signed_seq=maker_order.signed_seq,
        taker_signed_seq=taker_signed_seq,
        maker_fee=maker_fee,
        taker_fee=taker_fee,
        liquidation=taker_signed_seq == 0,
        combo_id=taken if taker_combo else made if maker_combo else 0,
        maker_combo=maker_combo,
        taker_combo=taker_combo,
    )


def note_fill(venue: Venue, order: Order, quantity: int, value: int) -> None:
    """An order traded `quantity` for `value` in micro-USDC."""
    order.filled_quantity += quantity
    order.fill_value += value
    order.updated_ns = venue.time_ns
    if len(venue.links):
        filled = order.remaining_quantity == 0
        news = LinkNews.FILLED if filled else LinkNews.PARTLY_FILLED
        venue.link_news.append((order.order_id, news))


def _count_protected(venue: Venue, order: Order, side: Side, what: Price) -> None:
    """Let market-maker protection see a fill; `engine.shield` acts on what it trips."""
    key = (order.terms.subaccount_id, venue.instruments[what.instrument_id].underlying_id)
    trade = ProtectedTrade(
        time_ns=venue.time_ns,
        signed_quantity=side.sign * what.quantity,
        delta=venue.marks.delta(what.instrument_id),
        vega=venue.marks.vega(what.instrument_id),
    )
    if venue.protection.on_trade(key, trade):
        venue.tripped.append(key)


def after_fill(venue: Venue, maker: Order) -> None:
    """Margin and status of a resting order that traded."""
    subaccount = venue.subaccounts[maker.terms.subaccount_id]
    remaining = maker.remaining_quantity
    subaccount.account.reduce_order(maker.order_id, remaining)
    if remaining == 0:
        maker.status = OrderStatus.CANCELED if maker.canceled_quantity else _FILLED
        venue.close_order(maker)
