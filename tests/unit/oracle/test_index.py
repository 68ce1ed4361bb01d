"""The index: what each guard drops, and when there is no price at all."""

import math

import msgspec
import pytest

from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.oracle.index import (
    IndexCalculator,
    IndexReading,
    IndexRules,
    Verdict,
    Withheld,
)
from exchange.oracle.sources import Sample

NOW_NS = 1_795_271_000 * 10**9
SECOND_NS = 10**9
RULES = IndexRules(
    floor_price=1_000 * CASH_SCALE,
    ceiling_price=10_000_000 * CASH_SCALE,
    quorum=4,
)
ALONE = msgspec.structs.replace(RULES, quorum=1)


def cycle(calculator: IndexCalculator, prices: list[object], now_ns: int = NOW_NS) -> IndexReading:
    samples = {f"s{n}": Sample(price, now_ns) for n, price in enumerate(prices)}
    reading = calculator.read(samples, now_ns)
    calculator.check()
    return reading


def test_the_index_is_the_median_in_micro_usdc() -> None:
    """Seven sources: the fourth price, all accepted."""
    prices = [100_003.0, 100_001.0, 100_000.5, 99_999.0, 100_002.0, 99_998.0, 100_000.0]
    reading = cycle(IndexCalculator(RULES), prices)
    assert reading.index_price == 100_000_500_000
    assert reading.withheld is None
    assert {source.verdict for source in reading.sources} == {Verdict.ACCEPTED}


def test_an_even_count_takes_the_mean_of_the_middle_two() -> None:
    """Rounded half-even to whole micro-USDC."""
    reading = cycle(IndexCalculator(RULES), [5000.0, 5000.000001, 5000.000002, 5000.0])
    assert reading.index_price == 5_000_000_000


@pytest.mark.parametrize(
    ("bad", "verdict"),
    [
        (0.0, Verdict.NOT_A_PRICE),
        (-100_000.0, Verdict.NOT_A_PRICE),
        (math.nan, Verdict.NOT_A_PRICE),
        (math.inf, Verdict.NOT_A_PRICE),
        (-math.inf, Verdict.NOT_A_PRICE),
        (True, Verdict.NOT_A_PRICE),
        ("100000", Verdict.NOT_A_PRICE),
        (None, Verdict.NOT_A_PRICE),
        (10**400, Verdict.NOT_A_PRICE),
        (1e-9, Verdict.NOT_A_PRICE),
        (999.0, Verdict.OUT_OF_BOUNDS),
        (10_000_001.0, Verdict.OUT_OF_BOUNDS),
        (1_000_000.0, Verdict.OUTLIER),
        (10_000.0, Verdict.OUTLIER),
        (101_500.0, Verdict.OUTLIER),
    ],
)
def test_a_bad_price_is_dropped_and_shown(bad: object, verdict: Verdict) -> None:
    """Six good sources go on without the seventh; confidence tells that one is missing."""
    reading = cycle(IndexCalculator(RULES), [100_000.0] * 6 + [bad])
    assert reading.index_price == 100_000 * CASH_SCALE
    assert reading.sources[6].verdict is verdict
    assert reading.confidence == RATIO_SCALE * 6 // 7


@pytest.mark.parametrize(
    ("age_ns", "verdict"),
    [
        (-3 * SECOND_NS, Verdict.FROM_THE_FUTURE),
        (-2 * SECOND_NS, Verdict.ACCEPTED),
        (10 * SECOND_NS, Verdict.ACCEPTED),
        (11 * SECOND_NS, Verdict.STALE),
    ],
)
def test_a_sample_must_be_of_now(age_ns: int, verdict: Verdict) -> None:
    """A source that stalls is dropped, and so is one that runs ahead."""
    samples: dict[str, Sample | None] = {f"s{n}": Sample(100_000.0, NOW_NS) for n in range(6)}
    samples["late"] = Sample(100_000.0, NOW_NS - age_ns)
    reading = IndexCalculator(RULES).read(samples, NOW_NS)
    assert reading.sources[6].verdict is verdict
    assert reading.index_price == 100_000 * CASH_SCALE


def test_without_a_quorum_there_is_no_index() -> None:
    """Three of seven are not enough, and silence is a verdict."""
    samples: dict[str, Sample | None] = {f"s{n}": Sample(100_000.0, NOW_NS) for n in range(3)}
    samples |= {f"quiet{n}": None for n in range(4)}
    reading = IndexCalculator(RULES).read(samples, NOW_NS)
    assert (reading.index_price, reading.confidence) == (None, 0)
    assert reading.withheld is Withheld.NO_QUORUM
    assert reading.sources[6].verdict is Verdict.SILENT


def test_sources_that_disagree_make_no_index() -> None:
    """Nobody can tell which half is right."""
    reading = cycle(IndexCalculator(RULES), [100_000.0] * 3 + [100_300.0] * 3)
    assert reading.withheld is Withheld.DISAGREEMENT


def test_one_liar_of_three_does_not_stop_the_index() -> None:
    """With few sources only the median itself counts."""
    rules = msgspec.structs.replace(RULES, quorum=2)
    reading = cycle(IndexCalculator(rules), [100_000.0, 100_001.0, 100_900.0])
    assert reading.index_price == 100_001 * CASH_SCALE


