"""Methods about one's own orders, positions and money.

Orders and withdrawals carry their owner's signature and need no session; everything else does.
What belongs to others answers as if it did not exist.
"""

import contextlib
from collections.abc import Awaitable, Iterable
from itertools import islice
from typing import Any, Final

from exchange.api import results, schemas
from exchange.api.dispatch import Method, private_method
from exchange.api.errors import InvalidParams, NotFound, OrderNotFound, Rejected
from exchange.api.gateway import Caller, Gateway
from exchange.api.methods_public import connection_of, join
from exchange.api.order_entry import amend_command, entry_command
from exchange.api.order_types import EditParams, is_of_type
from exchange.api.ports import Reply
from exchange.api.reading import Reading
from exchange.api.records import OrderRecord, Position, Trade
from exchange.api.results import Result
from exchange.api.schemas import OrderType, ratio_number
from exchange.api.signed_terms import EntryParams
from exchange.commands import AnyCommand, CancelAll, CancelOrder
from exchange.events import (
    OrderAmended,
    OrderArmed,
    OrderCanceled,
    OrderDelayed,
    OrderPlaced,
    OrderRepeated,
    OrdersLinked,
    RejectReason,
)
from exchange.fixed import RATIO_SCALE, to_milliseconds_down
from exchange.model import Instrument, Kind, Side

_NAMED_BY: Final = (OrderPlaced, OrderArmed, OrderAmended, OrderRepeated)  # events of a reply
LOOKED_OVER: Final = 1_000  # orders of one label and subaccount that one call may look over


class SubaccountsDetailsParams(schemas.Params, frozen=True, kw_only=True):
    """Positions of every subaccount in a currency."""

    currency: schemas.Currency
    with_open_orders: bool = False


# -- orders -------------------------------------------------------------------------------------


async def buy(gateway: Gateway, caller: Caller, params: EntryParams) -> Result:
    """Places an order to buy; needs no session if it is signed."""
    return await place(gateway, caller, params, Side.BUY)


async def sell(gateway: Gateway, caller: Caller, params: EntryParams) -> Result:
    """Places an order to sell; needs no session if it is signed."""
    return await place(gateway, caller, params, Side.SELL)


async def place(gateway: Gateway, caller: Caller, params: EntryParams, side: Side) -> Result:
    """Enter an order and answer with its receipt."""
    return await _enter(gateway, caller, await entry_command(gateway, caller, params, side))


def answer_read(
    gateway: Gateway, caller: Caller, _: Reading, reply: Reply
) -> Result | Awaitable[Result]:
    """Answer with the receipt of an order that another process read and checked."""
    gateway.note_placed(caller, reply)
    order = _order_of(gateway, reply)
    if order.trigger is not None or any(isinstance(one, OrderDelayed) for one in reply.events):
        return _order_reply(gateway, reply)  # which waits
    return _order_shown(gateway, reply, order)


async def _enter(gateway: Gateway, caller: Caller, command: AnyCommand) -> Result:
    reply = await gateway.submit(command)
    gateway.note_placed(caller, reply)
    receipt = await _order_reply(gateway, reply)
    for event in reply.events:
        if isinstance(event, OrdersLinked):
            receipt["linked_order_ids"] = [str(order_id) for order_id in event.order_ids]
    return receipt


async def _order_reply(gateway: Gateway, reply: Reply) -> Result:
    for event in reply.events:
        if isinstance(event, OrderDelayed):
            await gateway.entered(event.order_id)
    order = _order_of(gateway, reply)
    shown = _order_shown(gateway, reply, order)
    if order.trigger is not None:
        await gateway.with_trails([shown["order"]])
    return shown


def _order_of(gateway: Gateway, reply: Reply) -> OrderRecord:
    """The order that a command named first."""
    order_id = next(event.order_id for event in reply.events if isinstance(event, _NAMED_BY))
    order = gateway.view.orders.get(order_id)
    if order is None:  # the engine remembers longer than this gateway
        raise OrderNotFound(f"order {order_id} was entered before and ended too long ago to show")
    return order


def _order_shown(gateway: Gateway, reply: Reply, order: OrderRecord) -> Result:
    trades = [results.taker_trade_result(gateway.view, trade) for trade in order.taker_trades]
    row = results.order_result(gateway.view, order)
    return {"order": row, "trades": trades} | gateway.receipt(reply)


async def edit(gateway: Gateway, caller: Caller, params: EditParams) -> Result:
    """Signs an order's nonce again with a higher version; needs no session if it is signed."""
    order = gateway.view.orders.get(int(params.order_id))
    if order is None:
        raise Rejected(RejectReason.UNKNOWN_ORDER, "no such order")
    reply = await gateway.submit(await amend_command(gateway, caller, order, params))
    return await _order_reply(gateway, reply)


