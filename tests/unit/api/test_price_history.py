"""Prices over time: by the minute, by the hour, every five minutes, for as long as is promised."""

import math

import msgspec
import pytest
from tests.margin_world import INDEX, NOW, instruments, update

from exchange.api.price_history import Bar, Candle, PriceHistory, Track, TradeTrack, merged
from exchange.api.records import Marks
from exchange.fixed import CASH_SCALE, VOL_SCALE

HOUR, NS = 3600, 10**9
START = NOW // HOUR * HOUR


def test_a_candle_holds_what_was_within_its_step():
    track = Track()
    for second, value in ((0, 5), (10, 9), (59, 4), (60, 6), (200, 7)):
        track.note(START + second, value)
    assert track.candles(START, START + 300, 60) == [
        Candle(START, 5, 9, 4, 4),
        Candle(START + 60, 6, 6, 6, 6),
        Candle(START + 180, 7, 7, 7, 7),
    ]
    assert track.candles(START, START + 300, HOUR) == [Candle(START, 5, 9, 4, 7)]
    assert track.candles(START + 60, START + 60, 60) == [Candle(START + 60, 6, 6, 6, 6)]


def test_minutes_are_forgotten_before_hours():
    track = Track()
    for minute in range(9 * 24 * 60):
        track.note(START + 60 * minute, minute)
    assert len(track.candles(START, START + 10**7, 60)) == 8 * 24 * 60
    assert len(track.candles(START, START + 10**7, HOUR)) == 9 * 24


def test_longer_steps_merge_shorter_ones():
    candles = [Candle(START + 60 * n, n, n + 2, n - 2, n + 1) for n in range(5)]
    assert merged(candles, 300) == [Candle(START, 0, 6, -2, 5)]
    assert merged([], 300) == []


def epoch(second, **changes):
    return Marks(update(**changes), (START + second) * NS)


def test_the_volatility_index_follows_the_marks():
    """Every underlying has one, near the smile's level; an epoch a minute is enough."""
    history = PriceHistory()
    history.note_marks(epoch(0))
    history.note_marks(epoch(30, move=0.7))
    history.note_marks(epoch(60))
    for underlying_id in INDEX:
        [first, second] = history.volatilities[underlying_id].candles(START, START + 60, 60)
        assert first.open == first.low, "the epoch in between is not looked at"
        assert second.close == pytest.approx(first.close, rel=1e-3)
        assert 0.3 * VOL_SCALE < first.close < 1.5 * VOL_SCALE


def test_marks_are_kept_every_five_minutes_for_a_week():
    history = PriceHistory()
    for minute in range(8 * 24 * 60):
        history.note_marks(epoch(60 * minute))
    number = instruments()[3]
    found = history.mark_prices(number, START, START + 10**7)
    assert len(found) == 7 * 24 * 12
    assert found[1][0] - found[0][0] == 300
    assert found[0][1] == epoch(0).mark(number).mark_price
    assert history.mark_prices(number + 1, START, START + 10**7) == []
    assert history.mark_prices(number, START, START + 60) == [], "a week ago is forgotten"
    assert history.mark_prices(2**62, START, START + 10**7) == []


def test_an_epoch_of_nothing_says_nothing():
    history = PriceHistory()
    empty = msgspec.structs.replace(update(), instrument_ids=(), rows=b"")
    history.note_marks(Marks(empty, START * NS))
    assert history.mark_prices(instruments()[0], 0, 10**11) == []


def test_realised_volatility_is_that_of_fifteen_days():
    """1 % each hour is 94 % a year, from the seventh hour on; later calm takes its place."""
    history = PriceHistory()
    for hour in range(40 * 24):
        step = 0.01 * (hour % 2) if hour < 20 * 24 else 0.0
        price = round(100_000 * CASH_SCALE * math.exp(step))
        history.note_index((START + HOUR * hour) * NS, 1, price)
    last = START + HOUR * 40 * 24
    found = dict(history.realised(1, START, last))
    assert min(found) == START + 6 * HOUR
    wild = 0.01 * math.sqrt(365 * 24)
    assert found[START + 19 * 24 * HOUR] == pytest.approx(wild, rel=1e-3)
    assert found[START + 30 * 24 * HOUR] == pytest.approx(wild * math.sqrt(5 / 15), rel=0.01)
    assert found[START + 39 * 24 * HOUR] == 0.0
    assert list(history.realised(2, START, last)) == []


def test_bars_add_up_what_was_traded():
    track = TradeTrack()
    trades = [(0, 100, 10_000), (59, 90, 20_000), (60, 95, 10_000), (2 * HOUR, 80, 10_000)]
    for second, price, quantity in trades:
        track.note(START + second, price * CASH_SCALE, quantity)
    one = CASH_SCALE
    first = Bar(START, 100 * one, 100 * one, 90 * one, 90 * one, 30_000, 280 * one)
    second = Bar(START + 60, 95 * one, 95 * one, 95 * one, 95 * one, 10_000, 95 * one)
    assert track.bars(START, START + 300, 60) == [first, second]
    both = Bar(START, 100 * one, 100 * one, 90 * one, 95 * one, 40_000, 375 * one)
    assert track.bars(START, START + 300, 180) == [both]
    assert track.bars(START, START + HOUR, HOUR) == [both]
    assert track.close_before(START + 60, 60) == 90 * one
    assert track.close_before(START + HOUR, HOUR) == 95 * one
    assert track.close_before(START, 60) is None
