"""Orders in combos: what they trade with, and what that does to everybody's accounts.

`matching.implied` plans, here it is carried out: trades with the combo's own book at prices of the
legs that their marks suggest, trades with the books of the legs at the prices that rest there. An
arriving order is planned once and whole. A resting one is planned again when the book of a leg
changed, or the marks did: `follow_legs`, after the command's own effects. Where a leg has a speed
bump it then waits, and takes no more than it could have taken when its wait began.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import Final, NamedTuple

from exchange.engine.booking import (
    limit_reduce_only,
    margin_order,
    placed_event,
    remember,
    shrink,
    take_away,
)
from exchange.engine.bump import leg_delay_ns
from exchange.engine.checks import Refusal, entry_price
from exchange.engine.fees import fee_limit, schedule_fee
from exchange.engine.fills import Party, Price, after_fill, book_match, note_fill
from exchange.engine.gates import index_is_stale, marks_are_stale, price_band
from exchange.engine.proofs import FILLS_MAX
from exchange.engine.records import LegWait, Order
from exchange.engine.state import Subaccount, Venue
from exchange.events import (
    CancelReason,
    ComboTraded,
    Configured,
    IndexUpdated,
    InstrumentStatusChanged,
    MarksUpdated,
    OrderAmended,
    OrderCanceled,
    OrderDelayed,
    OrderPlaced,
    OrderRepriced,
    RejectReason,
    Traded,
)
from exchange.fixed import QUANTITY_SCALE, div_down, div_exact, div_up, to_nanoseconds
from exchange.matching.implied import (
    ComboOrder,
    LegFill,
    LegView,
    Match,
    Plan,
    Rival,
    Slice,
    Stop,
    allot,
    offers,
    plan_combo,
)
from exchange.matching.placement import (
    FIELD,
    NO_MATCH,
    POST_ONLY_SHIFT,
    PREVENTION_SHIFT,
    PostOnly,
)
from exchange.model import (
    Instrument,
    InstrumentStatus,
    Legs,
    OrderStatus,
    OrderTerms,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

EXAMINED_MAX: Final = 20  # resting orders of one side that one change of a leg lets try again
TRIES_MAX: Final = 40  # of resting orders in one command; the others wait for the next

_CANCELED_BY: Final = {
    Stop.PRICE: CancelReason.IMMEDIATE_OR_CANCEL,
    Stop.SELF_TRADE: CancelReason.SELF_TRADE,
    Stop.FILLS: CancelReason.TOO_MANY_FILLS,
    Stop.BAND: CancelReason.LEG_BAND,
}
_STANDING: Final = "the books as they stand"
_AT_ONCE: Final = (TimeInForce.IOC, TimeInForce.FOK)


# -- planning -------------------------------------------------------------------------------------


def _plan(
    venue: Venue, order: Order, terms: OrderTerms, request: tuple[int, int], *, resting: bool
) -> Plan:
    """What the order would trade now within `request`, its (price, quantity).

    A resting one has met its own book before.
    """
    price, quantity = request
    combo = venue.instruments[terms.instrument_id]
    owner_key = venue.subaccounts[terms.subaccount_id].owner_key
    rivals = [] if resting else _rivals(venue, combo, terms, owner_key)
    # The fill of such an order may leave its owner nothing to reduce in a leg.
    exposed = {venue.orders[rival.order_id].terms.subaccount_id for rival in rivals}
    views = []
    for leg in combo.legs:
        wanted = terms.side.opposite if leg.ratio > 0 else terms.side
        free = [
            order
            for order in venue.books[leg.instrument_id].orders(wanted, FILLS_MAX)
            if not exposed
            or order.subaccount_id not in exposed
            or not venue.orders[order.order_id].terms.reduce_only
        ]
        found = list(islice(offers(free, owner_key), FILLS_MAX))
        views.append(LegView(found, *price_band(venue, leg.instrument_id)))
    prevention = SelfTradePrevention(order.word >> PREVENTION_SHIFT & FIELD)
    asked = ComboOrder(terms.side, price, quantity, combo.lot_size, FILLS_MAX, prevention)
    return plan_combo(combo.legs, views, rivals, asked)


def _rivals(venue: Venue, combo: Instrument, terms: OrderTerms, owner_key: int) -> list[Rival]:
    book = venue.books[combo.instrument_id]
    sign = terms.side.sign
    within = takewhile(
        lambda order: sign * (order.price - terms.limit_price) <= 0,
        book.orders(terms.side.opposite),
    )
    return [
        Rival(
            order.order_id,
            order.price,
            order.remaining_quantity,
            order.owner_key == owner_key,
            leg_prices(venue, combo.legs, order.price) is not None,
        )
        for order in within
    ]


def leg_prices(venue: Venue, legs: Legs, net_price: int) -> tuple[int, ...] | None:
    """Prices of the legs at which two orders in a combo trade, if their bands allow any."""
    marks = [venue.marks.mark_price(leg.instrument_id) for leg in legs]
    bands = [price_band(venue, leg.instrument_id) for leg in legs]
    return allot(legs, marks, bands, net_price)


# -- arriving orders ------------------------------------------------------------------------------


class Entry(NamedTuple):
    """What becomes of an order that arrives: its trades, where it rests, or why it may not."""

    plan: Plan
    price: int
    refusal: Refusal | None = None


def match_combo(venue: Venue, subaccount: Subaccount, order: Order) -> Refusal | None:
    """Trade an order in a combo and let the rest of it rest; or why not, nothing changed."""
    entry = plan_entry(venue, order, order.terms, order.remaining_quantity)
    if entry.refusal is not None:
        return entry.refusal
    order.price = entry.price
    if order.order_id not in venue.orders:
        remember(venue, subaccount, order)
    order.status = OrderStatus.OPEN
    order.updated_ns = venue.time_ns
    subaccount.open(order)
    venue.emit(placed_event(order, order.price))
    settle_combo(venue, subaccount, order, entry.plan)
    return None


def plan_entry(venue: Venue, order: Order, terms: OrderTerms, quantity: int) -> Entry:
    """Plan an order that enters, or one that comes back with other terms."""
    limit = entry_price(venue, order) if order.market else terms.limit_price
    plan = _plan(venue, order, terms, (limit, quantity), resting=False)
    if order.time_in_force is TimeInForce.FOK:
        if sum(step.quantity for step in plan.steps) < quantity:
            return Entry(plan, limit, (RejectReason.FOK_NOT_FILLABLE, _STANDING))
        return Entry(plan, limit)
    best = _best(venue, terms, plan) if order.post_only else None
    if best is None:
        return Entry(plan, limit)
    if PostOnly(order.word >> POST_ONLY_SHIFT & FIELD) is PostOnly.REJECT:
        return Entry(plan, limit, (RejectReason.POST_ONLY_WOULD_TRADE, _STANDING))
    tick_size = venue.instruments[terms.instrument_id].tick_size
    value, units = best
    if terms.side is Side.BUY:
        price = (div_up(value, units * tick_size) - 1) * tick_size
    else:
        price = (div_down(value, units * tick_size) + 1) * tick_size
    return Entry(Plan((), (), 0, quantity, Stop.PRICE), price)


def _best(venue: Venue, terms: OrderTerms, plan: Plan) -> tuple[int, int] | None:
    """The best net price, as (value, units), that the order would take or meet."""
    sign = terms.side.sign
    book = venue.books[terms.instrument_id]
    rival = book.best_ask if terms.side is Side.BUY else book.best_bid
    if rival is not None and sign * (rival - terms.limit_price) > 0:
        rival = None
    implied = next((step for step in plan.steps if isinstance(step, Slice)), None)
    if implied is None:
        return None if rival is None else (rival, 1)
    if rival is not None and sign * (rival * implied.quantity - implied.value) <= 0:
        return rival, 1
    return implied.value, implied.quantity


def settle_combo(venue: Venue, subaccount: Subaccount, order: Order, plan: Plan) -> None:
    """Carry out the plan of an order that does not rest yet; then it rests or ends."""
    combo_id = order.terms.instrument_id
    _carry_out(venue, order, plan)
    assert plan.left + plan.canceled == order.remaining_quantity
    rests = 0
    if plan.stop is Stop.PRICE and order.time_in_force not in _AT_ONCE:
        rests = plan.left
    if rests:
        venue.books[combo_id].place(
            order.order_id,
            order.terms.subaccount_id,
            subaccount.owner_key,
            order.terms.side,
            order.price,
            rests,
            order.word | NO_MATCH,
        )
        subaccount.account.place_order(order.order_id, margin_order(order.terms, rests))
    else:
        venue.close_order(order)
    canceled = order.remaining_quantity - rests
    if canceled:
        reason = CancelReason.SELF_TRADE if plan.canceled else _CANCELED_BY[plan.stop]
        take_away(venue, order, canceled, reason)
    if not rests:
        order.status = OrderStatus.CANCELED if order.canceled_quantity else OrderStatus.FILLED


# -- carrying a plan out --------------------------------------------------------------------------


def _carry_out(venue: Venue, taker: Order, plan: Plan) -> None:
    combo = venue.instruments[taker.terms.instrument_id]
    touched = {taker.terms.subaccount_id}
    for step in plan.steps:
        if isinstance(step, Match):
            touched.add(_trade_combo(venue, combo, taker, step))
        else:
            touched |= _trade_legs(venue, taker, step)
    book = venue.books[combo.instrument_id]
    for order_id, removed, resting in plan.prevented:
        book.reduce(order_id, resting)
        shrink(venue, venue.orders[order_id], removed, resting, CancelReason.SELF_TRADE)
    for subaccount_id in sorted(touched):
        for leg in combo.legs:
            limit_reduce_only(venue, venue.subaccounts[subaccount_id], leg.instrument_id)


def _trade_combo(venue: Venue, combo: Instrument, taker: Order, step: Match) -> int:
    """Units with an order in the combo's own book; returns its subaccount."""
    maker = venue.orders[step.order_id]
    book = venue.books[combo.instrument_id]
    book.reduce(maker.order_id, maker.remaining_quantity - step.quantity)
    return trade_units(venue, taker, maker, step.price, step.quantity)


