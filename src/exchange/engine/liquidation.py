"""The liquidation of a subaccount, step by step: the stages are a table (`margin.liquidation`).

A sweep begins what is due and takes each liquidation that runs at most one step further: cancel
orders, then one slice a round into the book, then an auction in which keepers bid, then the fund.
Nothing happens on stale prices, nor in instruments that are not live. Each step leaves its account
with no less maintenance excess than before; that is asserted.
"""

from typing import Final

from exchange.commands import BidLiquidation, SweepLiquidations
from exchange.engine.booking import cancel, limit_reduce_only
from exchange.engine.checks import Refusal, check_authority, nonce_is_used
from exchange.engine.consequences import follow_up
from exchange.engine.entry import has_room
from exchange.engine.fees import schedule_fee
from exchange.engine.fills import book_fill
from exchange.engine.forces import hedged, why_unproven, within_budget
from exchange.engine.lending import check_debt
from exchange.engine.limits import check_taken
from exchange.engine.liquidated import Liquidation
from exchange.engine.proofs import fills_max
from exchange.engine.published import allows
from exchange.engine.records import Order
from exchange.engine.stages import begin, end, move_to
from exchange.engine.state import Subaccount, Venue
from exchange.engine.takeover import (
    cover,
    fund,
    is_tradable,
    part_of,
    rules,
    socialise,
    take_over,
    transfer,
    why_not_for_sale,
    why_suspended,
)
from exchange.engine.treasury import count_all
from exchange.engine.views import ForSale, LiquidationView
from exchange.events import (
    CancelReason,
    LiquidationSliced,
    RejectReason,
)
from exchange.fixed import (
    CASH_SCALE,
    QUANTITY_SCALE,
    RATIO_SCALE,
    div_down,
    format_decimal,
    mul_div_down,
    mul_div_up,
    notional,
)
from exchange.margin.account import MarginAccount
from exchange.margin.liquidation import (
    MOVES,
    WAIT_NS_MAX,
    Cause,
    auction_time_ns,
    cause_now,
    discount,
    discount_rate,
    offered_fraction,
    released_requirement,
)
from exchange.margin.slices import Offer, Slice, best_slice, hedge_quantity, slice_quantity_max
from exchange.matching.book import Outcome, instruction_word
from exchange.model import (
    BidTerms,
    Instrument,
    Kind,
    LiquidationStage,
    OrderStatus,
    OrderTerms,
    Side,
    TimeInForce,
    numbered,
)

_AT_ONCE: Final = instruction_word(TimeInForce.FOK)
_NOBODY: Final = 0  # an owner that no order has: a slice meets orders of its own owner too
_LEVELS: Final = 10  # of a book that one slice may reach
_UNBOUNDED: Final = 1 << 200
_HEDGES: Final = (1, 4, 16)  # parts of a delta hedge that are tried: deltas are for small moves
_FOR_SALE: Final = (LiquidationStage.AUCTION, LiquidationStage.INSOLVENT)


def liquidate(venue: Venue, command: SweepLiquidations | BidLiquidation) -> None:
    """Apply either command of liquidations."""
    if isinstance(command, SweepLiquidations):
        _sweep(venue, command)
    else:
        _bid(venue, command)


def _sweep(venue: Venue, command: SweepLiquidations) -> None:
    """Begin what is due, then go on with all that runs; those that waited longest go first."""
    assert venue.parameters is not None
    if venue.parameters.liquidation is None:
        venue.refuse(RejectReason.LIQUIDATION_OFF, "this venue liquidates nobody yet")
        return
    suspects = venue.subaccounts if command.suspects is None else command.suspects
    for subaccount_id in sorted(set(suspects)):
        subaccount = venue.subaccounts.get(subaccount_id)
        if subaccount is not None:
            _begin_if_due(venue, subaccount)
    waiting = sorted(venue.liquidations.values(), key=lambda one: (one.swept_ns, one.subaccount_id))
    for liquidation in waiting:
        if not has_room(venue):
            return
        _go_on(venue, liquidation)
        follow_up(venue)


