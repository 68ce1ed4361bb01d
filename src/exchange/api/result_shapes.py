"""What each method answers: the shape of its result, field by field.

Made of the same rows as the channels. Every result that a test asks for is held against these, so
a field that is not named here is never sent.
"""

from typing import Final

from exchange.api.shapes import (
    ACCOUNT,
    ACCOUNT_FIGURES,
    AMOUNT,
    LEVELS,
    LIQUIDATION,
    LIQUIDATION_LEG,
    LIQUIDATION_TOKEN,
    NOTICE,
    ORDER,
    POSITION,
    PRICE,
    RFQ_LEG,
    RFQ_MAKER,
    RFQ_TAKER,
    SURFACE,
    TICKER,
    TRADE,
    USER_TRADE,
    Schema,
    extended,
    field,
    row,
    rows,
    tuple_of,
)


def _one(kind: str, words: str) -> Schema:
    """A value; `?` after its type: or null."""
    name = kind.removesuffix("?")
    return {"type": name if name == kind else [name, "null"], "description": words}


def _with(schema: Schema, **optional: Schema) -> Schema:
    """With more fields, which may be left out."""
    return schema | {"properties": schema["properties"] | optional}


def _by_name(values: Schema, words: str) -> Schema:
    return {"type": "object", "additionalProperties": values, "description": words}


_TEXTS: Final = rows({"type": "string"})
_OK: Final = _one("string", "`ok`")
_COUNT: Final = _one("integer", "How many orders were canceled")
_CHANNELS: Final = rows({"type": "string"}, "Names of channels")
_USDC: Final = _one("number", "USDC")
_TIME: Final = _one("integer", "UTC milliseconds")
_RATIO: Final = _one("number", "A ratio")
_HASH: Final = _one("string", "0x and 64 hex digits")
_ID: Final = _one("string", "Place in the journal: `seq` and which of its effects")
_COMBO_ID: Final = _one("string", "Name of the combo")
_KEY_ID: Final = _one("integer", "Number of the key")
_MORE_RECEIPT: Final = {
    "receipt_signature": field("receipt_signature"),
    "receipt_proof": rows({"type": "string"}, "Hashes from this receipt to the signed root"),
}


def _received(schema: Schema) -> Schema:
    """What a command answers: its place in the journal besides."""
    return _with(extended(schema, "journal_hash", seq=field("seq")), **_MORE_RECEIPT)


