"""Deribit's result objects, from the gateway's records.

Pure functions of the view; names and units are Deribit's, decimals come from `schemas`. Times are
UTC milliseconds.
"""

import math
from typing import Any, Final

import msgspec

from exchange.api.order_types import TIMES_IN_FORCE, order_type, put_show, put_type
from exchange.api.ports import Margin, Token
from exchange.api.records import Batch, Mark, OrderRecord, Position, Trade
from exchange.api.schemas import (
    cash_number,
    quantity_number,
    ratio_number,
    token_number,
    vol_percent_number,
)
from exchange.api.views import VenueView
from exchange.api.volatility import volatility_fields
from exchange.fixed import (
    CASH_SCALE,
    QUANTITY_SCALE,
    RATIO_SCALE,
    VOL_SCALE,
    div_down,
    div_half_even,
    mul_div_down,
    notional,
    to_milliseconds_down,
)
from exchange.matching.listing import cycle
from exchange.model import (
    Instrument,
    InstrumentStatus,
    Kind,
    OrderStatus,
    Side,
    civil_date,
    unpack_instrument_id,
)

Result = dict[str, Any]

_KIND_NAMES: Final = {Kind.OPTION: "option", Kind.PERPETUAL: "future", Kind.FUTURE: "future"}
DIRECTIONS: Final = {Side.BUY: "buy", Side.SELL: "sell"}
_OPPOSITE: Final = {side: side.opposite for side in Side}
ORDER_STATES: Final = {
    OrderStatus.UNTRIGGERED: "untriggered",
    OrderStatus.OPEN: "open",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELED: "cancelled",
    OrderStatus.EXPIRED: "cancelled",
    OrderStatus.REJECTED: "rejected",
}
STATES: Final = {
    InstrumentStatus.LIVE: "open",
    InstrumentStatus.HALTED: "halted",
    InstrumentStatus.AUCTION: "auction",
    InstrumentStatus.EXPIRED: "closed",
}
_DAY_MS: Final = 86_400_000
_DAY_NS: Final = _DAY_MS * 10**6
_YEAR_SECONDS: Final = 365 * 86_400


def date_text(expiry: int) -> str:
    """ISO date of a UTC second."""
    year, month, day = civil_date(div_down(expiry, 86_400))
    return f"{year:04d}-{month:02d}-{day:02d}"


def index_name(underlying: str) -> str:
    """Deribit's name of an index, such as btc_usdc."""
    return f"{underlying.lower()}_usdc"


def kind_name(instrument: Instrument) -> str:
    """Deribit's kind; of a combo by whether an option is among its legs."""
    if not instrument.legs:
        return _KIND_NAMES[instrument.kind]
    kinds = {unpack_instrument_id(leg.instrument_id).kind for leg in instrument.legs}
    return "option_combo" if Kind.OPTION in kinds else "future_combo"


def kind_matches(instrument: Instrument, kind: str) -> bool:
    """Whether a filter by kind lets an instrument through."""
    name = kind_name(instrument)
    return kind in ("any", name) or (kind == "combo" and bool(instrument.legs))


def signed_instrument(instrument: Instrument) -> str:
    """What an order signs as its instrument, as decimal text: beyond 2**53."""
    hashed = instrument.legs_hash
    return str(int.from_bytes(hashed, "big") if hashed else instrument.instrument_id)


def instrument_result(view: VenueView, instrument: Instrument) -> Result:
    """`public/get_instrument`."""
    assert view.parameters is not None
    base = view.underlying_name(instrument.underlying_id)
    maker_rate = view.parameters.fees.rate(instrument.kind, maker=True)
    taker_rate = view.parameters.fees.rate(instrument.kind, maker=False)
    expired = instrument.instrument_id in view.expired
    result: Result = {
        "instrument_name": instrument.name,
        "instrument_id": instrument.instrument_id,
        "signed_instrument": signed_instrument(instrument),
        "kind": kind_name(instrument),
        "instrument_type": "linear",
        "base_currency": base,
        "quote_currency": "USDC",
        "counter_currency": "USDC",
        "settlement_currency": "USDC",
        "settlement_period": cycle(instrument.expiry) if instrument.expiry else "perpetual",
        "price_index": index_name(base),
        "contract_size": 1,
        "tick_size": cash_number(instrument.tick_size),
        "tick_size_steps": [],
        "min_trade_amount": quantity_number(instrument.min_quantity),
        "lot_size": quantity_number(instrument.lot_size),
        "maker_commission": ratio_number(maker_rate, RATIO_SCALE),
        "taker_commission": ratio_number(taker_rate, RATIO_SCALE),
        "block_trade_commission": ratio_number(taker_rate, RATIO_SCALE),
        "creation_timestamp": to_milliseconds_down(view.listed_ns[instrument.instrument_id]),
        "expiration_timestamp": instrument.expiry * 1000 or 32_503_708_800_000,
        "is_active": not expired,
        "state": STATES[view.statuses[instrument.instrument_id]],
        "rfq": False,
        "speed_bump_ms": div_down(view.speed_bumps.get(instrument.instrument_id, 0), 1_000_000),
    }
    if instrument.kind is Kind.OPTION:
        result["strike"] = cash_number(instrument.strike)
        result["option_type"] = instrument.option_kind.name.lower()
    return result


