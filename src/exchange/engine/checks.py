"""Everything that can refuse an order, in the order of `RejectReason`. Changes nothing.

Each check is a pure look at the venue and the signed terms. A refusal is a pair of the reason and
words that name the value and the bound, so that the sender knows what to change. Of a replayed
command that is known to be `Venue.accepted` nothing is checked.
"""

from collections.abc import Sequence
from typing import Final

from exchange.commands import AmendOrder, AnyCommand, MassQuote, PlaceOrder, Reprice
from exchange.engine.access import Refusal as Refusal
from exchange.engine.access import check_access, check_suspension, check_terms
from exchange.engine.access import may_sign as may_sign
from exchange.engine.armed import watched_price
from exchange.engine.fees import schedule_fee_per_contract
from exchange.engine.gates import band_now, fits, index_is_stale, marks_are_stale, price_band
from exchange.engine.lending import check_debt
from exchange.engine.limits import check_limits
from exchange.engine.published import Band, is_published
from exchange.engine.records import Order
from exchange.engine.state import Subaccount, Venue
from exchange.events import (
    AnyEvent,
    CancelReason,
    OrderCanceled,
    QuoteRefused,
    Refused,
    RejectReason,
)
from exchange.fixed import (
    CASH_SCALE,
    QUANTITY_SCALE,
    div_down,
    div_up,
    format_decimal,
    is_multiple,
    to_nanoseconds,
    to_seconds_down,
)
from exchange.margin.order import MarginOrder
from exchange.matching.triggers import is_reached, is_well_formed
from exchange.model import (
    NO_TRIGGER,
    BidTerms,
    Instrument,
    InstrumentStatus,
    LiquidationStage,
    OrderStatus,
    OrderTerms,
    Side,
    TimeInForce,
    TriggerKind,
)
from exchange.signing import trigger_hash

_ENTRIES: Final = frozenset({PlaceOrder, MassQuote})  # what a venue takes all day


def nothing_refused(command: AnyCommand, events: Sequence[AnyEvent]) -> bool:
    """Whether all orders of a command were accepted, by its events; only of what enters them all.

    Those that it woke are among them: one that is refused then is canceled.
    """
    if type(command) not in _ENTRIES:
        return False
    for event in events:
        if isinstance(event, (Refused, QuoteRefused)):
            return False
        if isinstance(event, OrderCanceled) and event.reason is CancelReason.REFUSED:
            return False
    return True


def check_authority(venue: Venue, terms: OrderTerms | BidTerms) -> Subaccount | None:
    """The subaccount, if the signer may act for it now; otherwise refuses and returns None."""
    subaccount = venue.subaccounts.get(terms.subaccount_id)
    if venue.accepted and subaccount is not None:
        return subaccount
    refusal = _authority(venue, subaccount, terms)
    if refusal is None:
        return subaccount
    venue.refuse(*refusal, subaccount_id=terms.subaccount_id, nonce=terms.nonce)
    return None


def _authority(
    venue: Venue, subaccount: Subaccount | None, terms: OrderTerms | BidTerms
) -> Refusal | None:
    assert venue.parameters is not None
    if subaccount is None:
        return RejectReason.UNKNOWN_SUBACCOUNT, f"subaccount {terms.subaccount_id}"
    if not may_sign(venue, subaccount, terms.signer, terms.deadline):
        return (
            RejectReason.UNAUTHORIZED_SIGNER,
            f"{terms.signer} is neither the owner nor a session key that outlives the deadline",
        )
    now_s = to_seconds_down(venue.time_ns)
    if terms.deadline <= now_s:
        return RejectReason.DEADLINE_PASSED, f"deadline {terms.deadline}, now {now_s}"
    latest = now_s + venue.parameters.limits.deadline_seconds_max
    if terms.deadline > latest:
        return RejectReason.DEADLINE_TOO_FAR, f"deadline {terms.deadline}, at most {latest}"
    if terms.nonce < subaccount.nonce_floor:
        return (
            RejectReason.STALE_NONCE,
            f"nonce {terms.nonce} is below the floor {subaccount.nonce_floor}",
        )
    return check_not_liquidated(venue, terms.subaccount_id) or check_suspension(venue, terms)


