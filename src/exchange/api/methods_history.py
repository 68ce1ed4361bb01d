"""Methods about the past of one's own subaccounts, from the read model, in pages.

An answer that is not the last of its kind carries a `continuation`; give it to the next call.
"""

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from exchange.api.dispatch import Method, private_method
from exchange.api.errors import InvalidParams, Unavailable
from exchange.api.gateway import Caller, Gateway
from exchange.api.history_feed import LOG, ORDER, TRADE, TRIGGER, UNFILLED
from exchange.api.results import Result
from exchange.api.schemas import (
    Count,
    Currency,
    InstrumentName,
    KindName,
    Milliseconds,
    Sorting,
    SubaccountParams,
)
from exchange.journal import JournalUnavailable

_MARK: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,9})")
Continuation = Annotated[str, Meta(max_length=28, description="From the page before")]


class PageParams(SubaccountParams, frozen=True, kw_only=True):
    """One page of a subaccount's past."""

    count: Count = 20
    continuation: Continuation = ""


class OrderHistoryParams(PageParams, frozen=True, kw_only=True):
    """Finished orders; those that nobody traded with only if asked for."""

    include_old: bool = False
    include_unfilled: bool = False
    with_continuation: bool = False


class OrderHistoryByCurrencyParams(OrderHistoryParams, frozen=True, kw_only=True):
    """Finished orders in a currency."""

    currency: Currency
    kind: KindName = "any"


class OrderHistoryByInstrumentParams(OrderHistoryParams, frozen=True, kw_only=True):
    """Finished orders in an instrument."""

    instrument_name: InstrumentName


class TriggerHistoryParams(PageParams, frozen=True, kw_only=True):
    """Orders that waited for a price, in a currency."""

    currency: Currency
    instrument_name: InstrumentName = ""


class PeriodParams(PageParams, frozen=True, kw_only=True):
    """A page between two times."""

    start_timestamp: Milliseconds = 0
    end_timestamp: Milliseconds = 2**53


class TradesByInstrumentAndTimeParams(PeriodParams, frozen=True, kw_only=True):
    """Own trades in an instrument between two times."""

    instrument_name: InstrumentName
    include_old: bool = False
    historical: bool = False
    sorting: Sorting = "default"


class TradesByCurrencyAndTimeParams(PeriodParams, frozen=True, kw_only=True):
    """Own trades in a currency between two times."""

    currency: Currency
    kind: KindName = "any"
    include_old: bool = False
    historical: bool = False
    sorting: Sorting = "default"


class LogParams(PeriodParams, frozen=True, kw_only=True):
    """All that moved money or contracts."""

    currency: Currency = "any"
    query: Literal[
        "",
        "trade",
        "deposit",
        "withdrawal",
        "transfer",
        "settlement",
        "delivery",
        "interest",
        "liquidation",
        "insurance",
        "socialized_loss",
        "fee_share",
        "correction",
    ] = ""


class MoneyParams(PageParams, frozen=True, kw_only=True):
    """What came in, went out, or went to another subaccount."""

    currency: Currency = "any"
    offset: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


SettlementType = Literal["", "settlement", "delivery", "bankruptcy"]


class SettlementHistoryByInstrumentParams(PageParams, frozen=True, kw_only=True):
    """Funding and deliveries of an instrument."""

    instrument_name: InstrumentName
    type: SettlementType = ""
    search_start_timestamp: Milliseconds = 2**53


class SettlementHistoryByCurrencyParams(PageParams, frozen=True, kw_only=True):
    """Funding and deliveries in a currency."""

    currency: Currency = "any"
    type: SettlementType = ""
    search_start_timestamp: Milliseconds = 2**53


async def _page(
    gateway: Gateway, caller: Caller, params: PageParams, topics: tuple[str, ...], **where: Any
) -> tuple[list[msgspec.Raw], str | None]:
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    if gateway.history is None:
        raise Unavailable("this gateway keeps no history")
    after = _mark(params.continuation)
    try:
        bodies, more = await gateway.history.page(
            [subaccount_id], topics, count=params.count, after=after, **where
        )
    except JournalUnavailable:
        raise Unavailable("the past cannot be read at the moment; try again") from None
    return list(map(msgspec.Raw, bodies)), f"{more[0]}.{more[1]}" if more else None