def own_order(
    gateway: Gateway, caller: Caller, order_id: str, param: str = "order_id"
) -> OrderRecord:
    """An order of the session's; one of others' does not exist."""
    allowed = gateway.subaccounts(caller)
    order = gateway.view.orders.get(int(order_id))
    if order is None or order.subaccount_id not in allowed:
        raise OrderNotFound(f"no order {order_id}", param)
    return order


async def cancel(gateway: Gateway, caller: Caller, params: schemas.OrderIdParams) -> Result:
    """Cancels one order."""
    order = own_order(gateway, caller, params.order_id)
    reply = await gateway.submit(
        CancelOrder(subaccount_id=order.subaccount_id, order_id=order.order_id)
    )
    return results.order_result(gateway.view, order) | gateway.receipt(reply)


async def cancel_all(gateway: Gateway, caller: Caller, params: schemas.CancelAllParams) -> int:
    """Cancels all orders of one subaccount, or of all yours; returns how many."""
    return await _cancel(gateway, asked_subaccounts(gateway, caller, params.subaccount_id), [0])


async def cancel_all_by_instrument(
    gateway: Gateway, caller: Caller, params: schemas.CancelByInstrumentParams
) -> int:
    """Cancels orders in one instrument; returns how many."""
    subaccounts = asked_subaccounts(gateway, caller, params.subaccount_id)
    instrument = gateway.instrument(params.instrument_name)
    if params.type != "all":
        wanted = {instrument.instrument_id}
        return await _cancel_type(gateway, subaccounts, wanted, params.type)
    return await _cancel(gateway, subaccounts, [instrument.instrument_id])


async def cancel_all_by_currency(
    gateway: Gateway, caller: Caller, params: schemas.CancelByCurrencyParams
) -> int:
    """Cancels orders in one currency; returns how many."""
    subaccounts = asked_subaccounts(gateway, caller, params.subaccount_id)
    wanted = {i.instrument_id for i in gateway.select(params.currency, params.kind)}
    return await cancel_in(gateway, subaccounts, wanted, params.type)


async def cancel_in(
    gateway: Gateway, subaccounts: Iterable[int], wanted: set[int], order_type: OrderType
) -> int:
    """Cancel orders of one type in some instruments; returns how many."""
    if order_type != "all":
        return await _cancel_type(gateway, subaccounts, wanted, order_type)
    count = 0
    for subaccount_id in subaccounts:
        orders = gateway.view.open_orders.get(subaccount_id, {}).values()
        held = {order.instrument_id for order in orders} & wanted
        count += await _cancel(gateway, [subaccount_id], sorted(held))
    return count


def asked_subaccounts(gateway: Gateway, caller: Caller, subaccount_id: int | None) -> list[int]:
    """The subaccount asked for, or all of the session's."""
    if subaccount_id is None:
        return gateway.subaccounts(caller)
    return [gateway.subaccount(caller, subaccount_id)]


async def _cancel(
    gateway: Gateway, subaccounts: Iterable[int], instrument_ids: Iterable[int]
) -> int:
    count = 0
    for subaccount_id in subaccounts:
        for instrument_id in instrument_ids:
            if not gateway.view.open_orders.get(subaccount_id):
                continue
            count += await count_canceled(
                gateway, CancelAll(subaccount_id=subaccount_id, instrument_id=instrument_id)
            )
    return count


async def count_canceled(gateway: Gateway, command: CancelAll) -> int:
    """How many of its subaccount's own orders a command canceled."""
    reply = await gateway.submit(command)
    return sum(
        isinstance(event, OrderCanceled) and event.subaccount_id == command.subaccount_id
        for event in reply.events
    )


async def _cancel_type(
    gateway: Gateway, subaccounts: Iterable[int], wanted: set[int], order_type: OrderType
) -> int:
    """Cancel the orders of one type, one by one: the engine's filters know no types."""
    count = 0
    for order in _open(gateway, subaccounts, wanted, order_type):
        command = CancelOrder(subaccount_id=order.subaccount_id, order_id=order.order_id)
        with contextlib.suppress(Rejected):  # filled in the meantime
            await gateway.submit(command)
            count += 1
    return count


async def get_order_state(
    gateway: Gateway, caller: Caller, params: schemas.OrderIdParams
) -> Result:
    """One order."""
    row = results.order_result(gateway.view, own_order(gateway, caller, params.order_id))
    return (await gateway.with_trails([row]))[0]


