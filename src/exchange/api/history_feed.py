"""What of a released entry history keeps: finished orders, triggers, trades, and money that moved.

Rows are the wire's own objects, made when it happened, so a question years later needs no state.
Quotes that nobody traded with leave no row: makers replace thousands a second.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec

from exchange import events as ev
from exchange.api import results
from exchange.api.ports import Entry, HistoryRow
from exchange.api.records import OrderRecord, Touched, Trade
from exchange.api.results import Result
from exchange.api.schemas import cash_number, quantity_number, token_number
from exchange.api.views import VenueView
from exchange.fixed import to_milliseconds_down
from exchange.model import OrderStatus
from exchange.remedies import FillNovated, MoveRefused
from exchange.reversals import DepositReverted

ORDER, UNFILLED, TRADE, TRIGGER = "order", "unfilled", "trade", "trigger"
MONEY: Final = ("deposit", "withdrawal", "transfer", "settlement", "delivery", "interest")
LOG: Final = (
    TRADE,
    *MONEY,
    "liquidation",
    "insurance",
    "socialized_loss",
    "fee_share",
    "correction",
)
_LIVE: Final = (OrderStatus.OPEN, OrderStatus.UNTRIGGERED)
# Most events, and the order or the trade that they tell of has the row.
_OF_ORDERS: Final = frozenset((ev.OrderPlaced, ev.OrderArmed, ev.OrderCanceled, ev.Traded))

Found = tuple[int, str, int, Result]  # subaccount, topic, instrument, body


def rows_of(view: VenueView, entry: Entry, touched: Touched) -> list[HistoryRow]:
    """The rows of one entry that `view` has just taken, in the order of its effects."""
    time_ms = to_milliseconds_down(entry.time_ns)
    others = [event for event in entry.events if type(event) not in _OF_ORDERS]
    found = [
        *(one for trade in touched.trades for one in _trade(view, trade)),
        *(_order(view, order) for order in touched.orders.values() if _is_kept(order)),
        *(one for event in others for one in _money(view, event)),
        *(one for event in others for one in _forced(view, event)),
        *_triggers(view, entry, others, touched),
    ]
    stamp = {"timestamp": time_ms, "seq": entry.seq}
    return [
        HistoryRow(
            entry.seq,
            place,
            subaccount_id,
            topic,
            instrument_id,
            time_ms,
            msgspec.json.encode(stamp | body | {"id": f"{entry.seq}.{place}"}),
        )
        for place, (subaccount_id, topic, instrument_id, body) in enumerate(found)
    ]


def _trade(view: VenueView, trade: Trade) -> Iterator[Found]:
    sides = {trade.maker_subaccount_id, trade.taker_subaccount_id}
    for subaccount_id in sorted(sides - {0}):  # 0: of a combo that traded with its legs' makers
        for row in results.user_trade_result(view, trade, subaccount_id):
            yield subaccount_id, TRADE, trade.instrument_id, {"type": "trade"} | row


def _is_kept(order: OrderRecord) -> bool:
    """Whether it is over, and no quote that nobody traded with."""
    if order.is_quote and not order.filled_quantity:
        return False
    return _is_over(order)


def _is_over(order: OrderRecord) -> bool:
    return order.status not in _LIVE


def _order(view: VenueView, order: OrderRecord) -> Found:
    topic = ORDER if order.filled_quantity else UNFILLED
    return order.subaccount_id, topic, order.instrument_id, results.order_result(view, order)


def _triggers(
    view: VenueView, entry: Entry, others: Sequence[ev.AnyEvent], touched: Touched
) -> Iterator[Found]:
    """How waits for a price ended: in the book, refused at its door, or canceled before."""
    ended = [one for one in touched.orders.values() if one.trigger is not None and _is_over(one)]
    refused = _refused(entry) if ended else {}
    for event in others:
        if type(event) is ev.OrderTriggered and event.order_id not in refused:
            yield _trigger(view, view.orders[event.order_id], "triggered")
    for order in ended:
        if order.order_id in refused:
            yield _trigger(view, order, f"rejected:{refused[order.order_id]}")
        elif not order.triggered:
            yield _trigger(view, order, "cancelled", request="cancel")


def _refused(entry: Entry) -> dict[int, str]:
    return {
        event.order_id: event.reject_reason.value
        for event in entry.events
        if isinstance(event, ev.OrderCanceled) and event.reject_reason is not None
    }


def _trigger(
    view: VenueView, order: OrderRecord, state: str, *, request: str = "trigger:order"
) -> Found:
    body = results.trigger_result(view, order) | {"order_state": state, "request": request}
    return order.subaccount_id, TRIGGER, order.instrument_id, body


def _money(view: VenueView, event: ev.AnyEvent) -> Iterator[Found]:
    match event:
        case ev.Deposited():
            body = _changed(view, "deposit", event.token, event.amount) | {"state": "completed"}
            yield event.subaccount_id, "deposit", 0, body
        case ev.Withdrawn():
            body = _changed(view, "withdrawal", event.token, -event.amount) | {
                "state": "unconfirmed",
                "fee": 0,
            }
            body |= {"address": event.recipient, "nonce": event.nonce}
            yield event.subaccount_id, "withdrawal", 0, body
        case ev.Transferred():
            yield from _transfer(view, event)
        case ev.FundingPaid():
            yield _cash(view, "settlement", event, event.amount)
        case ev.PositionExpired():
            found = _cash(view, "delivery", event, event.payoff)
            yield (*found[:3], found[3] | {"position": quantity_number(event.quantity)})
        case ev.InterestPaid():
            body = {"type": "interest", "currency": "USDC", "change": cash_number(-event.amount)}
            yield event.subaccount_id, "interest", 0, body
        case ev.FeesShared():
            yield _paid("fee_share", event.subaccount_id, -event.amount)
            yield _paid("fee_share", event.fund_subaccount_id, event.amount)
        case FillNovated():
            yield event.subaccount_id, "correction", event.instrument_id, _novated(view, event)
        case _:
            return


def _forced(view: VenueView, event: ev.AnyEvent) -> Iterator[Found]:
    """What nobody signed: liquidations, losses that are shared, and what the chain took back."""
    match event:
        case ev.PortfolioTransferred():
            yield from _taken_over(view, event, event.subaccount_id, -1)
            yield from _taken_over(view, event, event.taker_subaccount_id, 1)
        case ev.InsuranceUsed():
            yield _paid("insurance", event.fund_subaccount_id, -event.amount)
            yield _paid("insurance", event.subaccount_id, event.amount)
        case ev.LossSocialised():
            for subaccount_id, amount in event.shares:
                yield _paid("socialized_loss", subaccount_id, -amount)
            yield _paid("socialized_loss", event.fund_subaccount_id, event.amount)
        case ev.ExitServed():
            body = _changed(view, "withdrawal", event.token, -event.amount)
            yield event.subaccount_id, "withdrawal", 0, body | {"state": "completed", "fee": 0}
        case DepositReverted():
            body = _changed(view, "correction", event.token, -event.amount)
            yield event.subaccount_id, "correction", 0, body
        case ev.ActRefused():
            yield from _undone(view, event)
        case MoveRefused():
            sides = ((event.subaccount_id, 1), (event.to_subaccount_id, -1))
            for subaccount_id, sign in filter(itemgetter(0), sides):
                body = _changed(view, "correction", event.token, sign * event.amount)
                yield subaccount_id, "correction", 0, body | {"nonce": event.nonce}
        case _:
            return


def _undone(view: VenueView, event: ev.ActRefused) -> Iterator[Found]:
    """What an act gave and took, the other way round; of interest its debtor's side."""
    kind, act = "correction", event.act
    match act:
        case ev.PortfolioTransferred():
            to, payer = event.holder_id, event.payer_subaccount_id
            yield from _taken_over(view, act, act.taker_subaccount_id, -1, kind)
            yield from _taken_over(view, act, to, 1, kind)
            if act.by_fund:
                yield _paid(kind, act.taker_subaccount_id, -act.discount)
                yield _paid(kind, payer, act.discount)
        case ev.InsuranceUsed():
            yield _paid(kind, act.fund_subaccount_id, act.amount)
            yield _paid(kind, act.subaccount_id, -act.amount)
        case ev.LossSocialised():
            for subaccount_id, amount in act.shares:
                yield _paid(kind, subaccount_id, amount)
            yield _paid(kind, act.fund_subaccount_id, -act.amount)
        case ev.FeesShared():
            yield _paid(kind, act.subaccount_id, act.amount)
            yield _paid(kind, act.fund_subaccount_id, -act.amount)
        case ev.InterestPaid():
            yield _paid(kind, act.subaccount_id, act.amount)
        case ev.Withdrawn():
            yield act.subaccount_id, kind, 0, _changed(view, kind, act.token, act.amount)


