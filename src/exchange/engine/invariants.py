"""What must hold after every command. Slow: tests and night runs call it, production does not."""

from collections import Counter

from exchange.engine.access import check_reaches
from exchange.engine.combo_trading import implied, may_follow
from exchange.engine.entry import has_room
from exchange.engine.fee_share import payable
from exchange.engine.gates import find_gate
from exchange.engine.proofs import fills_max
from exchange.engine.published import published_band
from exchange.engine.records import Order
from exchange.engine.state import Subaccount, Venue
from exchange.fixed import RATIO_SCALE, div_down, is_multiple
from exchange.model import InstrumentStatus, LiquidationStage, OrderStatus, Side, sheet_orders


def check_venue(venue: Venue) -> None:
    """Assert every invariant that ties the parts of the state together."""
    for book in venue.books.values():
        book.check()
    net: Counter[int] = Counter()
    longs: Counter[int] = Counter()
    for subaccount in venue.subaccounts.values():
        _check_subaccount(venue, subaccount)
        net.update(subaccount.account.positions)
        for instrument_id, quantity in subaccount.account.positions.items():
            longs[venue.instruments[instrument_id].underlying_id] += max(0, quantity)
    tokens: Counter[int] = Counter()
    for subaccount in venue.subaccounts.values():
        tokens.update(subaccount.account.collateral)
    assert tokens == Counter(venue.treasury.counted), "tokens counted wrongly"
    assert all(amount > 0 for amount in venue.treasury.idle.values())
    assert all(amount > 0 for amount in venue.chain.missing.values())
    assert all(venue.subaccounts[orphan].owner == "" for orphan in venue.chain.orphans)
    assert not any(net.values()), f"positions do not net to zero: {net}"
    check_reaches(venue)
    for subaccount_id in venue.access.suspended:
        subaccount = venue.subaccounts[subaccount_id]
        assert subaccount.reducing >= subaccount.open_orders.keys(), "suspended, and may add risk"
    assert +longs == +Counter(venue.open_interest), "open interest is the sum of long positions"
    resting = sum(len(book) for book in venue.books.values())
    opened = [order for sub in venue.subaccounts.values() for order in sub.open_orders.values()]
    waiting = sum(order.status is OrderStatus.UNTRIGGERED for order in opened)
    assert resting + waiting == len(opened), "books and subaccounts disagree on what is open"
    _check_waiting(venue, waiting)
    venue.ended.check(venue.orders)
    _check_batch(venue)
    _check_published(venue)
    _check_gates(venue)
    _check_combos(venue)
    volatile = {order.order_id for order in opened if order.volatility and not _is_waiting(order)}
    assert volatile <= set(venue.volatility_orders), "an order that nobody prices"
    over = venue.volatility_orders.keys() - {order.order_id for order in opened}
    assert not over, "an order that is priced for ever"
    breakers = (*venue.index_breakers.values(), *venue.mark_breakers.values())
    assert all(one.due_ns == 0 or venue.phase_due_ns <= one.due_ns for one in breakers)
    for subaccount_id, liquidation in venue.liquidations.items():
        assert liquidation.subaccount_id == subaccount_id
        unwinds = liquidation.stage is LiquidationStage.UNWINDING
        assert unwinds or not venue.subaccounts[subaccount_id].open_orders


def _check_batch(venue: Venue) -> None:
    """Whoever must prove margin counts in the batch; an order has no more fills than fit."""
    batches = venue.batches
    assert batches.margin_level or not batches.takers
    assert batches.pending >= len(batches.takers)
    assert venue.treasury.fees_since_ns or 0 <= venue.treasury.fees_owed < RATIO_SCALE
    if venue.parameters is not None and batches.last_seq != venue.seq:
        assert not payable(venue), "the fund waits for its share of the fees"
    for instrument_id, book in venue.books.items():
        legs = len(venue.instruments[instrument_id].legs) or 1
        assert book.fills_max == div_down(fills_max(venue), legs)


def _check_gates(venue: Venue) -> None:
    """What is remembered of the market is what would be found now."""
    for instrument_id, gate in venue.gates.items():
        if venue.time_ns <= gate.until_ns:
            assert gate == find_gate(venue, instrument_id), "a gate of another market"


def _check_published(venue: Venue) -> None:
    """Nothing rests where the chain would refuse it to trade."""
    for instrument_id, book in venue.books.items():
        band = published_band(venue, instrument_id)
        if band is not None:
            assert book.best_ask is None or book.best_ask >= band[0], "an offer below the band"
            assert book.best_bid is None or book.best_bid <= band[1], "a bid above the band"


