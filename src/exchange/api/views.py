"""The gateway's picture of the venue, built from released entries only (durable before visible).

`apply` takes every entry once, in `seq` order, and says what it touched; channels and replies read
the rest. No I/O, no clock: a replay of the journal rebuilds the same picture.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from exchange import events as ev
from exchange.api.batches import Batches
from exchange.api.book_view import BookView
from exchange.api.funding_view import FundingView
from exchange.api.holdings import Holdings
from exchange.api.owners import Owners
from exchange.api.ports import Entry
from exchange.api.price_history import PriceHistory
from exchange.api.records import (
    CONCERNING,
    Batch,
    Delivery,
    Mark,
    Marks,
    Notice,
    OrderRecord,
    PaidWithdrawal,
    SignedPart,
    Touched,
    Trade,
    combo_mark,
    mark_price,
    notified,
    record_of,
    signed_part,
    trade_of,
)
from exchange.commands import (
    AmendOrder,
    AnyCommand,
    BidLiquidation,
    Configure,
    CutBatch,
    MassQuote,
    PlaceOrder,
    ProtectionParameters,
    SetProtection,
    SweepLiquidations,
    TradeBlock,
    UpdateMarks,
    signed_commands,
)
from exchange.fixed import notional
from exchange.margin.linear import funding_rate
from exchange.model import Instrument, InstrumentStatus, OrderStatus, Side, sheet_orders
from exchange.reversals import BatchReverted, DepositReverted, SubaccountReverted

TRADES_PER_INSTRUMENT: Final = 1_000
TRADES_PER_SUBACCOUNT: Final = 1_000
TRADES_KEPT: Final = 100_000  # the history service answers older questions
NOTICES_PER_SUBACCOUNT: Final = 1_000
FINISHED_ORDERS_KEPT: Final = 100_000
_LIQUIDATING: Final = (SweepLiquidations, BidLiquidation)
_CANCEL_WORDS: Final = {reason: reason.value for reason in ev.CancelReason}
_DEADLINE: Final = ev.CancelReason.DEADLINE.value
# By name, since each look into an enumeration costs as much as a call:
_OPEN: Final = OrderStatus.OPEN
_FILLED, _CANCELED, _EXPIRED = OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED


class VenueView:
    """Instruments, books, orders, trades, marks, deliveries, batches and who owns what."""

    def __init__(self) -> None:
        self.seq = self.time_ns = 0
        self.parameters: Configure | None = None
        self.instruments: dict[int, Instrument] = {}
        self.instrument_ids: dict[str, int] = {}
        self.expired: set[int] = set()
        self.statuses: dict[int, InstrumentStatus] = {}
        self.listed_ns: dict[int, int] = {}
        self.speed_bumps: dict[int, int] = {}  # nanoseconds by instrument
        self.ended_ns: dict[int, int] = {}
        self.books: dict[int, BookView] = {}
        self.orders: dict[int, OrderRecord] = {}
        self.nonces: dict[tuple[int, int], int] = {}  # (subaccount, nonce): order_id
        self.labels: dict[tuple[int, str], dict[int, OrderRecord]] = {}  # (subaccount, label)
        self.open_orders: dict[int, dict[int, OrderRecord]] = {}  # by subaccount
        self.trades: dict[int, Trade] = {}
        self.instrument_trades: dict[int, deque[Trade]] = {}
        self.subaccount_trades: dict[int, deque[Trade]] = {}
        self._holdings = Holdings()
        self.positions, self.open_interest = self._holdings.positions, self._holdings.open_interest
        self._access = Owners()
        self.owners, self.owned = self._access.owners, self._access.owned
        self.session_keys, self.key_scopes = self._access.session_keys, self._access.key_scopes
        self.index_prices: dict[int, tuple[int, int]] = {}  # price, time_ns
        self.marks: Marks | None = None
        self.funding = FundingView()
        self.history = PriceHistory()
        self.deliveries: list[Delivery] = []
        self._settled = Batches()
        self.batches = self._settled.rows
        self.withdrawals: dict[tuple[int, int], PaidWithdrawal] = {}
        self.refused = self._access.refused
        # By (subaccount, underlying): limits in force, and until when (ns; 0: a reset) frozen.
        self.protections: dict[tuple[int, int], ProtectionParameters] = {}
        self.frozen: dict[tuple[int, int], int] = {}
        self.notices: dict[int, deque[Notice]] = {}  # of liquidations, by subaccount
        self._finished: deque[int] = deque()
        self._trade_ids: deque[int] = deque()  # of `trades`: a dict is slow to tell its oldest
        self._touched = Touched(seq=0, time_ns=0)
        self._signed: SignedPart | None = None  # of the entry at work, if its orders share it
        self._command: AnyCommand = CutBatch()  # of the entry at work
        self._handlers = self.handler_table()

    def handler_table(self) -> dict[type, Callable[..., object]]:
        """Who takes which event."""
        return {
            **dict.fromkeys(CONCERNING, self._tell),
            ev.InstrumentListed: self._on_listed,
            ev.InstrumentStatusChanged: self._on_status,
            ev.InstrumentExpired: self._on_instrument_expired,
            ev.IndexUpdated: self._on_index,
            ev.MarksUpdated: self._on_marks,
            ev.Configured: self._on_configured,
            ev.SubaccountOpened: self._access.on_subaccount,
            SubaccountReverted: self._access.on_reverted,
            ev.SessionKeySet: self._access.on_session_key,
            ev.KeyScoped: self._access.on_key_scoped,
            **dict.fromkeys((ev.Deposited, DepositReverted, ev.ExitServed), self._on_cash),
            ev.Withdrawn: self._on_withdrawn,
            ev.ProtectionSet: self._on_protection,
            ev.ProtectionTripped: self._on_tripped,
            ev.ProtectionLifted: self._on_lifted,
            ev.OrderArmed: self._remember,
            ev.OrderTriggered: self._on_triggered,
            ev.OrderPlaced: self._on_placed,
            ev.OrderAmended: self._on_amended,
            ev.OrderRepriced: self._on_repriced,
            ev.OrderDelayed: self._on_delayed,
            ev.SpeedBumpSet: self._on_speed_bump,
            ev.OrderCanceled: self._on_canceled,
            ev.QuotesReplaced: self._on_quotes,
            ev.ComboTraded: self._on_combo_traded,
            ev.Traded: self._on_traded,
            ev.PortfolioTransferred: self._on_transferred,
            ev.MoveRefused: self._access.on_move_refused,
            ev.WithdrawalVoided: self._access.on_withdrawal_voided,
            **dict.fromkeys((ev.FillNovated, ev.ActRefused), self._on_replaced),
            ev.FundingAccrued: self._on_funding_accrued,
            ev.FundingPaid: self._on_funding_paid,
            ev.PositionExpired: self._on_position_expired,
            ev.DeliveryPriceFixed: self._on_delivery,
            ev.BatchCut: self._settled.on_cut,
            ev.BatchConfirmed: self._settled.on_confirmed,
            BatchReverted: self._settled.on_reverted,
        }

    def apply(self, entry: Entry) -> Touched:
        """Take one entry; return what it changed. Complexity: O(events * log levels)."""
        assert entry.seq > self.seq, f"entry {entry.seq} after {self.seq}"
        self.seq, self.time_ns = entry.seq, entry.time_ns
        self._command = entry.command
        self._touched = touched = Touched(entry.seq, entry.time_ns)
        touched.liquidations = type(entry.command) in _LIQUIDATING
        self._signed = None
        handlers, books, seq = self._handlers, self.books, entry.seq
        for event in entry.events:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
        for instrument_id in {order.instrument_id for order in touched.orders.values()}:
            delta = books[instrument_id].commit(seq)
            if delta is not None:
                touched.books.append((instrument_id, delta))
        return touched

    # -- questions ------------------------------------------------------------------------------

    def mark(self, instrument_id: int) -> Mark | None:
        """The instrument's row in the epoch in force; of a combo the sum of those of its legs."""
        if self.marks is None:
            return None
        instrument = self.instruments.get(instrument_id)
        if instrument is None or not instrument.legs:
            return self.marks.mark(instrument_id)
        return combo_mark(self.marks, instrument.legs)

    def underlying_name(self, underlying_id: int) -> str:
        """Configured name, such as BTC."""
        assert self.parameters is not None
        return next(u.name for u in self.parameters.underlyings if u.underlying_id == underlying_id)

    def may_access(self, subaccount_id: int, address: str, time_ns: int) -> bool:
        """Whether `address` owns the subaccount or holds a live session key of its owner."""
        return self._access.may_access(subaccount_id, address, time_ns)

    def subaccounts_of(self, address: str, time_ns: int) -> list[int]:
        """Subaccounts that `address` may touch, ascending."""
        return self._access.subaccounts_of(address, time_ns)

    def batch_of(self, seq: int) -> Batch | None:
        """The settlement batch that contains a command, once cut."""
        return self._settled.of(seq)

    def check(self) -> None:
        """Assert that books are the sums of open orders."""
        sums: dict[tuple[int, int, int], int] = {}
        for orders in self.open_orders.values():
            for order in orders.values():
                if order.status is OrderStatus.UNTRIGGERED:
                    continue
                assert order.status is _OPEN
                key = (order.instrument_id, order.side, order.limit_price)
                sums[key] = sums.get(key, 0) + order.displayed_quantity
        for instrument_id, book in self.books.items():
            book.check(may_cross=self.statuses[instrument_id] is not InstrumentStatus.LIVE)
            for side in (0, 1):
                for price, quantity in book.levels(Side(side)):
                    assert sums.pop((instrument_id, side, price), 0) == quantity
        assert not sums, f"orders without a level: {sums}"

    # -- events ---------------------------------------------------------------------------------

    def _on_configured(self, _: ev.Configured) -> None:
        assert isinstance(self._command, Configure)
        self.parameters = self._command

    def _on_listed(self, event: ev.InstrumentListed) -> None:
        instrument = event.instrument
        self._touched.states.add(instrument.instrument_id)
        self.instruments[instrument.instrument_id] = instrument
        self.instrument_ids[instrument.name] = instrument.instrument_id
        self.books[instrument.instrument_id] = BookView()
        self.listed_ns[instrument.instrument_id] = self.time_ns
        self.statuses[instrument.instrument_id] = InstrumentStatus.LIVE
        self.instrument_trades[instrument.instrument_id] = deque(maxlen=TRADES_PER_INSTRUMENT)

    def _on_status(self, event: ev.InstrumentStatusChanged) -> None:
        self._touched.states.add(event.instrument_id)
        self.statuses[event.instrument_id] = event.status

    def _on_instrument_expired(self, event: ev.InstrumentExpired) -> None:
        self.expired.add(event.instrument_id)
        self._touched.states.add(event.instrument_id)
        self.ended_ns[event.instrument_id] = self.time_ns
        self.statuses[event.instrument_id] = InstrumentStatus.EXPIRED

    def _on_index(self, event: ev.IndexUpdated) -> None:
        self.index_prices[event.underlying_id] = (event.index_price, self.time_ns)
        self.history.note_index(self.time_ns, event.underlying_id, event.index_price)
        self._touched.indices += (event.underlying_id,)

    def _on_marks(self, _: ev.MarksUpdated) -> None:
        assert isinstance(self._command, UpdateMarks)
        self.marks = Marks(self._command, self.time_ns)
        self.history.note_marks(self.marks)
        self._touched.marks = True

    def _on_cash(self, event: ev.Deposited | DepositReverted | ev.ExitServed) -> None:
        self._touched.accounts.add(event.subaccount_id)

    def _on_withdrawn(self, event: ev.Withdrawn) -> None:
        key = -event.nonce if event.exit_token else event.nonce  # a request's ordinal is no nonce
        self.withdrawals[event.subaccount_id, key] = PaidWithdrawal(
            seq=self.seq,
            time_ns=self.time_ns,
            subaccount_id=event.subaccount_id,
            amount=event.amount,
            recipient=event.recipient,
            nonce=event.nonce,
        )
        self._touched.accounts.add(event.subaccount_id)

    def _on_protection(self, event: ev.ProtectionSet) -> None:
        key = (event.subaccount_id, event.underlying_id)
        limits = self._command.limits if isinstance(self._command, SetProtection) else None
        if event.active and limits is not None:
            self.protections[key] = limits  # a freeze in force stands
        else:
            self.protections.pop(key, None)
            self.frozen.pop(key, None)

    def _on_tripped(self, event: ev.ProtectionTripped) -> None:
        self.frozen[event.subaccount_id, event.underlying_id] = event.frozen_until_ns
        self._touched.frozen += ((event.subaccount_id, event.underlying_id),)

    def _on_lifted(self, event: ev.ProtectionLifted) -> None:
        self.frozen.pop((event.subaccount_id, event.underlying_id), None)

    def _on_placed(self, event: ev.OrderPlaced) -> None:
        order = self.orders.get(event.order_id)
        if order is None:
            order = self._remember(event)
        else:  # it waited for its trigger
            order.status = _OPEN
            order.limit_price, order.slice_quantity = event.limit_price, event.max_show
            self._touch(order)
        self._display(order, order.fresh_display)

    def _signed_part(self, subaccount_id: int, nonce: int) -> SignedPart:
        """What the command at work says of the order with this nonce."""
        command = self._command
        if isinstance(command, (PlaceOrder, MassQuote)):
            self._signed = found = signed_part(command, self.seq, self.time_ns)
            return found
        signed = next(
            one
            for one in signed_commands(command)
            if isinstance(one, PlaceOrder)
            and (one.terms.subaccount_id, one.terms.nonce) == (subaccount_id, nonce)
        )
        return signed_part(signed, self.seq, self.time_ns)

    def _remember(self, event: ev.OrderPlaced | ev.OrderArmed) -> OrderRecord:
        order_id, subaccount_id, nonce = event.order_id, event.subaccount_id, event.nonce
        order = record_of(event, self._signed or self._signed_part(subaccount_id, nonce))
        self.orders[order_id] = self._touched.orders[order_id] = order
        self.nonces[subaccount_id, nonce] = order_id
        self._label(order, event.label)
        try:
            self.open_orders[subaccount_id][order_id] = order
        except KeyError:
            self.open_orders[subaccount_id] = {order_id: order}
        return order

    def _label(self, order: OrderRecord, label: str) -> None:
        order.label = label
        try:
            self.labels[order.subaccount_id, label][order.order_id] = order
        except KeyError:
            self.labels[order.subaccount_id, label] = {order.order_id: order}

    def _display(self, order: OrderRecord, quantity: int) -> None:
        """Let the order's level show so much of it; one that waits has none."""
        if order.status is _OPEN:
            change = quantity - order.displayed_quantity
            self.books[order.instrument_id].add(order.side, order.limit_price, change)
            order.displayed_quantity = quantity

    def _on_amended(self, event: ev.OrderAmended) -> None:
        order = self.orders[event.order_id]
        displayed = order.displayed_quantity
        self._display(order, 0)
        order.quantity, order.limit_price = event.quantity, event.limit_price
        order.canceled_quantity = 0
        order.version, order.replaced = event.version, True
        command = self._command
        assert isinstance(command, AmendOrder)
        order.max_fee, order.deadline = command.terms.max_fee, command.terms.deadline
        order.worst_price, order.volatility = command.terms.limit_price, command.volatility
        order.max_show = order.max_show if command.max_show is None else command.max_show
        order.seq, order.taker_trades = self.seq, ()
        if event.in_place:
            self._display(order, min(displayed, order.remaining_quantity))
        else:
            order.slice_quantity = event.max_show
            self._display(order, order.fresh_display)
        self._finish_if_done(order)
        self._touch(order)

    def _on_triggered(self, event: ev.OrderTriggered) -> None:
        self.orders[event.order_id].triggered = True

    def _on_delayed(self, event: ev.OrderDelayed) -> None:
        if not event.quantity:  # or it rests in a combo, and rests on
            order = self.orders[event.order_id]
            self._display(order, 0)
            order.status = OrderStatus.UNTRIGGERED
            self._touch(order)

    def _on_speed_bump(self, event: ev.SpeedBumpSet) -> None:
        self.speed_bumps[event.instrument_id] = event.delay_ns

    def _on_repriced(self, event: ev.OrderRepriced) -> None:
        order = self.orders[event.order_id]
        self._display(order, 0)
        order.limit_price = event.limit_price
        order.taker_trades = ()
        self._display(order, order.fresh_display)
        self._touch(order)

    def _on_quotes(self, event: ev.QuotesReplaced) -> None:
        """A quote that stayed has the terms of its leaf in the new sheet, as those placed now."""
        if not event.kept:
            return
        command = self._command
        assert isinstance(command, MassQuote)
        orders = sheet_orders(command.terms, command.quotes)
        leaves = {(terms.instrument_id, terms.side): terms for terms in orders}
        for order in self.open_orders.get(event.subaccount_id, {}).values():
            if not order.is_quote or order.seq == self.seq:
                continue
            terms = leaves[order.instrument_id, order.side]
            self._forget_nonce(order)
            self.nonces[event.subaccount_id, terms.nonce] = order.order_id
            order.nonce, order.seq = terms.nonce, self.seq
            order.max_fee, order.deadline = terms.max_fee, terms.deadline
            self._forget_label(order)
            order.mmp = command.mmp
            self._label(order, command.label)

    def _on_canceled(self, event: ev.OrderCanceled) -> None:
        order, left = self.orders[event.order_id], event.remaining_quantity
        canceled = order.canceled_quantity = order.canceled_quantity + event.canceled_quantity
        assert order.quantity - order.filled_quantity - canceled == left
        self._display(order, left and min(order.displayed_quantity, left))
        order.cancel_reason = _CANCEL_WORDS[event.reason]
        if not left:
            self._finish(order)
        self._touch(order)

    def _on_traded(self, event: ev.Traded) -> None:
        trade = self._trade(event)
        self.trades[trade.trade_id] = trade
        self._trade_ids.append(trade.trade_id)
        if len(self._trade_ids) > TRADES_KEPT:
            del self.trades[self._trade_ids.popleft()]
        self._note_trade(trade)
        if event.combo_id:
            self._on_leg(event, trade)
            return
        maker, cost = self.orders[event.maker_order_id], notional(event.price, event.quantity)
        self._fill(maker, trade, cost, event.maker_fee)
        if event.liquidation:  # nobody signed an order on the taker's side
            self._hold(event.taker_subaccount_id, event.taker_side, trade)
            self._display(maker, (maker.displayed_quantity - event.quantity) or maker.fresh_display)
            self._finish_if_done(maker)
            return
        taker = self.orders[event.taker_order_id]
        self._fill(taker, trade, cost, event.taker_fee)
        if event.auction:  # both rested, and the book shrank them: hidden parts first
            for order in (maker, taker):
                self._display(order, min(order.displayed_quantity, order.remaining_quantity))
        else:
            left = maker.displayed_quantity - event.quantity
            self._display(maker, left or maker.fresh_display)
            self._display(taker, taker.fresh_display)
        self._finish_if_done(maker)
        self._finish_if_done(taker)
        taker.took(trade)

    def _note_trade(self, trade: Trade) -> None:
        self.instrument_trades[trade.instrument_id].append(trade)
        self.history.note_trade(self.time_ns, trade.instrument_id, trade.price, trade.quantity)
        self._touched.trades.append(trade)

    def _on_leg(self, event: ev.Traded, trade: Trade) -> None:
        """A leg moves positions; orders in the combo were filled by `ComboTraded` before it."""
        maker, taker = self.orders[event.maker_order_id], self.orders[event.taker_order_id]
        self._hold(taker.subaccount_id, event.taker_side, trade)
        taker.took(trade)
        if event.maker_combo:
            self._hold(maker.subaccount_id, event.taker_side.opposite, trade)
            return
        self._fill(maker, trade, notional(event.price, event.quantity), event.maker_fee)
        left = maker.displayed_quantity - event.quantity
        self._display(maker, left or maker.fresh_display)
        self._finish_if_done(maker)

    def _on_combo_traded(self, event: ev.ComboTraded) -> None:
        trade = self._trade(event)
        self._note_trade(trade)
        sides = ((event.taker_order_id, event.taker_fee), (event.maker_order_id, event.maker_fee))
        for order_id, fee in sides:
            order = self.orders.get(order_id)
            if order is None:  # its makers are orders in the legs
                continue
            order.filled_quantity += event.quantity
            order.cash_filled += event.value
            order.fees += fee
            self._touch(order)
            self._display(order, order.fresh_display)
            self._finish_if_done(order)

    def _trade(self, event: ev.Traded | ev.ComboTraded) -> Trade:
        instrument = self.instruments[event.instrument_id]
        index_price = self.index_prices.get(instrument.underlying_id, (0, 0))[0]
        earlier = self.instrument_trades[event.instrument_id]
        return trade_of(
            event,
            (self.seq, self.time_ns),
            (index_price, mark_price(self.marks, instrument)),
            earlier[-1] if earlier else None,
            block=type(self._command) is TradeBlock,
        )

    def _fill(self, order: OrderRecord, trade: Trade, cost: int, fee: int) -> None:
        order.filled_quantity += trade.quantity
        order.cash_filled += cost
        order.fees += fee
        self._hold(order.subaccount_id, order.side, trade)
        self._touch(order)

    def _hold(self, subaccount_id: int, side: Side, trade: Trade) -> None:
        """What a trade does to the position of one side."""
        self._holdings.trade(subaccount_id, trade.instrument_id, side, trade.price, trade.quantity)
        self._touched.accounts.add(subaccount_id)
        trades = self.subaccount_trades.get(subaccount_id)
        if trades is None:
            trades = self.subaccount_trades[subaccount_id] = deque(maxlen=TRADES_PER_SUBACCOUNT)
        if not trades or trades[-1].trade_id != trade.trade_id:  # both sides may be one subaccount
            trades.append(trade)

    def _on_transferred(self, event: ev.PortfolioTransferred) -> None:
        for part in event.legs:
            self._hand_over(event.subaccount_id, event.taker_subaccount_id, part)
        self._tell(event)

    def _on_replaced(self, event: ev.FillNovated | ev.ActRefused) -> None:
        if isinstance(event, ev.FillNovated):
            self._hand_over(event.subaccount_id, event.house_subaccount_id, event)
        elif isinstance(event.act, ev.PortfolioTransferred):
            for part in event.act.legs:
                self._hand_over(event.act.taker_subaccount_id, event.holder_id, part)

    def _hand_over(self, giver: int, taker: int, part: ev.TransferredLeg | ev.FillNovated) -> None:
        if self.statuses[part.instrument_id] is InstrumentStatus.EXPIRED:
            return  # all of it is cash
        gives = Side.SELL if part.quantity > 0 else Side.BUY
        for who, side in ((giver, gives), (taker, gives.opposite)):
            self._holdings.trade(who, part.instrument_id, side, part.price, abs(part.quantity))
            self._touched.accounts.add(who)

    def _on_funding_accrued(self, event: ev.FundingAccrued) -> None:
        underlying_id = self.instruments[event.instrument_id].underlying_id
        self.funding.note(self.time_ns, event, self.index_prices[underlying_id][0])
        self._touched.funding += (event.instrument_id,)

    def _on_funding_paid(self, event: ev.FundingPaid) -> None:
        self._holdings.on_funding_paid(event)
        self._touched.accounts.add(event.subaccount_id)

    def _on_position_expired(self, event: ev.PositionExpired) -> None:
        self._holdings.on_expired(event)
        self._touched.accounts.add(event.subaccount_id)

    def _on_delivery(self, event: ev.DeliveryPriceFixed) -> None:
        delivery = Delivery(event.underlying_id, event.expiry, event.price, self.time_ns)
        self.deliveries.append(delivery)

    def _tell(self, event: ev.AnyEvent) -> None:
        """Note for those concerned what a liquidation did to them."""
        for subaccount_id in notified(event):
            notice = Notice(self.seq, self.time_ns, event)
            kept = self.notices.setdefault(subaccount_id, deque(maxlen=NOTICES_PER_SUBACCOUNT))
            kept.append(notice)
            self._touched.notices.append((subaccount_id, notice))
            self._touched.accounts.add(subaccount_id)

    # -- figures --------------------------------------------------------------------------------

    def current_funding(self, instrument: Instrument) -> int:
        """A perpetual's rate in force for eight hours, 1e-18; 0 where it pays none."""
        funding = self.parameters.funding if self.parameters else None
        mark = self.mark(instrument.instrument_id)
        index_price = self.marks.index_price(instrument.underlying_id) if self.marks else 0
        if funding is None or mark is None or not index_price:
            return 0
        return funding_rate(funding, mark.mark_price, index_price)

    # -- upkeep ---------------------------------------------------------------------------------

    def _touch(self, order: OrderRecord) -> None:
        order.updated_ns = self.time_ns
        self._touched.orders[order.order_id] = order

    def _finish_if_done(self, order: OrderRecord) -> None:
        if not order.remaining_quantity:
            self._finish(order)

    def _finish(self, order: OrderRecord) -> None:
        if order.cancel_reason == _DEADLINE:
            order.status = _EXPIRED
        else:
            order.status = _CANCELED if order.canceled_quantity else _FILLED
        self.open_orders[order.subaccount_id].pop(order.order_id, None)
        finished = self._finished
        finished.append(order.order_id)
        if len(finished) > FINISHED_ORDERS_KEPT:
            forgotten = self.orders.pop(finished.popleft(), None)
            if forgotten is not None:
                self._forget_nonce(forgotten)
                self._forget_label(forgotten)

    def _forget_label(self, order: OrderRecord) -> None:
        labelled = self.labels[order.subaccount_id, order.label]
        del labelled[order.order_id]
        if not labelled:
            del self.labels[order.subaccount_id, order.label]

    def _forget_nonce(self, order: OrderRecord) -> None:
        """A quote that nobody traded with frees its nonce, so a younger order may have it now."""
        key = (order.subaccount_id, order.nonce)
        if self.nonces.get(key) == order.order_id:
            del self.nonces[key]
