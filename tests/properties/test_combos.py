"""However its legs are written, a combo is the same one."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.combos import Leg, canonical, combo_id
from exchange.model import InstrumentTerms, Kind, pack_instrument_id

IDS = [
    pack_instrument_id(InstrumentTerms(Kind.OPTION, 1, 1_798_185_600, strike * 10**9))
    for strike in range(1, 7)
]
RATIOS = st.integers(-10, 10).filter(bool)
LEGS = st.lists(
    st.builds(Leg, st.sampled_from(IDS), RATIOS),
    min_size=2,
    max_size=4,
    unique_by=lambda leg: leg.instrument_id,
)


@given(LEGS, st.integers(-5, 5).filter(bool), st.randoms(use_true_random=False))
def test_order_and_multiples_do_not_change_the_combo(legs, factor, rng):
    other = [Leg(i, ratio * factor) for i, ratio in legs]
    rng.shuffle(other)
    first, second = canonical(legs), canonical(other)
    assert first.legs == second.legs
    assert second.factor == first.factor * factor
    assert combo_id(first.legs) == combo_id(second.legs)


@given(LEGS, LEGS)
def test_different_combos_have_different_ids(some, others):
    first, second = canonical(some).legs, canonical(others).legs
    assert (first == second) is (combo_id(first) == combo_id(second))