def trade_units(venue: Venue, taker: Order, maker: Order, price: int, quantity: int) -> int:
    """Units between two orders in a combo; returns the maker's subaccount."""
    combo = venue.instruments[taker.terms.instrument_id]
    prices = leg_prices(venue, combo.legs, price)
    assert prices is not None, "checked before"
    side = taker.terms.side
    fills = [
        LegFill(
            leg.instrument_id,
            side if leg.ratio > 0 else side.opposite,
            maker.order_id,
            leg_price,
            abs(leg.ratio) * quantity,
        )
        for leg, leg_price in zip(combo.legs, prices, strict=True)
    ]
    _book_units(venue, taker, price * quantity, quantity, fills)
    after_fill(venue, maker)
    return maker.terms.subaccount_id


def _trade_legs(venue: Venue, taker: Order, step: Slice) -> set[int]:
    """Units with orders in the books of the legs; returns their subaccounts."""
    for fill in step.fills:
        venue.books[fill.instrument_id].take(fill.order_id, fill.quantity)
    makers = {fill.order_id for fill in step.fills}
    subaccount_ids = {venue.orders[order_id].terms.subaccount_id for order_id in makers}
    _book_units(venue, taker, step.value, step.quantity, step.fills)
    for order_id in sorted(makers):
        after_fill(venue, venue.orders[order_id])
    return subaccount_ids