def _begin_if_due(venue: Venue, subaccount: Subaccount) -> None:
    account = subaccount.account
    if subaccount.subaccount_id in venue.liquidations or subaccount is fund(venue):
        return
    if why_suspended(venue, account) or account.maintenance_excess() >= 0:
        return
    begin(venue, subaccount, Cause.BELOW)
    for order in list(subaccount.open_orders.values()):
        cancel(venue, order, CancelReason.LIQUIDATION)


def _go_on(venue: Venue, liquidation: Liquidation) -> None:
    waited_ns = min(venue.time_ns - liquidation.swept_ns, WAIT_NS_MAX)
    liquidation.swept_ns = venue.time_ns
    account = venue.subaccounts[liquidation.subaccount_id].account
    if liquidation.stage is LiquidationStage.ON_CHAIN or why_suspended(venue, account):
        return
    if account.equity() < 0 and not count_all(venue, venue.subaccounts[liquidation.subaccount_id]):
        return
    if liquidation.stage is LiquidationStage.UNWINDING:
        _unwind(venue, liquidation, account)
        return
    if why_unproven(venue, liquidation.subaccount_id):
        if account.maintenance_excess() >= 0:  # nobody can prove it any more
            _move_on(venue, liquidation, Cause.RESTORED)
        return
    if not account.positions and not account.collateral:
        cover(venue, liquidation)
    cause = cause_now(rules(venue), liquidation.stage, account)
    if cause is None:
        cause = _act(venue, liquidation, account, waited_ns)
    if cause is not None:
        _move_on(venue, liquidation, cause)


def _act(
    venue: Venue, liquidation: Liquidation, account: MarginAccount, waited_ns: int
) -> Cause | None:
    """One step of the stage; what it leads to, if that is known at once."""
    parameters = rules(venue)
    if liquidation.stage is LiquidationStage.SLICING:
        if venue.time_ns - liquidation.started_ns >= parameters.slicing_ns:
            return Cause.STUCK
        restored = mul_div_up(parameters.buffer_rate, account.maintenance_margin(), RATIO_SCALE)
        _slice_if_due(venue, liquidation, account, restored)
        return None
    if why_not_for_sale(venue, account):
        return None
    liquidation.waited_ns += waited_ns
    liquidation.auctioned_ns += waited_ns
    longest = parameters.fast_ns + parameters.slow_ns + parameters.insolvent_ns
    over = liquidation.waited_ns >= auction_time_ns(parameters, liquidation.stage)
    return Cause.TAKEN_OVER if over or liquidation.auctioned_ns >= longest else None


def _move_on(venue: Venue, liquidation: Liquidation, cause: Cause) -> None:
    stage = MOVES[liquidation.stage, cause]
    if cause is Cause.TAKEN_OVER:
        take_over(venue, liquidation)
    if stage is None:
        end(venue, liquidation.subaccount_id)
    else:
        move_to(venue, liquidation, stage)


def _unwind(venue: Venue, liquidation: Liquidation, account: MarginAccount) -> None:
    """The fund trades what it took over; a debt that is left once it is flat is everybody's.

    Not before: what marks take today they may give back tomorrow, and the fund would keep it.
    """
    if account.positions:
        _slice_if_due(venue, liquidation, account, _UNBOUNDED)
        return
    if venue.losses:
        return  # this one would change what others share of the last
    deficit = -account.equity()
    if deficit > 0:
        socialise(venue, liquidation.subaccount_id, deficit)
    _move_on(venue, liquidation, Cause.SPENT)


# -- slices -------------------------------------------------------------------------------------


def _slice_if_due(
    venue: Venue, liquidation: Liquidation, account: MarginAccount, restored_at: int
) -> None:
    """At most one slice a round, the best of all that the books offer within the band."""
    if venue.time_ns - liquidation.sliced_ns < rules(venue).round_ns:
        return
    liquidation.sliced_ns = venue.time_ns
    wanted = _wanted(venue, account)
    _stand_aside(venue, venue.subaccounts[liquidation.subaccount_id], wanted)
    found = best_slice(account, _offers(venue, wanted), venue.marks, restored_at)
    if found is not None:
        _trade(venue, liquidation, account, found)


