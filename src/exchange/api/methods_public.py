"""Methods that anybody may call: market data, sessions, subscriptions, and how to sign."""

from functools import partial
from importlib.metadata import version
from itertools import islice
from typing import Any, Final

from exchange.api import results, schemas
from exchange.api.auth import Grant
from exchange.api.connection import Connection
from exchange.api.dispatch import Method, public_method
from exchange.api.errors import (
    BadRequest,
    Forbidden,
    InvalidParams,
    MustBeWebSocket,
)
from exchange.api.gateway import Caller, Gateway
from exchange.api.order_types import OrderHashParams, limit_price_of
from exchange.api.records import Trade
from exchange.api.results import Result
from exchange.api.schemas import (
    cash_number,
    ratio_number,
)
from exchange.api.signed_terms import given_fields, order_terms
from exchange.fixed import RATIO_SCALE, to_milliseconds_down
from exchange.model import Side
from exchange.signing import (
    DOMAIN_NAME,
    DOMAIN_VERSION,
    order_stages,
    signed_instrument,
)

VERSION: Final = version("exchange")
BOOK_DEPTHS: Final = (1, 5, 10, 20, 50, 100, 1000, 10_000)
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}


async def test(_: Gateway, _caller: Caller, params: schemas.TestParams) -> Result:
    """Answers; the way to see whether the venue lives."""
    if params.expected_result == "exception":
        raise BadRequest("you asked for an exception", "expected_result")
    return {"version": VERSION}


async def hello(_: Gateway, _caller: Caller, _params: schemas.HelloParams) -> Result:
    """Introduces a client."""
    return {"version": VERSION}


async def get_time(gateway: Gateway, _: Caller, _params: schemas.Empty) -> int:
    """Venue time in milliseconds."""
    return to_milliseconds_down(gateway.sequencer.now_ns())


async def status(gateway: Gateway, _: Caller, _params: schemas.Empty) -> Result:
    """Whether trading is locked."""
    configured = gateway.view.parameters is not None
    return {
        "locked": "false" if configured and gateway.healthy else "true",
        "locked_currencies": [],
        "locked_indices": [],
        "seq": gateway.view.seq,
        "timestamp": to_milliseconds_down(gateway.view.time_ns),
    }


async def get_signing_domain(gateway: Gateway, _: Caller, _params: schemas.Empty) -> Result:
    """What an order must be signed for, and the limits that a signature must keep."""
    parameters = gateway.configured()
    return {
        "name": DOMAIN_NAME,
        "version": DOMAIN_VERSION,
        "chain_id": parameters.chain_id,
        "verifying_contract": parameters.clearing,
        "collateral": parameters.collateral,
        "collaterals": {asset.name: asset.token for asset in parameters.collaterals},
        "receipt_signer": gateway.receipts.address,
        "deadline_seconds_max": parameters.limits.deadline_seconds_max,
        "maker_rate": ratio_number(parameters.fees.maker_rate, RATIO_SCALE),
        "taker_rate": ratio_number(parameters.fees.taker_rate, RATIO_SCALE),
        "linear_maker_rate": ratio_number(parameters.fees.linear_maker_rate, RATIO_SCALE),
        "linear_taker_rate": ratio_number(parameters.fees.linear_taker_rate, RATIO_SCALE),
        "premium_cap": ratio_number(parameters.fees.premium_cap, RATIO_SCALE),
    }


async def get_sign_in_nonce(gateway: Gateway, _: Caller, _params: schemas.Empty) -> Result:
    """A nonce for one EIP-4361 text, with the domain and chain that it must name."""
    return {
        "nonce": gateway.sessions.issue_nonce(),
        "domain": gateway.sessions.domain,
        "uri": gateway.settings.public_url,
        "chain_id": gateway.configured().chain_id,
        "expires_in": int(gateway.settings.nonce_s),
        "timestamp": to_milliseconds_down(gateway.sequencer.now_ns()),
    }