def _book_units(
    venue: Venue, taker: Order, scaled_value: int, units: int, fills: Sequence[LegFill]
) -> None:
    """Fees first, so that `ComboTraded` tells their sum; then each leg by itself."""
    value = div_exact(scaled_value, QUANTITY_SCALE)
    makers = [venue.orders[fill.order_id] for fill in fills]
    combo_maker = makers[0] if makers[0].terms.legs_hash else None
    maker_fees = _fees(venue, combo_maker, units, fills, maker=True)
    taker_fees = _fees(venue, taker, units, fills, maker=False)
    venue.last_trade_id += 1
    traded = ComboTraded(
        trade_id=venue.last_trade_id,
        instrument_id=taker.terms.instrument_id,
        value=value,
        quantity=units,
        taker_side=taker.terms.side,
        taker_order_id=taker.order_id,
        taker_subaccount_id=taker.terms.subaccount_id,
        taker_fee=sum(taker_fees),
        maker_order_id=combo_maker.order_id if combo_maker else 0,
        maker_subaccount_id=combo_maker.terms.subaccount_id if combo_maker else 0,
        maker_fee=sum(maker_fees) if combo_maker else 0,
    )
    venue.emit(traded)
    for fill, maker, maker_fee, taker_fee in zip(
        fills, makers, maker_fees, taker_fees, strict=True
    ):
        book_match(
            venue,
            (Party(maker, fill.side.opposite, maker_fee), Party(taker, fill.side, taker_fee)),
            Price(fill.instrument_id, fill.price, fill.quantity),
            combo_trade_id=traded.trade_id,
        )
    for order in (combo_maker, taker):
        if order is not None:
            note_fill(venue, order, units, value)


def _fees(
    venue: Venue, order: Order | None, units: int, fills: Sequence[LegFill], *, maker: bool
) -> list[int]:
    """The schedule's fee of each leg; of an order in a combo together no more than it signed."""
    left = fee_limit(order.terms, units) if order else 0
    fees = []
    for fill in fills:
        instrument = venue.instruments[fill.instrument_id]
        fee = schedule_fee(venue, instrument, fill.price, fill.quantity, maker=maker)
        if order is None:
            fee = min(fee, fee_limit(venue.orders[fill.order_id].terms, fill.quantity))
        else:
            fee = min(fee, left)
            left -= fee
        fees.append(fee)
    return fees


# -- resting orders -------------------------------------------------------------------------------