def check_not_liquidated(venue: Venue, subaccount_id: int) -> Refusal | None:
    """Refuse to a subaccount that is being liquidated; the fund may act while it unwinds."""
    liquidation = venue.liquidations.get(subaccount_id)
    if liquidation is None or liquidation.stage is LiquidationStage.UNWINDING:
        return None
    return RejectReason.IN_LIQUIDATION, "equity must cover maintenance and the buffer first"


def nonce_is_used(subaccount: Subaccount, nonce: int) -> bool:
    """Whether an order, or money that moved, has this nonce."""
    return nonce in subaccount.orders or nonce in subaccount.used_nonces


def check_order(
    venue: Venue, subaccount: Subaccount, order: Order, *, more: int = 1
) -> Refusal | None:
    """Why an order cannot enter; authority and nonce were checked before.

    `more` orders would be open then: several that are entered together, or 0 for one that waited.
    """
    if venue.accepted:
        return None
    terms = order.terms
    return (
        (None if fits(venue, order) else _check_by_rules(venue, order))
        or _check_protection(venue, order)
        or _check_count(venue, subaccount, more)
        or check_access(venue, subaccount, [order])
        or _check_reduce_only(subaccount, terms, order.time_in_force)
        or _check_margin(
            venue,
            subaccount,
            terms,
            enterable_quantity(subaccount, order),
            entry_price(venue, order) if order.market else terms.limit_price,
        )
    )


def _check_by_rules(venue: Venue, order: Order) -> Refusal | None:
    """The rules that a gate sums up, one by one."""
    terms = order.terms
    return (
        _check_instrument(venue, terms)
        or _check_combo(terms, order.trigger, order.max_show, order.volatility)
        or _check_phase(venue, terms, order.time_in_force)
        or _check_trigger_hash(order)
        or _check_grid(venue, terms, terms.quantity)
        or _check_own_price(venue, terms, order.price)
        or _check_slice(venue, terms, order.max_show)
        or _check_market(venue, terms, follows=order.market or order.volatility > 0)
    )


def entry_price(venue: Venue, order: Order) -> int:
    """At which price an order enters: its limit, or what bounds leave of what it follows.

    Margin counts a volatility order at its signed worst price, since it may be moved there.
    """
    if order.volatility:
        return bounded_price(venue, order.terms, order.price)
    if order.market:
        return bounded_price(venue, order.terms, order.terms.limit_price)
    return order.terms.limit_price


def bounded_price(venue: Venue, terms: OrderTerms, price: int) -> int:
    """The price nearest to `price` that is neither beyond the signed one nor outside the band.

    On the tick grid; not above 0 if there is none.
    """
    tick = venue.instruments[terms.instrument_id].tick_size
    edge = _band_edge(venue, terms)
    if terms.side is Side.BUY:
        return min(price, terms.limit_price, div_down(edge, tick) * tick)
    return max(price, terms.limit_price, div_up(edge, tick) * tick)


def check_waiting(
    venue: Venue, subaccount: Subaccount, order: Order, *, more: int = 1, dormant: bool = False
) -> Refusal | None:
    """Why an order cannot wait. A `dormant` one waits for another order, so its price may be there.

    What depends on the market, on the position or on margin is checked when the wait is over.
    """
    return (
        _check_instrument(venue, order.terms)
        or _check_combo(order.terms, order.trigger, order.max_show, order.volatility)
        or _check_trigger_hash(order)
        or _check_trigger(venue, order, dormant=dormant)
        or _check_grid(venue, order.terms, order.terms.quantity)
        or _check_slice(venue, order.terms, order.max_show)
        or _check_count(venue, subaccount, more)
        or check_access(venue, subaccount, [order])
    )


