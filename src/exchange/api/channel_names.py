"""Every channel: its name, who may hear it, what it carries. Names and AsyncAPI come from here.

Pure data; `channels` sends, `asyncapi` describes. A family of channels has one address or more,
with parts in braces; each part has one pattern wherever it stands.
"""

import re
from functools import cached_property
from typing import Final

import msgspec

from exchange.api import shapes
from exchange.api.shapes import Schema, rows

GROUPS: Final = ("none", "1", "2", "5", "10", "25", "50", "100", "250", "500", "1000")
RESOLUTIONS: Final = ("1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720", "1D")
KINDS: Final = ("option", "future", "option_combo", "future_combo", "combo", "any")
DEPTHS: Final = ("1", "10", "20")
INTERVALS: Final = ("raw", "100ms", "agg2")
TICKED: Final = ("100ms", "agg2")


class Part(msgspec.Struct, frozen=True):
    """A part of a channel's name: its values, or a pattern with an example."""

    words: str
    values: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""

    @property
    def regex(self) -> str:
        """What matches it."""
        return "|".join(self.values) or self.pattern


PARTS: Final = {
    "instrument": Part("Name of an instrument", (), "[A-Za-z0-9_-]+", "BTC_USDC-25DEC26-100000-C"),
    "interval": Part("At once, or every 100 ms", INTERVALS),
    "ticks": Part("Every 100 ms", TICKED),
    "group": Part("Width of a level in USDC; none: every price", GROUPS),
    "depth": Part("Levels of each side", DEPTHS),
    "resolution": Part("Minutes of a candle, or a day", RESOLUTIONS),
    "kind": Part("Kind of instruments", KINDS),
    "currency": Part("An underlying, or USDC or any for all", (), "[A-Za-z]+", "BTC"),
    "index": Part("Name of an index", (), "[a-z0-9]+_usdc", "btc_usdc"),
}