def _mark(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    found = _MARK.fullmatch(text)
    if found is None:
        raise InvalidParams("not a continuation of ours", "continuation")
    return int(found[1]), int(found[2])


def _instruments(gateway: Gateway, currency: str, kind: str) -> frozenset[int] | None:
    """Those of a currency and kind; None where every one is meant."""
    found = [i for gone in (False, True) for i in gateway.select(currency, kind, expired=gone)]
    if currency.upper() in ("ANY", "USDC") and kind == "any":
        return None
    return frozenset(instrument.instrument_id for instrument in found)


def _instrument(gateway: Gateway, name: str) -> frozenset[int]:
    return frozenset({gateway.instrument(name).instrument_id})


async def get_order_history_by_currency(
    gateway: Gateway, caller: Caller, params: OrderHistoryByCurrencyParams
) -> object:
    """Finished orders in one currency, the newest first."""
    wanted = _instruments(gateway, params.currency, params.kind)
    return await _orders(gateway, caller, params, wanted)


async def get_order_history_by_instrument(
    gateway: Gateway, caller: Caller, params: OrderHistoryByInstrumentParams
) -> object:
    """Finished orders in one instrument, the newest first."""
    return await _orders(gateway, caller, params, _instrument(gateway, params.instrument_name))


async def _orders(
    gateway: Gateway, caller: Caller, params: OrderHistoryParams, wanted: frozenset[int] | None
) -> object:
    topics = (ORDER, UNFILLED) if params.include_unfilled else (ORDER,)
    rows, more = await _page(gateway, caller, params, topics, instrument_ids=wanted)
    return {"orders": rows, "continuation": more} if params.with_continuation else rows


async def get_trigger_order_history(
    gateway: Gateway, caller: Caller, params: TriggerHistoryParams
) -> Result:
    """How waits for a price ended: triggered, rejected then, or canceled; the newest first."""
    wanted = _instruments(gateway, params.currency, "any")
    if params.instrument_name:
        named = _instrument(gateway, params.instrument_name)
        wanted = named if wanted is None else wanted & named
    rows, more = await _page(gateway, caller, params, (TRIGGER,), instrument_ids=wanted)
    return {"entries": rows, "continuation": more}


async def get_user_trades_by_instrument_and_time(
    gateway: Gateway, caller: Caller, params: TradesByInstrumentAndTimeParams
) -> Result:
    """Own trades in one instrument between two times."""
    return await _trades(gateway, caller, params, _instrument(gateway, params.instrument_name))


async def get_user_trades_by_currency_and_time(
    gateway: Gateway, caller: Caller, params: TradesByCurrencyAndTimeParams
) -> Result:
    """Own trades in one currency between two times."""
    wanted = _instruments(gateway, params.currency, params.kind)
    return await _trades(gateway, caller, params, wanted)


async def _trades(
    gateway: Gateway,
    caller: Caller,
    params: TradesByInstrumentAndTimeParams | TradesByCurrencyAndTimeParams,
    wanted: frozenset[int] | None,
) -> Result:
    rows, more = await _page(
        gateway,
        caller,
        params,
        (TRADE,),
        instrument_ids=wanted,
        since_ms=params.start_timestamp,
        until_ms=params.end_timestamp,
        ascending=params.sorting == "asc",
    )
    return {"trades": rows, "has_more": more is not None, "continuation": more}


async def get_transaction_log(gateway: Gateway, caller: Caller, params: LogParams) -> Result:
    """Everything that moved money or contracts of a subaccount, the newest first."""
    rows, more = await _page(
        gateway,
        caller,
        params,
        (params.query,) if params.query else LOG,
        instrument_ids=_with_money(_instruments(gateway, params.currency, "any")),
        since_ms=params.start_timestamp,
        until_ms=params.end_timestamp,
    )
    return {"logs": rows, "continuation": more}


def _with_money(wanted: frozenset[int] | None) -> frozenset[int] | None:
    return None if wanted is None else wanted | {0}  # money belongs to no instrument


async def get_deposits(gateway: Gateway, caller: Caller, params: MoneyParams) -> Result:
    """What came in from the chain, the newest first."""
    return await _money(gateway, caller, params, "deposit")


async def get_withdrawals(gateway: Gateway, caller: Caller, params: MoneyParams) -> Result:
    """What went out to the chain, the newest first; `private/get_settlement_status` follows it."""
    return await _money(gateway, caller, params, "withdrawal")


async def get_transfers(gateway: Gateway, caller: Caller, params: MoneyParams) -> Result:
    """What went to or came from another subaccount, the newest first."""
    return await _money(gateway, caller, params, "transfer")


async def _money(gateway: Gateway, caller: Caller, params: MoneyParams, topic: str) -> Result:
    if params.offset:
        raise InvalidParams("pages go on by continuation", "offset")
    rows, more = await _page(gateway, caller, params, (topic,))
    return {"count": len(rows), "data": rows, "continuation": more}


async def get_settlement_history_by_instrument(
    gateway: Gateway, caller: Caller, params: SettlementHistoryByInstrumentParams
) -> Result:
    """Funding and deliveries of one instrument, the newest first."""
    return await _settled(gateway, caller, params, _instrument(gateway, params.instrument_name))


async def get_settlement_history_by_currency(
    gateway: Gateway, caller: Caller, params: SettlementHistoryByCurrencyParams
) -> Result:
    """Funding and deliveries in one currency, the newest first."""
    return await _settled(gateway, caller, params, _instruments(gateway, params.currency, "any"))


async def _settled(
    gateway: Gateway,
    caller: Caller,
    params: SettlementHistoryByInstrumentParams | SettlementHistoryByCurrencyParams,
    wanted: frozenset[int] | None,
) -> Result:
    topics = (params.type,) if params.type else ("settlement", "delivery")
    rows, more = await _page(
        gateway,
        caller,
        params,
        topics,
        instrument_ids=wanted,
        until_ms=params.search_start_timestamp,
    )
    return {"settlements": rows, "continuation": more}


HISTORY: Final[list[Method[Any]]] = [
    private_method(get_order_history_by_currency, OrderHistoryByCurrencyParams),
    private_method(get_order_history_by_instrument, OrderHistoryByInstrumentParams),
    private_method(get_trigger_order_history, TriggerHistoryParams),
    private_method(get_user_trades_by_currency_and_time, TradesByCurrencyAndTimeParams),
    private_method(get_user_trades_by_instrument_and_time, TradesByInstrumentAndTimeParams),
    private_method(get_transaction_log, LogParams, scope="account:read"),
    private_method(get_deposits, MoneyParams, scope="account:read"),
    private_method(get_withdrawals, MoneyParams, scope="account:read"),
    private_method(get_transfers, MoneyParams, scope="account:read"),
    private_method(get_settlement_history_by_instrument, SettlementHistoryByInstrumentParams),
    private_method(get_settlement_history_by_currency, SettlementHistoryByCurrencyParams),
]
