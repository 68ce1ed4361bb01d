"""Arithmetic: each rounding falls to its named side, and no text is a surprise."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import fixed

BIG = st.integers(-(2**90), 2**90)
DIVISORS = st.integers(1, 2**70)
SCALES = st.sampled_from([1, 10**4, 10**6, 10**18])

ROUNDINGS = [  # a, divisor, down, up, half-even
    (7, 2, 3, 4, 4),
    (5, 2, 2, 3, 2),
    (-5, 2, -3, -2, -2),
    (-7, 2, -4, -3, -4),
    (6, 2, 3, 3, 3),
    (0, 9, 0, 0, 0),
    (-1, 10**18, -1, 0, 0),
    (1, 10**18, 0, 1, 0),
    (2, 3, 0, 1, 1),
    (4, 3, 1, 2, 1),
]


@pytest.mark.parametrize(("a", "divisor", "down", "up", "half_even"), ROUNDINGS)
def test_each_rounding_falls_to_its_side(a, divisor, down, up, half_even):
    """Down is toward minus infinity, up toward plus infinity, ties go to the even neighbour."""
    assert fixed.div_down(a, divisor) == down
    assert fixed.div_up(a, divisor) == up
    assert fixed.div_half_even(a, divisor) == half_even


@given(BIG, BIG, DIVISORS)
def test_roundings_agree_with_fractions(a, b, divisor):
    """Every division equals the rational number, rounded as its name says."""
    exact = Fraction(a * b, divisor)
    assert fixed.mul_div_down(a, b, divisor) == floor(exact)
    assert fixed.mul_div_up(a, b, divisor) == ceil(exact)
    assert fixed.div_half_even(a, divisor) == round(Fraction(a, divisor))


@pytest.mark.parametrize("divisor", [0, -1])
def test_a_divisor_is_positive(divisor):
    """Zero and negative divisors are bugs of the caller."""
    for call in (fixed.div_down, fixed.div_up, fixed.div_half_even):
        with pytest.raises(AssertionError):
            call(1, divisor)
    for call in (fixed.mul_div_down, fixed.mul_div_up):
        with pytest.raises(AssertionError):
            call(1, 1, divisor)


def test_an_exact_division_leaves_nothing():
    """A remainder where none can be is a bug, not a rounding."""
    assert fixed.div_exact(-40, 8) == -5
    with pytest.raises(AssertionError, match="41 is not a multiple of 8"):
        fixed.div_exact(41, 8)


def test_a_notional_is_exact_on_the_grid_of_ticks():
    """0.0001 contracts at a price of 0.01 USDC are a whole micro-USDC."""
    assert fixed.notional(10_000, 1) == 1
    assert fixed.notional(2_500_000_000, 15_000) == 3_750_000_000
    with pytest.raises(AssertionError):
        fixed.notional(1, 1)


def test_a_multiple_lies_on_the_grid():
    """Zero and negative multiples are multiples too."""
    assert [fixed.is_multiple(value, 5) for value in (0, 5, -10, 7)] == [True, True, True, False]


def test_times_round_down():
    """A moment belongs to the second and the millisecond that began before it."""
    time_ns = 1_700_000_000_999_999_999
    assert fixed.to_seconds_down(time_ns) == 1_700_000_000
    assert fixed.to_milliseconds_down(time_ns) == 1_700_000_000_999
    assert fixed.to_nanoseconds(1_700_000_000) == 1_700_000_000 * 10**9


PARSED = [
    ("0", 0),
    ("-0", 0),
    ("1", 1_000_000),
    ("007", 7_000_000),
    ("1.5", 1_500_000),
    ("-0.000001", -1),
    ("1.2345670", 1_234_567),
    ("1.50000000000000000000000000000000000000", 1_500_000),
    ("9223372036854.775807", fixed.INT63_MAX),
]


@pytest.mark.parametrize(("text", "value"), PARSED)
def test_plain_decimals_are_read(text, value):
    """Digits with at most one point, and zeros beyond the scale."""
    assert fixed.parse_decimal(text, fixed.CASH_SCALE) == value


HOSTILE = [
    "",
    "-",
    ".",
    "-.",
    ".5",
    "1.",
    "+1",
    "--1",
    "1-",
    " 1",
    "1 ",
    "1\n",
    "1_0",
    "1,5",
    "1.2.3",
    "0x10",
    "1e3",
    "1E+3000000",
    "1e-3000000",
    "nan",
    "inf",
    "Infinity",
    "1.2345671",
    "0.0000001",
    "١٢",  # Arabic digits
    "\uff11\uff12",  # full-width digits
    "1.\uff12",
    "²",
    "½",
    "1\x00",
    "\x001",
    "\u22121",  # a minus sign that is not the hyphen
    "1" * 41,
    "1" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:12]!r}-{len(text)}")
def test_hostile_texts_are_no_numbers(text):
    """Exponents, signs, other scripts, excess digits and length are all refused, and at once."""
    assert fixed.parse_decimal(text, fixed.CASH_SCALE) is None


@given(BIG, SCALES)
def test_text_of_a_number_reads_back(value, scale):
    """`format_decimal` and `parse_decimal` are inverses wherever the text is short enough."""
    text = fixed.format_decimal(value, scale)
    if len(text) <= 40:
        assert fixed.parse_decimal(text, scale) == value
    assert Fraction(text) == Fraction(value, scale)
    assert not (text.endswith("0") and "." in text)


@given(st.text(max_size=45))
def test_any_text_is_a_number_or_none(text):
    """Whatever is accepted denotes exactly that rational number."""
    value = fixed.parse_decimal(text, fixed.CASH_SCALE)
    if value is not None:
        assert Fraction(text) == Fraction(value, fixed.CASH_SCALE)


@given(st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,8})?", fullmatch=True))
def test_plain_decimals_are_refused_for_excess_digits_only(text):
    """Every plain decimal that the scale can hold is accepted."""
    fits = (Fraction(text) * fixed.CASH_SCALE).denominator == 1
    assert (fixed.parse_decimal(text, fixed.CASH_SCALE) is not None) == fits


def test_text_is_as_short_as_possible():
    """No trailing zeros, no point without digits, one zero before the point."""
    table = [(0, "0"), (1, "0.000001"), (-1_500_000, "-1.5"), (2_000_000, "2"), (10, "0.00001")]
    assert [(value, fixed.format_decimal(value, 10**6)) for value, _ in table] == table
    assert fixed.format_decimal(-42, 1) == "-42"