class Family(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Channels of one sort."""

    name: str
    addresses: tuple[str, ...]
    summary: str
    data: Schema
    scope: str = ""  # what a session needs to hear it; empty: anybody may
    loss: str = "none"  # what a slow reader gets: every message, the `latest`, or a `snapshot`

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """One of each address."""
        return tuple(re.compile(_pattern(address)) for address in self.addresses)

    def parts(self, channel: str) -> dict[str, str] | None:
        """The parts of a channel of this family; None for others."""
        for pattern in self.patterns:
            found = pattern.fullmatch(channel)
            if found is not None:
                return found.groupdict()
        return None


def _pattern(address: str) -> str:
    def named(found: re.Match[str]) -> str:
        return f"(?P<{found[1]}>{PARTS[found[1]].regex})"

    return re.sub(r"\{(\w+)\}", named, address.replace(".", r"\."))


def _of(stem: str, ending: str = ".{interval}") -> tuple[str, str]:
    """Of one instrument, or of all of a kind and currency."""
    return f"{stem}.{{instrument}}{ending}", f"{stem}.{{kind}}.{{currency}}{ending}"


FAMILIES: Final = (
    Family(
        name="book",
        addresses=("book.{instrument}.{interval}",),
        summary="A book by price: a snapshot, then changes linked by change_id",
        data=shapes.BOOK,
        loss="snapshot",
    ),
    Family(
        name="depth",
        addresses=("book.{instrument}.{group}.{depth}.{ticks}",),
        summary="The best levels, grouped, whole each time: bids rounded down, asks up",
        data=shapes.DEPTH,
        loss="latest",
    ),
    Family(
        name="l3",
        addresses=("l3.{instrument}",),
        summary="A book order by order: a snapshot, then what each command put or took",
        data=shapes.ORDERS,
    ),
    Family(
        name="instrument",
        addresses=("instrument.state.{kind}.{currency}",),
        summary="An instrument that was listed, halted, resumed or closed",
        data=shapes.STATE,
    ),
    Family(
        name="ticker",
        addresses=("ticker.{instrument}.{interval}",),
        summary="As public/ticker; at most ten a second",
        data=shapes.TICKER,
        loss="latest",
    ),
    Family(
        name="quote",
        addresses=("quote.{instrument}",),
        summary="Best bid and ask, when they change",
        data=shapes.QUOTE,
        loss="latest",
    ),
    Family(
        name="trades",
        addresses=_of("trades"),
        summary="Public trades",
        data=rows(shapes.TRADE),
    ),
    Family(
        name="chart",
        addresses=("chart.trades.{instrument}.{resolution}",),
        summary="The candle of trades that is being drawn, after each trade; at most ten a second",
        data=shapes.CANDLE,
        loss="latest",
    ),
    Family(
        name="perpetual",
        addresses=("perpetual.{instrument}.{interval}",),
        summary="Funding rate in force and index of a perpetual; at most ten a second",
        data=shapes.INTEREST,
        loss="latest",
    ),
    Family(
        name="index",
        addresses=("deribit_price_index.{index}",),
        summary="Index prices",
        data=shapes.INDEX,
        loss="latest",
    ),
    Family(
        name="expiration",
        addresses=("estimated_expiration_price.{index}",),
        summary="The index, and how long until the next expiry",
        data=shapes.EXPIRATION,
        loss="latest",
    ),
    Family(
        name="volatility_index",
        addresses=("deribit_volatility_index.{index}",),
        summary="The thirty-day volatility index, once a minute",
        data=shapes.VOLATILITY_INDEX,
        loss="latest",
    ),
    Family(
        name="markprice",
        addresses=("markprice.options.{index}",),
        summary="Mark prices and volatilities of all options of an underlying, with each epoch",
        data=rows(shapes.MARK),
        loss="latest",
    ),
    Family(
        name="surface",
        addresses=("volatility_surface.{index}",),
        summary="As public/get_volatility_surface, with each epoch",
        data=shapes.SURFACE,
        loss="latest",
    ),
    Family(
        name="liquidations",
        addresses=("liquidations.{currency}",),
        summary="All liquidations of a currency after each sweep",
        data=rows(shapes.LIQUIDATION),
        loss="latest",
    ),
    Family(
        name="block_rfq.maker",
        addresses=("block_rfq.maker.{currency}",),
        summary="Requests for quote that you may answer, at each change",
        data=shapes.RFQ_MAKER,
        scope="trade:read",
    ),
    Family(
        name="block_rfq.taker",
        addresses=("block_rfq.taker.{currency}",),
        summary="Your own requests for quote with their quotes, at each change",
        data=shapes.RFQ_TAKER,
        scope="trade:read",
    ),
    Family(
        name="user.orders",
        addresses=_of("user.orders"),
        summary="Own orders after each change: one (raw) or a list",
        data={"oneOf": [shapes.ORDER, rows(shapes.ORDER)]},
        scope="trade:read",
    ),
    Family(
        name="user.trades",
        addresses=_of("user.trades"),
        summary="Own trades",
        data=rows(shapes.USER_TRADE),
        scope="trade:read",
    ),
    Family(
        name="user.changes",
        addresses=_of("user.changes"),
        summary="Own orders, trades and positions of an instrument that changed together",
        data=shapes.CHANGES,
        scope="trade:read",
    ),
    Family(
        name="user.portfolio",
        addresses=("user.portfolio.{currency}",),
        summary="As private/get_account_summary, at most once a second for each subaccount",
        data=shapes.ACCOUNT,
        scope="account:read",
        loss="latest",
    ),
    Family(
        name="user.mmp_trigger",
        addresses=("user.mmp_trigger.{index}",),
        summary="Market-maker protection took a subaccount off",
        data=shapes.PROTECTION,
        scope="trade:read",
    ),
    Family(
        name="user.liquidations",
        addresses=("user.liquidations",),
        summary="What befalls own subaccounts, one at a time",
        data=shapes.NOTICE,
        scope="trade:read",
    ),
)
