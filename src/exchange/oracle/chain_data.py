"""A recorded Deribit option chain, read to seed a venue: instruments, resting orders, volatilities.

The file is a table with Deribit's columns, its prices in coin. Nothing in it is trusted and
nothing is lost silently: every row, and every price level of a kept row, is either kept or
reported with its reason. Every price goes from text to integer without a float in between.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from exchange.commands import InstrumentListing
from exchange.fixed import (
    CASH_SCALE,
    INT63_MAX,
    QUANTITY_SCALE,
    div_exact,
    div_up,
    format_decimal,
    is_multiple,
    mul_div_down,
    mul_div_up,
)
from exchange.model import (
    SECONDS_PER_DAY,
    InstrumentTerms,
    Kind,
    OptionKind,
    Side,
    expiry_code,
    instrument_name,
    pack_instrument_id,
    representable_strike,
)
from exchange.oracle.index import median_half_even

COIN_SCALE: Final = 10**12  # coin prices while they are multiplied by the index
_PERCENT_SCALE: Final = 10**4  # a volatility in percent, times this, is in 1e-6
LEAD_S: Final = 3600  # an expiry nearer than this is not worth listing
_AHEAD_MAX_S: Final = 3653 * SECONDS_PER_DAY
_PRICE_END: Final = 1 << 50  # micro-USDC; where margin stops to count
_QUANTITY_END: Final = 1 << 48  # where the contract does
_NUMBER: Final = re.compile(r"(-?)(\d{1,20})(?:\.(\d{1,24}))?(?:[eE]([+-]?\d{1,2}))?", re.ASCII)
_NAME: Final = re.compile(r"([A-Z0-9]{2,10})-(\d{1,2}[A-Z]{3}\d{2})-(\d{1,9}(?:d\d{1,6})?)-([CP])")
_COLUMNS: Final = (
    "instrument_name",
    "expiration_timestamp",
    "strike",
    "option_type",
    "state",
    "timestamp",
    "index_price",
    "underlying_price",
    "mark_iv",
    "bids",
    "asks",
)


class ChainDataError(ValueError):
    """The file is no recorded chain at all: unreadable, or without the columns."""


class DropReason(StrEnum):
    """Why a row or a level was left out, in the order of the checks: rows first, then levels."""

    NOT_AN_OPTION = "not_an_option"  # its name is not COIN-DATE-STRIKE-C or -P
    UNKNOWN_UNDERLYING = "unknown_underlying"  # not an underlying of this venue
    NOT_OPEN = "not_open"  # its state says that it did not trade
    BAD_NUMBER = "bad_number"  # a field that must be a positive number is none
    NAME_DIFFERS = "name_differs"  # the name contradicts strike, expiry or option type
    STRIKE_OFF_GRID = "strike_off_grid"  # the strike does not fit an instrument id
    EXPIRED_WHEN_RECORDED = "expired_when_recorded"  # its expiry had come already
    REPEATED = "repeated"  # an earlier row has the same name
    BAD_BOOK = "bad_book"  # bids or asks are no list of [price, amount]
    CROSSED = "crossed"  # its best bid is not below its best ask
    TOO_FAR = "too_far"  # after the shift its expiry lies more than ten years ahead
    BELOW_TICK = "below_tick"  # level: the bid rounds down to zero
    BELOW_LOT = "below_lot"  # level: the quantity rounds down to less than the smallest order
    TOO_LARGE = "too_large"  # level: no order may have such a price or quantity


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """One row or level that was left out; `line` is its line in the file."""

    line: int
    name: str
    reason: DropReason
    detail: str = ""


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """The grid on which the instruments are listed; units as in `InstrumentListing`."""

    tick_size: int
    lot_size: int
    min_quantity: int


class RestingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded price level as an order that somebody has yet to sign."""

    instrument_id: int
    side: Side
    price: int
    quantity: int