def _check_trigger_hash(order: Order) -> Refusal | None:
    wanted = trigger_hash(order.trigger)
    if order.terms.trigger_hash != wanted:
        return RejectReason.TRIGGER_NOT_SIGNED, f"triggerHash should be 0x{wanted.hex()}"
    return None


def _check_trigger(venue: Venue, order: Order, *, dormant: bool) -> Refusal | None:
    trigger = order.trigger
    if trigger is None:
        return None
    if not is_well_formed(trigger) or trigger.trigger_price < 0:
        return RejectReason.BAD_TRIGGER, "give a trigger price, or for a trail an offset above zero"
    price = watched_price(venue, order, trigger)
    if trigger.kind is TriggerKind.TRAILING:
        if price is None:
            return RejectReason.TRIGGER_UNPRICED, "a trail needs a price to start from"
        return None
    if price is not None and not dormant and is_reached(trigger, order.terms.side, price):
        text = format_decimal(price, CASH_SCALE)
        return RejectReason.TRIGGER_REACHED, f"the price is {text}; place the order itself"
    return None


def check_kept(
    venue: Venue, subaccount: Subaccount, order: Order, terms: OrderTerms
) -> Refusal | None:
    """Why a standing quote cannot go on under a new sheet's terms, which ask for no more of it.

    It entered inside the band, and a halt or a stale index keeps orders: those are not asked again.
    """
    if venue.accepted:
        return None
    account = subaccount.account
    standing = account.orders[order.order_id]
    account.remove_order(order.order_id)
    refusal = (
        _check_grid(venue, terms, terms.quantity)
        or _check_fee(venue, terms)
        or _check_protection(venue, order)
        or check_terms(venue, subaccount, [(order.order_id, terms, 0)])
        or _check_margin(venue, subaccount, terms, terms.quantity, terms.limit_price)
    )
    account.place_order(order.order_id, standing)
    return refusal


def check_amend(
    venue: Venue, subaccount: Subaccount, order: Order | None, command: AmendOrder
) -> Refusal | None:
    """Why an order cannot take these terms; authority was checked before."""
    terms = command.terms
    if order is not None and terms.version <= order.terms.version:
        return (
            RejectReason.NONCE_USED,
            f"version {terms.version} is not above {order.terms.version}",
        )
    refusal = _check_instrument(venue, terms)
    refusal = refusal or _check_combo(terms, command.max_show, command.volatility)
    if refusal is not None:
        return refusal
    if order is None or order.is_over:
        return RejectReason.UNKNOWN_ORDER, f"no open order has nonce {terms.nonce}"
    if order.is_quote:
        return RejectReason.NOT_AMENDABLE, "a quote changes with its sheet"
    if (order.volatility > 0) is not (command.volatility > 0):
        return RejectReason.NOT_AMENDABLE, "a volatility order stays one, and no other becomes one"
    if order.status is OrderStatus.UNTRIGGERED:
        return (
            _check_changes(order.terms, terms)
            or _check_grid(venue, terms, terms.quantity - order.filled_quantity)
            or _check_slice(venue, terms, command.max_show or 0)
            or check_terms(venue, subaccount, [(order.order_id, terms, order.filled_quantity)])
        )
    refusal = _check_phase(venue, terms, order.time_in_force)
    if refusal is not None:
        return refusal
    return _check_changes(order.terms, terms) or _check_amended(venue, subaccount, order, command)


def _check_changes(old: OrderTerms, terms: OrderTerms) -> Refusal | None:
    if (terms.instrument_id, terms.side, terms.reduce_only, terms.trigger_hash) != (
        old.instrument_id,
        old.side,
        old.reduce_only,
        old.trigger_hash,
    ):
        return (
            RejectReason.NOT_AMENDABLE,
            "instrument, side, reduce_only and trigger stay; cancel and place anew",
        )
    return None


