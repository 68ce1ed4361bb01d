"""What the gateway remembers of orders, trades, positions, marks and batches.

Built by `views` from released entries alone; integers in the core's units. Mutable where a thing
lives on (orders, positions), frozen where it happened (trades).
"""

import struct
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final

import msgspec

from exchange import events as ev
from exchange.api.book_view import BookDelta
from exchange.commands import ExpiryRisk, MassQuote, PlaceOrder, UpdateMarks
from exchange.events import AnyEvent, OrderArmed, OrderPlaced
from exchange.fixed import QUANTITY_SCALE, div_half_even, mul_div_down, notional
from exchange.margin.merkle import leaves as merkle_leaves
from exchange.model import Instrument, Legs, OrderStatus, Side, TimeInForce, Trigger

_SIGNS: Final = tuple(side.sign for side in Side)  # by side
_INT64: Final = struct.Struct("<q")


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One match, with the index and mark that stood at its time; made by place, for speed."""

    trade_id: int
    seq: int
    time_ns: int
    instrument_id: int
    price: int
    quantity: int
    taker_side: Side
    maker_order_id: int
    taker_order_id: int
    maker_subaccount_id: int
    taker_subaccount_id: int
    maker_fee: int
    taker_fee: int
    index_price: int
    mark_price: int
    tick_direction: int
    liquidation: bool = False  # the taker was liquidated
    block: bool = False  # agreed outside the book
    combo_id: int = 0  # of a leg of a combo's trade
    combo_trade_id: int = 0


def net_price(event: ev.ComboTraded) -> int:
    """Micro-USDC a unit; half-even where the lots of a leg are finer than the combo's."""
    return div_half_even(event.value * QUANTITY_SCALE, event.quantity)


def trade_of(
    event: ev.Traded | ev.ComboTraded,
    stamp: tuple[int, int],
    prices: tuple[int, int],
    last: Trade | None,
    *,
    block: bool = False,
) -> Trade:
    """A trade's record: `stamp` is (seq, time_ns), `prices` (index, mark), then the last trade."""
    rest: tuple[bool | int, ...]
    if isinstance(event, ev.Traded):
        price = event.price
        rest = (event.liquidation, block, event.combo_id, event.combo_trade_id)
    else:
        price, rest = net_price(event), (False, block)
    fields = (
        event.trade_id,
        *stamp,
        event.instrument_id,
        price,
        event.quantity,
        event.taker_side,
        event.maker_order_id,
        event.taker_order_id,
        event.maker_subaccount_id,
        event.taker_subaccount_id,
        event.maker_fee,
        event.taker_fee,
        *prices,
        _tick_direction(last, price),
        *rest,
    )
    return Trade(*fields)


def _tick_direction(last: Trade | None, price: int) -> int:
    """Deribit's: 0 plus, 1 zero-plus, 2 minus, 3 zero-minus tick."""
    if last is None or price > last.price:
        return 0
    if price < last.price:
        return 2
    return 1 if last.tick_direction in (0, 1) else 3


class OrderRecord(msgspec.Struct, gc=False):
    """An order's current state; `cash_filled` is the sum of price * quantity of its fills.

    Made by place: sheets make thousands a second. First the fields of `OrderPlaced` in its order.
    """

    order_id: int
    subaccount_id: int
    instrument_id: int
    side: Side
    quantity: int
    limit_price: int
    nonce: int
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    label: str
    slice_quantity: int  # what an iceberg displays anew
    worst_price: int  # as signed
    # What only the command says, the same for all orders of a sheet:
    is_quote: bool
    max_fee: int
    deadline: int
    mmp: bool
    seq: int  # of the command whose signature is in force
    placed_ns: int
    updated_ns: int
    version: int = 0
    reject_post_only: bool = True
    market: bool = False
    volatility: int = 0  # 1e-6; above 0 the price follows it, at most to `worst_price`
    max_show: int = 0  # as asked; 0 shows all
    trigger: Trigger | None = None
    displayed_quantity: int = 0  # in the book
    status: OrderStatus = OrderStatus.OPEN
    filled_quantity: int = 0
    canceled_quantity: int = 0
    cash_filled: int = 0
    fees: int = 0
    cancel_reason: str = ""
    replaced: bool = False
    taker_trades: tuple[Trade, ...] = ()  # since its terms are in force
    triggered: bool = False  # its trigger was reached

    @property
    def remaining_quantity(self) -> int:
        """Quantity still wanted, >= 0."""
        return self.quantity - self.filled_quantity - self.canceled_quantity

    @property
    def fresh_display(self) -> int:
        """What it displays when it queues up anew."""
        left = self.quantity - self.filled_quantity - self.canceled_quantity
        return self.slice_quantity if 0 < self.slice_quantity < left else left

    @property
    def average_price(self) -> int:
        """Mean price of its fills, rounded down; 0 without fills."""
        if not self.filled_quantity:
            return 0
        return mul_div_down(self.cash_filled, QUANTITY_SCALE, self.filled_quantity)

    def took(self, trade: Trade) -> None:
        """It was the taker in a trade."""
        self.taker_trades = (*self.taker_trades, trade)


