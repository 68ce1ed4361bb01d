"""What the venue answers, as frozen structs: decimals are `Decimal`, times UTC milliseconds.

Fields that a newer venue adds are ignored.
"""

from decimal import Decimal

import msgspec


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable thing."""

    instrument_name: str
    instrument_id: int
    kind: str
    base_currency: str
    price_index: str
    tick_size: Decimal
    min_trade_amount: Decimal
    lot_size: Decimal
    expiration_timestamp: int
    is_active: bool
    maker_commission: Decimal  # rates of the index
    taker_commission: Decimal
    strike: Decimal = Decimal(0)
    option_type: str = ""
    legs_hash: bytes = b""  # of a combo, what is signed; from the legs, never from the venue
    contracts: int = 1  # in a unit of a combo


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade; the fields from `order_id` on are there for one's own."""

    trade_id: str
    instrument_name: str
    timestamp: int
    direction: str
    price: Decimal
    amount: Decimal
    order_id: str = ""
    liquidity: str = ""
    fee: Decimal = Decimal(0)
    label: str = ""
    subaccount_id: int = 0
    seq: int = 0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order's state."""

    order_id: str
    order_state: str
    instrument_name: str
    direction: str
    price: Decimal
    amount: Decimal
    filled_amount: Decimal
    average_price: Decimal
    commission: Decimal
    time_in_force: str
    post_only: bool
    reduce_only: bool
    label: str
    subaccount_id: int
    nonce: int
    version: int
    deadline: int
    max_fee: Decimal
    cancel_reason: str = ""
    order_type: str = "limit"
    trigger: str = ""  # which price an order waits for, or waited for
    trigger_price: Decimal | None = None
    trigger_offset: Decimal | None = None
    max_show: Decimal | None = None  # what others see at a time
    display_amount: Decimal | None = None  # of an iceberg, what they see now
    advanced: str | None = None  # `implv`: the price follows a volatility
    implv: Decimal | None = None  # percent
    limit_price: Decimal | None = None  # of an advanced order, the worst price


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledged order: durable in the journal as `seq`."""

    order: Order
    trades: list[Trade]
    seq: int
    journal_hash: str
    receipt_signature: str = ""  # for whoever wants to hold the venue to its word
    receipt_proof: list[str] = []
    linked_order_ids: list[str] = []  # of orders that were placed together, the first included


class QuoteError(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a quote that does not stand."""

    instrument_name: str
    side: str
    code: int
    message: str
    reject_reason: str
    reason: str


class QuotesReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledged sheet: what it did (nothing if repeated), and the quotes that stand now."""

    sheet_nonce: int
    canceled: int
    kept: int
    placed: int
    refused: int
    quotes: list[Order]
    errors: list[QuoteError]
    seq: int
    journal_hash: str


class WithdrawalReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledged withdrawal."""

    id: int
    amount: Decimal
    address: str
    state: str
    subaccount_id: int
    nonce: int
    seq: int
    journal_hash: str


class TransferReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledged transfer to another subaccount of the same owner."""

    id: int
    currency: str
    amount: Decimal
    source: int
    other_side: int
    state: str
    nonce: int
    seq: int
    journal_hash: str


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """Initial margin that an order would take, and the prices it may have, in USDC."""

    instrument_name: str
    buy: Decimal
    sell: Decimal
    min_price: Decimal
    max_price: Decimal


class Ticker(msgspec.Struct, frozen=True, kw_only=True):
    """Best prices, mark and greeks of an instrument."""

    instrument_name: str
    timestamp: int
    best_bid_price: Decimal
    best_bid_amount: Decimal
    best_ask_price: Decimal
    best_ask_amount: Decimal
    index_price: Decimal
    underlying_price: Decimal
    mark_price: Decimal | None = None
    mark_iv: Decimal | None = None
    last_price: Decimal | None = None
    open_interest: Decimal = Decimal(0)
    greeks: dict[str, Decimal] = {}
    interest_rate: Decimal = Decimal(0)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a currency's book summary."""

    instrument_name: str
    base_currency: str
    bid_price: Decimal | None
    ask_price: Decimal | None
    mark_price: Decimal | None
    underlying_price: Decimal
    open_interest: Decimal
    mark_iv: Decimal | None = None  # percent
    interest_rate: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)