async def get_order_state_by_nonce(
    gateway: Gateway, caller: Caller, params: schemas.OrderByNonceParams
) -> Result:
    """The order of a nonce: its final state after any time-out."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    order_id = gateway.view.nonces.get((subaccount_id, params.nonce))
    if order_id is None:
        raise OrderNotFound("no order was accepted under this nonce", "nonce")
    row = results.order_result(gateway.view, gateway.view.orders[order_id])
    return (await gateway.with_trails([row]))[0]


async def get_order_state_by_label(
    gateway: Gateway, caller: Caller, params: schemas.OrderByLabelParams
) -> list[Result]:
    """Orders with a label, the newest first."""
    wanted = _live_or_expired(gateway, params.currency, "any")
    found = [
        order
        for subaccount_id in asked_subaccounts(gateway, caller, params.subaccount_id)
        for order in _newest(gateway.view.labels.get((subaccount_id, params.label), {}))
        if order.instrument_id in wanted
    ]
    found.sort(key=lambda order: order.order_id, reverse=True)
    rows = [results.order_result(gateway.view, order) for order in found[:100]]
    return await gateway.with_trails(rows)


def _newest(orders: dict[int, OrderRecord]) -> Iterable[OrderRecord]:
    """As many as one call may look over."""
    return islice(reversed(orders.values()), LOOKED_OVER)


async def get_open_orders(
    gateway: Gateway, caller: Caller, params: schemas.OpenOrdersParams
) -> list[Result]:
    """Open orders, in order of entry."""
    wanted = _live_or_expired(gateway, "any", params.kind)
    subaccounts = asked_subaccounts(gateway, caller, params.subaccount_id)
    return await open_orders(gateway, subaccounts, wanted, params.type)


async def get_open_orders_by_currency(
    gateway: Gateway, caller: Caller, params: schemas.OpenByCurrencyParams
) -> list[Result]:
    """Open orders in one currency."""
    wanted = _live_or_expired(gateway, params.currency, params.kind)
    subaccounts = asked_subaccounts(gateway, caller, params.subaccount_id)
    return await open_orders(gateway, subaccounts, wanted, params.type)


async def get_open_orders_by_instrument(
    gateway: Gateway, caller: Caller, params: schemas.OpenByInstrumentParams
) -> list[Result]:
    """Open orders in one instrument."""
    subaccounts = asked_subaccounts(gateway, caller, params.subaccount_id)
    wanted = {gateway.instrument(params.instrument_name).instrument_id}
    return await open_orders(gateway, subaccounts, wanted, params.type)


def _live_or_expired(gateway: Gateway, currency: str, kind: str) -> set[int]:
    return {
        instrument.instrument_id
        for expired in (False, True)
        for instrument in gateway.select(currency, kind, expired=expired)
    }


def _open(
    gateway: Gateway, subaccounts: Iterable[int], wanted: set[int], order_type: OrderType
) -> list[OrderRecord]:
    return [
        order
        for subaccount_id in subaccounts
        for order in gateway.view.open_orders.get(subaccount_id, {}).values()
        if order.instrument_id in wanted and is_of_type(order, order_type)
    ]


async def open_orders(
    gateway: Gateway, subaccounts: Iterable[int], wanted: set[int], order_type: OrderType
) -> list[Result]:
    """Open orders of one type in some instruments, in order of entry."""
    orders = _open(gateway, subaccounts, wanted, order_type)
    rows = [results.order_result(gateway.view, order) for order in orders]
    return await gateway.with_trails(rows)


# -- positions and money ------------------------------------------------------------------------


async def get_position(gateway: Gateway, caller: Caller, params: schemas.PositionParams) -> Result:
    """The position in one instrument."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    instrument = gateway.instrument(params.instrument_name)
    return _position_result(gateway, subaccount_id, instrument)


async def get_positions(
    gateway: Gateway, caller: Caller, params: schemas.PositionsParams
) -> list[Result]:
    """Positions that are not flat."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    return _positions(
        gateway, subaccount_id, _live_or_expired(gateway, params.currency, params.kind)
    )


def _positions(gateway: Gateway, subaccount_id: int, wanted: set[int]) -> list[Result]:
    held = gateway.view.positions.get(subaccount_id, {})
    return [
        _position_result(gateway, subaccount_id, gateway.view.instruments[number])
        for number, position in held.items()
        if position.quantity and number in wanted
    ]


def _position_result(gateway: Gateway, subaccount_id: int, instrument: Instrument) -> Result:
    held = gateway.view.positions.get(subaccount_id, {})
    position = held.get(instrument.instrument_id, Position())
    return results.position_result(gateway.view, instrument, position) | {
        "subaccount_id": subaccount_id
    }


async def get_account_summary(
    gateway: Gateway, caller: Caller, params: schemas.AccountParams
) -> Result:
    """Cash, equity and margin of one subaccount."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    rows = await gateway.summaries(subaccount_id)
    wanted = "USDC" if params.currency.upper() == "ANY" else params.currency.upper()
    for row in rows:
        if row["currency"] == wanted:
            return row | ({"fees": _fees(gateway)} if params.extended else {})
    raise InvalidParams(f"accounts are in {', '.join(r['currency'] for r in rows)}", "currency")