async def auth(gateway: Gateway, caller: Caller, params: schemas.AuthParams) -> Result:
    """Opens a session; on a WebSocket it holds for the connection."""
    grant = _granted(gateway, caller.address, params)
    if caller.connection is not None:
        caller.connection.session = grant.session
    return _grant_result(gateway, grant, params.state)


def _granted(gateway: Gateway, address: str, params: schemas.AuthParams) -> Grant:
    sessions = gateway.sessions
    match params.grant_type:
        case "refresh_token":
            return sessions.refresh(params.refresh_token, address)
        case "client_credentials":
            key = gateway.keys.by_secret(params.client_id, params.client_secret, address)
            return sessions.open(key, params.scope)
        case "client_signature":
            key = gateway.proofs.of_signature(
                params.client_id,
                (params.timestamp, params.nonce),
                params.data.encode(),
                params.signature,
                address,
            )
            return sessions.open(key, params.scope)
        case "eip4361":
            chain_id = gateway.configured().chain_id
            time_s = gateway.sequencer.now_ns() / 1e9
            return sessions.sign_in(
                params.message, params.signature, chain_id, time_s, params.scope
            )


def _grant_result(gateway: Gateway, grant: Grant, state: str) -> Result:
    return {
        "access_token": grant.access_token,
        "refresh_token": grant.refresh_token,
        "expires_in": grant.expires_in_s,
        "scope": grant.session.scope,
        "token_type": "bearer",
        "state": state,
        "address": grant.session.address,
        "subaccount_ids": gateway.subaccounts_of(grant.session),
    }


async def get_currencies(gateway: Gateway, _: Caller, _params: schemas.Empty) -> list[Result]:
    """The quote currency and the underlyings."""
    names = ["USDC", *(u.name for u in gateway.configured().underlyings)]
    return [
        {
            "currency": name,
            "currency_long": name,
            "coin_type": name,
            "decimals": 6,
            "fee_precision": 6,
            "min_confirmations": 1,
            "min_withdrawal_fee": 0,
            "withdrawal_fee": 0,
            "withdrawal_priorities": [],
            "in_cross_collateral_pool": False,
        }
        for name in names
    ]


async def get_instruments(
    gateway: Gateway, _: Caller, params: schemas.InstrumentsParams
) -> list[Result]:
    """Instruments of a currency; combos are asked for by their kind."""
    found = gateway.select(params.currency, params.kind, expired=params.expired)
    return [
        results.instrument_result(gateway.view, instrument)
        for instrument in found
        if params.kind != "any" or not instrument.legs
    ]


async def get_instrument(gateway: Gateway, _: Caller, params: schemas.InstrumentParams) -> Result:
    """One instrument."""
    return results.instrument_result(gateway.view, gateway.instrument(params.instrument_name))


async def get_order_book(gateway: Gateway, _: Caller, params: schemas.BookParams) -> Result:
    """The book, with the ticker's figures."""
    if params.depth not in BOOK_DEPTHS:
        raise InvalidParams(f"one of {', '.join(map(str, BOOK_DEPTHS))}", "depth")
    return results.book_result(
        gateway.view, gateway.instrument(params.instrument_name), params.depth
    )


async def ticker(gateway: Gateway, _: Caller, params: schemas.InstrumentParams) -> Result:
    """Best prices, mark, greeks and statistics."""
    return results.ticker_result(gateway.view, gateway.instrument(params.instrument_name))


async def get_index_price(gateway: Gateway, _: Caller, params: schemas.IndexParams) -> Result:
    """The newest index price."""
    underlying_id = gateway.underlying_of_index(params.index_name)
    found = gateway.view.index_prices.get(underlying_id)
    if found is None:
        raise BadRequest("this index has no price yet", "index_name")
    return {
        "index_price": cash_number(found[0]),
        "estimated_delivery_price": cash_number(found[0]),
        "timestamp": to_milliseconds_down(found[1]),
    }