class OrderBook(msgspec.Struct, frozen=True, kw_only=True):
    """A book as it stood; levels are (price, amount), the best first."""

    instrument_name: str
    timestamp: int
    change_id: int
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]
    mark_price: Decimal | None = None
    index_price: Decimal = Decimal(0)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A position; `size` is signed contracts."""

    instrument_name: str
    direction: str
    size: Decimal
    average_price: Decimal
    mark_price: Decimal
    floating_profit_loss: Decimal
    realized_profit_loss: Decimal
    delta: Decimal
    subaccount_id: int
    kind: str = "option"
    vega: Decimal = Decimal(0)
    mark_value: Decimal = Decimal(0)
    index_price: Decimal = Decimal(0)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Cash and margin of a subaccount, in USDC."""

    subaccount_id: int
    owner: str
    balance: Decimal
    equity: Decimal
    available_funds: Decimal
    available_withdrawal_funds: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    initial_excess: Decimal = Decimal(0)  # below 0: no new risk
    maintenance_excess: Decimal = Decimal(0)  # below 0: liquidation
    margin_model: str = ""
    trading_suspended: bool = False  # by the venue: orders only reduce


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of the grid; the spot as a multiple of the index, before any stretch."""

    spot: Decimal
    volatility: str
    weight: Decimal


class ScenarioGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What each scenario takes from or gives to a group of underlyings, in USDC."""

    underlyings: list[str]
    scenarios: list[Decimal]
    basis_contingency: Decimal
    worst: Decimal


class Simulation(Account, frozen=True, kw_only=True):
    """An account as it would be, and the scenarios that say so."""

    projected_initial_margin: Decimal
    projected_maintenance_margin: Decimal
    current_initial_margin: Decimal
    current_maintenance_margin: Decimal
    positions: dict[str, Decimal]
    collateral: dict[str, Decimal]
    scenarios: list[Scenario]
    scenario_spots: dict[str, list[Decimal]]  # by underlying, as they are stretched now
    groups: list[ScenarioGroup]


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a trade or withdrawal stands: sequenced, batched or confirmed."""

    seq: int
    state: str
    batch: int | None
    block: int | None
    transaction: str | None


class SigningDomain(msgspec.Struct, frozen=True, kw_only=True):
    """What orders must be signed for."""

    chain_id: int
    verifying_contract: str
    collateral: str
    deadline_seconds_max: int
    maker_rate: Decimal
    taker_rate: Decimal
    premium_cap: Decimal
    collaterals: dict[str, str] = {}  # addresses of tokens besides USDC, by name


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """A session."""

    access_token: str
    refresh_token: str
    expires_in: int
    address: str
    subaccount_ids: list[int]


class SoldLeg(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a position; `amount` is signed as the liquidated subaccount holds it."""

    instrument_name: str
    amount: Decimal
    price: Decimal


class SoldToken(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a token, paid at `value`."""

    currency: str
    amount: Decimal
    value: Decimal


class ForSale(msgspec.Struct, frozen=True, kw_only=True):
    """What an auction offers now: `price` of all of it, less `discount` already."""

    fraction: Decimal
    price: Decimal
    discount: Decimal
    legs: list[SoldLeg]
    tokens: list[SoldToken]


class Liquidation(msgspec.Struct, frozen=True, kw_only=True):
    """A subaccount in liquidation; figures are shown in its auction only."""

    subaccount_id: int
    state: str
    step: int
    suspended: str | None
    equity: Decimal | None
    maintenance_margin: Decimal | None
    for_sale: ForSale | None


class TakenOver(msgspec.Struct, frozen=True, kw_only=True):
    """A bid that was filled."""

    liquidated_id: int
    step: int
    fraction: Decimal
    price: Decimal
    discount: Decimal
    legs: list[SoldLeg]
    tokens: list[SoldToken]
    seq: int
    journal_hash: str
