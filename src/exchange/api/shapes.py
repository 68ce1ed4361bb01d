"""What fields of the wire mean: type and unit of each, and the rows that they make up.

Written once, for AsyncAPI and OpenAPI; tests hold what is really sent against it. A row names all
fields that it may have: one that is not named here is never sent.
"""

from typing import Any, Final

Schema = dict[str, Any]

_USDC: Final = "USDC"
_PRICE: Final = "USDC a contract, or of a combo a unit"
_CONTRACTS: Final = "Contracts, or of a combo units"
_PERCENT: Final = "Yearly volatility, percent"
_MS: Final = "UTC milliseconds"
_N, _I, _S, _B = "number", "integer", "string", "boolean"

# name: (JSON type, unit or meaning); "?" after the type: may be null
FIELDS: Final[dict[str, tuple[str, str]]] = {
    "advanced": (_S, "`implv`: the order's price is a volatility"),
    "amount": (_N, _CONTRACTS),
    "api": (_B, "Always true"),
    "ask_iv": (_N, _PERCENT),
    "available_funds": (_N, f"Initial excess, not below zero, {_USDC}"),
    "available_withdrawal_funds": (_N, f"What of cash may surely leave, {_USDC}"),
    "average_price": (_N, f"Of the fills, {_PRICE}"),
    "balance": (_N, f"Cash, may be negative, {_USDC}"),
    "best_ask_amount": (_N, f"At the lowest offer, {_CONTRACTS}; 0 without one"),
    "best_ask_price": (_N + "?", _PRICE),
    "best_bid_amount": (_N, f"At the highest bid, {_CONTRACTS}; 0 without one"),
    "best_bid_price": (_N + "?", _PRICE),
    "bid_iv": (_N, _PERCENT),
    "block_rfq_id": (_I, "Number of the request for quote"),
    "block_rfq_quote_id": (_I, "Number of the quote"),
    "block_trade_id": (_S, "Common to the trades of one block"),
    "cancel_reason": (_S, "Why the order left the book; empty if it did not"),
    "change_id": (_I, "`seq` of the command that last changed the book"),
    "close": (_N, f"Last price of the step, {_PRICE}"),
    "collateral_value": (_N, f"Tokens besides USDC at the index after haircuts, {_USDC}"),
    "combo_id": (_S, "Name of the combo whose leg this trade is"),
    "combo_trade_id": (_S, "Trade of the combo whose leg this trade is"),
    "commission": (_N, f"Fees so far, {_USDC}"),
    "contracts": (_N, _CONTRACTS),
    "cost": (_N, f"Turnover of the step, {_USDC}"),
    "creation_timestamp": (_I, _MS),
    "cross_collateral_enabled": (_B, "Always true"),
    "currency": (_S, "USDC, or a token"),
    "current_funding": (_N, "Rate that longs pay for eight hours, of the index"),
    "deadline": (_I, "UTC second after which the signature is void"),
    "delta": (_N, "Of one contract, in units of the underlying"),
    "direction": (_S, "`buy` or `sell`"),
    "discount": (_N, f"What the taker gets, {_USDC}"),
    "disclosed": (_B, "Whether makers see who asks"),
    "display_amount": (_N, f"What others see now, {_CONTRACTS}"),
    "distance": (_N, "Of the smile from its reference, percent"),
    "epoch": (_I, "Epoch of risk arrays"),
    "equity": (_N, f"Cash and positions at their marks, {_USDC}"),
    "expiration_timestamp": (_I, _MS),
    "fee": (_N, f"Of this side, {_USDC}"),
    "fee_currency": (_S, "Always USDC"),
    "filled_amount": (_N, _CONTRACTS),
    "forward_price": (_N, _USDC),
    "fraction": (_N, "Share of each position"),
    "frozen_until": (_I, f"{_MS}; 0: until it is reset"),
    "funding_8h": (_N, "What longs paid in the last eight hours, of the index"),
    "gamma": (_N, "Change of delta for one USDC of the forward"),
    "high": (_N + "?", _PRICE),
    "id": (_I, "Number of the subaccount"),
    "implv": (_N, _PERCENT),
    "index_name": (_S, "Such as btc_usdc"),
    "index_price": (_N, _USDC),
    "initial_excess": (_N, f"Equity above the initial requirement, {_USDC}"),
    "initial_margin": (_N, f"Requirement for new risk, {_USDC}"),
    "instrument_name": (_S, "Name of the instrument"),
    "interest": (_N, "Rate that longs pay for eight hours, of the index"),
    "interest_rate": (_N, "Continuous, yearly"),
    "interest_value": (_N, f"Paid by a long contract since the listing, {_USDC}"),
    "is_estimated": (_B, "Whether the delivery window has not begun"),
    "is_liquidation": (_B, "Always false: liquidations place no orders of the owner"),
    "iv": (_N, _PERCENT),
    "kind": (_S, "`option`, `future`, `option_combo` or `future_combo`"),
    "label": (_S, "The owner's words"),
    "last_price": (_N + "?", _PRICE),
    "last_update_timestamp": (_I, _MS),
    "limit_price": (_N, f"The signed worst price, {_PRICE}"),
    "liquidation": (_S, "`T`: the taker was liquidated"),
    "liquidity": (_S, "`M` maker, `T` taker"),
    "low": (_N + "?", _PRICE),
    "maintenance_excess": (_N, f"Equity above the maintenance requirement, {_USDC}"),
    "maintenance_margin": (_N, f"Requirement to stay, {_USDC}"),
    "margin_balance": (_N, f"Equity, {_USDC}"),
    "margin_model": (_S, "`cross_pm` or `cross_sm`"),
    "mark_iv": (_N, _PERCENT),
    "mark_price": (_N, _PRICE),
    "max_fee": (_N, f"The signed limit, {_USDC} a contract or unit"),
    "max_show": (_N, f"What others may see at once, {_CONTRACTS}"),
    "mean_error": (_N, "Of the smile at its quotes, percent"),
    "method": (_S, "How a smile was made"),
    "mmp": (_B, "Whether market-maker protection cancels it"),
    "nonce": (_I, "Of the signed order"),
    "open": (_N, f"First price of the step, {_PRICE}"),
    "open_interest": (_N, f"Sum of long positions, {_CONTRACTS}"),
    "options_value": (_N, f"Options at their marks, {_USDC}"),
    "order_id": (_S, "Our number of the order"),
    "order_state": (_S, "`open`, `filled`, `cancelled`, `rejected` or `untriggered`"),
    "order_type": (_S, "As in `type` of the order"),
    "owner": (_S, "Address"),
    "portfolio_margining_enabled": (_B, "False of a standard subaccount"),
    "post_only": (_B, "Whether it never takes"),
    "prev_change_id": (_I, "`change_id` of the message before"),
    "price": (_N, _PRICE),
    "price_change": (_N + "?", "Of a day, percent"),
    "quotes": (_I, "How many a smile was fitted to"),
    "rate": (_N, "Continuous, yearly"),
    "reduce_only": (_B, "Whether it only shrinks a position"),
    "refresh_amount": (_N, f"Size of a fresh slice, {_CONTRACTS}"),
    "reject_post_only": (_B, "Whether it is refused rather than moved"),
    "replaced": (_B, "Whether it was edited"),
    "rho": (_N, "USDC for one percent of the rate"),
    "role": (_S, "`maker` or `taker`"),
    "root": (_S, "Merkle root of the epoch, 0x and 64 hex digits"),
    "seconds": (_I, "Until the next expiry"),
    "self_trade": (_B, "Whether both sides are one subaccount's"),
    "seq": (_I, "Place in the journal"),
    "session_funding": (_N, f"Funding received on positions that are open, {_USDC}"),
    "session_upl": (_N, f"Not realised, {_USDC}"),
    "settlement_price": ("null", "None: positions are not marked to a daily price"),
    "state": (_S, "`open`, `halted`, `auction` or `closed`"),
    "step": (_I, "What a bid must expect"),
    "subaccount_id": (_I, "Number of the subaccount"),
    "suspended": (_S + "?", "Why nothing happens now"),
    "taker": (_S, "Address; of a disclosed request"),
    "taker_direction": (_S + "?", "`buy`, `sell`, or null for both"),
    "theta": (_N, "USDC a day"),
    "tick": (_I, f"Begin of the step, {_MS}"),
    "tick_direction": (_I, "0 up, 1 unchanged after up, 2 down, 3 unchanged after down"),
    "time_in_force": (_S, "As in the order"),
    "timestamp": (_I, _MS),
    "total": (_N, f"Of all shares, {_USDC}"),
    "total_pl": (_N, f"Realised or not, {_USDC}"),
    "trade_id": (_S, "Our number of the trade"),
    "trade_seq": (_I, "The same as a number; grows"),
    "trigger": (_S, "`mark_price`, `index_price` or `last_price`"),
    "trigger_offset": (_N, f"Of a trailing stop, {_USDC}"),
    "trigger_price": (_N, _USDC),
    "type": (_S, "What this is"),
    "underlying_index": (_S, "Always `index_price`"),
    "underlying_price": (_N, f"Forward of the expiry, {_USDC}"),
    "usd": (_N, f"Where a volatility order rests, {_PRICE}"),
    "value": (_N, _USDC),
    "vega": (_N, "USDC for one percent of volatility"),
    "version": (_I, "Of the signed order; grows with each edit"),
    "volatility": (_N, _PERCENT),
    "volume": (_N, _CONTRACTS),
    "volume_usd": (_N, f"Turnover, {_USDC}"),
    "web": (_B, "Always false"),
}


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


