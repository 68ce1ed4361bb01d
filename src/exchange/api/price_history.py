"""What prices were: indices, marks and the volatility index over time, from released events alone.

Kept in memory at the pace at which charts draw them; a replay of the journal rebuilds all of it.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from exchange.api.records import Marks
from exchange.fixed import CASH_SCALE, VOL_SCALE, div_down, notional, to_seconds_down
from exchange.margin.volatility_index import Strip, volatility_index
from exchange.model import SECONDS_PER_DAY, Kind, OptionKind, unpack_instrument_id

MINUTE_S: Final = 60
HOUR_S: Final = 3600
MARKS_INTERVAL_S: Final = 300
_MINUTES_KEPT: Final = 8 * 24 * 60
_HOURS_KEPT: Final = 400 * 24
_MARKS_KEPT: Final = 7 * 24 * 12
_HOURS_PER_YEAR: Final = 365 * 24
_MOVES_MIN: Final = 6
_WINDOW_HOURS: Final = 15 * 24  # of historical volatility


class Candle(NamedTuple):
    """Prices in one step of time, which begins at `time_s`."""

    time_s: int
    open: int
    high: int
    low: int
    close: int


class Bar(msgspec.Struct, gc=False):
    """Trades in one step of time, which begins at `time_s`; prices in micro-USDC."""

    time_s: int
    open: int
    high: int
    low: int
    close: int
    quantity: int  # 1e-4 contracts
    cost: int  # micro-USDC

    def add(self, later: "Bar") -> None:
        """Take in what was traded later in the same step."""
        if later.high > self.high:
            self.high = later.high
        if later.low < self.low:
            self.low = later.low
        self.close = later.close
        self.quantity += later.quantity
        self.cost += later.cost


def _moved(bar: Bar, time_s: int) -> Bar:
    return msgspec.structs.replace(bar, time_s=time_s)


class TradeTrack:
    """Trades of an instrument over time: by the minute for a week, by the hour for a year.

    Steps without trades take no room.
    """

    def __init__(self) -> None:
        self._minutes: deque[Bar] = deque(maxlen=_MINUTES_KEPT)
        self._hours: deque[Bar] = deque(maxlen=_HOURS_KEPT)

    def note(self, time_s: int, price: int, quantity: int) -> None:
        """Take a trade; times never fall."""
        one = Bar(time_s, price, price, price, price, quantity, notional(price, quantity))
        for bars, step_s in ((self._minutes, MINUTE_S), (self._hours, HOUR_S)):
            if bars and time_s < bars[-1].time_s + step_s:
                bars[-1].add(one)
            else:
                bars.append(_moved(one, div_down(time_s, step_s) * step_s))

    def bars(self, start_s: int, end_s: int, step_s: int) -> list[Bar]:
        """Steps with trades that begin in [start, end], the oldest first."""
        known = self._minutes if step_s < HOUR_S else self._hours
        found: list[Bar] = []
        for one in known:
            if not start_s <= one.time_s <= end_s:
                continue
            place = div_down(one.time_s, step_s) * step_s
            if found and found[-1].time_s == place:
                found[-1].add(one)
            else:
                found.append(_moved(one, place))
        return found

    def close_before(self, time_s: int, step_s: int) -> int | None:
        """The last price before a moment; None if nothing had traded."""
        known = self._minutes if step_s < HOUR_S else self._hours
        earlier = (one.close for one in reversed(known) if one.time_s < time_s)
        return next(earlier, None)


def merged(candles: Sequence[Candle], step_s: int) -> list[Candle]:
    """The same prices in longer steps; one without prices is left out."""
    found: list[Candle] = []
    for one in candles:
        time_s = div_down(one.time_s, step_s) * step_s
        if not found or found[-1].time_s != time_s:
            found.append(one._replace(time_s=time_s))
            continue
        last = found[-1]
        high, low = max(last.high, one.high), min(last.low, one.low)
        found[-1] = last._replace(high=high, low=low, close=one.close)
    return found


class Track:
    """One figure over time: by the minute for a week, by the hour for a year."""

    def __init__(self) -> None:
        self._minutes: deque[Candle] = deque(maxlen=_MINUTES_KEPT)
        self._hours: deque[Candle] = deque(maxlen=_HOURS_KEPT)

    def note(self, time_s: int, value: int) -> None:
        """Take a value; times never fall."""
        for candles, step_s in ((self._minutes, MINUTE_S), (self._hours, HOUR_S)):
            start = div_down(time_s, step_s) * step_s
            if candles and candles[-1].time_s == start:
                last = candles[-1]
                high, low = max(last.high, value), min(last.low, value)
                candles[-1] = Candle(start, last.open, high, low, value)
            else:
                candles.append(Candle(start, value, value, value, value))

    def candles(self, start_s: int, end_s: int, step_s: int) -> list[Candle]:
        """Steps that begin in [start, end], the oldest first; of an hour or more for a year."""
        known = self._minutes if step_s < HOUR_S else self._hours
        return merged([one for one in known if start_s <= one.time_s <= end_s], step_s)


class _MarkPrices(NamedTuple):
    """Marks of one moment, ascending by instrument."""

    time_s: int
    instrument_ids: tuple[int, ...]
    prices: "array[int]"


class PriceHistory:
    """Of a venue: indices, volatility indices, marks and trades."""

    def __init__(self) -> None:
        self.indices: Mapping[int, Track] = defaultdict(Track)  # micro-USDC, by underlying_id
        self.volatilities: Mapping[int, Track] = defaultdict(Track)  # 1e-6, by underlying_id
        self.trades: Mapping[int, TradeTrack] = defaultdict(TradeTrack)  # by instrument_id
        self._marks: deque[_MarkPrices] = deque(maxlen=_MARKS_KEPT)
        self._minute = 0

    def note_index(self, time_ns: int, underlying_id: int, index_price: int) -> None:
        """Take an index sample."""
        self.indices[underlying_id].note(to_seconds_down(time_ns), index_price)

    def note_trade(self, time_ns: int, instrument_id: int, price: int, quantity: int) -> None:
        """Take a trade."""
        self.trades[instrument_id].note(to_seconds_down(time_ns), price, quantity)

    def note_marks(self, marks: Marks) -> None:
        """Take an epoch: the first of a minute for volatility, of five minutes for marks."""
        time_s = to_seconds_down(marks.time_ns)
        if div_down(time_s, MINUTE_S) == self._minute or not marks.command.instrument_ids:
            return
        self._minute = div_down(time_s, MINUTE_S)
        for underlying_id, strips in _strips(marks, time_s).items():
            value = volatility_index(strips)
            if value is not None:
                self.volatilities[underlying_id].note(time_s, round(value * VOL_SCALE))
        step = div_down(time_s, MARKS_INTERVAL_S)
        if not self._marks or div_down(self._marks[-1].time_s, MARKS_INTERVAL_S) != step:
            ids = marks.command.instrument_ids
            self._marks.append(_MarkPrices(time_s, ids, array("q", marks.mark_prices())))

    def mark_prices(self, instrument_id: int, start_s: int, end_s: int) -> list[tuple[int, int]]:
        """(UTC second, mark price) of an instrument every five minutes, the oldest first."""
        found = []
        for one in self._marks:
            place = bisect_left(one.instrument_ids, instrument_id)
            held = place < len(one.instrument_ids) and one.instrument_ids[place] == instrument_id
            if held and start_s <= one.time_s <= end_s:
                found.append((one.time_s, one.prices[place]))
        return found

    def realised(self, underlying_id: int, start_s: int, end_s: int) -> Iterator[tuple[int, float]]:
        """(UTC second, yearly volatility of the fifteen days before) by the hour, oldest first."""
        hours = self.indices[underlying_id].candles(start_s - _WINDOW_HOURS * HOUR_S, end_s, HOUR_S)
        times = [one.time_s for one in hours]
        squares = [math.log(one.close / before.close) ** 2 for before, one in pairwise(hours)]
        for place in range(bisect_left(times, start_s), bisect_right(times, end_s)):
            known = squares[bisect_right(times, times[place] - _WINDOW_HOURS * HOUR_S) : place]
            if len(known) >= _MOVES_MIN:
                yield times[place], math.sqrt(sum(known) / len(known) * _HOURS_PER_YEAR)


def _strips(marks: Marks, time_s: int) -> dict[int, list[Strip]]:
    """The option strips of each underlying, from the marks of one epoch."""
    prices: dict[tuple[int, int, OptionKind], list[tuple[float, float]]] = defaultdict(list)
    for instrument_id, price in zip(marks.command.instrument_ids, marks.mark_prices(), strict=True):
        one = unpack_instrument_id(instrument_id)
        if one.kind is Kind.OPTION:
            key = (one.underlying_id, one.expiry, one.option_kind)
            prices[key].append((one.strike / CASH_SCALE, price / CASH_SCALE))
    found: dict[int, list[Strip]] = defaultdict(list)
    for risk in marks.command.expiries:
        calls = prices.get((risk.underlying_id, risk.expiry, OptionKind.CALL), [])
        puts = prices.get((risk.underlying_id, risk.expiry, OptionKind.PUT), [])
        days = (risk.expiry - time_s) / SECONDS_PER_DAY
        strip = Strip(days, risk.forward_price / CASH_SCALE, calls, puts)
        found[risk.underlying_id].append(strip)
    return found
