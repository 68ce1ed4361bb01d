"""Presets and their formulas."""

import math

import msgspec
import numpy as np
import pytest
from tests import naive_margin
from tests.margin_world import preset

from exchange.fixed import RATIO_SCALE
from exchange.margin.scenarios import (
    PRESETS,
    Legs,
    Preset,
    VolatilityMode,
    load_preset,
    margin_parameters,
    provable,
    shocked_volatilities,
    to_ratio,
)

MODES = {"linear": "skew_linear", "absolute": "skew_absolute"}


def test_pm33_is_the_page():
    found = [(one.spot, str(one.volatility), one.weight) for one in preset().scenarios]
    expected = [
        (spot, MODES.get(mode, mode), weight) for spot, mode, weight in naive_margin.SCENARIOS
    ]
    assert found == expected
    assert len(found) == 33


def test_pm35_has_nine_prices_three_volatilities_and_eight_tails():
    found = load_preset("pm35").scenarios
    assert len(found) == 35
    assert len({one.spot for one in found[:27]}) == 9
    assert [one.spot for one in found[27:]] == [0.34, 0.67, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_exact_decimals(name):
    found = margin_parameters(load_preset(name))
    assert found.preset == name
    assert found.maintenance_factor == 8 * RATIO_SCALE // 10
    assert len(found.weights) == len(found.absolute) == len(load_preset(name).scenarios)
    assert found.risk_groups == ()


def test_risk_groups_are_numbered_from_one():
    grouped = msgspec.structs.replace(preset(), risk_groups=((1, 2), (5,)))
    assert margin_parameters(grouped).risk_groups == ((1, 1), (2, 1), (5, 2))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.98, 98 * 10**16), (1e-7, 10**11), (0.27720, 2772 * 10**14), (1.0, 10**18), (1e-19, 0)],
)
def test_ratios_are_the_decimals_that_they_print_as(value, expected):
    assert to_ratio(value) == expected


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match="no preset 'pm34'; there are pm33, pm35"):
        load_preset("pm34")


def test_a_preset_has_rows_longer_than_a_node():
    """Four scenarios would make a row as long as an expiry's leaf, three as long as a node."""
    preset = load_preset("pm33")
    plain = [one for one in preset.scenarios if one.volatility is VolatilityMode.NONE]
    few = msgspec.structs.replace(preset, scenarios=tuple(plain[1:6]))
    assert provable(few) is few
    few = msgspec.structs.replace(preset, scenarios=tuple(plain[2:6]))
    with pytest.raises(ValueError, match="pm33: the chain takes 5 scenarios or more"):
        provable(few)


def changed(section, **changes):
    part = msgspec.structs.replace(getattr(preset(), section), **changes)
    return msgspec.structs.replace(preset(), **{section: part})


@pytest.mark.parametrize(
    ("section", "changes", "reason"),
    [
        ("discount", {"long_base": 1.03}, "credit for a box"),
        ("discount", {"long_rate": -0.2}, "exceed the short one with time"),
        ("basis", {"spot_up": 1.05}, "no scenario at spot 1.05"),
    ],
)
def test_presets_that_give_credit_are_refused(section, changes, reason):
    with pytest.raises(ValueError, match=reason):
        changed(section, **changes)


def test_a_box_gets_no_credit_even_at_an_absurd_rate():
    long, short = preset().discounts(1.0, -0.5)
    assert long == short == math.exp(-0.5)


def test_multiples_of_the_rate_are_parameters():
    found = changed("discount", long_multiple=1.0, short_multiple=2.0)
    long, short = found.discounts(2.0, 0.5)
    assert long == pytest.approx(0.98 * math.exp(-0.6 * 2))
    assert short == pytest.approx(min(math.exp(0.5 * 2), 1.02 * math.exp(1.1 * 2)))


def test_standard_rates_come_with_every_preset():
    assert margin_parameters(preset()).standard.option_initial == 15 * 10**16


@pytest.mark.parametrize("days", [0.0, 0.5, 1.0, 29.0, 30.0, 31.0, 400.0])
def test_volatility_shocks_follow_the_power_law(days):
    for mode in ("up", "none", "down"):
        shock = preset().volatility_shock(days, VolatilityMode(mode))
        expected = naive_margin.shocked_vol(1.0, mode, days, 1.0, 1.0)
        assert shock == pytest.approx(expected, rel=1e-14)


def test_a_shocked_up_volatility_has_a_floor_and_skews_are_capped():
    legs = Legs(
        strikes=np.array([10.0, 90.0, 100.0, 110.0, 900.0]),
        is_put=np.zeros(5, dtype=bool),
        volatilities=np.full(5, 0.1),
    )
    found = shocked_volatilities(preset(), legs, 100.0, 30.0)
    for at, (_, mode, _) in enumerate(naive_margin.SCENARIOS):
        expected = [naive_margin.shocked_vol(0.1, mode, 30.0, k, 100.0) for k in legs.strikes]
        assert found[:, at] == pytest.approx(expected, rel=1e-13)
    assert found[0, 0] == 0.4


def test_unknown_keys_of_a_preset_are_refused():
    table = msgspec.to_builtins(preset())
    table["bonus"] = 1
    with pytest.raises(msgspec.ValidationError, match="bonus"):
        msgspec.convert(table, Preset)


def test_scaling_stretches_the_grid_and_leaves_the_tails():
    """Half as far again: 18 % become 27 %, the basis moves with its scenarios, tails stay."""
    plain = load_preset("pm33")
    wide = plain.scaled(1.5, 1.2)
    for before, after in zip(plain.scenarios, wide.scenarios, strict=True):
        expected = before.spot if before.weight < 1 else 1 + (before.spot - 1) * 1.5
        assert after.spot == pytest.approx(expected, rel=1e-15)
        assert (after.volatility, after.weight) == (before.volatility, before.weight)
    assert wide.volatility.up == pytest.approx(plain.volatility.up * 1.2)
    assert wide.volatility.down == plain.volatility.down
    assert wide.basis_index(wide.basis.spot_up) == plain.basis_index(plain.basis.spot_up)
    assert plain.scaled(1.0, 1.0) is plain


@pytest.mark.parametrize("name", ["pm33", "pm35"])
def test_a_stretched_grid_never_passes_the_tails(name):
    """Beyond them a scenario of full weight would count as if it were likelier than a smaller."""
    spots = [one.spot for one in load_preset(name).scaled(9.0, 1.0).scenarios if one.weight >= 1]
    assert (min(spots), max(spots)) == (0.67, 1.5)


def test_without_tails_a_grid_is_bounded_by_nothing_but_zero():
    """A preset of one's own may have none."""
    plain = load_preset("pm33")
    grid = msgspec.structs.replace(
        plain, scenarios=tuple(one for one in plain.scenarios if one.weight >= 1)
    )
    spots = [one.spot for one in grid.scaled(9.0, 1.0).scenarios]
    assert (min(spots), max(spots)) == (0.0, pytest.approx(1 + 0.18 * 9))