def _check_amended(
    venue: Venue, subaccount: Subaccount, order: Order, command: AmendOrder
) -> Refusal | None:
    """The checks of a new order on what would remain; its standing self does not count twice."""
    terms = command.terms
    remaining = terms.quantity - order.filled_quantity
    refusal = (
        _check_grid(venue, terms, remaining)
        or _check_own_price(
            venue, terms, command.worth if command.volatility else terms.limit_price
        )
        or _check_slice(venue, terms, command.max_show or 0)
        or _check_market(venue, terms, follows=command.volatility > 0)
        or check_terms(venue, subaccount, [(order.order_id, terms, order.filled_quantity)])
        or _check_reduce_only(subaccount, terms, order.time_in_force)
    )
    if refusal is not None:
        return refusal
    account = subaccount.account
    standing = account.orders[order.order_id]
    account.remove_order(order.order_id)
    quantity = reducible_quantity(subaccount, terms, order.filled_quantity)
    refusal = _check_margin(venue, subaccount, terms, quantity, terms.limit_price)
    account.place_order(order.order_id, standing)
    return refusal


def _check_instrument(venue: Venue, terms: OrderTerms) -> Refusal | None:
    status = venue.statuses.get(terms.instrument_id)
    if status is None:
        return RejectReason.UNKNOWN_INSTRUMENT, f"instrument {terms.instrument_id}"
    instrument = venue.instruments[terms.instrument_id]
    over = instrument.expiry and to_nanoseconds(instrument.expiry) <= venue.time_ns
    if over or status is InstrumentStatus.EXPIRED:
        return RejectReason.INSTRUMENT_EXPIRED, instrument.name
    if terms.legs_hash != instrument.legs_hash:
        return RejectReason.LEGS_NOT_SIGNED, f"instrument should be 0x{instrument.legs_hash.hex()}"
    return None


def _check_combo(terms: OrderTerms, *single: object) -> Refusal | None:
    """A combo's order is a plain limit: none of the instructions of a `single` leg."""
    if terms.legs_hash and (terms.reduce_only or terms.trigger_hash != NO_TRIGGER or any(single)):
        return (
            RejectReason.NOT_FOR_COMBOS,
            "no reduce_only, trigger, max_show or volatility in a combo",
        )
    return None


def _check_phase(venue: Venue, terms: OrderTerms, time_in_force: TimeInForce) -> Refusal | None:
    """A halt takes no orders; an auction takes those that can wait for its end."""
    status = venue.statuses[terms.instrument_id]
    if status is InstrumentStatus.HALTED:
        return RejectReason.INSTRUMENT_HALTED, "trading is halted; cancels still work"
    at_once = time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    if status is InstrumentStatus.AUCTION and at_once:
        return RejectReason.INSTRUMENT_HALTED, "an auction collects orders that can rest"
    return None


def _check_grid(venue: Venue, terms: OrderTerms, remaining: int) -> Refusal | None:
    instrument = venue.instruments[terms.instrument_id]
    return _check_quantity(venue, instrument, terms.quantity, remaining) or _check_price(
        instrument, terms.limit_price
    )


def _check_quantity(
    venue: Venue, instrument: Instrument, quantity: int, remaining: int
) -> Refusal | None:
    assert venue.parameters is not None
    if remaining <= 0:
        return RejectReason.QUANTITY_NOT_POSITIVE, "nothing would be left to trade"
    if not is_multiple(quantity, instrument.lot_size):
        step = format_decimal(instrument.lot_size, QUANTITY_SCALE)
        return RejectReason.QUANTITY_OFF_LOT, f"amount must be a multiple of {step}"
    if quantity < instrument.min_quantity:
        least = format_decimal(instrument.min_quantity, QUANTITY_SCALE)
        return RejectReason.QUANTITY_TOO_SMALL, f"amount must be at least {least}"
    most = venue.parameters.limits.quantity_max
    if instrument.legs:
        most = div_down(most, max(abs(leg.ratio) for leg in instrument.legs))
    if quantity > most:
        text = format_decimal(most, QUANTITY_SCALE)
        return RejectReason.QUANTITY_TOO_LARGE, f"amount must be at most {text}"
    return None