async def get_index_price_names(gateway: Gateway, _: Caller, _params: schemas.Empty) -> list[str]:
    """Names of the indices."""
    return [results.index_name(u.name) for u in gateway.configured().underlyings]


async def get_last_trades_by_instrument(
    gateway: Gateway, _: Caller, params: schemas.LastTradesParams
) -> Result:
    """Public trades of an instrument, the newest first."""
    instrument = gateway.instrument(params.instrument_name)
    matching = (
        trade
        for trade in reversed(gateway.view.instrument_trades[instrument.instrument_id])
        if _wanted(trade, params)
    )
    found = list(islice(matching, params.count + 1))
    rows = found[: params.count]
    if params.sorting == "asc":
        rows.reverse()
    return {
        "trades": [results.trade_result(gateway.view, trade) for trade in rows],
        "has_more": len(found) > params.count,
    }


def _wanted(trade: Trade, params: schemas.LastTradesParams) -> bool:
    time_ms = to_milliseconds_down(trade.time_ns)
    return (
        (params.start_seq is None or trade.trade_id >= params.start_seq)
        and (params.end_seq is None or trade.trade_id <= params.end_seq)
        and (params.start_timestamp is None or time_ms >= params.start_timestamp)
        and (params.end_timestamp is None or time_ms <= params.end_timestamp)
    )


async def get_delivery_prices(
    gateway: Gateway, _: Caller, params: schemas.DeliveryParams
) -> Result:
    """Delivery prices, the newest first."""
    underlying_id = gateway.underlying_of_index(params.index_name)
    found = [d for d in reversed(gateway.view.deliveries) if d.underlying_id == underlying_id]
    return {
        "data": [
            {
                "date": results.date_text(delivery.expiry),
                "expiration_timestamp": delivery.expiry * 1000,
                "delivery_price": cash_number(delivery.price),
            }
            for delivery in found[params.offset : params.offset + params.count]
        ],
        "records_total": len(found),
    }


async def get_book_summary_by_currency(
    gateway: Gateway, _: Caller, params: schemas.SummaryParams
) -> list[Result]:
    """One row an instrument of a currency; combos are asked for by their kind."""
    found = gateway.select(params.currency, params.kind)
    return [
        results.summary_result(gateway.view, instrument)
        for instrument in found
        if params.kind != "any" or not instrument.legs
    ]


async def get_book_summary_by_instrument(
    gateway: Gateway, _: Caller, params: schemas.InstrumentParams
) -> list[Result]:
    """The row of one instrument."""
    return [results.summary_result(gateway.view, gateway.instrument(params.instrument_name))]


async def debug_order_hash(
    gateway: Gateway, _: Caller, params: OrderHashParams
) -> dict[str, object]:
    """Each stage of an order's EIP-712 hash, for people who debug their own signing."""
    fields = given_fields(params, params.subaccount_id, params.nonce)
    side = SIDES[params.direction]
    terms = order_terms(gateway, params, side, fields, limit_price_of(params))
    stages: dict[str, object] = dict(order_stages(gateway.domain(), terms))
    message = {
        "subaccountId": terms.subaccount_id,
        "instrument": str(int.from_bytes(signed_instrument(terms), "big")),
        "side": int(terms.side),
        "quantity": terms.quantity,
        "limitPrice": terms.limit_price,
        "maxFee": terms.max_fee,
        "reduceOnly": terms.reduce_only,
        "triggerHash": "0x" + terms.trigger_hash.hex(),
        "nonce": terms.nonce,
        "version": terms.version,
        "deadline": terms.deadline,
        "signer": terms.signer,
    }
    return stages | {"message": message}


async def get_rate_limits(gateway: Gateway, caller: Caller, _: schemas.Empty) -> Result:
    """What the caller's credit pools hold, and those that all share at its network address."""
    own = gateway.limits.left(caller.payer, shared=False)
    return own | {"network": gateway.limits.left(caller.payer, shared=True)}


