"""However its legs are written, a combo is the same one."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.combos import LEGS_MAX, canonical, combo_name
from exchange.model import InstrumentTerms, Kind, Leg, OptionKind, pack_instrument_id
from exchange.signing import legs_hash

IDS = [
    pack_instrument_id(InstrumentTerms(Kind.OPTION, 1, expiry, strike * 10**9, option_kind))
    for expiry in (1_798_185_600, 1_800_604_800)
    for strike in (1, 2, 3, 4, 5)
    for option_kind in OptionKind
]
RATIOS = st.integers(-2, 2).filter(bool) | st.integers(-10, 10).filter(bool)
LEGS = st.lists(
    st.builds(Leg, st.sampled_from(IDS), RATIOS),
    min_size=2,
    max_size=LEGS_MAX,
    unique_by=lambda leg: leg.instrument_id,
)


@given(LEGS, st.integers(-5, 5).filter(bool), st.randoms(use_true_random=False))
def test_order_and_multiples_do_not_change_the_combo(legs, factor, rng):
    other = [Leg(i, ratio * factor) for i, ratio in legs]
    rng.shuffle(other)
    first, second = canonical(legs), canonical(other)
    assert first.legs == second.legs
    assert second.factor == first.factor * factor
    assert legs_hash(first.legs) == legs_hash(second.legs)


@given(LEGS, LEGS)
def test_different_combos_have_different_hashes_and_names(some, others):
    first, second = canonical(some).legs, canonical(others).legs
    assert (first == second) is (legs_hash(first) == legs_hash(second))
    assert (first == second) is (combo_name("BTC", first) == combo_name("BTC", second))