def _check_price(instrument: Instrument, limit_price: int) -> Refusal | None:
    off_tick = not is_multiple(limit_price, instrument.tick_size)
    if not off_tick and (limit_price > 0 or instrument.legs):
        return None
    tick = format_decimal(instrument.tick_size, CASH_SCALE)
    if limit_price <= 0 and not instrument.legs:
        return RejectReason.PRICE_NOT_POSITIVE, f"price must be at least {tick}"
    return RejectReason.PRICE_OFF_TICK, f"price must be a multiple of {tick}"


def _check_own_price(venue: Venue, terms: OrderTerms, price: int) -> Refusal | None:
    """The price of a volatility order now; of all others it is the limit, checked before."""
    if price == terms.limit_price:
        return None
    return _check_price(venue.instruments[terms.instrument_id], price)


def _check_slice(venue: Venue, terms: OrderTerms, max_show: int) -> Refusal | None:
    lot_size = venue.instruments[terms.instrument_id].lot_size
    if is_multiple(max_show, lot_size):
        return None
    step = format_decimal(lot_size, QUANTITY_SCALE)
    return RejectReason.QUANTITY_OFF_LOT, f"max_show must be a multiple of {step}"


def check_repriced(venue: Venue, command: Reprice) -> Refusal | None:
    """Why these prices cannot be followed: they are for other orders, or off the grid."""
    for priced in command.orders:
        order = venue.orders.get(priced.order_id)
        if order is None or not order.volatility:
            return RejectReason.UNKNOWN_ORDER, f"order {priced.order_id} follows no volatility"
        instrument = venue.instruments[order.terms.instrument_id]
        refusal = _check_price(instrument, priced.price)
        if refusal is not None:
            return refusal
    return None


def _check_market(venue: Venue, terms: OrderTerms, *, follows: bool) -> Refusal | None:
    """Fee limit, freshness of the index, existence and freshness of a mark, price band.

    The band narrows the price of an order that `follows` the market: it refuses only what it leaves
    no price for.
    """
    refusal = _check_fee(venue, terms)
    if refusal is not None:
        return refusal
    instrument = venue.instruments[terms.instrument_id]
    if index_is_stale(venue, terms.instrument_id):
        return RejectReason.STALE_INDEX, "no fresh index price; new orders wait for one"
    if not (venue.marks.has(terms.instrument_id) and is_published(venue, terms.instrument_id)):
        return RejectReason.NO_MARK, f"{instrument.name} has no mark yet; try again"
    if marks_are_stale(venue):
        return RejectReason.STALE_MARKS, "no fresh risk arrays; new orders wait for them"
    band = band_now(venue, terms.instrument_id, terms)
    if band is None:
        return RejectReason.PRICE_OUTSIDE_BAND, "the market left the published marks; try again"
    if follows:
        fits = instrument.legs or bounded_price(venue, terms, terms.limit_price) > 0
        return None if fits else (RejectReason.PRICE_OUTSIDE_BAND, "the band leaves no price now")
    return _check_band(terms, band)


def _check_fee(venue: Venue, terms: OrderTerms) -> Refusal | None:
    least_fee = schedule_fee_per_contract(
        venue, venue.instruments[terms.instrument_id], terms.limit_price
    )
    if terms.max_fee < least_fee:
        text = format_decimal(least_fee, CASH_SCALE)
        return RejectReason.MAX_FEE_TOO_LOW, f"max_fee must be at least {text} a contract"
    return None


def _band_edge(venue: Venue, terms: OrderTerms) -> int:
    """The highest price that a buyer may bid, or the lowest that a seller may offer."""
    return _edge(terms, price_band(venue, terms.instrument_id, terms))


def _edge(terms: OrderTerms, band: Band) -> int:
    low, high = band
    return high if terms.side is Side.BUY else low