def test_ten_percent_in_two_cycles_opens_the_breaker() -> None:
    """6 % and 5 % more pass one by one, but not together."""
    calculator = IndexCalculator(ALONE)
    assert cycle(calculator, [100_000.0]).withheld is None
    assert cycle(calculator, [106_000.0], NOW_NS + SECOND_NS).withheld is None
    reading = cycle(calculator, [111_000.0], NOW_NS + 2 * SECOND_NS)
    assert reading.withheld is Withheld.BREAKER
    assert calculator.tripped


@pytest.mark.parametrize("price", [110_000.0, 90_000.0])
def test_ten_percent_in_one_cycle_opens_the_breaker(price: float) -> None:
    """Either way."""
    calculator = IndexCalculator(ALONE)
    cycle(calculator, [100_000.0])
    assert cycle(calculator, [price], NOW_NS + SECOND_NS).withheld is Withheld.BREAKER


def test_a_true_crash_becomes_the_index_after_calm() -> None:
    """Sixty calm cycles at the new level close the breaker, not one fewer."""
    calculator = IndexCalculator(ALONE)
    cycle(calculator, [100_000.0])
    for second in range(1, 61):
        reading = cycle(calculator, [80_000.0], NOW_NS + second * SECOND_NS)
        assert reading.withheld is Withheld.BREAKER
    reading = cycle(calculator, [80_000.0], NOW_NS + 61 * SECOND_NS)
    assert reading.index_price == 80_000 * CASH_SCALE
    assert not calculator.tripped


def test_unrest_starts_the_calm_anew() -> None:
    """A price that still jumps is not calm."""
    calculator = IndexCalculator(ALONE)
    cycle(calculator, [100_000.0])
    for second in range(1, 300):
        price = 80_000.0 if second % 50 else 84_000.0
        reading = cycle(calculator, [price], NOW_NS + second * SECOND_NS)
        assert reading.withheld is Withheld.BREAKER


@pytest.mark.parametrize("price", [1_000_000.0, 10_000.0])
def test_a_shifted_decimal_never_becomes_the_index(price: float) -> None:
    """Even where every source agrees on it, for ever; only an operator can say it is true."""
    calculator = IndexCalculator(ALONE)
    cycle(calculator, [100_000.0])
    for second in range(1, 200):
        reading = cycle(calculator, [price], NOW_NS + second * SECOND_NS)
        assert reading.withheld is Withheld.IMPLAUSIBLE
    calculator.reset()
    reading = cycle(calculator, [price], NOW_NS + 200 * SECOND_NS)
    assert reading.index_price == round(price * CASH_SCALE)


def test_a_leap_of_the_clock_is_not_a_jump_of_the_price() -> None:
    """12 % in a day passes, although it is the next cycle."""
    calculator = IndexCalculator(ALONE)
    cycle(calculator, [100_000.0])
    reading = cycle(calculator, [112_000.0], NOW_NS + 86_400 * SECOND_NS)
    assert reading.index_price == 112_000 * CASH_SCALE


def test_a_restart_remembers_the_journals_price() -> None:
    """The first cycle of a process is guarded by the last index of the one before."""
    calculator = IndexCalculator(
        ALONE, last_price=100_000 * CASH_SCALE, last_ns=NOW_NS - 3600 * SECOND_NS
    )
    assert cycle(calculator, [1_000_000.0]).withheld is Withheld.IMPLAUSIBLE


def test_spread_lowers_confidence() -> None:
    """At the limit of agreement half of it is left."""
    calculator = IndexCalculator(RULES)
    assert cycle(calculator, [100_000.0] * 7).confidence == RATIO_SCALE
    prices = [100_000.0, 100_000.0, 100_000.0, 100_100.0, 100_200.0, 100_200.0, 100_200.0]
    assert cycle(calculator, prices, NOW_NS + SECOND_NS).confidence == RATIO_SCALE // 2


def moving(calculator: IndexCalculator, seconds: int, stuck: int, step: float) -> IndexReading:
    """Six sources that drift by `step` a second; the first `stuck` of them say the same."""
    reading = None
    for second in range(seconds):
        prices = [100_000.0] * stuck + [100_000.0 + step * second] * (6 - stuck)
        reading = cycle(calculator, prices, NOW_NS + second * SECOND_NS)
    assert reading is not None
    return reading


def test_a_source_that_says_the_same_while_the_others_move_is_dropped() -> None:
    """A minute and 0.05 % later; a new price of it counts at once."""
    calculator = IndexCalculator(RULES)
    assert moving(calculator, 60, 1, 1.0).sources[0].verdict is Verdict.ACCEPTED
    later = cycle(calculator, [100_000.0] + [100_061.0] * 5, NOW_NS + 61 * SECOND_NS)
    assert later.sources[0].verdict is Verdict.FROZEN
    assert later.index_price == 100_061 * CASH_SCALE
    awake = cycle(calculator, [100_060.0] + [100_062.0] * 5, NOW_NS + 62 * SECOND_NS)
    assert awake.sources[0].verdict is Verdict.ACCEPTED


def test_a_market_that_stands_still_freezes_nobody() -> None:
    """All say the same for an hour: that is a price."""
    reading = moving(IndexCalculator(RULES), 3600, 1, 0.000001)
    assert {source.verdict for source in reading.sources} == {Verdict.ACCEPTED}


def test_frozen_sources_are_no_quorum() -> None:
    """Three of six stuck and three moving: nobody is followed."""
    reading = moving(IndexCalculator(RULES), 200, 3, 2.0)
    assert reading.index_price is None