def trade_result(view: VenueView, trade: Trade) -> Result:
    """One public trade; `direction` is the taker's. A leg names the combo's trade."""
    result: Result = {
        "trade_id": str(trade.trade_id),
        "trade_seq": trade.trade_id,
        "instrument_name": view.instruments[trade.instrument_id].name,
        "timestamp": to_milliseconds_down(trade.time_ns),
        "direction": DIRECTIONS[trade.taker_side],
        "price": cash_number(trade.price),
        "amount": quantity_number(trade.quantity),
        "contracts": quantity_number(trade.quantity),
        "index_price": cash_number(trade.index_price),
        "mark_price": cash_number(trade.mark_price),
        "tick_direction": trade.tick_direction,
    }
    if trade.liquidation:
        result["liquidation"] = "T"
    if trade.block:
        result["block_trade_id"] = f"BLOCK-{trade.seq}"
    if trade.combo_id:
        result["combo_id"] = view.instruments[trade.combo_id].name
        result["combo_trade_id"] = str(trade.combo_trade_id)
    return result


def user_trade_result(view: VenueView, trade: Trade, subaccount_id: int) -> list[Result]:
    """A trade as a subaccount sees it: one object a side, two for a trade with itself."""
    sides = []
    if trade.taker_subaccount_id == subaccount_id:
        sides.append(taker_trade_result(view, trade))
    if trade.maker_subaccount_id == subaccount_id:
        fee = cash_number(trade.maker_fee)
        row = _side_result(view, trade, trade.maker_order_id, fee)
        direction = DIRECTIONS[_OPPOSITE[trade.taker_side]]
        row |= {"direction": direction, "liquidity": "M", "subaccount_id": subaccount_id}
        sides.append(row)
    return sides


def taker_trade_result(view: VenueView, trade: Trade) -> Result:
    """The taker's side of a trade."""
    return _side_result(view, trade, trade.taker_order_id, cash_number(trade.taker_fee))


def _side_result(view: VenueView, trade: Trade, order_id: int, fee: msgspec.Raw) -> Result:
    """The side of one order, in the taker's words."""
    order = view.orders.get(order_id)
    row = trade_result(view, trade)
    row["order_id"] = str(order_id)
    row["order_type"] = order_type(order) if order else "limit"
    row["liquidity"] = "T"
    row["fee"] = fee
    row["fee_currency"] = "USDC"
    row["label"] = order.label if order else ""
    row["state"] = ORDER_STATES[order.status] if order else "filled"
    row["post_only"] = order.post_only if order else False
    row["reduce_only"] = order.reduce_only if order else False
    row["self_trade"] = trade.maker_subaccount_id == trade.taker_subaccount_id
    row["subaccount_id"] = trade.taker_subaccount_id
    row["seq"] = trade.seq
    return row


def order_result(view: VenueView, order: OrderRecord) -> Result:
    """An order's state; `nonce`, `version`, `deadline`, `max_fee` are what its owner signed."""
    amount = quantity_number(order.quantity)
    result: Result = {
        "order_id": str(order.order_id),
        "order_state": ORDER_STATES[order.status],
        "instrument_name": view.instruments[order.instrument_id].name,
        "direction": DIRECTIONS[order.side],
        "price": cash_number(order.limit_price),
        "amount": amount,
        "contracts": amount,
        "filled_amount": quantity_number(order.filled_quantity),
        "average_price": cash_number(order.average_price),
        "commission": cash_number(order.fees),
        "time_in_force": TIMES_IN_FORCE[order.time_in_force],
        "post_only": order.post_only,
        "reject_post_only": order.reject_post_only,
        "reduce_only": order.reduce_only,
        "label": order.label,
        "creation_timestamp": to_milliseconds_down(order.placed_ns),
        "last_update_timestamp": to_milliseconds_down(order.updated_ns),
        "replaced": order.replaced,
        "api": True,
        "web": False,
        "is_liquidation": False,
        "mmp": order.mmp,
        "cancel_reason": order.cancel_reason,
        "subaccount_id": order.subaccount_id,
        "nonce": order.nonce,
        "version": order.version,
        "deadline": order.deadline,
        "max_fee": cash_number(order.max_fee),
    }
    put_type(result, order)
    put_show(result, order)
    if order.volatility:
        result |= volatility_fields(order)
    return result


