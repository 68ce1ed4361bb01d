"""The plan is what taking one lot after the other finds; legs' prices always add up."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.fixed import PRICE_QUANTUM
from exchange.matching.implied import (
    ComboOrder,
    LegView,
    Match,
    Offer,
    Rival,
    Slice,
    allot,
    plan_combo,
)
from exchange.model import Leg, Side

LOT = 3
OFFERS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), max_size=5)
RATIOS = st.sampled_from((-3, -2, -1, 1, 2, 3))


def lots(legs, reach):
    """The value of each lot that all legs can give, in the order in which they are taken."""
    count = min(
        len(prices) // (abs(leg.ratio) * LOT) for leg, prices in zip(legs, reach, strict=True)
    )
    for lot in range(count):
        value = 0
        for leg, prices in zip(legs, reach, strict=True):
            need = abs(leg.ratio) * LOT
            part = prices[lot * need : (lot + 1) * need]
            value += sum(part) if leg.ratio > 0 else -sum(part)
        yield value


@given(
    st.lists(st.tuples(RATIOS, OFFERS), min_size=2, max_size=4),
    st.sampled_from(Side),
    st.integers(-30, 30),
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(-30, 30), st.integers(1, 3)), max_size=4),
)
def test_the_plan_is_that_of_taking_lot_after_lot(given_legs, side, limit, count, resting):
    legs = tuple(Leg(at, ratio) for at, (ratio, _) in enumerate(given_legs))
    views, reach = [], []
    for leg, (_, levels) in zip(legs, given_legs, strict=True):
        buys = (leg.ratio > 0) is (side is Side.BUY)
        levels = sorted(levels, reverse=not buys, key=lambda level: level[0])
        views.append(LegView([Offer(at, *level) for at, level in enumerate(levels)], 1, 9))
        reach.append([price for price, quantity in levels for _ in range(quantity)])
    resting = sorted(resting, key=lambda one: one[0] * side.sign)
    rivals = [
        Rival(at, price, size * LOT, False, True) for at, (price, size) in enumerate(resting, 1)
    ]
    found = plan_combo(legs, views, rivals, ComboOrder(side, limit, count * LOT, LOT, 10_000))

    own = [(price * LOT, at) for at, (price, size) in enumerate(resting, 1) for _ in range(size)]
    implied = list(lots(legs, reach))
    expected = []
    while len(expected) < count:
        first = [(side.sign * own[0][0], 0, own[0][1])] if own else []
        second = [(side.sign * implied[0], 1, 0)] if implied else []
        best = min(first + second, default=None)
        if best is None or best[0] > side.sign * limit * LOT:
            break
        (implied if best[1] else own).pop(0)
        expected.append((side.sign * best[0], best[2]))
    steps = []
    for step in found.steps:
        value = step.price * LOT if isinstance(step, Match) else step.value * LOT // step.quantity
        maker = step.order_id if isinstance(step, Match) else 0
        steps += [(value, maker)] * (step.quantity // LOT)
    assert steps == expected
    for leg, prices in zip(legs, reach, strict=True):
        fills = [
            fill
            for step in found.steps
            if isinstance(step, Slice)
            for fill in step.fills
            if fill.instrument_id == leg.instrument_id
        ]
        taken = [fill.price for fill in fills for _ in range(fill.quantity)]
        assert taken == prices[: len(taken)]
        assert {fill.side for fill in fills} <= {side if leg.ratio > 0 else side.opposite}


@given(
    st.lists(
        st.tuples(RATIOS, st.integers(1, 30), st.integers(0, 6), st.integers(0, 6)),
        min_size=2,
        max_size=4,
    ),
    st.integers(-60, 60),
)
def test_allotted_prices_add_up_inside_their_bands(given_legs, net):
    legs = tuple(Leg(at, ratio) for at, (ratio, *_) in enumerate(given_legs))
    marks = [mark * PRICE_QUANTUM for _, mark, _, _ in given_legs]
    bands = [
        ((mark - below) * PRICE_QUANTUM, (mark + above) * PRICE_QUANTUM)
        for _, mark, below, above in given_legs
    ]
    found = allot(legs, marks, bands, net * PRICE_QUANTUM)
    if found is not None:
        total = sum(leg.ratio * price for leg, price in zip(legs, found, strict=True))
        assert total == net * PRICE_QUANTUM
        assert all(low <= price <= high for price, (low, high) in zip(found, bands, strict=True))
    if len(legs) == 2:  # then nothing is missed
        (first, one), (second, other) = zip(legs, bands, strict=True)
        reachable = {
            first.ratio * low + second.ratio * high
            for low in range(one[0], one[1] + 1, PRICE_QUANTUM)
            for high in range(other[0], other[1] + 1, PRICE_QUANTUM)
        }
        assert (found is not None) is (net * PRICE_QUANTUM in reachable)