def _fees(gateway: Gateway) -> list[Result]:
    fees = gateway.configured().fees
    kinds = {"option": Kind.OPTION, "future": Kind.FUTURE, "perpetual": Kind.PERPETUAL}
    return [
        {
            "instrument_type": name,
            "fee_type": "relative",
            "maker_fee": ratio_number(fees.rate(kind, maker=True), RATIO_SCALE),
            "taker_fee": ratio_number(fees.rate(kind, maker=False), RATIO_SCALE),
        }
        for name, kind in kinds.items()
    ]


async def get_account_summaries(
    gateway: Gateway, caller: Caller, params: schemas.AccountParams
) -> Result:
    """Cash first, then each collateral token; margin is of the whole subaccount, in USDC."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    session = gateway.session(caller)
    return {
        "id": subaccount_id,
        "type": "subaccount",
        "username": session.address,
        "system_name": session.address,
        "summaries": await gateway.summaries(subaccount_id),
    }


async def get_subaccounts(gateway: Gateway, caller: Caller, _: schemas.Empty) -> list[Result]:
    """Subaccounts that the session may touch."""
    return [
        {"id": number, "owner": gateway.view.owners[number], "type": "subaccount"}
        for number in gateway.subaccounts(caller)
    ]


async def get_subaccounts_details(
    gateway: Gateway, caller: Caller, params: SubaccountsDetailsParams
) -> list[Result]:
    """Positions, and open orders if asked for, of every subaccount that the session may touch."""
    wanted = _live_or_expired(gateway, params.currency, "any")
    rows: list[Result] = []
    for number in gateway.subaccounts(caller):
        row: Result = {"uid": number, "positions": _positions(gateway, number, wanted)}
        if params.with_open_orders:
            gateway.require(caller, "trade:read")
            row["open_orders"] = await open_orders(gateway, [number], wanted, "all")
        rows.append(row)
    return rows


async def get_user_trades_by_instrument(
    gateway: Gateway, caller: Caller, params: schemas.UserTradesByInstrumentParams
) -> Result:
    """Own trades in one instrument."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    wanted = {gateway.instrument(params.instrument_name).instrument_id}
    return _user_trades(gateway, subaccount_id, wanted, params)