def trigger_result(view: VenueView, order: OrderRecord) -> Result:
    """An order that waited for a price; here it has one number before and after."""
    order_id = str(order.order_id)
    result: Result = {
        "trigger_order_id": order_id,
        "order_id": order_id,
        "instrument_name": view.instruments[order.instrument_id].name,
        "direction": DIRECTIONS[order.side],
        "price": cash_number(order.limit_price),
        "amount": quantity_number(order.quantity),
        "post_only": order.post_only,
        "reduce_only": order.reduce_only,
        "label": order.label,
        "last_update_timestamp": to_milliseconds_down(order.updated_ns),
        "subaccount_id": order.subaccount_id,
    }
    put_type(result, order)
    return result | {"order_type": "market" if order.market else "limit"}


def ticker_result(view: VenueView, instrument: Instrument) -> Result:
    """`public/ticker`."""
    instrument_id = instrument.instrument_id
    book = view.books[instrument_id]
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    trades = view.instrument_trades[instrument_id]
    index = view.index_prices.get(instrument.underlying_id, (0, 0))[0]
    result: Result = {
        "instrument_name": instrument.name,
        "timestamp": to_milliseconds_down(view.time_ns),
        "state": STATES[view.statuses[instrument_id]],
        "best_bid_price": cash_number(bid[0]) if bid else 0,
        "best_bid_amount": quantity_number(bid[1]) if bid else 0,
        "best_ask_price": cash_number(ask[0]) if ask else 0,
        "best_ask_amount": quantity_number(ask[1]) if ask else 0,
        "last_price": cash_number(trades[-1].price) if trades else None,
        "index_price": cash_number(index),
        "settlement_price": None,
        "open_interest": quantity_number(open_interest(view, instrument_id)),
        "stats": stats_result(view, instrument_id),
    }
    mark = view.mark(instrument_id)
    if mark is not None:
        result["mark_price"] = cash_number(mark.mark_price)
    risk = view.marks.expiry(instrument.underlying_id, instrument.expiry) if view.marks else None
    result["underlying_price"] = cash_number(risk.forward_price if risk else index)
    result["underlying_index"] = "index_price"
    if instrument.kind is Kind.OPTION and mark is not None:
        forward = risk.forward_price if risk else index
        result |= {
            "mark_iv": vol_percent_number(mark.mark_iv),
            "bid_iv": 0,
            "ask_iv": 0,
            "interest_rate": ratio_number(risk.rate if risk else 0, RATIO_SCALE),
            "greeks": greeks_result(view, instrument, mark, forward),
        }
    if instrument.kind is Kind.PERPETUAL:
        result |= funding_result(view, instrument)
    return result