class RecordedOption(msgspec.Struct, frozen=True, kw_only=True):
    """One kept row: the option under its new id and name, and what was recorded of it."""

    instrument_id: int
    name: str  # linear
    recorded_name: str
    terms: InstrumentTerms  # with the shifted expiry
    mark_iv: int  # 1e-6
    index_price: int
    forward_price: int


class RecordedChain(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file: `rows == len(options) + len(dropped_rows)`, and so for levels and orders."""

    grid: Grid
    shift_days: int
    recorded_ns: int
    rows: int
    levels: int
    options: tuple[RecordedOption, ...]
    orders: tuple[RestingOrder, ...]  # bids before asks, each best first, by instrument
    dropped_rows: tuple[Dropped, ...]
    dropped_levels: tuple[Dropped, ...]

    def listings(self) -> tuple[InstrumentListing, ...]:
        """What `ListInstruments` takes."""
        return tuple(
            InstrumentListing(
                instrument_id=option.instrument_id,
                tick_size=self.grid.tick_size,
                lot_size=self.grid.lot_size,
                min_quantity=self.grid.min_quantity,
            )
            for option in self.options
        )

    def index_price(self, underlying_id: int) -> int:
        """The recorded index, the median over the rows of one underlying; 0 where it has none."""
        prices = [o.index_price for o in self.options if o.terms.underlying_id == underlying_id]
        return median_half_even(sorted(prices)) if prices else 0

    def report(self) -> tuple[str, ...]:
        """Lines for a person: what was kept, what was dropped and why."""
        lost_rows, lost_levels = len(self.dropped_rows), len(self.dropped_levels)
        lines = [
            f"{self.rows} rows: {len(self.options)} options kept, {lost_rows} dropped",
            f"{self.levels} price levels: {len(self.orders)} orders kept, {lost_levels} dropped",
            f"expiries shifted by {self.shift_days} days",
        ]
        lines += [
            f"line {drop.line} {drop.name}: {drop.reason} {drop.detail}".rstrip()
            for drop in (*self.dropped_rows, *self.dropped_levels)
        ]
        return tuple(lines)


class _Level(NamedTuple):
    price: int  # 1e-12 coin
    quantity: int  # 1e-12 contracts: not yet on the lot


class _Row(NamedTuple):
    line: int
    name: str
    terms: InstrumentTerms  # with the recorded expiry
    recorded_ms: int
    mark_iv: int
    index_price: int
    forward_price: int
    bids: tuple[_Level, ...]
    asks: tuple[_Level, ...]


class _Drop(Exception):  # control flow of one row, never seen outside
    def __init__(self, reason: DropReason, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def read_chain(
    path: Path,
    *,
    underlyings: Mapping[str, int],
    grid: Grid,
    now_s: int,
) -> RecordedChain:
    """Read a recorded chain; `underlyings` maps coin names to their ids.

    All expiries move by one number of days, the smallest that puts the earliest more than an hour
    after `now_s`; weekdays would ask for whole weeks, but days keep the time that is left, and so
    the recorded prices, close to the recorded volatilities. Bids round down to the tick, asks up,
    quantities down to the lot. Raises `ChainDataError` where the file is no such table.
    """
    records = _read_table(path)
    rows: list[_Row] = []
    dropped: list[Dropped] = []
    seen: set[str] = set()
    for line, record in records:
        name = (record["instrument_name"] or "")[:60]
        try:
            row = _parse_row(line, record, underlyings)
            if row.name in seen:
                raise _Drop(DropReason.REPEATED)
        except _Drop as drop:
            dropped.append(Dropped(line=line, name=name, reason=drop.reason, detail=drop.detail))
        else:
            seen.add(row.name)
            rows.append(row)
    shift_days = _days_ahead([row.terms.expiry for row in rows], now_s + LEAD_S)
    end_s = now_s + _AHEAD_MAX_S - shift_days * SECONDS_PER_DAY
    dropped += [
        Dropped(line=row.line, name=row.name, reason=DropReason.TOO_FAR)
        for row in rows
        if row.terms.expiry >= end_s
    ]
    kept = [row for row in rows if row.terms.expiry < end_s]
    return _shifted_chain(kept, dropped, grid, underlyings, shift_days)


def _shifted_chain(
    rows: Sequence[_Row],
    dropped: Iterable[Dropped],
    grid: Grid,
    underlyings: Mapping[str, int],
    shift_days: int,
) -> RecordedChain:
    coins = {underlying_id: coin for coin, underlying_id in underlyings.items()}
    options: list[RecordedOption] = []
    orders: list[RestingOrder] = []
    dropped_levels: list[Dropped] = []
    for row in rows:
        option = _shifted_option(row, coins, shift_days * SECONDS_PER_DAY)
        options.append(option)
        for side, levels in ((Side.BUY, row.bids), (Side.SELL, row.asks)):
            for level in levels:
                outcome = _to_order(option, side, level, grid)
                if isinstance(outcome, RestingOrder):
                    orders.append(outcome)
                else:
                    text = f"{side.name} {format_decimal(level.price, COIN_SCALE)}"
                    dropped_levels.append(
                        Dropped(line=row.line, name=row.name, reason=outcome, detail=text)
                    )
    dropped_rows = tuple(dropped)
    return RecordedChain(
        grid=grid,
        shift_days=shift_days,
        recorded_ns=max((row.recorded_ms for row in rows), default=0) * 10**6,
        rows=len(rows) + len(dropped_rows),
        levels=sum(len(row.bids) + len(row.asks) for row in rows),
        options=tuple(options),
        orders=tuple(orders),
        dropped_rows=dropped_rows,
        dropped_levels=tuple(dropped_levels),
    )


def _shifted_option(row: _Row, coins: Mapping[int, str], shift_s: int) -> RecordedOption:
    terms = msgspec.structs.replace(row.terms, expiry=row.terms.expiry + shift_s)
    return RecordedOption(
        instrument_id=pack_instrument_id(terms),
        name=instrument_name(coins[terms.underlying_id], terms),
        recorded_name=row.name,
        terms=terms,
        mark_iv=row.mark_iv,
        index_price=row.index_price,
        forward_price=row.forward_price,
    )


def _to_order(
    option: RecordedOption, side: Side, level: _Level, grid: Grid
) -> RestingOrder | DropReason:
    scaled_tick = COIN_SCALE * grid.tick_size
    divide = mul_div_down if side is Side.BUY else mul_div_up
    price = divide(level.price, option.index_price, scaled_tick) * grid.tick_size
    if price == 0:
        return DropReason.BELOW_TICK
    scaled_lot = COIN_SCALE * grid.lot_size
    quantity = mul_div_down(level.quantity, QUANTITY_SCALE, scaled_lot) * grid.lot_size
    if quantity < grid.min_quantity:
        return DropReason.BELOW_LOT
    if price >= _PRICE_END or quantity >= _QUANTITY_END:
        return DropReason.TOO_LARGE
    return RestingOrder(
        instrument_id=option.instrument_id, side=side, price=price, quantity=quantity
    )


def _read_table(path: Path) -> list[tuple[int, dict[str, str | None]]]:
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            missing = [c for c in _COLUMNS if c not in (reader.fieldnames or ())]
            if missing:
                raise ChainDataError(f"{path.name} lacks the columns {', '.join(missing)}")
            return [(reader.line_num, dict(record)) for record in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ChainDataError(f"{path.name} cannot be read: {error}") from error


def _parse_row(line: int, record: Mapping[str, str | None], underlyings: Mapping[str, int]) -> _Row:
    name = record["instrument_name"] or ""
    match = _NAME.fullmatch(name)
    if match is None:
        raise _Drop(DropReason.NOT_AN_OPTION)
    coin, date, strike_text, letter = match.groups()
    if coin not in underlyings:
        raise _Drop(DropReason.UNKNOWN_UNDERLYING, coin)
    if record["state"] != "open":
        raise _Drop(DropReason.NOT_OPEN, record["state"] or "")
    recorded_ms = _positive(record, "timestamp", 1)
    expiry = _positive(record, "expiration_timestamp", 1)
    if not is_multiple(expiry, 60_000):
        raise _Drop(DropReason.BAD_NUMBER, "expiration_timestamp")
    strike = _positive(record, "strike", CASH_SCALE)
    terms = InstrumentTerms(
        Kind.OPTION,
        underlyings[coin],
        div_exact(expiry, 1000),
        strike,
        OptionKind.CALL if letter == "C" else OptionKind.PUT,
    )
    _check_name(record, terms, date, strike_text)
    if expiry <= recorded_ms:
        raise _Drop(DropReason.EXPIRED_WHEN_RECORDED)
    bids, asks = _parse_levels(record["bids"]), _parse_levels(record["asks"])
    bids.sort(key=lambda level: -level.price)
    asks.sort(key=lambda level: level.price)
    if bids and asks and bids[0].price >= asks[0].price:
        raise _Drop(DropReason.CROSSED)
    return _Row(
        line=line,
        name=name,
        terms=terms,
        recorded_ms=recorded_ms,
        mark_iv=_positive(record, "mark_iv", _PERCENT_SCALE),
        index_price=_positive(record, "index_price", CASH_SCALE),
        forward_price=_positive(record, "underlying_price", CASH_SCALE),
        bids=tuple(bids),
        asks=tuple(asks),
    )


def _check_name(
    record: Mapping[str, str | None], terms: InstrumentTerms, date: str, strike_text: str
) -> None:
    """The name must say what the columns say, or one of both is wrong."""
    if terms.expiry >= 1 << 32 or expiry_code(terms.expiry) != date:
        raise _Drop(DropReason.NAME_DIFFERS, "expiration_timestamp")
    if parse_number(strike_text.replace("d", "."), CASH_SCALE) != terms.strike:
        raise _Drop(DropReason.NAME_DIFFERS, "strike")
    if record["option_type"] != terms.option_kind.name.lower():
        raise _Drop(DropReason.NAME_DIFFERS, "option_type")
    if not representable_strike(terms.strike):
        raise _Drop(DropReason.STRIKE_OFF_GRID)


def _parse_levels(text: str | None) -> list[_Level]:
    """`[[price, amount], ...]` as recorded, the numbers still text until they are integers."""
    try:
        found = json.loads(text or "", parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise _Drop(DropReason.BAD_BOOK) from None
    if not isinstance(found, list):
        raise _Drop(DropReason.BAD_BOOK)
    levels = []
    for pair in found:
        if not (isinstance(pair, list) and len(pair) == 2):
            raise _Drop(DropReason.BAD_BOOK)
        price, quantity = (
            parse_number(part, COIN_SCALE) if isinstance(part, str) else None for part in pair
        )
        if price is None or quantity is None or price <= 0 or quantity <= 0:
            raise _Drop(DropReason.BAD_BOOK, "a price or amount is no positive number")
        levels.append(_Level(price, quantity))
    return levels


def _positive(record: Mapping[str, str | None], column: str, scale: int) -> int:
    value = parse_number(record[column] or "", scale)
    if value is None or not 0 < value <= INT63_MAX:
        raise _Drop(DropReason.BAD_NUMBER, column)
    return value


def parse_number(text: str, scale: int) -> int | None:
    """Scaled integer of a recorded number, or None where it is none or not exactly representable.

    Recorders write floats as Python prints them, so a short exponent is allowed here, unlike on
    the wire; it is bounded, so that no text costs more than a few hundred digits.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups(default="")
    power = len(str(scale)) - 1 - len(fraction) + int(exponent or 0)
    digits = int(whole + fraction)
    if power >= 0:
        digits *= 10**power
    elif is_multiple(digits, 10**-power):
        digits = div_exact(digits, 10**-power)
    else:
        return None
    return -digits if sign else digits


def _days_ahead(expiries: Sequence[int], after_s: int) -> int:
    """The fewest days, at least 0, that put the earliest expiry beyond `after_s`."""
    if not expiries:
        return 0
    return max(0, div_up(after_s + 1 - min(expiries), SECONDS_PER_DAY))
