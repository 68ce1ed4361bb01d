"""What outsiders may read of the engine: frozen copies, made between commits."""

import msgspec

from exchange.engine.records import Order
from exchange.events import RejectReason
from exchange.margin.account import MarginAccount
from exchange.margin.liquidation import Part
from exchange.model import LiquidationStage, OrderStatus, Side, TimeInForce, Trigger


class OrderView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order as its owner sees it; `fill_value` is what its fills were worth."""

    order_id: int
    subaccount_id: int
    instrument_id: int
    side: Side
    quantity: int
    filled_quantity: int
    fill_value: int
    limit_price: int
    max_fee: int
    nonce: int
    version: int
    deadline: int
    status: OrderStatus
    label: str
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    mmp: bool
    placed_ns: int
    updated_ns: int
    reject_reason: RejectReason | None
    trigger: Trigger | None
    is_quote: bool = False
    worst_price: int = 0  # the signed limit; differs from `limit_price` where the order follows
    volatility: int = 0
    market: bool = False


class MarginSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A subaccount's money in micro-USDC; requirements are >= 0, excess may be negative."""

    cash: int
    mark_value: int
    equity: int
    initial_margin: int
    maintenance_margin: int
    initial_excess: int
    maintenance_excess: int
    collateral_value: int = 0  # of tokens besides USDC, as far as they count
    standard: bool = False  # whether each position is margined by itself


class TokenView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One collateral token of a subaccount; amounts in 1e-8 of it, value in micro-USDC."""

    asset_id: int
    name: str
    amount: int  # all that is held
    idle: int  # of it beyond the venue's cap
    value: int  # what counts, at the index before haircuts
    withdrawable: int  # what surely may leave now; more may, if no scenario needs it


class Mark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An instrument's figures in the epoch in force; units in the glossary."""

    mark_price: int
    mark_iv: int
    delta: int
    vega: int


class ForSale(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an auction offers now: `price` of all that is offered, parts less discount."""

    fraction: int  # of each position, in 1e-18
    part: Part
    discount: int
    price: int


class LiquidationView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A subaccount in liquidation, as keepers and its owner see it."""

    subaccount_id: int
    stage: LiquidationStage
    step: int  # what a bid must expect
    started_ns: int
    waited_ns: int  # how long its auction has waited in this stage
    equity: int
    maintenance_margin: int
    positions: dict[int, int]
    collateral: dict[int, int]  # tokens by asset_id
    suspended: str  # why no step is taken now; empty if one is
    for_sale: ForSale | None


def order_view(order: Order) -> OrderView:
    """A frozen copy of an order."""
    terms = order.terms
    return OrderView(
        order_id=order.order_id,
        subaccount_id=terms.subaccount_id,
        instrument_id=terms.instrument_id,
        side=terms.side,
        quantity=order.quantity,
        filled_quantity=order.filled_quantity,
        fill_value=order.fill_value,
        limit_price=order.price,
        max_fee=terms.max_fee,
        nonce=terms.nonce,
        version=terms.version,
        deadline=terms.deadline,
        status=order.status,
        label=order.label,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        reduce_only=terms.reduce_only,
        mmp=order.mmp,
        placed_ns=order.placed_ns,
        updated_ns=order.updated_ns,
        reject_reason=order.reject_reason,
        trigger=order.trigger,
        is_quote=order.is_quote,
        worst_price=terms.limit_price,
        volatility=order.volatility,
        market=order.market,
    )


def margin_summary(account: MarginAccount) -> MarginSummary:
    """A frozen copy of an account's figures."""
    return MarginSummary(
        cash=account.cash,
        mark_value=account.mark_value(),
        equity=account.equity(),
        initial_margin=account.initial_margin(),
        maintenance_margin=account.maintenance_margin(),
        initial_excess=account.initial_excess(),
        maintenance_excess=account.maintenance_excess(),
        collateral_value=account.collateral_value(),
        standard=account.standard,
    )
