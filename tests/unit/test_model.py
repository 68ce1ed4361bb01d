"""Instrument ids and names, sides, payoffs."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.model import (
    Instrument,
    InstrumentTerms,
    Kind,
    OptionKind,
    Quote,
    SheetTerms,
    Side,
    arrival,
    civil_date,
    expiry_code,
    instrument_name,
    is_instrument_id,
    number_at,
    numbered,
    pack_instrument_id,
    representable_strike,
    seq_and_place,
    sheet_orders,
    strike_code,
    unpack_instrument_id,
)

CENT = 10**4
DAY = 86_400


def seconds(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())


CHRISTMAS = seconds(2026, 12, 25, 8)

STRIKES = st.builds(
    lambda mantissa, exponent: mantissa * 10**exponent * CENT,
    st.integers(0, 2**20 - 1),
    st.integers(0, 15),
)
TERMS = st.builds(
    InstrumentTerms,
    st.sampled_from([Kind.OPTION, Kind.PERPETUAL, Kind.FUTURE]),
    st.integers(1, 511),
    st.integers(0, 2**26 - 1).map(lambda minutes: minutes * 60),
    STRIKES,
    st.sampled_from(OptionKind),
)


@given(TERMS)
def test_an_id_says_everything(terms):
    """Packing and unpacking are inverses, and the id fits 63 bits."""
    instrument_id = pack_instrument_id(terms)
    assert unpack_instrument_id(instrument_id) == terms
    assert 0 < instrument_id < 2**63
    assert is_instrument_id(instrument_id)


@given(TERMS, TERMS)
def test_ids_are_equal_for_equal_terms_only(one, other):
    """One instrument, one id."""
    assert (pack_instrument_id(one) == pack_instrument_id(other)) == (one == other)


@given(st.one_of(st.integers(-(2**70), 2**70), TERMS.map(pack_instrument_id)), st.integers(0, 62))
def test_any_integer_is_an_id_or_not(value, bit):
    """What passes as an id is the one encoding of its terms."""
    for candidate in (value, value ^ 1 << bit):
        if is_instrument_id(candidate):
            assert pack_instrument_id(unpack_instrument_id(candidate)) == candidate


ID = pack_instrument_id(InstrumentTerms(Kind.OPTION, 1, CHRISTMAS, 100_000 * 10**6, OptionKind.PUT))


def test_the_layout_of_an_id_is_fixed():
    """kind 3 | underlying 9 | minutes 26 | exponent 4 | mantissa 20 | put 1, as in the contract."""
    assert ID >> 60 == 1
    assert ID >> 51 & 0x1FF == 1
    assert ID >> 25 & 0x3FFFFFF == CHRISTMAS // 60
    assert ID >> 21 & 0xF == 1  # 10,000,000 cents need one power of ten
    assert ID >> 1 & 0xFFFFF == 1_000_000
    assert ID & 1 == 1


NOT_CANONICAL = [
    ("kind zero", ID & (1 << 60) - 1),
    ("kind beyond three", ID | 7 << 60),
    ("more than 63 bits", ID | 1 << 63),
    ("no underlying", ID & ~(0x1FF << 51)),
    ("negative", -ID),
    ("a larger exponent than needed", ID & ~(0x1FFFFFF) | 2 << 21 | 100_000 << 1),
]


@pytest.mark.parametrize(("why", "value"), NOT_CANONICAL)
def test_other_encodings_are_no_ids(why, value):
    """An instrument has no second id."""
    assert not is_instrument_id(value), why


REPRESENTABLE = [
    (0, True),
    (CENT, True),
    (55 * CENT, True),  # 0.55
    (CENT // 2, False),  # below a cent
    (-CENT, False),
    ((2**20 - 1) * CENT, True),
    (2**20 * CENT, False),  # 10,485.76: 21 bits and no zero at the end
    (100_000 * 10**6, True),
    (100_000_500_000, True),  # 100,000.50
    (123_456_780_000, False),  # 123,456.78: eight digits
    (2**20 * 10**6, False),  # an odd mantissa of 21 bits, however many zeros follow
    (1_048_575 * 10**15 * CENT, True),
    (1_048_575 * 10**16 * CENT, False),  # an exponent beyond 15
]


@pytest.mark.parametrize(("strike", "fits"), REPRESENTABLE)
def test_strikes_have_twenty_bits_and_zeros(strike, fits):
    """A strike fits when cents without trailing zeros are below 2**20."""
    assert representable_strike(strike) is fits


def test_packing_asserts_what_the_caller_must_know():
    """Unrepresentable strikes, underlyings and expiries are bugs."""
    good = InstrumentTerms(Kind.OPTION, 1, CHRISTMAS, 100_000 * 10**6)
    bad = [
        {"strike": 1},
        {"underlying_id": 0},
        {"underlying_id": 512},
        {"expiry": CHRISTMAS + 1},
        {"expiry": 2**26 * 60},
    ]
    for change in bad:
        with pytest.raises(AssertionError):
            pack_instrument_id(msgspec.structs.replace(good, **change))


def test_two_hundred_years_of_dates():
    """Every day from 1970 to 2170 has the date that the calendar gives it."""
    first = date(1970, 1, 1)
    for day in range(200 * 366):
        expected = first + timedelta(days=day)
        assert civil_date(day) == (expected.year, expected.month, expected.day)


def test_dates_before_the_epoch():
    """The algorithm holds for negative days and centuries without a leap day."""
    for when in (date(1969, 12, 31), date(1900, 2, 28), date(1900, 3, 1), date(1600, 2, 29)):
        day = (when - date(1970, 1, 1)).days
        assert civil_date(day) == (when.year, when.month, when.day)


NAMES = [
    ("BTC", InstrumentTerms(Kind.PERPETUAL, 1), "BTC_USDC-PERPETUAL"),
    ("BTC", InstrumentTerms(Kind.FUTURE, 1, CHRISTMAS), "BTC_USDC-25DEC26"),
    (
        "BTC",
        InstrumentTerms(Kind.OPTION, 1, CHRISTMAS, 100_000 * 10**6),
        "BTC_USDC-25DEC26-100000-C",
    ),
    (
        "ETH",
        InstrumentTerms(Kind.OPTION, 2, seconds(2027, 1, 1, 8), 550_000, OptionKind.PUT),
        "ETH_USDC-1JAN27-0d55-P",
    ),
    (
        "BTC",
        InstrumentTerms(Kind.OPTION, 1, seconds(2027, 3, 5, 14, 7), 10**6, OptionKind.PUT),
        "BTC_USDC-5MAR27T140700-1-P",
    ),
]


@pytest.mark.parametrize(("underlying", "terms", "name"), NAMES)
def test_names_are_deribits_linear_ones(underlying, terms, name):
    """08:00 expiries are plain, other times are told; fractions use a d."""
    assert instrument_name(underlying, terms) == name


def test_parts_of_names():
    """No zero pads a day, two digits make a year, no zero ends a fraction."""
    assert expiry_code(seconds(2030, 2, 1, 8)) == "1FEB30"
    assert expiry_code(seconds(2000, 2, 29, 0, 0, 5)) == "29FEB00T000005"
    assert [strike_code(s) for s in (10**6, 1_500_000, 10_000, 2_010_000)] == [
        "1",
        "1d5",
        "0d01",
        "2d01",
    ]


def test_sides():
    """A buyer's position grows, a seller's falls."""
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)


def an_option(option_kind: OptionKind, kind: Kind = Kind.OPTION) -> Instrument:
    return Instrument(
        instrument_id=1,
        name="x",
        kind=kind,
        underlying_id=1,
        expiry=CHRISTMAS,
        strike=100 * 10**6,
        option_kind=option_kind,
        tick_size=CENT,
        lot_size=1,
        min_quantity=1,
    )


PAYOFFS = [(90, 0, 10), (100, 0, 0), (110, 10, 0), (0, 0, 100)]


@pytest.mark.parametrize(("price", "of_call", "of_put"), PAYOFFS)
def test_payoffs(price, of_call, of_put):
    """A call pays what lies above the strike, a put what lies below, never less than nothing."""
    assert an_option(OptionKind.CALL).payoff(price * 10**6) == of_call * 10**6
    assert an_option(OptionKind.PUT).payoff(price * 10**6) == of_put * 10**6


def test_a_future_is_worth_what_is_delivered():
    """A perpetual never is."""
    assert an_option(OptionKind.CALL, Kind.FUTURE).payoff(7) == 7
    with pytest.raises(AssertionError):
        an_option(OptionKind.CALL, Kind.PERPETUAL).payoff(7)


def test_numbers_of_signed_orders_split_and_sort():
    """A number says its seq and place; its arrival grows with both, seq first."""
    pairs = [(1, 0), (1, 1), (1, 1_023), (2, 0), (10**12, 5)]
    numbers = [numbered(*pair) for pair in pairs]
    assert [seq_and_place(number) for number in numbers] == pairs
    arrivals = [arrival(number) for number in numbers]
    assert arrivals == sorted(arrivals)
    assert [number_at(arrived) for arrived in arrivals] == numbers
    assert arrivals[-1] < 2**63


def test_orders_of_a_sheet_stand_in_the_order_of_its_lines_bid_first():
    """An empty side is no order and takes no nonce; everything else is the sheet's."""
    terms = SheetTerms(
        subaccount_id=2, sheet_nonce=9, first_nonce=50, max_fee=3, deadline=8, signer="maker"
    )
    lines = [Quote(7, 10, 5, 12, 6), Quote(3, 1, 0, 9, 4), Quote(5, 8, 2, 0, 0)]
    orders = sheet_orders(terms, lines)
    assert [
        (order.nonce, order.instrument_id, order.side, order.limit_price, order.quantity)
        for order in orders
    ] == [
        (50, 7, Side.BUY, 10, 5),
        (51, 7, Side.SELL, 12, 6),
        (52, 3, Side.SELL, 9, 4),
        (53, 5, Side.BUY, 8, 2),
    ]
    shared = {
        (order.subaccount_id, order.max_fee, order.deadline, order.signer, order.version)
        for order in orders
    }
    assert shared == {(2, 3, 8, "maker", 0)}
    assert not any(order.reduce_only or any(order.trigger_hash) for order in orders)