def funding_result(view: VenueView, instrument: Instrument) -> Result:
    """What a perpetual's longs pay now, paid in eight hours, and since the listing a contract."""
    funding, key = view.funding, instrument.instrument_id
    eight_hours = funding.interest(key, view.time_ns - _DAY_NS // 3, view.time_ns)
    return {
        "current_funding": ratio_number(view.current_funding(instrument), RATIO_SCALE),
        "funding_8h": ratio_number(eight_hours, RATIO_SCALE),
        "interest_value": cash_number(funding.index(key)),
    }


def interest_result(view: VenueView, instrument: Instrument) -> Result:
    """The `perpetual` channel: the rate in force."""
    index = view.index_prices.get(instrument.underlying_id, (0, 0))[0]
    return {
        "timestamp": to_milliseconds_down(view.time_ns),
        "index_price": cash_number(index),
        "interest": ratio_number(view.current_funding(instrument), RATIO_SCALE),
    }


def greeks_result(view: VenueView, instrument: Instrument, mark: Mark, forward: int) -> Result:
    """Delta and vega as journaled; gamma, theta, rho in floats, for display only.

    Black-76: gamma a USDC of forward, theta a day at this forward, rho a rate point.
    """
    risk = view.marks.expiry(instrument.underlying_id, instrument.expiry) if view.marks else None
    rate = risk.rate / RATIO_SCALE if risk else 0.0
    years = max(instrument.expiry - view.time_ns / 1e9, 0) / _YEAR_SECONDS
    vol = mark.mark_iv / VOL_SCALE
    gamma = theta = rho = 0.0
    if years > 0 and vol > 0 and forward > 0 and instrument.strike > 0:
        deviation = vol * math.sqrt(years)
        d1 = math.log(forward / instrument.strike) / deviation + deviation / 2
        density = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
        spot = forward / CASH_SCALE
        value, density = mark.mark_price / CASH_SCALE, density * math.exp(-rate * years)
        gamma = density / (spot * deviation)
        theta = (rate * value - spot * density * vol / (2 * math.sqrt(years))) / 365
        rho = -value * years / 100
    return {
        "delta": ratio_number(mark.delta),
        "gamma": round(gamma, 10),
        "vega": ratio_number(mark.vega),
        "theta": round(theta, 6),
        "rho": round(rho, 6),
    }


def open_interest(view: VenueView, instrument_id: int) -> int:
    """Sum of long positions, 1e-4 contracts."""
    return view.open_interest.get(instrument_id, 0)


def stats_result(view: VenueView, instrument_id: int) -> Result:
    """High, low, volume and change over the last day of kept trades."""
    since = view.time_ns - _DAY_NS
    trades = [t for t in view.instrument_trades[instrument_id] if t.time_ns > since]
    if not trades:
        return {"high": None, "low": None, "price_change": None, "volume": 0, "volume_usd": 0}
    prices = [trade.price for trade in trades]
    first, last = prices[0], prices[-1]
    # In 1e-2 percent; a combo's net price may be 0 or below, of which nothing is a percentage.
    change = div_half_even((last - first) * 10_000, first) if first > 0 else None
    return {
        "high": cash_number(max(prices)),
        "low": cash_number(min(prices)),
        "price_change": None if change is None else change / 100,
        "volume": quantity_number(sum(trade.quantity for trade in trades)),
        "volume_usd": cash_number(sum(notional(abs(t.price), t.quantity) for t in trades)),
    }


def book_result(view: VenueView, instrument: Instrument, depth: int) -> Result:
    """`public/get_order_book`."""
    book = view.books[instrument.instrument_id]
    return ticker_result(view, instrument) | {
        "bids": [[cash_number(p), quantity_number(q)] for p, q in book.levels(Side.BUY, depth)],
        "asks": [[cash_number(p), quantity_number(q)] for p, q in book.levels(Side.SELL, depth)],
        "change_id": book.change_id,
    }


def summary_result(view: VenueView, instrument: Instrument) -> Result:
    """`public/get_book_summary_by_currency`, one row."""
    ticker = ticker_result(view, instrument)
    book = view.books[instrument.instrument_id]
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    stats = ticker["stats"]
    result = {
        "instrument_name": instrument.name,
        "base_currency": view.underlying_name(instrument.underlying_id),
        "quote_currency": "USDC",
        "creation_timestamp": ticker["timestamp"],
        "bid_price": cash_number(bid[0]) if bid else None,
        "ask_price": cash_number(ask[0]) if ask else None,
        "mid_price": cash_number(mul_div_down(bid[0] + ask[0], 1, 2)) if bid and ask else None,
        "last": ticker["last_price"],
        "mark_price": ticker.get("mark_price"),
        "open_interest": ticker["open_interest"],
        "underlying_price": ticker["underlying_price"],
        "underlying_index": ticker["underlying_index"],
        "high": stats["high"],
        "low": stats["low"],
        "price_change": stats["price_change"],
        "volume": stats["volume"],
        "volume_usd": stats["volume_usd"],
        "volume_notional": stats["volume_usd"],
    }
    if "mark_iv" in ticker:
        result["mark_iv"] = ticker["mark_iv"]
        result["interest_rate"] = ticker["interest_rate"]
    return result


def position_result(view: VenueView, instrument: Instrument, position: Position) -> Result:
    """One position; `size` is signed contracts."""
    mark = view.mark(instrument.instrument_id)
    mark_price = mark.mark_price if mark else 0
    value = mul_div_down(mark_price, position.quantity, QUANTITY_SCALE)
    direction = "zero" if not position.quantity else "buy" if position.quantity > 0 else "sell"
    index = view.index_prices.get(instrument.underlying_id, (0, 0))[0]
    delta = mul_div_down(mark.delta if mark else 0, position.quantity, QUANTITY_SCALE)
    result: Result = {
        "instrument_name": instrument.name,
        "kind": kind_name(instrument),
        "direction": direction,
        "size": quantity_number(position.quantity),
        "average_price": cash_number(position.average_price),
        "mark_price": cash_number(mark_price),
        "index_price": cash_number(index),
        "settlement_price": None,
        "floating_profit_loss": cash_number(value - position.cost),
        "realized_profit_loss": cash_number(position.realized),
        "total_profit_loss": cash_number(value - position.cost),
        "mark_value": cash_number(value),
        "delta": ratio_number(delta),
        "initial_margin": 0,
        "maintenance_margin": 0,
    }
    if instrument.kind is Kind.PERPETUAL:
        result["realized_funding"] = cash_number(position.realized_funding)
        result["interest_value"] = cash_number(view.funding.index(instrument.instrument_id))
    if instrument.kind is Kind.OPTION and mark is not None:
        result["vega"] = ratio_number(mul_div_down(mark.vega, position.quantity, QUANTITY_SCALE))
    return result


def _linear_value(view: VenueView, subaccount_id: int) -> int:
    """Perpetuals and futures at their marks, rounded down."""
    value = 0
    for instrument_id, position in view.positions.get(subaccount_id, {}).items():
        mark = view.mark(instrument_id)
        if mark is not None and view.instruments[instrument_id].kind is not Kind.OPTION:
            value += mul_div_down(mark.mark_price, position.quantity, QUANTITY_SCALE)
    return value


def settlement_result(seq: int, batch: Batch | None) -> Result:
    """Where a command stands on its way to the chain."""
    if batch is None:
        return {"seq": seq, "state": "sequenced", "batch": None, "block": None, "transaction": None}
    return {
        "seq": seq,
        "state": "confirmed" if batch.confirmed else "batched",
        "batch": batch.number,
        "block": batch.block if batch.confirmed else None,
        "transaction": batch.transaction or None,
    }


def token_summary(account: Result, token: Token, index_price: int) -> Result:
    """One collateral token of `private/get_account_summaries`, in tokens; margin is in USDC."""
    return {
        "currency": token.name,
        "id": account["id"],
        "subaccount_id": account["subaccount_id"],
        "type": "subaccount",
        "owner": account["owner"],
        "balance": token_number(token.amount),
        "equity": token_number(token.amount),
        "margin_balance": token_number(token.amount - token.idle),
        "idle": token_number(token.idle),
        "available_withdrawal_funds": token_number(token.withdrawable),
        "index_price": cash_number(index_price),
        "collateral_value": cash_number(token.value),
        "portfolio_margining_enabled": account["portfolio_margining_enabled"],
        "cross_collateral_enabled": True,
        "margin_model": account["margin_model"],
    }


def summary_of_account(view: VenueView, subaccount_id: int, margin: Margin) -> Result:
    """Figures of `private/get_account_summary`; margins are requirements, >= 0, in USDC."""
    positions = view.positions.get(subaccount_id, {}).values()
    floating = margin.mark_value - sum(position.cost for position in positions)
    available = max(0, margin.initial_excess)
    return {
        "currency": "USDC",
        "id": subaccount_id,
        "subaccount_id": subaccount_id,
        "type": "subaccount",
        "owner": view.owners.get(subaccount_id, ""),
        "balance": cash_number(margin.cash),
        "equity": cash_number(margin.equity),
        "margin_balance": cash_number(margin.equity),
        "available_funds": cash_number(available),
        "available_withdrawal_funds": cash_number(min(available, max(0, margin.cash))),
        "initial_margin": cash_number(margin.initial_margin),
        "maintenance_margin": cash_number(margin.maintenance_margin),
        "initial_excess": cash_number(margin.initial_excess),
        "maintenance_excess": cash_number(margin.maintenance_excess),
        "options_value": cash_number(margin.mark_value - _linear_value(view, subaccount_id)),
        "session_funding": cash_number(sum(p.realized_funding for p in positions)),
        "collateral_value": cash_number(margin.collateral_value),
        "session_upl": cash_number(floating),
        "total_pl": cash_number(floating + sum(p.realized for p in positions)),
        "portfolio_margining_enabled": not margin.standard,
        "cross_collateral_enabled": True,
        "margin_model": "cross_sm" if margin.standard else "cross_pm",
    }
