"""Rows of the wire, made of fields, for AsyncAPI and OpenAPI.

Tests hold what is really sent against them. A row names all fields that it may have: one that is
not named here is never sent.
"""

from typing import Any, Final

from exchange.api.field_words import CONTRACTS, FIELDS, PERCENT, USDC
from exchange.api.field_words import PRICE as PRICE_WORDS

Schema = dict[str, Any]


def field(name: str, *, nullable: bool = False) -> Schema:
    """The schema of a field."""
    kind, words = FIELDS[name]
    types: list[str] = [kind.removesuffix("?")]
    if nullable or kind.endswith("?"):
        types.append("null")
    return {"type": types[0] if len(types) == 1 else types, "description": words}


def row(required: str, optional: str = "", **own: Schema) -> Schema:
    """An object with these fields and no others; `own` has its own schemas and is required."""
    names = required.split()
    properties = {name: field(name) for name in [*names, *optional.split()]} | own
    return {
        "type": "object",
        "properties": properties,
        "required": sorted({*names, *own}),
        "additionalProperties": False,
    }


def extended(base: Schema, required: str = "", optional: str = "", **own: Schema) -> Schema:
    """A row with more fields."""
    more = row(required, optional, **own)
    return base | {
        "properties": base["properties"] | more["properties"],
        "required": sorted({*base["required"], *more["required"]}),
    }


def rows(item: Schema, description: str = "") -> Schema:
    """A list of rows."""
    words = {"description": description} if description else {}
    return {"type": "array", "items": item} | words


def tuple_of(*items: Schema) -> Schema:
    """A list of fixed length."""
    return {
        "type": "array",
        "prefixItems": list(items),
        "minItems": len(items),
        "maxItems": len(items),
    }


