"""Which instruments the rules ask for."""

from pathlib import Path

import msgspec
import pytest

import exchange.matching
from exchange.commands import InstrumentListing
from exchange.matching.listing import (
    Expiries,
    StrikeStep,
    cycle,
    due_instruments,
    expiries_ahead,
    option_chain,
    parse_rules,
    strikes_around,
    to_listing,
)
from exchange.model import (
    InstrumentTerms,
    Kind,
    OptionKind,
    expiry_code,
    instrument_name,
    pack_instrument_id,
)

RULES_FILE = Path(exchange.matching.__file__).parent / "listing_rules.toml"
SATURDAY_NOON = 1_795_262_400  # 21 November 2026
USDC = 10**6

RULES = parse_rules(
    """
[[underlyings]]
underlying_id = 1
tick_size = "5"
linear_tick_size = "1"
lot_size = "0.01"
min_quantity = "0.1"
perpetual = true
options = { daily = 1, weekly = 1 }
futures = { quarterly = 1 }
strike_steps = [
    { days_max = 3, step = "500", strikes_each_side = 1 },
    { days_max = 400, step = "5000", strikes_each_side = 2 },
]
"""
).underlyings[0]


def codes(now_s, **cycles):
    return [expiry_code(expiry) for expiry in expiries_ahead(Expiries(**cycles), now_s)]


@pytest.mark.parametrize(
    ("cycles", "expected"),
    [
        ({}, []),
        ({"daily": 3}, ["22NOV26", "23NOV26", "24NOV26"]),
        ({"weekly": 3}, ["27NOV26", "4DEC26", "11DEC26"]),
        ({"monthly": 3}, ["27NOV26", "25DEC26", "29JAN27"]),
        ({"quarterly": 4}, ["25DEC26", "26MAR27", "25JUN27", "24SEP27"]),
        ({"weekly": 1, "monthly": 2, "quarterly": 1}, ["27NOV26", "25DEC26"]),
    ],
)
def test_expiries_follow_the_calendar_and_count_once(cycles, expected):
    assert codes(SATURDAY_NOON, **cycles) == expected


def test_an_expiry_belongs_to_its_longest_cycle():
    """25 December 2026 ends a month and a quarter; 4 December a week, 22 November a day."""
    days = expiries_ahead(Expiries(daily=1, weekly=2, quarterly=1), SATURDAY_NOON)
    named = [(expiry_code(expiry), cycle(expiry)) for expiry in days]
    assert named == [
        ("22NOV26", "day"),
        ("27NOV26", "month"),
        ("4DEC26", "week"),
        ("25DEC26", "month"),
    ]