def _check_band(terms: OrderTerms, band: Band) -> Refusal | None:
    """A buyer may not bid far above the mark, nor a seller offer far below it."""
    edge = _edge(terms, band)
    if terms.side.sign * (terms.limit_price - edge) <= 0:
        return None
    word = "most" if terms.side is Side.BUY else "least"
    text = format_decimal(edge, CASH_SCALE)
    return RejectReason.PRICE_OUTSIDE_BAND, f"price must be at {word} {text} now"


def _check_protection(venue: Venue, order: Order) -> Refusal | None:
    """An order that asks for protection needs limits, and no freeze."""
    if not order.mmp:
        return None
    underlying_id = venue.instruments[order.terms.instrument_id].underlying_id
    key = (order.terms.subaccount_id, underlying_id)
    if venue.protection.limits(key) is None:
        return RejectReason.NOT_PROTECTED, "set market-maker protection limits first"
    if venue.protection.frozen_until_ns(key, venue.time_ns):
        return RejectReason.PROTECTION_FROZEN, "reset protection, or wait for the freeze to end"
    return None


def _check_count(venue: Venue, subaccount: Subaccount, more: int) -> Refusal | None:
    assert venue.parameters is not None
    most = venue.parameters.limits.open_orders_max
    if more and len(subaccount.open_orders) + more > most:
        return RejectReason.TOO_MANY_ORDERS, f"{most} orders are open; cancel some first"
    return None


def _check_reduce_only(
    subaccount: Subaccount, terms: OrderTerms, time_in_force: TimeInForce
) -> Refusal | None:
    if not terms.reduce_only:
        return None
    left = position_to_reduce(subaccount, terms)
    if left == 0 or (time_in_force is TimeInForce.FOK and terms.quantity > left):
        held = format_decimal(subaccount.account.position(terms.instrument_id), QUANTITY_SCALE)
        return RejectReason.REDUCE_ONLY_INCREASES, f"the position is {held}"
    return None


def position_to_reduce(subaccount: Subaccount, terms: OrderTerms) -> int:
    """How much of the position this side can close."""
    return max(0, -terms.side.sign * subaccount.account.position(terms.instrument_id))


def enterable_quantity(subaccount: Subaccount, order: Order) -> int:
    """What of an order may enter the book now: all that remains, unless it is reduce-only."""
    if not order.terms.reduce_only:
        return order.remaining_quantity
    return min(order.remaining_quantity, position_to_reduce(subaccount, order.terms))


def reducible_quantity(subaccount: Subaccount, terms: OrderTerms, filled_quantity: int) -> int:
    """What of the order may still trade: all of it, unless it is reduce-only."""
    remaining = terms.quantity - filled_quantity
    if not terms.reduce_only:
        return remaining
    return min(remaining, position_to_reduce(subaccount, terms))


def _check_margin(
    venue: Venue, subaccount: Subaccount, terms: OrderTerms, quantity: int, price: int
) -> Refusal | None:
    """Limits, initial margin and debt after the worst fill, unless the order only reduces risk.

    Nothing else while money is asked for by force: what the chain pays is free without orders and
    without fills that it has not seen, so those would be left without margin.
    """
    assert venue.parameters is not None
    order = MarginOrder(terms.instrument_id, terms.side.sign, quantity, price, terms.max_fee)
    refusal = check_limits(venue, subaccount, order)
    if refusal is not None:
        return refusal
    excess = subaccount.account.least_excess_with(order)
    asked = subaccount.subaccount_id in venue.exits.requests
    if excess >= 0 and not asked:
        if terms.reduce_only or venue.parameters.interest is None:
            return None
        return check_debt(venue, subaccount, subaccount.account.spends(order))
    if terms.reduce_only and subaccount.account.risk_reducing(order):
        return None
    if asked:
        return RejectReason.EXIT_OPEN, "until the forced exit is closed orders only reduce risk"
    text = format_decimal(-excess, CASH_SCALE)
    return (
        RejectReason.INSUFFICIENT_MARGIN,
        f"initial margin would be short of {text} USDC; deposit or reduce",
    )