_PLACED: Final = _with(
    _received(row("", order=ORDER, trades=rows(USER_TRADE))),
    linked_order_ids=rows({"type": "string"}, "Orders that depend on each other, this one first"),
)
_INSTRUMENT: Final = row(
    "instrument_name instrument_id signed_instrument kind instrument_type base_currency"
    " quote_currency counter_currency settlement_currency settlement_period price_index"
    " contract_size tick_size min_trade_amount lot_size maker_commission taker_commission"
    " block_trade_commission creation_timestamp expiration_timestamp is_active state rfq"
    " speed_bump_ms",
    "strike option_type",
    tick_size_steps=rows({"type": "object"}, "Always empty"),
)
_BOOK: Final = extended(TICKER, "change_id", bids=LEVELS, asks=LEVELS)
_SUMMARY: Final = row(
    "instrument_name base_currency quote_currency creation_timestamp bid_price ask_price mid_price"
    " last open_interest underlying_price underlying_index high low price_change volume volume_usd"
    " volume_notional",
    "mark_iv interest_rate",
    mark_price=field("mark_price", nullable=True),
)
_TRADES: Final = row("has_more", trades=rows(TRADE))
_PAST_TRADE: Final = extended(USER_TRADE, "type", id=_ID)
_PAST_ORDER: Final = extended(ORDER, "timestamp seq", id=_ID)
_PAST_TRIGGER: Final = row(
    "timestamp seq trigger_order_id order_id instrument_name direction price amount post_only"
    " reduce_only label last_update_timestamp subaccount_id trigger",
    "trigger_price trigger_offset",
    id=_ID,
    order_type=_one("string", "`limit` or `market`: what it is once triggered"),
    order_state=_one("string", "`triggered`, `cancelled` or `rejected:` and the `reject_reason`"),
    request=_one("string", "`trigger:order` or `cancel`"),
)
_POOL: Final = row("rate burst remaining") | {}
_POOL["properties"]["rate"] = _one("number", "How fast it refills, credits a second")
_POOLS: Final = row("", matching=_POOL, other=_POOL)
_KEY: Final = row(
    "client_id name enabled max_scope subaccount_id timestamp default session_key"
    " session_key_deadline",
    id=_KEY_ID,
    ip_whitelist=rows({"type": "string"}, "Addresses and networks; none: from anywhere"),
)
_KEY["properties"]["subaccount_id"] = _one("integer?", "Number of a subaccount; null: all")
_NEW_KEY: Final = extended(_KEY, "client_secret")
_COMBO: Final = row(
    "instrument_id signed_instrument creation_timestamp state_timestamp",
    id=_COMBO_ID,
    state=_one("string", "`active` or `inactive`"),
    legs=rows(row("instrument_name", amount=_one("integer", "Signed ratio, contracts a unit"))),
)
_PROTECTION: Final = row(
    "subaccount_id index_name interval frozen_time quantity_limit delta_limit vega_limit frozen"
    " frozen_until"
)
_MONEY: Final = row(
    "timestamp seq type currency change",
    id=_ID,
    amount=_one("number", "Without its sign, units of `currency`"),
    state=_one("string", "`completed`, `confirmed` or `unconfirmed`"),
)
_LOG: Final = row("timestamp seq type", id=_ID)
_LOG["properties"] |= (
    _PAST_TRADE["properties"]
    | _MONEY["properties"]
    | row("", "address fee nonce other_side session_profit_loss position")["properties"]
)
_DELIVERED: Final = row(
    "timestamp seq type currency instrument_name change session_profit_loss", "position", id=_ID
)
_QUOTE: Final = row(
    "block_rfq_quote_id block_rfq_id instrument_name direction price amount subaccount_id"
    " creation_timestamp expiration_timestamp"
)
_RFQ: Final = extended(RFQ_TAKER)
_SEEN_RFQ: Final = {"anyOf": [RFQ_TAKER, RFQ_MAKER]}
_FUNDED: Final = row("timestamp index_price prev_index_price interest_1h interest_8h")
_UNDERLYING: Final = row("index_name index_price confidence scan")
_EXPIRY: Final = row("expiration_timestamp forward_price discount_long discount_short basis_weight")
_SHOCKED: Final = rows(_USDC, "The contract's price in each scenario")
_RISK_ROW: Final = row("instrument_name mark_price mark_iv delta vega", prices=_SHOCKED)
_LEAF: Final = row("leaf", proof=rows(_HASH, "Siblings up to the root"))
_RISK: Final = _with(
    row("preset epoch root timestamp stablecoin_price", weights=rows(_RATIO, "Of each scenario")),
    **_RISK_ROW["properties"],
    expiry=_EXPIRY,
    underlying=_UNDERLYING,
    proofs=row("", header=_LEAF, underlying=_LEAF, expiry=_LEAF, row=_LEAF),
    underlyings=rows(_UNDERLYING),
    expiries=rows(_EXPIRY),
    rows=rows(_RISK_ROW),
)
_GROUP: Final = row(
    "basis_contingency worst",
    underlyings=_TEXTS,
    isolated=rows({"type": "string"}, "Tokens that offset nothing"),
    scenarios=rows(_USDC, "Profit or loss in each scenario"),
)
_SIMULATED: Final = extended(
    ACCOUNT_FIGURES,
    "projected_initial_margin projected_maintenance_margin current_initial_margin"
    " current_maintenance_margin current_initial_excess current_maintenance_excess epoch"
    " initial_factor maintenance_factor initial_addons maintenance_addons",
    positions=_by_name(AMOUNT, "Contracts by instrument"),
    collateral=_by_name(_one("number", "Units of the token"), "Tokens by name"),
    scenarios=rows(row("spot weight", volatility=_one("string", "How volatility is shocked"))),
    scenario_spots=_by_name(rows(_RATIO), "What each scenario multiplies a price by"),
    groups=rows(_GROUP),
)
_TOKEN_SUMMARY: Final = row(
    "currency id subaccount_id type owner balance equity margin_balance idle"
    " available_withdrawal_funds index_price collateral_value portfolio_margining_enabled"
    " cross_collateral_enabled margin_model"
)
_SUMMARY_ROW: Final = {"oneOf": [ACCOUNT, _TOKEN_SUMMARY]}
_FEES: Final = rows(
    row(
        "",
        instrument_type=_one("string", "`option`, `future` or `perpetual`"),
        fee_type=_one("string", "Always `relative`: a ratio of the index"),
        maker_fee=_RATIO,
        taker_fee=_RATIO,
    ),
    "Where `extended` asked for them",
)
_SCOPE: Final = row(
    "",
    kinds=_TEXTS,
    daily_amount=_by_name(AMOUNT, "Contracts a UTC day by underlying"),
    distance=_one("number?", "How far from the mark, a ratio of the index"),
)
_MESSAGE: Final = row(
    "subaccountId instrument quantity limitPrice maxFee reduceOnly triggerHash nonce version"
    " deadline signer",
    side=_one("integer", "Number of the side: 0 buy, 1 sell"),
)
_REFUSED: Final = row(
    "instrument_name side code reject_reason reason", message=_one("string", "Name")
)
_POINTS: Final = rows(tuple_of(_TIME, PRICE), "Time and price")
_CANDLE: Final = tuple_of(_TIME, *[_one("number", "Yearly volatility, percent")] * 4)