SignedPart = tuple[int | None, tuple[Any, ...]]


def signed_part(signed: PlaceOrder | MassQuote, seq: int, time_ns: int) -> SignedPart:
    """What orders take from their command: its price, or None where each has its own, and fields.

    Those are the record's from `is_quote` on, as far as they are known.
    """
    if isinstance(signed, MassQuote):
        sheet = signed.terms
        return None, (True, sheet.max_fee, sheet.deadline, signed.mmp, seq, time_ns, time_ns)
    terms = signed.terms
    return terms.limit_price, (
        False,
        terms.max_fee,
        terms.deadline,
        signed.mmp,
        seq,
        time_ns,
        time_ns,
        terms.version,
        signed.reject_post_only,
        signed.market,
        signed.volatility,
        signed.max_show,
    )


def record_of(event: OrderPlaced | OrderArmed, signed: SignedPart) -> OrderRecord:
    """A new order's record: what the event tells of it, and what only its command says."""
    told, (price, fields) = msgspec.structs.astuple(event), signed
    if price is None:
        price = event.limit_price
    if isinstance(event, OrderPlaced):
        return OrderRecord(*(*told, price, *fields))
    order = OrderRecord(*(*told[:-1], 0, price, *fields))
    order.trigger, order.status = event.trigger, OrderStatus.UNTRIGGERED
    return order


class Position(msgspec.Struct, gc=False):
    """A signed quantity and what it cost (signed cash paid, fees apart)."""

    quantity: int = 0
    cost: int = 0
    realized: int = 0
    realized_funding: int = 0  # signed cash that funding moved

    def trade(self, side: Side, price: int, quantity: int) -> None:
        """Enter one fill: a growing position adds cost, a shrinking one realises its share."""
        sign = _SIGNS[side]
        if self.quantity * sign >= 0:
            self.quantity += sign * quantity
            self.cost += sign * notional(price, quantity)
            return
        closing = min(quantity, abs(self.quantity))
        share = mul_div_down(self.cost, closing, abs(self.quantity))
        self.realized += -sign * notional(price, closing) - share
        self.cost -= share
        self.quantity += sign * closing
        if quantity > closing:
            self.trade(side, price, quantity - closing)

    @property
    def average_price(self) -> int:
        """Mean entry price, rounded down; 0 when flat."""
        return (
            mul_div_down(abs(self.cost), QUANTITY_SCALE, abs(self.quantity)) if self.quantity else 0
        )


class Mark(msgspec.Struct, frozen=True):
    """One row of risk arrays; units as in `commands.UpdateMarks`."""

    mark_price: int
    mark_iv: int
    delta: int
    vega: int
    shocked: tuple[int, ...]


class Marks(msgspec.Struct, frozen=True, dict=True):
    """An epoch of risk arrays, decoded row by row on demand."""

    command: UpdateMarks
    time_ns: int

    @cached_property
    def _places(self) -> dict[int, int]:
        return {number: place for place, number in enumerate(self.command.instrument_ids)}

    @cached_property
    def leaves(self) -> list[bytes]:
        """Leaves of the epoch's Merkle tree, in their order."""
        return merkle_leaves(self.command)

    @cached_property
    def _expiries(self) -> dict[tuple[int, int], ExpiryRisk]:
        return {(risk.underlying_id, risk.expiry): risk for risk in self.command.expiries}

    def index_price(self, underlying_id: int) -> int:
        """The index that this epoch was made at; 0 where it has none."""
        known = (u.index_price for u in self.command.underlyings)
        ids = (u.underlying_id for u in self.command.underlyings)
        return dict(zip(ids, known, strict=True)).get(underlying_id, 0)

    @cached_property
    def _row(self) -> struct.Struct:
        count = len(self.command.instrument_ids)
        return struct.Struct(f"<{len(self.command.rows) // _INT64.size // count}q")

    def mark_prices(self) -> Iterator[int]:
        """Mark prices in the order of `command.instrument_ids`, micro-USDC."""
        return (row[0] for row in self._row.iter_unpack(self.command.rows))

    def mark_price(self, instrument_id: int) -> int:
        """Of an instrument; 0 where this epoch has none."""
        place = self._places.get(instrument_id)
        if place is None:
            return 0
        (price,) = _INT64.unpack_from(self.command.rows, place * self._row.size)
        return int(price)

    def mark(self, instrument_id: int) -> Mark | None:
        """The row of an instrument, or None where this epoch has none."""
        place = self._places.get(instrument_id)
        if place is None:
            return None
        values = self._row.unpack_from(self.command.rows, place * self._row.size)
        head = UpdateMarks.ROW_HEAD
        mark_price, mark_iv, delta, vega = values[:head]
        return Mark(mark_price, mark_iv, delta, vega, values[head:])

    def expiry(self, underlying_id: int, expiry: int) -> ExpiryRisk | None:
        """Forward, discounts and basis weight of an expiry."""
        return self._expiries.get((underlying_id, expiry))