def _taken_over(
    view: VenueView,
    event: ev.PortfolioTransferred,
    subaccount_id: int,
    sign: int,
    kind: str = "liquidation",
) -> Iterator[Found]:
    """What one side got (+1) or gave (-1): contracts at their marks, tokens, and the discount."""
    for leg in event.legs:
        body = {
            "type": kind,
            "currency": "USDC",
            "instrument_name": view.instruments[leg.instrument_id].name,
            "amount": quantity_number(sign * leg.quantity),
            "price": cash_number(leg.price),
        }
        yield subaccount_id, kind, leg.instrument_id, body
    for token in event.tokens:
        yield subaccount_id, kind, 0, _changed(view, kind, token.token, sign * token.amount)
    paid = -sign * sum(token.value for token in event.tokens)
    off = 0 if event.by_fund else sign * event.discount
    yield _paid(kind, subaccount_id, paid + off)


def _paid(kind: str, subaccount_id: int, amount: int) -> Found:
    body = {"type": kind, "currency": "USDC", "change": cash_number(amount)}
    return subaccount_id, kind, 0, body


def _changed(view: VenueView, kind: str, token: str, change: int) -> Result:
    """Of cash, or of a token by its address."""
    number = token_number if token else cash_number
    amount, currency = number(abs(change)), _currency(view, token)
    return {"type": kind, "currency": currency, "amount": amount, "change": number(change)}