async def get_user_trades_by_currency(
    gateway: Gateway, caller: Caller, params: schemas.UserTradesByCurrencyParams
) -> Result:
    """Own trades in one currency."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    wanted = _live_or_expired(gateway, params.currency, params.kind)
    return _user_trades(gateway, subaccount_id, wanted, params)


def _user_trades(
    gateway: Gateway, subaccount_id: int, wanted: set[int], params: schemas.UserTradesParams
) -> Result:
    def matches(trade: Trade) -> bool:
        time_ms = to_milliseconds_down(trade.time_ns)
        return (
            (trade.instrument_id in wanted or trade.combo_id in wanted)
            and (params.start_timestamp is None or time_ms >= params.start_timestamp)
            and (params.end_timestamp is None or time_ms <= params.end_timestamp)
        )

    trades = gateway.view.subaccount_trades.get(subaccount_id, ())
    found = list(islice(filter(matches, reversed(trades)), params.count + 1))
    chosen = found[: params.count]
    if params.sorting == "asc":
        chosen.reverse()
    rows = [
        row for t in chosen for row in results.user_trade_result(gateway.view, t, subaccount_id)
    ]
    return {"trades": rows, "has_more": len(found) > params.count}


async def get_user_trades_by_order(
    gateway: Gateway, caller: Caller, params: schemas.OrderIdParams
) -> list[Result]:
    """Fills of one order."""
    order = own_order(gateway, caller, params.order_id)
    trades = gateway.view.subaccount_trades.get(order.subaccount_id, ())
    return [
        row
        for trade in trades
        for row in results.user_trade_result(gateway.view, trade, order.subaccount_id)
        if row["order_id"] == params.order_id
    ]


async def get_settlement_status(
    gateway: Gateway, caller: Caller, params: schemas.SettlementParams
) -> Result:
    """Where a trade or a withdrawal stands: sequenced, batched, or confirmed on chain."""
    allowed = gateway.subaccounts(caller)
    if params.trade_id is not None:
        trade = gateway.view.trades.get(int(params.trade_id))
        if trade is None or not {trade.maker_subaccount_id, trade.taker_subaccount_id} & set(
            allowed
        ):
            raise NotFound(f"no trade {params.trade_id}", "trade_id")
        seq = trade.seq
    elif params.subaccount_id is not None and params.nonce is not None:
        paid = gateway.view.withdrawals.get((params.subaccount_id, params.nonce))
        if paid is None or params.subaccount_id not in allowed:
            raise NotFound("no withdrawal under this nonce", "nonce")
        seq = paid.seq
        if (params.subaccount_id, params.nonce) in gateway.view.refused:
            return results.settlement_result(seq, None) | {"state": "refused"}
    else:
        raise InvalidParams("give trade_id, or subaccount_id and nonce", "trade_id")
    return results.settlement_result(seq, gateway.view.batch_of(seq))


# -- the connection -----------------------------------------------------------------------------


async def subscribe(gateway: Gateway, caller: Caller, params: schemas.ChannelsParams) -> list[str]:
    """Joins channels, those of the user included."""
    gateway.session(caller)
    return join(gateway, connection_of(caller), caller, params.channels)


async def unsubscribe(
    gateway: Gateway, caller: Caller, params: schemas.ChannelsParams
) -> list[str]:
    """Leaves channels."""
    gateway.session(caller)
    return gateway.channels.leave(params.channels, connection_of(caller))


async def unsubscribe_all(gateway: Gateway, caller: Caller, _: schemas.Empty) -> str:
    """Leaves all channels."""
    gateway.session(caller)
    connection = connection_of(caller)
    gateway.channels.leave(list(connection.channels), connection)
    return "ok"


async def logout(gateway: Gateway, caller: Caller, params: schemas.LogoutParams) -> str:
    """Ends the session; with `invalidate_token` its tokens everywhere."""
    session = gateway.session(caller)
    connection = caller.connection
    if connection is not None:
        user = [channel for channel in connection.channels if channel.startswith("user.")]
        gateway.channels.leave(user, connection)
        connection.session = None
    if params.invalidate_token:
        gateway.sessions.end(session)
    return "ok"


PRIVATE: Final[list[Method[Any]]] = [
    private_method(buy, EntryParams, matching=True, answer=answer_read),
    private_method(sell, EntryParams, matching=True, answer=answer_read),
    private_method(edit, EditParams, matching=True),
    private_method(cancel, schemas.OrderIdParams, matching=True),
    private_method(cancel_all, schemas.CancelAllParams, matching=True),
    private_method(cancel_all_by_instrument, schemas.CancelByInstrumentParams, matching=True),
    private_method(cancel_all_by_currency, schemas.CancelByCurrencyParams, matching=True),
    private_method(get_order_state, schemas.OrderIdParams),
    private_method(get_order_state_by_nonce, schemas.OrderByNonceParams),
    private_method(get_order_state_by_label, schemas.OrderByLabelParams),
    private_method(get_open_orders, schemas.OpenOrdersParams),
    private_method(get_open_orders_by_currency, schemas.OpenByCurrencyParams),
    private_method(get_open_orders_by_instrument, schemas.OpenByInstrumentParams),
    private_method(get_position, schemas.PositionParams),
    private_method(get_positions, schemas.PositionsParams),
    private_method(get_account_summary, schemas.AccountParams, scope="account:read"),
    private_method(get_account_summaries, schemas.AccountParams, scope="account:read"),
    private_method(get_subaccounts, schemas.Empty, scope="account:read"),
    private_method(get_subaccounts_details, SubaccountsDetailsParams, scope="account:read"),
    private_method(get_user_trades_by_instrument, schemas.UserTradesByInstrumentParams),
    private_method(get_user_trades_by_currency, schemas.UserTradesByCurrencyParams),
    private_method(get_user_trades_by_order, schemas.OrderIdParams),
    private_method(get_settlement_status, schemas.SettlementParams),
    private_method(subscribe, schemas.ChannelsParams, scope=""),
    private_method(unsubscribe, schemas.ChannelsParams, scope=""),
    private_method(unsubscribe_all, schemas.Empty, scope=""),
    private_method(logout, schemas.LogoutParams, scope=""),
]
SIGNED: Final = frozenset(
    {
        "private/buy",
        "private/sell",
        "private/edit",
        "private/mass_quote",
        "private/withdraw",
        "private/liquidation_bid",
        "private/submit_transfer_between_subaccounts",
    }
)
