"""No mix of honest and lying sources makes a wrong index."""

import math

from hypothesis import given
from hypothesis import strategies as st

from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.oracle.index import IndexCalculator, IndexRules
from exchange.oracle.sources import Sample

NOW_NS = 1_795_271_000 * 10**9
RULES = IndexRules(
    floor_price=1_000 * CASH_SCALE,
    ceiling_price=10_000_000 * CASH_SCALE,
    quorum=4,
)
BASE = 100_000.0

honest = st.floats(-0.005, 0.005).map(lambda share: BASE * (1 + share))
close = st.floats(-0.001, 0.001).map(lambda share: BASE * (1 + share))
lies = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-0.1, 0.1).map(lambda share: BASE * (1 + share)),
    st.sampled_from([0.0, -BASE, math.nan, math.inf, 10 * BASE, BASE / 10, BASE * 10**12]),
    st.integers(),
)
ages_ns = st.integers(-(10**11), 10**11)


def read(prices: list[float], ages: list[int] | None = None) -> int | None:
    samples = {
        f"s{n}": Sample(price, NOW_NS - (ages[n] if ages else 0)) for n, price in enumerate(prices)
    }
    calculator = IndexCalculator(RULES)
    reading = calculator.read(samples, NOW_NS)
    calculator.check()
    assert 0 <= reading.confidence <= RATIO_SCALE
    assert (reading.index_price is None) == (reading.withheld is not None)
    return reading.index_price


@given(st.lists(honest, min_size=7, max_size=7), lies, ages_ns, st.integers(0, 6))
def test_one_bad_source_of_seven_moves_the_index_by_little(
    prices: list[float], lie: float, age_ns: int, liar: int
) -> None:
    """At most 0.2 %, whatever it says and whenever; or the index is withheld."""
    before = read(prices)
    ages = [0] * 7
    ages[liar] = age_ns
    after = read([*prices[:liar], lie, *prices[liar + 1 :]], ages)
    if before is not None and after is not None:
        assert abs(after - before) * 500 <= max(before, after)


@given(st.lists(close, min_size=7, max_size=7), lies, ages_ns, st.integers(0, 6))
def test_one_bad_source_of_seven_cannot_stop_the_index(
    prices: list[float], lie: float, age_ns: int, liar: int
) -> None:
    """Six that agree are enough, and the index stays among them."""
    ages = [0] * 7
    ages[liar] = age_ns
    index = read([*prices[:liar], lie, *prices[liar + 1 :]], ages)
    others = [price for n, price in enumerate(prices) if n != liar]
    assert index is not None
    assert round(min(others) * CASH_SCALE) <= index <= round(max(others) * CASH_SCALE)


@given(st.lists(st.tuples(st.lists(lies, max_size=9), st.integers(0, 10**11)), max_size=20))
def test_no_reading_is_ever_absurd(cycles: list[tuple[list[float], int]]) -> None:
    """Published prices keep their bounds, and no two in a row are more than 50 % apart."""
    calculator = IndexCalculator(RULES)
    now_ns, last = NOW_NS, None
    for prices, step_ns in cycles:
        now_ns += step_ns
        samples = {f"s{n}": Sample(price, now_ns) for n, price in enumerate(prices)}
        index = calculator.read(samples, now_ns).index_price
        calculator.check()
        if index is None:
            continue
        assert RULES.floor_price <= index <= RULES.ceiling_price
        assert last is None or abs(index - last) * 2 <= last
        last = index