def _wanted(venue: Venue, account: MarginAccount) -> list[tuple[int, int]]:
    """What would close each position, signed, and perpetuals that would hedge the delta."""
    wanted = [(key, -held) for key, held in sorted(account.positions.items())]
    underlyings = {venue.instruments[key].underlying_id for key in account.positions}
    for instrument in venue.live_instruments():
        hedges = instrument.kind is Kind.PERPETUAL and instrument.underlying_id in underlyings
        if hedges and venue.marks.has(instrument.instrument_id):
            row = venue.marks.row(instrument.instrument_id)
            whole = hedge_quantity(account, venue.marks, row)
            sign = 1 if whole > 0 else -1
            held = account.position(instrument.instrument_id)
            for part in _HEDGES:
                change = sign * div_down(abs(whole), part)
                taken = hedged(venue, account.subaccount_id, held, change)
                wanted.append((instrument.instrument_id, taken))
    return wanted


def _stand_aside(venue: Venue, subaccount: Subaccount, wanted: list[tuple[int, int]]) -> None:
    """Cancel what a slice could meet of its own account: only the fund has orders then."""
    met = {(key, -1 if quantity > 0 else 1) for key, quantity in wanted}
    for order in list(subaccount.open_orders.values()):
        terms = order.terms
        if order.status is OrderStatus.OPEN and (terms.instrument_id, terms.side.sign) in met:
            cancel(venue, order, CancelReason.LIQUIDATION)


def _offers(venue: Venue, wanted: list[tuple[int, int]]) -> list[Offer]:
    """What the books offer of it."""
    offers = [
        _offer(venue, venue.instruments[key], quantity)
        for key, quantity in wanted
        if is_tradable(venue, key)
    ]
    return [offer for offer in offers if offer.levels and offer.quantity_max]


def _offer(venue: Venue, instrument: Instrument, wanted: int) -> Offer:
    """What the book would trade of `wanted` (signed) within the band around the mark.

    Nothing behind an iceberg: its reserve comes in more fills than one order may have.
    """
    parameters = rules(venue)
    index_price = venue.marks.index_price(instrument.underlying_id)
    band = mul_div_down(parameters.slice_band_rate, index_price, RATIO_SCALE)
    mark = venue.marks.mark_price(instrument.instrument_id)
    sign = 1 if wanted > 0 else -1
    levels = []
    makers = 0
    book = venue.books[instrument.instrument_id]
    side = Side.SELL if sign > 0 else Side.BUY
    for price, quantity, orders in book.levels(side, _LEVELS):
        makers += orders
        beyond = sign * (price - mark) > band or not allows(venue, instrument.instrument_id, price)
        if beyond or makers > fills_max(venue):
            break
        levels.append((price, quantity))
        standing = book.orders(side, len(levels))
        if any(one.displayed_quantity < one.remaining_quantity for one in standing):
            break
    dearest = max((price for price, _ in levels), default=0)
    fee = schedule_fee(venue, instrument, dearest, QUANTITY_SCALE, maker=False)
    most = slice_quantity_max(wanted, instrument.lot_size, parameters.slice_rate)
    most = div_down(most, instrument.lot_size) * instrument.lot_size
    return Offer(instrument.instrument_id, sign, most, instrument.lot_size, levels, fee)