def _named(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


PRICE: Final = {"type": "number", "description": PRICE_WORDS}
AMOUNT: Final = {"type": "number", "description": CONTRACTS}
LEVELS: Final = rows(tuple_of(PRICE, AMOUNT), "Best first")
_CHANGES: Final = rows(tuple_of(_named("new", "change", "delete"), PRICE, AMOUNT))
_NULLABLE: Final[Schema] = {"type": ["object", "null"]}

BOOK: Final = row(
    "timestamp instrument_name change_id",
    "prev_change_id",
    type=_named("snapshot", "change"),
    bids=_CHANGES,
    asks=_CHANGES,
)
DEPTH: Final = row("timestamp instrument_name change_id", bids=LEVELS, asks=LEVELS)
_SINGLE: Final = tuple_of(field("order_id"), PRICE, AMOUNT)
_PUT: Final = tuple_of(_named("put"), *_SINGLE["prefixItems"], field("direction"))
_GONE: Final = tuple_of(_named("delete"), field("order_id"))
ORDERS: Final = {
    "oneOf": [
        row(
            "timestamp instrument_name change_id",
            type=_named("snapshot"),
            bids=rows(_SINGLE),
            asks=rows(_SINGLE),
        ),
        row(
            "timestamp instrument_name change_id prev_change_id",
            type=_named("change"),
            orders=rows({"oneOf": [_PUT, _GONE]}),
        ),
    ]
}
STATE: Final = row("timestamp instrument_name state")
QUOTE: Final = row(
    "timestamp instrument_name best_bid_price best_bid_amount best_ask_price best_ask_amount"
)
STATS: Final = row("high low price_change volume volume_usd")
GREEKS: Final = row("delta gamma vega theta rho")
TICKER: Final = extended(
    QUOTE,
    "state last_price index_price settlement_price open_interest underlying_price underlying_index",
    "mark_price mark_iv bid_iv ask_iv interest_rate current_funding funding_8h interest_value",
    stats=STATS,
)
TICKER["properties"]["greeks"] = GREEKS
INTEREST: Final = row("timestamp index_price interest")
INDEX: Final = row("index_name price timestamp")
EXPIRATION: Final = row("price seconds is_estimated")
VOLATILITY_INDEX: Final = row("index_name volatility timestamp")
MARK: Final = row("instrument_name mark_price iv")
CANDLE: Final = row("tick open high low close volume cost")
TRADE: Final = row(
    "trade_id trade_seq instrument_name timestamp direction price amount contracts index_price"
    " mark_price tick_direction",
    "liquidation block_trade_id combo_id combo_trade_id",
)
USER_TRADE: Final = extended(
    TRADE,
    "order_id order_type liquidity fee fee_currency label post_only reduce_only self_trade"
    " subaccount_id seq",
    state=field("order_state"),
)
ORDER: Final = row(
    "order_id order_state instrument_name direction price amount contracts filled_amount"
    " average_price commission time_in_force post_only reject_post_only reduce_only label"
    " creation_timestamp last_update_timestamp replaced api web is_liquidation mmp cancel_reason"
    " subaccount_id nonce version deadline max_fee order_type max_show",
    "trigger trigger_price trigger_offset refresh_amount display_amount advanced implv usd"
    " limit_price",
)
POSITION: Final = row(
    "instrument_name kind direction average_price mark_price index_price settlement_price"
    " initial_margin maintenance_margin delta subaccount_id",
    "interest_value vega",
    size={"type": "number", "description": f"Signed; {CONTRACTS}"},
    floating_profit_loss={"type": "number", "description": f"Not realised, {USDC}"},
    realized_profit_loss={"type": "number", "description": USDC},
    total_profit_loss={"type": "number", "description": USDC},
    mark_value={"type": "number", "description": USDC},
)
POSITION["properties"]["realized_funding"] = {"type": "number", "description": USDC}
CHANGES: Final = row(
    "instrument_name", trades=rows(USER_TRADE), orders=rows(ORDER), positions=rows(POSITION)
)
ACCOUNT_FIGURES: Final = row(
    "currency id subaccount_id type owner balance equity margin_balance available_funds"
    " available_withdrawal_funds initial_margin maintenance_margin initial_excess"
    " maintenance_excess options_value session_funding collateral_value session_upl total_pl"
    " portfolio_margining_enabled cross_collateral_enabled margin_model"
)
ACCOUNT: Final = extended(ACCOUNT_FIGURES, "trading_suspended")
PROTECTION: Final = row("index_name subaccount_id frozen_until timestamp")
_SMILE: Final = row(
    "expiration_timestamp forward_price method quotes rate",
    "mean_error distance",
    strikes=rows({"type": "number", "description": USDC}),
    mark_iv=rows({"type": "number", "description": PERCENT}, "By strike"),
)
_SMILE["properties"]["parameters"] = {
    "type": "object",
    "description": "Of raw SVI: tau in years, a, b, rho, m and sigma",
    "additionalProperties": {"type": "number", "description": "Years, or a ratio"},
}
SURFACE: Final = row("index_name index_price epoch root timestamp", expiries=rows(_SMILE))
_HELD: Final = row("instrument_name amount")
LIQUIDATION_LEG: Final = row("instrument_name amount price")
LIQUIDATION_TOKEN: Final = row("currency amount value")
_OFFER: Final = (
    row("fraction price discount", legs=rows(LIQUIDATION_LEG), tokens=rows(LIQUIDATION_TOKEN))
    | _NULLABLE
)
LIQUIDATION: Final = row(
    "subaccount_id step creation_timestamp suspended",
    state=_named("slicing", "auction", "insolvent", "unwinding"),
    equity=field("equity", nullable=True),
    maintenance_margin=field("maintenance_margin", nullable=True),
    positions=rows(_HELD),
    for_sale=_OFFER,
)
RFQ_LEG: Final = row(
    "instrument_name direction", ratio={"type": "integer", "description": "Contracts a unit"}
)
RFQ_MAKER: Final = row(
    "block_rfq_id role instrument_name amount taker_direction disclosed creation_timestamp"
    " expiration_timestamp",
    "taker",
    state=_named("open", "filled", "cancelled", "expired"),
    legs=rows(RFQ_LEG),
    hedge=row("instrument_name direction amount") | _NULLABLE,
)
_RFQ_QUOTE: Final = row("block_rfq_quote_id price amount creation_timestamp")
RFQ_TAKER: Final = extended(
    RFQ_MAKER,
    "label subaccount_id",
    seq=field("seq", nullable=True),
    asks=rows(_RFQ_QUOTE, "The lowest first"),
    bids=rows(_RFQ_QUOTE, "The highest first"),
)
NOTICE: Final = row(
    "subaccount_id timestamp seq",
    "step instrument_name direction amount price fraction discount total equity maintenance_margin",
    type=_named(
        "started", "slice", "auction_started", "transfer", "insurance", "socialised_loss", "ended"
    ),
)
NOTICE["properties"] |= {
    "excess_before": {"type": "number", "description": f"Maintenance excess, {USDC}"},
    "excess_after": {"type": "number", "description": f"Maintenance excess, {USDC}"},
    "role": _named("liquidated", "taker"),
    "state": _named("slicing", "auction", "insolvent", "unwinding"),
    "discount_paid_by": _named("insurance_fund", "liquidated"),
    "legs": rows(LIQUIDATION_LEG),
    "tokens": rows(LIQUIDATION_TOKEN),
}