def note_legs(venue: Venue) -> None:
    """See which combos the newest events concern: those may trade with their legs now."""
    noted, venue.combos.noted = venue.combos.noted, len(venue.events)
    if not venue.combos.by_hash:
        return
    for event in venue.events[noted:]:
        match event:
            case (
                Traded(instrument_id=instrument_id)
                | OrderPlaced(instrument_id=instrument_id)
                | OrderAmended(instrument_id=instrument_id)
                | OrderCanceled(instrument_id=instrument_id)
                | OrderRepriced(instrument_id=instrument_id)
                | InstrumentStatusChanged(instrument_id=instrument_id)
            ):
                venue.combos.stirred.update(venue.combos.by_leg.get(instrument_id, ()))
            case IndexUpdated() | MarksUpdated() | Configured():
                venue.combos.stirred.update(venue.combos.by_hash.values())
            case _:
                pass


def may_follow(venue: Venue) -> bool:
    """Whether a stirred combo waits for its turn, and this command has time for it."""
    return bool(venue.combos.stirred) and venue.combos.tries < TRIES_MAX


def follow_legs(venue: Venue) -> None:
    """Let one resting order trade in a combo that was stirred; when none can, it is at rest.

    Where a command has no time for all, the next one goes on behind the last that had its turn.
    """
    combos = venue.combos
    number = combos.next_stirred()
    found = _next_due(venue, number)
    if found is not None:
        order, plan = found
        _carry_out(venue, order, plan)
        venue.books[number].reduce(order.order_id, order.remaining_quantity)
        after_fill(venue, order)
        return
    combos.stirred.discard(number)
    combos.turn = number if combos.tries >= TRIES_MAX and combos.stirred else 0


def _next_due(venue: Venue, number: int) -> tuple[Order, Plan] | None:
    """The first order that may trade now, and what; those whose time is to come wait till then.

    One that lost its reach waits no more: when it reaches its legs again, it waits anew.
    """
    before = venue.combos.waits.pop(number, {})
    delay_ns = leg_delay_ns(venue, venue.instruments[number])
    waits: dict[int, LegWait] = {}
    due = None
    for order, plan in _tries(venue, number):
        venue.combos.tries += 1
        if not plan.steps:
            continue
        wait = before.pop(order.order_id, None)
        if wait is None or wait.version != order.terms.version:
            if not delay_ns:
                due = order, plan
                break
            wait = _begin_wait(venue, order, plan, delay_ns)
        elif wait.due_ns <= venue.time_ns:
            request = order.price, min(wait.quantity, order.remaining_quantity)
            due = order, _plan(venue, order, order.terms, request, resting=True)
            break
        waits[order.order_id] = wait
    if due is not None:
        waits |= before  # those behind it are seen in the next turn
    if waits:
        venue.combos.waits[number] = waits
    return due


def _begin_wait(venue: Venue, order: Order, plan: Plan, delay_ns: int) -> LegWait:
    quantity = sum(step.quantity for step in plan.steps)
    wait = LegWait(venue.time_ns + delay_ns, quantity, order.terms.version)
    venue.emit(
        OrderDelayed(
            order_id=order.order_id,
            subaccount_id=order.terms.subaccount_id,
            until_ns=wait.due_ns,
            quantity=quantity,
        )
    )
    return wait


def implied(venue: Venue, number: int) -> Iterator[Order]:
    """The resting orders of a combo that can trade with the legs, in their priority."""
    return (order for order, plan in _tries(venue, number) if plan.steps)


def _tries(venue: Venue, number: int) -> Iterator[tuple[Order, Plan]]:
    """Resting orders of a combo, and what each would trade with the legs now."""
    combo = venue.instruments[number]
    book = venue.books.get(number)
    if book is None or not len(book) or not _trades_now(venue, combo):
        return
    for side in Side:
        for resting in islice(book.orders(side, EXAMINED_MAX), EXAMINED_MAX):
            if not _in_reach(venue, combo, side, resting.price):
                break
            order = venue.orders[resting.order_id]
            request = resting.price, resting.remaining_quantity
            yield order, _plan(venue, order, order.terms, request, resting=True)


def _trades_now(venue: Venue, combo: Instrument) -> bool:
    if venue.statuses[combo.instrument_id] is not InstrumentStatus.LIVE:
        return False
    if combo.expiry and to_nanoseconds(combo.expiry) <= venue.time_ns:
        return False
    return venue.marks.has(combo.instrument_id) and not (
        index_is_stale(venue, combo.instrument_id) or marks_are_stale(venue)
    )


def _in_reach(venue: Venue, combo: Instrument, side: Side, limit: int) -> bool:
    """Whether the best prices of the legs, whoever's, are within the limit. Complexity: O(legs)."""
    net = 0
    for leg in combo.legs:
        book = venue.books[leg.instrument_id]
        best = book.best_ask if (leg.ratio > 0) is (side is Side.BUY) else book.best_bid
        if best is None:
            return False
        net += leg.ratio * best
    return side.sign * (net - limit) <= 0