def _trade(venue: Venue, liquidation: Liquidation, account: MarginAccount, chosen: Slice) -> None:
    """Fill a slice, all of it, against the book; nobody signed it."""
    before = account.maintenance_excess()
    order = _order(venue, liquidation, chosen)
    terms = order.terms
    placement = venue.books[terms.instrument_id].place(
        order.order_id,
        terms.subaccount_id,
        _NOBODY,
        terms.side,
        terms.limit_price,
        terms.quantity,
        _AT_ONCE,
    )
    assert placement.outcome == Outcome.FILLED, "the book held what it showed"
    touched = {terms.subaccount_id}
    for maker_order_id, price, quantity in placement.fills:
        touched.add(book_fill(venue, order, maker_order_id, price, quantity))
    for subaccount_id in sorted(touched):
        limit_reduce_only(venue, venue.subaccounts[subaccount_id], terms.instrument_id)
    liquidation.step += 1
    after = account.maintenance_excess()
    assert after >= chosen.excess > before, "a step that did not reduce risk"
    venue.emit(
        LiquidationSliced(
            subaccount_id=terms.subaccount_id,
            step=liquidation.step,
            instrument_id=terms.instrument_id,
            side=terms.side,
            quantity=terms.quantity,
            limit_price=terms.limit_price,
            excess_before=before,
            excess_after=after,
        )
    )


def _order(venue: Venue, liquidation: Liquidation, chosen: Slice) -> Order:
    """A slice as an order: unsigned, for `book_fill` alone, never remembered."""
    place = sum(isinstance(event, LiquidationSliced) for event in venue.events)
    order_id = numbered(venue.seq, place)
    terms = OrderTerms(
        subaccount_id=liquidation.subaccount_id,
        instrument_id=chosen.instrument_id,
        side=Side.BUY if chosen.sign > 0 else Side.SELL,
        quantity=chosen.quantity,
        limit_price=chosen.limit_price,
        max_fee=chosen.max_fee,
        nonce=0,
        deadline=0,
        signer="",
    )
    return Order(
        order_id=order_id,
        terms=terms,
        signed_seq=0,
        status=OrderStatus.OPEN,
        time_in_force=TimeInForce.FOK,
        post_only=False,
        word=_AT_ONCE,
        max_show=0,
        label="",
        mmp=False,
        placed_ns=venue.time_ns,
        updated_ns=venue.time_ns,
        price=chosen.limit_price,
        deadline_max=0,
    )


# -- auctions -----------------------------------------------------------------------------------


def for_sale(venue: Venue, liquidation: Liquidation, fraction_max: int) -> ForSale | None:
    """What a bid for at most this fraction would buy, at what price; None: nothing is sold now."""
    if liquidation.stage not in _FOR_SALE:
        return None
    parameters = rules(venue)
    account = venue.subaccounts[liquidation.subaccount_id].account
    equity, requirement = account.equity(), account.maintenance_margin()
    rate = discount_rate(parameters, liquidation.stage, liquidation.waited_ns)
    share = offered_fraction(parameters, rate, equity, requirement)
    fraction = min(fraction_max, share)
    part = part_of(venue, account, fraction)
    if not any(part):
        return None
    released = released_requirement(account, part)
    if liquidation.stage is LiquidationStage.INSOLVENT:
        equity = -1  # it has none to give: the fund pays for the released requirement
    off = discount(rate, fraction, equity, released) if released > 0 else 0
    off = within_budget(venue, liquidation.subaccount_id, off)
    return ForSale(fraction=fraction, part=part, discount=off, price=part.value - off)


def _bid(venue: Venue, command: BidLiquidation) -> None:
    """Sell a keeper what it asks for, if the auction's price now is within its limit."""
    terms = command.terms
    subaccount = check_authority(venue, terms)
    if subaccount is None:
        return
    refusal = _check_bid(venue, subaccount, terms)
    if refusal is not None:
        venue.refuse(*refusal, subaccount_id=terms.subaccount_id, nonce=terms.nonce)
        return
    liquidation = venue.liquidations[terms.liquidated_id]
    sold = for_sale(venue, liquidation, terms.fraction)
    assert sold is not None
    subaccount.used_nonces.add(terms.nonce)
    transfer(venue, liquidation, subaccount, sold.fraction, sold.part, sold.discount)