def _check_combos(venue: Venue) -> None:
    """Who rests in a combo and could trade with its legs waits; no combo's live book is crossed."""
    assert venue.combos.waits.keys() <= set(venue.combos.by_hash.values())
    assert all(venue.combos.waits.values())
    for number in venue.combos.by_hash.values():
        book = venue.books[number]
        if book.best_bid is not None and book.best_ask is not None:
            assert book.best_bid < book.best_ask, "a combo's book is crossed"
        waits = number in venue.combos.stirred and not (has_room(venue) and may_follow(venue))
        held = venue.combos.waits.get(number, {})
        for resting in implied(venue, number):
            wait = held.get(resting.order_id)
            bumped = wait is not None and wait.due_ns > venue.time_ns
            assert waits or bumped, "an order in a combo should trade"
        for order in (*book.orders(Side.BUY), *book.orders(Side.SELL)):
            assert venue.orders[order.order_id].terms.legs_hash in venue.combos.by_hash


def _check_waiting(venue: Venue, waiting: int) -> None:
    """Each order that waits does so for one thing, and nothing waits that is over."""
    venue.triggers.check()
    venue.bump.check()
    venue.links.check()
    followed = (venue.new_prices, venue.link_news, venue.tripped, venue.filled_up)
    assert not any(followed), "not followed up"
    links = [order_id for *_, members in venue.links.state() for order_id in members]
    assert not any(venue.orders[order_id].is_over for order_id in links)
    dormant = sum(map(venue.links.is_dormant, links))
    assert len(venue.triggers) + len(venue.ready) + len(venue.bump) + dormant == waiting
    for order_id in venue.ready:
        instrument_id = venue.orders[order_id].terms.instrument_id
        live = venue.statuses[instrument_id] is InstrumentStatus.LIVE
        assert not live or venue.batches.last_seq == venue.seq, "it should have entered"


def _check_subaccount(venue: Venue, subaccount: Subaccount) -> None:
    account = subaccount.account
    account.check()
    subaccount.used_nonces.check()
    for order_id, order in subaccount.open_orders.items():
        assert venue.orders[order_id] is order
        assert subaccount.orders[order.terms.nonce] is order
        assert order.terms.nonce >= subaccount.nonce_floor
        assert order.terms.nonce not in subaccount.used_nonces
    resting_orders = {
        order_id: order
        for order_id, order in subaccount.open_orders.items()
        if not _waits(venue, order)
    }
    assert set(account.orders) == set(resting_orders)
    for order_id, order in resting_orders.items():
        assert order.status is OrderStatus.OPEN
        resting = venue.books[order.terms.instrument_id].get(order_id)
        assert resting is not None
        assert resting.remaining_quantity == order.remaining_quantity > 0
        assert account.orders[order_id].quantity == order.remaining_quantity
    for instrument_id, quantity in account.positions.items():
        assert venue.statuses[instrument_id] is not InstrumentStatus.EXPIRED
        assert is_multiple(quantity, venue.instruments[instrument_id].lot_size), "dust"
    _check_reduce_only(subaccount)
    _check_quotes(venue, subaccount)


def _check_quotes(venue: Venue, subaccount: Subaccount) -> None:
    """Every quote that stands is signed by the newest sheet, and there is one for each side."""
    sheet = subaccount.sheet
    quotes = [order for order in subaccount.open_orders.values() if order.is_quote]
    if sheet is None:
        assert not quotes
        return
    assert not quotes or sheet.terms.sheet_nonce >= subaccount.sheet_floor
    assert {order.order_id for order in quotes} <= set(sheet.order_ids)
    signed = sheet_orders(sheet.terms, sheet.quotes)
    for order_id in sheet.order_ids:
        order = venue.orders[order_id]
        assert order.terms == signed[order.terms.nonce - sheet.terms.first_nonce]


def _is_waiting(order: Order) -> bool:
    return order.status is OrderStatus.UNTRIGGERED


def _waits(venue: Venue, order: Order) -> bool:
    """Whether an open order waits; then it does so in exactly one place."""
    if order.status is not OrderStatus.UNTRIGGERED:
        return False
    places = (venue.triggers, venue.ready, venue.bump)
    where = sum(order.order_id in place for place in places)
    assert where + venue.links.is_dormant(order.order_id) == 1
    assert order.waited or order.filled_quantity == order.canceled_quantity == 0
    return True


def _check_reduce_only(subaccount: Subaccount) -> None:
    reducing = {key for key, order in subaccount.open_orders.items() if order.terms.reduce_only}
    assert subaccount.reducing == reducing
    for order in subaccount.open_orders.values():
        if order.terms.reduce_only and order.status is OrderStatus.OPEN:
            position = subaccount.account.position(order.terms.instrument_id)
            assert order.remaining_quantity <= max(0, -order.terms.side.sign * position)
