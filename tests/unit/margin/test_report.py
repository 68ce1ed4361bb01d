"""`exchange margin`: one JSON document in, every figure out."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from exchange.fixed import CASH_SCALE
from exchange.margin.report import margin_report
from exchange.margin.scenarios import load_preset

DOCUMENT = {
    "preset": "pm33",
    "market": {
        "time": "2026-11-21T08:00:00Z",
        "underlyings": {
            "BTC": {
                "index_price": 100000,
                "volatility": 0.6,
                "perpetual_price": 100010,
                "expiries": [
                    {"expiry": "25DEC26", "forward_price": 100500, "rate": 0.03},
                    {
                        "expiry": "26MAR27T120000",
                        "forward_price": 101000,
                        "smile": [
                            {"strike": 80000, "volatility": 0.7},
                            {"strike": 120000, "volatility": 0.5},
                        ],
                    },
                ],
            },
            "ETH": {
                "index_price": 3500,
                "expiries": [{"expiry": 1798185600, "forward_price": 3510, "volatility": 0.8}],
            },
        },
    },
    "portfolio": {
        "cash": 50000,
        "positions": {
            "BTC_USDC-25DEC26-120000-C": -1,
            "BTC_USDC-26MAR27T120000-80000-P": -0.5,
            "BTC_USDC-PERPETUAL": 0.2,
            "ETH_USDC-25DEC26-3500d55-C": 2,
        },
    },
}


def report(**paths):
    """The report after replacing values at dotted paths."""
    document = json.loads(json.dumps(DOCUMENT))
    for path, value in paths.items():
        *parents, last = path.split("__")
        place = document
        for parent in parents:
            place = place[parent]
        place[last] = value
    return margin_report(json.dumps(document).encode())


def test_every_figure_between_inputs_and_excess_is_told():
    found = report()
    assert found["equity"] == pytest.approx(found["cash"] + found["mark_value"])
    assert found["worst"] == pytest.approx(sum(group["worst"] for group in found["groups"]))
    for group in found["groups"]:
        assert group["worst"] == min(*group["scenarios"], group["basis_contingency"])
    addons = found["initial_addons"] + found["maintenance_addons"]
    expected = found["worst"] - addons + found["equity"]
    assert found["initial_excess"] == pytest.approx(expected)
    assert len(found["scenarios"]) == 33
    assert [one["underlying"] for one in found["contingencies"]] == ["BTC", "ETH"]
    assert [len(one["legs"]) for one in found["expiries"]] == [1, 1, 1, 1]


def test_legs_keep_their_names_and_smiles():
    legs = [leg for expiry in report()["expiries"] for leg in expiry["legs"]]
    assert {leg["instrument_name"] for leg in legs} == set(DOCUMENT["portfolio"]["positions"])
    volatilities = {leg["instrument_name"]: leg["volatility"] for leg in legs}
    assert volatilities["BTC_USDC-25DEC26-120000-C"] == pytest.approx(0.6)
    assert volatilities["BTC_USDC-26MAR27T120000-80000-P"] == pytest.approx(0.7)
    assert volatilities["ETH_USDC-25DEC26-3500d55-C"] == pytest.approx(0.8)


def test_the_engines_integers_stand_beside_the_floats():
    found = report()
    for name in ("mark_value", "equity", "initial_excess", "maintenance_excess"):
        assert found["integers"][name] == pytest.approx(found[name] * CASH_SCALE, abs=20)


def test_the_answer_is_json():
    assert json.loads(json.dumps(report(), allow_nan=False))["preset"] == "pm33"


def test_a_whole_preset_may_be_given():
    table = tomllib.loads(files("exchange.margin").joinpath("presets/pm33.toml").read_text())
    assert report(preset=table) == report()
    assert report(preset="pm35")["worst"] != report()["worst"]
    assert load_preset("pm35").name == report(preset="pm35")["preset"]


def test_the_standard_mode_is_told_position_by_position():
    found = report(preset="standard")
    assert found["preset"] == "standard"
    assert [leg["instrument_name"] for leg in found["legs"]] == [
        *DOCUMENT["portfolio"]["positions"]
    ]
    assert found["initial_excess"] == 50_000 - sum(leg["initial"] for leg in found["legs"])
    for name in ("equity", "initial_excess", "maintenance_excess", "initial_margin"):
        assert found["integers"][name] == pytest.approx(found[name] * CASH_SCALE, abs=20)


def test_time_may_be_a_second():
    assert report(market__time=1795248000) == report()
    assert report(market__time=1795248000.5)["worst"] != report()["worst"]


def test_an_empty_portfolio_is_all_cash():
    found = report(portfolio={"cash": 7})
    assert found["initial_excess"] == 7
    assert found["groups"] == []


@pytest.mark.parametrize("preset", ["pm33", "standard"])
def test_tokens_stand_beside_cash(preset):
    """Ten WETH: told by name, with their shocks and haircuts, and the integers agree."""
    found = report(preset=preset, portfolio__collateral={"WETH": 10, "WBTC": 0.5})
    without = report(preset=preset)
    assert found["collateral_value"] == pytest.approx(10 * 3_500 + 0.5 * 100_000)
    assert found["equity"] == pytest.approx(without["equity"] + found["collateral_value"])
    assert [one["name"] for one in found["collateral"]] == ["WETH", "WBTC"]
    assert len(found["collateral"][0]["results"]) == 33
    for name in ("equity", "initial_excess", "maintenance_excess", "collateral_value"):
        assert found["integers"][name] == pytest.approx(found[name] * CASH_SCALE, abs=20)


BAD = {
    "a token without terms": ({"portfolio__collateral": {"DOGE": 1}}, "'DOGE' needs terms"),
    "a token owed": ({"portfolio__collateral": {"WETH": -1}}, "not negative"),
    "an unknown field": ({"market__bonus": 1}, "unknown field `bonus`"),
    "a wrong type": (
        {"portfolio__cash": "much"},
        r"Expected `float`, got `str` - at `\$.portfolio",
    ),
    "no such preset": ({"preset": "pm34"}, "no preset 'pm34'"),
    "a zone missing": ({"market__time": "2026-11-21T08:00:00"}, "market.time: a date-time needs"),
    "no time at all": ({"market__time": "noon"}, "market.time: Invalid isoformat"),
    "an unknown underlying": ({"portfolio__positions": {"SOL_USDC-PERPETUAL": 1}}, "no underlying"),
    "an inverse name": ({"portfolio__positions": {"BTC-PERPETUAL": 1}}, "no underlying"),
    "no such kind": (
        {"portfolio__positions": {"BTC_USDC-25DEC26-1": 1}},
        "no option, future or perp",
    ),
    "an odd date": ({"portfolio__positions": {"BTC_USDC-1X-5-C": 1}}, "expiry '1X'"),
    "an expiry between minutes": (
        {"portfolio__positions": {"BTC_USDC-25DEC26T080030-5-C": 1}},
        "not a whole minute",
    ),
    "an odd strike": ({"portfolio__positions": {"BTC_USDC-25DEC26-x-C": 1}}, "strike 'x'"),
    "a strike too fine": (
        {"portfolio__positions": {"BTC_USDC-25DEC26-1234567d89-C": 1}},
        "cannot be represented",
    ),
    "an expiry without market": (
        {"portfolio__positions": {"BTC_USDC-1JAN27-5-C": 1}},
        "market: no market for expiry",
    ),
    "a smile missing": (
        {"market__underlyings__BTC__volatility": None},
        "market.underlyings.BTC: 25DEC26 has no volatility",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_the_field_and_the_reason(case):
    changes, reason = BAD[case]
    with pytest.raises(ValueError, match=reason):
        report(**changes)


def test_malformed_json_is_refused():
    with pytest.raises(ValueError, match=r"JSON|truncated"):
        margin_report(b"{")


def test_the_example_of_the_manual_works_as_printed():
    manual = Path(__file__).parents[3].joinpath("docs/margin.md").read_text()
    example = manual.split("```json\n", 1)[1].split("```", 1)[0]
    assert margin_report(example.encode())["initial_excess"] > 0


def test_entry_prices_and_funding_lower_equity():
    """A perpetual bought at 99,000 that owes 12.50: both halves agree on what is left."""
    free = report()
    paid = report(
        portfolio__entry_prices={"BTC_USDC-PERPETUAL": 99_000},
        portfolio__unrealised_funding={"BTC_USDC-PERPETUAL": 12.5},
    )
    owed = 0.2 * 99_000 + 12.5
    assert paid["owed"] == pytest.approx(owed)
    for field in ("equity", "initial_excess", "maintenance_excess"):
        assert paid[field] == pytest.approx(free[field] - owed)
        assert paid["integers"][field] == free["integers"][field] - round(owed * 10**6)


@pytest.mark.parametrize("name", ["BTC_USDC-25DEC26-120000-C", "ETH_USDC-PERPETUAL"])
def test_only_linear_positions_that_are_held_have_an_entry_price(name):
    with pytest.raises(ValueError, match="no perpetual or future that is held"):
        report(portfolio__entry_prices={name: 1.0})


def test_a_future_is_margined_at_its_forward():
    """It has a name without a strike."""
    found = report(portfolio__positions={"BTC_USDC-25DEC26": -1})
    assert found["mark_value"] == pytest.approx(-100_500)
    assert found["integers"]["initial_margin"] > 0