PRICE: Final = {"type": "number", "description": _PRICE}
AMOUNT: Final = {"type": "number", "description": _CONTRACTS}
_LEVELS: Final = rows(tuple_of(PRICE, AMOUNT), "Best first")
_CHANGES: Final = rows(tuple_of(_named("new", "change", "delete"), PRICE, AMOUNT))
_NULLABLE: Final[Schema] = {"type": ["object", "null"]}

BOOK: Final = row(
    "timestamp instrument_name change_id",
    "prev_change_id",
    type=_named("snapshot", "change"),
    bids=_CHANGES,
    asks=_CHANGES,
)
DEPTH: Final = row("timestamp instrument_name change_id", bids=_LEVELS, asks=_LEVELS)
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
    size={"type": "number", "description": f"Signed; {_CONTRACTS}"},
    floating_profit_loss={"type": "number", "description": f"Not realised, {_USDC}"},
    realized_profit_loss={"type": "number", "description": _USDC},
    total_profit_loss={"type": "number", "description": _USDC},
    mark_value={"type": "number", "description": _USDC},
)
POSITION["properties"]["realized_funding"] = {"type": "number", "description": _USDC}
CHANGES: Final = row(
    "instrument_name", trades=rows(USER_TRADE), orders=rows(ORDER), positions=rows(POSITION)
)
ACCOUNT: Final = row(
    "currency id subaccount_id type owner balance equity margin_balance available_funds"
    " available_withdrawal_funds initial_margin maintenance_margin initial_excess"
    " maintenance_excess options_value session_funding collateral_value session_upl total_pl"
    " portfolio_margining_enabled cross_collateral_enabled margin_model"
)
PROTECTION: Final = row("index_name subaccount_id frozen_until timestamp")
_SMILE: Final = row(
    "expiration_timestamp forward_price method quotes rate",
    "mean_error distance",
    strikes=rows({"type": "number", "description": _USDC}),
    mark_iv=rows({"type": "number", "description": _PERCENT}, "By strike"),
)
_SMILE["properties"]["parameters"] = {"type": "object", "additionalProperties": {"type": "number"}}
SURFACE: Final = row("index_name index_price epoch root timestamp", expiries=rows(_SMILE))
_HELD: Final = row("instrument_name amount")
_LEG: Final = row("instrument_name amount price")
_TOKEN: Final = row("currency amount value")
_OFFER: Final = row("fraction price discount", legs=rows(_LEG), tokens=rows(_TOKEN)) | _NULLABLE
LIQUIDATION: Final = row(
    "subaccount_id step creation_timestamp suspended",
    state=_named("slicing", "auction", "insolvent", "unwinding"),
    equity=field("equity", nullable=True),
    maintenance_margin=field("maintenance_margin", nullable=True),
    positions=rows(_HELD),
    for_sale=_OFFER,
)
_RFQ_LEG: Final = row(
    "instrument_name direction", ratio={"type": "integer", "description": "Contracts a unit"}
)
RFQ_MAKER: Final = row(
    "block_rfq_id role instrument_name amount taker_direction disclosed creation_timestamp"
    " expiration_timestamp",
    "taker",
    state=_named("open", "filled", "cancelled", "expired"),
    legs=rows(_RFQ_LEG),
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
    "excess_before": {"type": "number", "description": f"Maintenance excess, {_USDC}"},
    "excess_after": {"type": "number", "description": f"Maintenance excess, {_USDC}"},
    "role": _named("liquidated", "taker"),
    "state": _named("slicing", "auction", "insolvent", "unwinding"),
    "discount_paid_by": _named("insurance_fund", "liquidated"),
    "legs": rows(_LEG),
    "tokens": rows(_TOKEN),
}