def test_an_expiry_within_the_hour_is_not_listed():
    seven = SATURDAY_NOON - 5 * 3600
    assert codes(seven - 1, daily=1) == ["21NOV26"]
    assert codes(seven, daily=1) == ["22NOV26"]


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (101_200, [99_000, 100_000, 101_000, 102_000, 103_000]),
        (101_500, [100_000, 101_000, 102_000, 103_000, 104_000]),  # a tie: the even multiple
        (1_400, [1_000, 2_000, 3_000]),
        (100, [1_000, 2_000, 3_000]),
    ],
)
def test_strikes_lie_around_the_forward_and_above_zero(forward, expected):
    step = StrikeStep(days_max=3, step="1000", strikes_each_side=2)
    assert [strike // USDC for strike in strikes_around(forward * USDC, step)] == expected


def test_what_is_due_comes_by_kind_expiry_strike_and_option_kind():
    due = due_instruments(RULES, SATURDAY_NOON, 100_000 * USDC, {}, set())
    assert [instrument_name("BTC", terms) for terms in due] == [
        "BTC_USDC-PERPETUAL",
        "BTC_USDC-25DEC26",
        "BTC_USDC-22NOV26-99500-C",
        "BTC_USDC-22NOV26-99500-P",
        "BTC_USDC-22NOV26-100000-C",
        "BTC_USDC-22NOV26-100000-P",
        "BTC_USDC-22NOV26-100500-C",
        "BTC_USDC-22NOV26-100500-P",
        "BTC_USDC-27NOV26-90000-C",
        "BTC_USDC-27NOV26-90000-P",
        "BTC_USDC-27NOV26-95000-C",
        "BTC_USDC-27NOV26-95000-P",
        "BTC_USDC-27NOV26-100000-C",
        "BTC_USDC-27NOV26-100000-P",
        "BTC_USDC-27NOV26-105000-C",
        "BTC_USDC-27NOV26-105000-P",
        "BTC_USDC-27NOV26-110000-C",
        "BTC_USDC-27NOV26-110000-P",
    ]


def test_only_what_is_new_is_due_as_the_index_moves():
    first = due_instruments(RULES, SATURDAY_NOON, 100_000 * USDC, {}, set())
    listed = {pack_instrument_id(terms) for terms in first}
    assert due_instruments(RULES, SATURDAY_NOON, 100_000 * USDC, {}, listed) == []
    moved = due_instruments(RULES, SATURDAY_NOON, 100_500 * USDC, {}, listed)
    assert [instrument_name("BTC", terms) for terms in moved] == [
        "BTC_USDC-22NOV26-101000-C",
        "BTC_USDC-22NOV26-101000-P",
    ]


def test_each_expiry_has_its_own_forward():
    friday = expiries_ahead(Expiries(weekly=1), SATURDAY_NOON)[0]
    forwards = {friday: 120_000 * USDC}
    due = due_instruments(RULES, SATURDAY_NOON, 100_000 * USDC, forwards, set())
    strikes = {terms.strike // USDC for terms in due if terms.expiry == friday}
    assert strikes == {110_000, 115_000, 120_000, 125_000, 130_000}


def test_the_grid_grows_finer_as_an_expiry_comes_nearer():
    friday = expiries_ahead(Expiries(weekly=1), SATURDAY_NOON)[0]
    assert RULES.strike_step(friday, friday - 3 * 86_400).step == "5000"
    assert RULES.strike_step(friday, friday - 3 * 86_400 + 1).step == "500"
    assert RULES.strike_step(friday, friday - 900 * 86_400).step == "5000"
    near = option_chain(RULES, friday - 86_400, friday, 100_000 * USDC)
    assert near[0] == InstrumentTerms(Kind.OPTION, 1, friday, 99_500 * USDC, OptionKind.CALL)


@pytest.mark.parametrize(
    ("terms", "tick_size"),
    [
        (InstrumentTerms(Kind.PERPETUAL, 1), 1),
        (InstrumentTerms(Kind.FUTURE, 1, 1_798_185_600), 1),
        (InstrumentTerms(Kind.OPTION, 1, 1_798_185_600, 10**11, OptionKind.CALL), 5),
    ],
)
def test_a_listing_carries_the_grid_of_its_kind(terms, tick_size):
    assert to_listing(RULES, terms) == InstrumentListing(
        instrument_id=pack_instrument_id(terms),
        tick_size=tick_size * USDC,
        lot_size=100,
        min_quantity=1_000,
    )


def table(**changes):
    lines = {
        "underlying_id": "1",
        "tick_size": '"5"',
        "linear_tick_size": '"1"',
        "lot_size": '"0.01"',
        "min_quantity": '"0.1"',
        "perpetual": "true",
        "options": "{ daily = 1 }",
        "futures": "{}",
        "strike_steps": '[{ days_max = 3, step = "500", strikes_each_side = 1 }]',
        **changes,
    }
    return "[[underlyings]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


STEP = '{ days_max = 3, step = "%s", strikes_each_side = %d }'


@pytest.mark.parametrize(
    "text",
    [
        table() + table(),
        table(strike_steps="[]"),
        table(strike_steps=f"[{STEP % ('500', 1)}, {STEP % ('600', 1)}]"),
        table(strike_steps=f"[{STEP % ('500', 0)}]"),
        table(strike_steps=f"[{STEP % ('0.001', 1)}]"),
        table(strike_steps=f"[{STEP % ('0.0000001', 1)}]"),
        table(strike_steps=f"[{STEP % ('0', 1)}]"),
        table(tick_size='"0.001"'),
        table(linear_tick_size='"0.001"'),
        table(lot_size='"0"'),
        table(min_quantity='"0.015"'),
    ],
)
def test_malformed_rules_are_a_bug(text):
    with pytest.raises(AssertionError):
        parse_rules(text)


def test_without_options_no_strike_steps_are_needed():
    rules = parse_rules(table(options="{}", strike_steps="[]")).underlyings[0]
    due = due_instruments(rules, SATURDAY_NOON, 1, {}, set())
    assert [terms.kind for terms in due] == [Kind.PERPETUAL]


def test_only_who_asks_for_a_perpetual_gets_one():
    without = msgspec.structs.replace(RULES, perpetual=False)
    kinds = {terms.kind for terms in due_instruments(without, SATURDAY_NOON, 10**11, {}, set())}
    assert Kind.PERPETUAL not in kinds
    assert Kind.OPTION in kinds