def _check_bid(venue: Venue, subaccount: Subaccount, terms: BidTerms) -> Refusal | None:
    assert venue.parameters is not None
    if nonce_is_used(subaccount, terms.nonce):
        return RejectReason.NONCE_USED, f"nonce {terms.nonce} is taken"
    if (subaccount.owner, terms.signer) in venue.access.scopes:
        return RejectReason.OUTSIDE_KEY_SCOPE, "a key with a scope takes over no portfolios"
    if not 0 < terms.fraction <= RATIO_SCALE:
        return RejectReason.QUANTITY_NOT_POSITIVE, "a fraction lies above 0 and is at most 1"
    if venue.parameters.liquidation is None:
        return RejectReason.LIQUIDATION_OFF, "this venue liquidates nobody yet"
    liquidation = venue.liquidations.get(terms.liquidated_id)
    if liquidation is None or liquidation.stage not in _FOR_SALE:
        return RejectReason.NO_AUCTION, f"subaccount {terms.liquidated_id} is not for sale"
    if terms.expected_step != liquidation.step:
        return RejectReason.STALE_BID, f"step {liquidation.step} was taken since"
    suspended = why_unproven(venue, terms.liquidated_id) or why_not_for_sale(
        venue, venue.subaccounts[terms.liquidated_id].account
    )
    if suspended:
        return RejectReason.LIQUIDATION_SUSPENDED, suspended
    return _check_sale(venue, subaccount, liquidation, terms)


def _check_sale(
    venue: Venue, subaccount: Subaccount, liquidation: Liquidation, terms: BidTerms
) -> Refusal | None:
    sold = for_sale(venue, liquidation, terms.fraction)
    if sold is None:
        return RejectReason.NO_AUCTION, "nothing is left to sell"
    seller = venue.subaccounts[terms.liquidated_id].account
    if released_requirement(seller, sold.part) < 0:
        return RejectReason.RISK_NOT_REDUCED, "ask for more: lots leave this fraction unhedged"
    if sold.price > terms.price_limit:
        text = format_decimal(sold.price, CASH_SCALE)
        return RejectReason.BID_TOO_LOW, f"the price is {text} USDC now"
    moves, tokens = sold.part.quantities(1), sold.part.amounts(1)
    refusal = check_taken(venue, subaccount, moves)
    if refusal is not None:
        return refusal
    if subaccount.subaccount_id in venue.exits.requests:
        return RejectReason.EXIT_OPEN, "a forced exit is open; it is served first"
    excess = subaccount.account.initial_excess_holding(moves, tokens) - sold.price
    if excess < 0:
        text = format_decimal(-excess, CASH_SCALE)
        return RejectReason.INSUFFICIENT_MARGIN, f"initial margin would be short of {text} USDC"
    return check_debt(venue, subaccount, _cash_price(venue, sold))


def _cash_price(venue: Venue, sold: ForSale) -> int:
    """What of a price is cash: linear legs move at their entry costs."""
    linear = sum(
        notional(leg.price, leg.quantity)
        for leg in sold.part.legs
        if venue.instruments[leg.instrument_id].kind is not Kind.OPTION
    )
    return sold.price - linear


def liquidation_view(venue: Venue, liquidation: Liquidation) -> LiquidationView:
    """A frozen copy of a liquidation's figures now."""
    account = venue.subaccounts[liquidation.subaccount_id].account
    auctioned = liquidation.stage in _FOR_SALE
    suspended = why_not_for_sale(venue, account) if auctioned else why_suspended(venue, account)
    if liquidation.stage is LiquidationStage.ON_CHAIN:
        suspended = "its auction is on chain"
    elif liquidation.stage is not LiquidationStage.UNWINDING:
        suspended = why_unproven(venue, liquidation.subaccount_id) or suspended
    return LiquidationView(
        subaccount_id=liquidation.subaccount_id,
        stage=liquidation.stage,
        step=liquidation.step,
        started_ns=liquidation.started_ns,
        waited_ns=liquidation.waited_ns,
        equity=account.equity(),
        maintenance_margin=account.maintenance_margin(),
        positions=dict(account.positions),
        collateral=dict(account.collateral),
        suspended=suspended,
        for_sale=for_sale(venue, liquidation, RATIO_SCALE) if not suspended else None,
    )
