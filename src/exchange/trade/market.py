"""Questions about the market: an option chain, and a book."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from exchange.sdk import Client
from exchange.sdk.errors import BadArgument
from exchange.sdk.types import Instrument, OrderBook, Summary, Trade
from exchange.trade.payoff import YEAR_MS


class ChainQuote(msgspec.Struct, frozen=True, kw_only=True):
    """One option of a chain; volatility in percent."""

    instrument_name: str
    bid: Decimal | None
    ask: Decimal | None
    mark: Decimal | None
    volatility: Decimal | None
    delta: float | None
    open_interest: Decimal


class ChainRow(msgspec.Struct, frozen=True, kw_only=True):
    """A strike with its call and its put."""

    strike: Decimal
    call: ChainQuote | None
    put: ChainQuote | None


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """One expiry of one currency; `expiries` names all of them, the nearest first."""

    currency: str
    expiry: str
    expiry_ms: int
    index_price: Decimal
    forward_price: Decimal
    expiries: list[str]
    rows: list[ChainRow]


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """A book and the newest trades."""

    book: OrderBook
    trades: list[Trade]


def chain(client: Client, currency: str, expiry: str | None = None) -> Chain:
    """The options of an expiry, the nearest unless one is named as instruments name it."""
    options = [one for one in client.instruments(currency) if one.kind == "option"]
    by_expiry = {expiry_name(one): one.expiration_timestamp for one in options}
    names = sorted(by_expiry, key=by_expiry.__getitem__)
    if not names:
        raise BadArgument(f"no options of {currency} are listed")
    chosen = names[0] if expiry is None else expiry.upper()
    if chosen not in by_expiry:
        raise BadArgument(f"no expiry {chosen}: there are {', '.join(names)}")
    listed = [one for one in options if expiry_name(one) == chosen]
    found = {row.instrument_name: row for row in client.summaries(currency)}
    now_ms = int(client.call("public/get_time"))
    summaries = [found[one.instrument_name] for one in listed if one.instrument_name in found]
    return Chain(
        currency=currency.upper(),
        expiry=chosen,
        expiry_ms=by_expiry[chosen],
        index_price=client.index_price(listed[0].price_index),
        forward_price=summaries[0].underlying_price if summaries else Decimal(0),
        expiries=names,
        rows=_rows(listed, found, now_ms),
    )


def expiry_name(instrument: Instrument) -> str:
    """The date in an option's name, such as 25DEC26."""
    return instrument.instrument_name.split("-")[1]


def _rows(listed: Sequence[Instrument], found: dict[str, Summary], now_ms: int) -> list[ChainRow]:
    sides: dict[Decimal, dict[str, ChainQuote]] = {}
    for one in listed:
        summary = found.get(one.instrument_name)
        if summary is not None:
            quote = _quote(one, summary, now_ms)
            sides.setdefault(one.strike, {})[one.option_type] = quote
    return [
        ChainRow(strike=strike, call=pair.get("call"), put=pair.get("put"))
        for strike, pair in sorted(sides.items())
    ]


def _quote(instrument: Instrument, summary: Summary, now_ms: int) -> ChainQuote:
    return ChainQuote(
        instrument_name=instrument.instrument_name,
        bid=summary.bid_price,
        ask=summary.ask_price,
        mark=summary.mark_price,
        volatility=summary.mark_iv,
        delta=_delta(instrument, summary, now_ms),
        open_interest=summary.open_interest,
    )


def _delta(instrument: Instrument, summary: Summary, now_ms: int) -> float | None:
    if summary.mark_iv is None:
        return None
    from exchange.margin import pricing  # scipy: slow to import, and not for every command

    found = pricing.greeks(
        float(summary.underlying_price),
        float(instrument.strike),
        max(0, instrument.expiration_timestamp - now_ms) / YEAR_MS,
        float(summary.mark_iv) / 100,
        instrument.option_type == "put",
        float(summary.interest_rate),
    )
    return round(float(found.delta), 4)


def depth(client: Client, name: str, levels: int, trades: int) -> Depth:
    """The best levels of a book, and what traded last."""
    return Depth(book=client.order_book(name, levels), trades=client.trades(name, trades))