def _currency(view: VenueView, token: str) -> str:
    assert view.parameters is not None
    names = {asset.token: asset.name for asset in view.parameters.collaterals}
    return names.get(token, token) if token else "USDC"


def _transfer(view: VenueView, event: ev.Transferred) -> Iterator[Found]:
    sides = (
        (event.subaccount_id, event.to_subaccount_id, "payment", -1),
        (event.to_subaccount_id, event.subaccount_id, "income", 1),
    )
    for own, other, direction, sign in sides:
        body = _changed(view, "transfer", event.token, sign * event.amount) | {"state": "confirmed"}
        yield own, "transfer", 0, body | {"direction": direction, "other_side": str(other)}


def _cash(
    view: VenueView, kind: str, event: ev.FundingPaid | ev.PositionExpired, amount: int
) -> Found:
    body: dict[str, Any] = {
        "type": kind,
        "currency": "USDC",
        "instrument_name": view.instruments[event.instrument_id].name,
        "change": cash_number(amount),
        "session_profit_loss": cash_number(amount),
    }
    return event.subaccount_id, kind, event.instrument_id, body


def _novated(view: VenueView, event: FillNovated) -> Result:
    """The chain refused a side of a trade; the venue's own subaccount took it over."""
    return {
        "type": "correction",
        "currency": "USDC",
        "instrument_name": view.instruments[event.instrument_id].name,
        "trade_id": str(event.trade_id),
        "amount": quantity_number(-event.quantity),
        "price": cash_number(event.price),
    }