def combo_mark(marks: Marks, legs: Legs) -> Mark | None:
    """A combo's row: its legs' rows together; None where one is missing. It has no volatility."""
    rows = [(marks.mark(leg.instrument_id), leg.ratio) for leg in legs]
    known = [(row, ratio) for row, ratio in rows if row is not None]
    if len(known) < len(rows):
        return None
    columns = zip(*([price * ratio for price in row.shocked] for row, ratio in known), strict=True)
    return Mark(
        mark_price=sum(row.mark_price * ratio for row, ratio in known),
        mark_iv=0,
        delta=sum(row.delta * ratio for row, ratio in known),
        vega=sum(row.vega * ratio for row, ratio in known),
        shocked=tuple(map(sum, columns)),
    )


def mark_price(marks: Marks | None, instrument: Instrument) -> int:
    """An instrument's mark, of a combo that of its legs; 0 while there is none."""
    if marks is None:
        return 0
    if not instrument.legs:
        return marks.mark_price(instrument.instrument_id)
    mark = combo_mark(marks, instrument.legs)
    return mark.mark_price if mark else 0


class Delivery(msgspec.Struct, frozen=True):
    """A fixed delivery price."""

    underlying_id: int
    expiry: int
    price: int
    time_ns: int


class Batch(msgspec.Struct):
    """A settlement batch: cut, and once final on chain its block and transaction."""

    number: int
    first_seq: int
    last_seq: int
    block: int = 0
    transaction: str = ""

    @property
    def confirmed(self) -> bool:
        """Whether the watcher saw it final."""
        return bool(self.transaction)


class PaidWithdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal that the engine debited."""

    seq: int
    time_ns: int
    subaccount_id: int
    amount: int
    recipient: str
    nonce: int


class Notice(msgspec.Struct, frozen=True, gc=False):
    """Something that befell a subaccount in a liquidation."""

    seq: int
    time_ns: int
    event: AnyEvent


class Touched(msgspec.Struct, gc=False):
    """What one entry changed: the work list of the channels."""

    seq: int
    time_ns: int
    books: list[tuple[int, BookDelta]] = []
    trades: list[Trade] = []
    orders: dict[int, OrderRecord] = {}
    accounts: set[int] = set()  # subaccounts of which more than orders changed
    indices: tuple[int, ...] = ()
    funding: tuple[int, ...] = ()  # perpetuals
    marks: bool = False
    states: set[int] = set()  # instruments that were listed, halted, resumed or closed
    notices: list[tuple[int, Notice]] = []  # by subaccount, of liquidations
    liquidations: bool = False
    frozen: tuple[tuple[int, int], ...] = ()  # by protection: subaccount and underlying

    @property
    def subaccounts(self) -> set[int]:
        """All that something changed of."""
        return self.accounts.union(order.subaccount_id for order in self.orders.values())


CONCERNING: Final[dict[type, Callable[[Any], list[int]]]] = {
    ev.PortfolioTransferred: lambda event: [event.subaccount_id, event.taker_subaccount_id],
    ev.LossSocialised: lambda event: [subaccount_id for subaccount_id, _ in event.shares],
    **dict.fromkeys(
        (
            ev.LiquidationStarted,
            ev.LiquidationSliced,
            ev.LiquidationAuctionStarted,
            ev.InsuranceUsed,
            ev.LiquidationEnded,
        ),
        lambda event: [event.subaccount_id],
    ),
}


def notified(event: AnyEvent) -> list[int]:
    """The subaccounts that an event of a liquidation concerns."""
    concerned = CONCERNING.get(type(event))
    return concerned(event) if concerned else []