RESULTS: Final[dict[str, Schema]] = {
    "public/test": row("", version=_one("string", "Of the venue")),
    "public/hello": row("", version=_one("string", "Of the venue")),
    "public/get_time": _TIME,
    "public/status": row("locked seq timestamp", locked_currencies=_TEXTS, locked_indices=_TEXTS),
    "public/get_signing_domain": row(
        "name chain_id verifying_contract collateral receipt_signer deadline_seconds_max maker_rate"
        " taker_rate linear_maker_rate linear_taker_rate premium_cap",
        version=_one("string", "Of the signing domain"),
        collaterals=_by_name(_one("string", "Address"), "Tokens besides USDC"),
    ),
    "public/get_sign_in_nonce": row(
        "domain uri chain_id expires_in timestamp", nonce=_one("string", "Serves once")
    ),
    "public/auth": row(
        "access_token refresh_token expires_in scope token_type address",
        state=_one("string", "As it was sent"),
        subaccount_ids=rows(_one("integer", "Number of a subaccount")),
    ),
    "public/get_currencies": rows(
        row(
            "currency currency_long coin_type decimals fee_precision min_confirmations"
            " min_withdrawal_fee withdrawal_fee in_cross_collateral_pool",
            withdrawal_priorities=rows({"type": "object"}, "Always empty"),
        )
    ),
    "public/get_instruments": rows(_INSTRUMENT),
    "public/get_instrument": _INSTRUMENT,
    "public/get_order_book": _BOOK,
    "public/get_order_book_by_instrument_id": _BOOK,
    "public/ticker": TICKER,
    "public/get_index_price": row("index_price estimated_delivery_price timestamp"),
    "public/get_index_price_names": _TEXTS,
    "public/get_supported_index_names": _TEXTS,
    "public/get_last_trades_by_instrument": _TRADES,
    "public/get_last_trades_by_instrument_and_time": _TRADES,
    "public/get_last_trades_by_currency": _TRADES,
    "public/get_last_trades_by_currency_and_time": _TRADES,
    "public/get_delivery_prices": row(
        "records_total", data=rows(row("date expiration_timestamp delivery_price"))
    ),
    "public/get_book_summary_by_currency": rows(_SUMMARY),
    "public/get_book_summary_by_instrument": rows(_SUMMARY),
    "public/debug_order_hash": row(
        "domain_separator type_hash struct_hash digest",
        type=_one("string", "The struct's type"),
        message=_MESSAGE,
    ),
    "public/get_rate_limits": extended(_POOLS, network=_POOLS),
    "public/subscribe": _CHANNELS,
    "public/unsubscribe": _CHANNELS,
    "public/unsubscribe_all": _OK,
    "public/set_heartbeat": _OK,
    "public/disable_heartbeat": _OK,
    "public/get_tradingview_chart_data": row(
        "status",
        ticks=rows(_TIME),
        open=rows(PRICE),
        high=rows(PRICE),
        low=rows(PRICE),
        close=rows(PRICE),
        volume=rows(AMOUNT),
        cost=rows(_USDC),
    ),
    "public/get_last_settlements_by_instrument": row(
        "continuation",
        settlements=rows(row("type timestamp instrument_name index_price mark_price")),
    ),
    "public/get_expirations": {
        "type": "object",
        "properties": dict.fromkeys(("option", "future"), _TEXTS),
        "additionalProperties": False,
    },
    "public/get_contract_size": row("contract_size"),
    "public/get_trade_volumes": rows(
        row("currency calls_volume puts_volume futures_volume spot_volume")
    ),
    "public/get_index_chart_data": _POINTS,
    "public/get_mark_price_history": _POINTS,
    "public/get_historical_volatility": rows(
        tuple_of(_TIME, _one("number", "Yearly volatility, percent"))
    ),
    "public/get_volatility_index_data": row(
        "",
        data=rows(_CANDLE, "Time, open, high, low, close"),
        continuation=_one("integer?", "Where the next page ends, UTC milliseconds"),
    ),
    "public/get_funding_rate_value": _one("number", "What longs paid, a ratio of the index"),
    "public/get_funding_rate_history": rows(_FUNDED),
    "public/get_funding_chart_data": row("current_interest interest_8h", data=rows(_FUNDED)),
    "public/get_risk_arrays": _RISK,
    "public/get_volatility_surface": SURFACE,
    "public/get_pending_posts": rows(
        row("key to waiting_s", kind=_one("string", "Of the job"), data=_one("string", "Hex"))
    ),
    "public/get_combos": rows(_COMBO),
    "public/get_combo_details": _COMBO,
    "public/get_combo_ids": _TEXTS,
    "public/get_liquidations": rows(LIQUIDATION),
    "private/buy": _PLACED,
    "private/sell": _PLACED,
    "private/edit": _PLACED,
    "private/edit_by_label": _PLACED,
    "private/close_position": _PLACED,
    "private/cancel": _received(ORDER),
    "private/cancel_all": _COUNT,
    "private/cancel_all_by_instrument": _COUNT,
    "private/cancel_all_by_currency": _COUNT,
    "private/cancel_all_by_kind_or_type": _COUNT,
    "private/cancel_by_label": _COUNT,
    "private/cancel_quotes": _COUNT,
    "private/get_order_state": ORDER,
    "private/get_order_state_by_nonce": ORDER,
    "private/get_order_state_by_label": rows(ORDER),
    "private/get_open_orders": rows(ORDER),
    "private/get_open_orders_by_currency": rows(ORDER),
    "private/get_open_orders_by_instrument": rows(ORDER),
    "private/get_open_orders_by_label": rows(ORDER),
    "private/get_position": POSITION,
    "private/get_positions": rows(POSITION),
    "private/get_account_summary": {
        "oneOf": [_with(one, fees=_FEES) for one in (ACCOUNT, _TOKEN_SUMMARY)]
    },
    "private/get_account_summaries": row(
        "id type username system_name", summaries=rows(_SUMMARY_ROW)
    ),
    "private/get_subaccounts": rows(row("id owner type")),
    "private/get_subaccounts_details": rows(
        _with(row("uid", positions=rows(POSITION)), open_orders=rows(ORDER))
    ),
    "private/get_user_trades_by_instrument": row("has_more", trades=rows(USER_TRADE)),
    "private/get_user_trades_by_currency": row("has_more", trades=rows(USER_TRADE)),
    "private/get_user_trades_by_order": rows(USER_TRADE),
    "private/get_settlement_status": row(
        "seq batch block transaction",
        state=_one("string", "`sequenced`, `batched` or `confirmed`"),
    ),
    "private/subscribe": _CHANNELS,
    "private/unsubscribe": _CHANNELS,
    "private/unsubscribe_all": _OK,
    "private/logout": _OK,
    "private/create_combo": _received(
        extended(_COMBO, direction=_one("string", "Which way the legs that were named are"))
    ),
    "private/get_leg_prices": row("amount", legs=rows(extended(RFQ_LEG, "price"))),
    "private/withdraw": _received(
        row(
            "currency address subaccount_id nonce",
            id=_one("integer", "Number in the journal, as `seq`"),
            amount=_one("number", "Units of `currency`"),
            state=_one("string", "`unconfirmed` until the chain paid"),
        )
    ),
    "private/submit_transfer_between_subaccounts": _received(
        row(
            "type direction currency source other_side nonce",
            id=_one("integer", "Number in the journal, as `seq`"),
            amount=_one("number", "Units of `currency`"),
            state=_one("string", "`confirmed`"),
        )
    ),
    "private/get_margins": row("instrument_name buy sell min_price max_price"),
    "private/get_order_margin_by_ids": rows(
        row(
            "order_id initial_margin_currency",
            initial_margin=_one("number", "What the order alone keeps, USDC"),
        )
    ),
    "private/simulate_portfolio": _SIMULATED,
    "private/set_mmp_config": _PROTECTION,
    "private/get_mmp_config": rows(_PROTECTION),
    "private/reset_mmp": _OK,
    "private/mass_quote": _received(
        row("sheet_nonce canceled kept placed refused", quotes=rows(ORDER), errors=rows(_REFUSED))
    ),
    "private/get_cancel_on_disconnect": row("enabled scope"),
    "private/enable_cancel_on_disconnect": _OK,
    "private/disable_cancel_on_disconnect": _OK,
    "private/create_api_key": _NEW_KEY,
    "private/reset_api_key": _NEW_KEY,
    "private/list_api_keys": rows(_KEY),
    "private/edit_api_key": _KEY,
    "private/enable_api_key": _KEY,
    "private/disable_api_key": _KEY,
    "private/remove_api_key": _OK,
    "private/get_session_keys": rows(
        row(
            "session_key",
            deadline=_one("integer", "When it ends, UTC milliseconds"),
            scope=_SCOPE | {"type": ["object", "null"]},
        )
    ),
    "private/get_order_history_by_currency": {
        "oneOf": [rows(_PAST_ORDER), row("continuation", orders=rows(_PAST_ORDER))]
    },
    "private/get_trigger_order_history": row("continuation", entries=rows(_PAST_TRIGGER)),
    "private/get_user_trades_by_currency_and_time": row(
        "has_more continuation", trades=rows(_PAST_TRADE)
    ),
    "private/get_transaction_log": row("continuation", logs=rows(_LOG)),
    "private/get_deposits": row("count continuation", data=rows(_MONEY)),
    "private/get_withdrawals": row(
        "count continuation",
        data=rows(_with(extended(_MONEY, "fee"), **row("", "address nonce")["properties"])),
    ),
    "private/get_transfers": row(
        "count continuation", data=rows(extended(_MONEY, "direction other_side"))
    ),
    "private/get_settlement_history_by_currency": row("continuation", settlements=rows(_DELIVERED)),
    "private/create_block_rfq": _RFQ,
    "private/cancel_block_rfq": _RFQ,
    "private/add_block_rfq_quote": _QUOTE,
    "private/accept_block_rfq": _received(extended(_RFQ, trades=rows(USER_TRADE))),
    "private/cancel_block_rfq_quote": _OK,
    "private/get_block_rfqs": rows(_SEEN_RFQ),
    "private/get_block_rfq_quotes": rows(_QUOTE),
    "private/liquidation_bid": _received(
        row(
            "subaccount_id liquidated_id step fraction price discount",
            legs=rows(LIQUIDATION_LEG),
            tokens=rows(LIQUIDATION_TOKEN),
        )
    ),
    "private/get_liquidation_history": rows(NOTICE),
}
for _twin, _name in (
    ("public/get_last_settlements_by_currency", "public/get_last_settlements_by_instrument"),
    ("private/get_order_history_by_instrument", "private/get_order_history_by_currency"),
    (
        "private/get_user_trades_by_instrument_and_time",
        "private/get_user_trades_by_currency_and_time",
    ),
    (
        "private/get_settlement_history_by_instrument",
        "private/get_settlement_history_by_currency",
    ),
):
    RESULTS[_twin] = RESULTS[_name]