# -- the connection -----------------------------------------------------------------------------


def connection_of(caller: Caller) -> Connection:
    """The caller's WebSocket."""
    if caller.connection is None:
        raise MustBeWebSocket("connect to /ws/api/v2")
    return caller.connection


async def subscribe(gateway: Gateway, caller: Caller, params: schemas.ChannelsParams) -> list[str]:
    """Joins public channels; the reply names them, then each sends its first data."""
    for channel in params.channels:
        if channel.startswith("user."):
            raise Forbidden(f"{channel[:64]}: use private/subscribe", "channels")
    return join(gateway, connection_of(caller), caller, params.channels)


def join(
    gateway: Gateway, connection: Connection, caller: Caller, channels: list[str]
) -> list[str]:
    """All of the channels or, when one is wrong, none."""
    gateway.configured()
    wanted = list(dict.fromkeys(channels))
    for channel in wanted:
        if scope := gateway.channels.validate(channel):
            gateway.session(caller)
            gateway.require(caller, scope)
        if channel.startswith("block_rfq."):
            gateway.rfqs.require_here()
    fresh = [channel for channel in wanted if channel not in connection.channels]
    limit = gateway.settings.subscriptions_per_connection_max
    gateway.channels.join(fresh, connection, limit)
    caller.after.extend(partial(gateway.channels.greet, c, connection) for c in fresh)
    return wanted


async def unsubscribe(
    gateway: Gateway, caller: Caller, params: schemas.ChannelsParams
) -> list[str]:
    """Leaves channels; the reply names those that were joined."""
    return gateway.channels.leave(params.channels, connection_of(caller))


async def unsubscribe_all(gateway: Gateway, caller: Caller, _: schemas.Empty) -> str:
    """Leaves all channels."""
    connection = connection_of(caller)
    gateway.channels.leave(list(connection.channels), connection)
    return "ok"


async def set_heartbeat(_: Gateway, caller: Caller, params: schemas.HeartbeatParams) -> str:
    """The venue will ask for a sign of life; silence closes the connection."""
    connection_of(caller).set_heartbeat(params.interval)
    return "ok"


async def disable_heartbeat(_: Gateway, caller: Caller, _params: schemas.Empty) -> str:
    """No more heartbeats."""
    connection_of(caller).set_heartbeat(0)
    return "ok"


PUBLIC: Final[list[Method[Any]]] = [
    public_method(test, schemas.TestParams),
    public_method(hello, schemas.HelloParams),
    public_method(get_time, schemas.Empty),
    public_method(status, schemas.Empty),
    public_method(get_signing_domain, schemas.Empty),
    public_method(get_sign_in_nonce, schemas.Empty),
    public_method(auth, schemas.AuthParams),
    public_method(get_currencies, schemas.Empty),
    public_method(get_instruments, schemas.InstrumentsParams),
    public_method(get_instrument, schemas.InstrumentParams),
    public_method(get_order_book, schemas.BookParams),
    public_method(ticker, schemas.InstrumentParams),
    public_method(get_index_price, schemas.IndexParams),
    public_method(get_index_price_names, schemas.Empty),
    public_method(get_last_trades_by_instrument, schemas.LastTradesParams),
    public_method(get_delivery_prices, schemas.DeliveryParams),
    public_method(get_book_summary_by_currency, schemas.SummaryParams),
    public_method(get_book_summary_by_instrument, schemas.InstrumentParams),
    public_method(debug_order_hash, OrderHashParams),
    public_method(get_rate_limits, schemas.Empty),
    public_method(subscribe, schemas.ChannelsParams),
    public_method(unsubscribe, schemas.ChannelsParams),
    public_method(unsubscribe_all, schemas.Empty),
    public_method(set_heartbeat, schemas.HeartbeatParams),
    public_method(disable_heartbeat, schemas.Empty),
]
