"""The implied plan is what trying one lot after the other finds."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.combos import Leg, LegView, implied_plan
from exchange.model import Side

LEVELS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=5)


def lot_by_lot(combo, views, side, quantity, limit, lot_size):
    """Spread each leg into single units of quantity, then buy lot after lot."""
    units = [
        [
            price
            for price, size in v.levels
            if v.price_min <= price <= v.price_max
            for _ in range(size)
        ]
        for v in views
    ]
    done = cost = 0
    while done < quantity:
        lot = 0
        for leg, prices in zip(combo, units, strict=True):
            start = done * abs(leg.ratio)
            part = prices[start : start + lot_size * abs(leg.ratio)]
            if len(part) < lot_size * abs(leg.ratio):
                return done, cost
            lot += side.sign * (1 if leg.ratio > 0 else -1) * sum(part)
        if lot > side.sign * limit * lot_size:
            return done, cost
        done += lot_size
        cost += lot
    return done, cost


@given(
    st.lists(st.tuples(st.sampled_from((-3, -2, -1, 1, 2, 3)), LEVELS), min_size=1, max_size=4),
    st.sampled_from(Side),
    st.integers(0, 12),
    st.integers(-40, 40),
    st.integers(1, 3),
    st.tuples(st.integers(0, 4), st.integers(8, 12)),
)
def test_the_plan_is_that_of_buying_lot_after_lot(legs, side, lots, limit, lot_size, band):
    combo = tuple(Leg(i, ratio) for i, (ratio, _) in enumerate(legs))
    views = []
    for leg, (_, levels) in zip(combo, legs, strict=True):
        buys = (leg.ratio > 0) == (side is Side.BUY)
        prices = dict(levels)
        best_first = sorted(prices.items(), reverse=not buys)
        views.append(LegView(best_first, *band))
    plan = implied_plan(combo, views, side, lots * lot_size, limit, lot_size)
    expected = lot_by_lot(combo, views, side, lots * lot_size, limit, lot_size)
    assert (plan.quantity, plan.cost) == expected
    assert plan.quantity % lot_size == 0
    cost = 0
    for leg, v, taken in zip(combo, views, plan.legs, strict=True):
        assert sum(size for _, size in taken) == plan.quantity * abs(leg.ratio)
        assert all(v.price_min <= price <= v.price_max for price, _ in taken)
        assert all(size <= dict(v.levels)[price] for price, size in taken)
        sign = side.sign * (1 if leg.ratio > 0 else -1)
        cost += sign * sum(price * size for price, size in taken)
    assert cost == plan.cost <= side.sign * limit * plan.quantity
