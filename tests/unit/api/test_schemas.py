"""Decimals are exact or refused; parameters are strict."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.api import schemas
from exchange.api.errors import InvalidParams, ParseError
from exchange.api.order_types import OrderHashParams
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, format_decimal

NOT_DECIMALS = [
    "1e3", "1E-2", "1e3000000", ".5", "5.", "+1", "--1", "1_0", " 1", "1 ", "0x10", "NaN",
    "Infinity", "٣", "1,5", "", "null", "true", "1.0000001", "9" * 41, "[1]", "{}", '"', "1\n",
]  # fmt: skip


@given(st.integers(-schemas.PRICE_MAX, schemas.PRICE_MAX))
def test_prices_survive_both_ways_as_number_and_as_text(value):
    text = format_decimal(value, CASH_SCALE)
    assert schemas.parse_price(msgspec.Raw(text.encode())) == value
    assert schemas.parse_price(msgspec.Raw(f'"{text}"'.encode())) == value
    assert bytes(schemas.cash_number(value)) == text.encode()


@given(st.integers(0, schemas.QUANTITY_LIMIT - 1), st.integers(0, 6))
def test_quantities_survive_with_trailing_zeros(value, zeros):
    text = format_decimal(value, QUANTITY_SCALE)
    padded = text + ("" if "." in text else ".0") + "0" * zeros
    assert schemas.parse_quantity(msgspec.Raw(padded.encode())) == value


NESTED = st.recursive(
    st.text('[]{}"\\\\a', max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text('{"\\\\', max_size=2), inner)
    ),
    max_leaves=20,
)


def depth(value):
    """The slow twin of what counts brackets in the text."""
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(NESTED, st.integers(0, schemas.DEPTH_MAX + 2))
def test_exactly_what_nests_too_deeply_is_refused(value, around):
    """Brackets in strings, escaped quotes and backslashes do not count."""
    for _ in range(around):
        value = [value, *["]{\\"] * schemas.DEPTH_MAX]
    if depth(value) <= schemas.DEPTH_MAX:
        schemas.check_json(json.dumps(value).encode())
    else:
        with pytest.raises(ParseError, match="deep"):
            schemas.check_json(json.dumps(value).encode())


@given(st.binary(max_size=80))
def test_no_bytes_crash_the_parser(data):
    try:
        value = schemas.parse_quantity(msgspec.Raw(data))
    except InvalidParams:
        return
    assert 0 <= value < schemas.QUANTITY_LIMIT


@given(st.text(max_size=60))
def test_no_text_is_rounded(text):
    """Whatever is accepted means exactly what it says."""
    raw = msgspec.Raw(msgspec.json.encode(text))
    try:
        value = schemas.parse_price(raw)
    except InvalidParams:
        return
    whole, _, fraction = text.lstrip("-").partition(".")
    assert abs(value) == int(whole) * CASH_SCALE + int(fraction.ljust(6, "0")[:6] or 0)
    assert not fraction[6:].strip("0")


@pytest.mark.parametrize("text", NOT_DECIMALS)
@pytest.mark.parametrize("quote", ["", '"'])
def test_what_is_not_a_plain_decimal_is_refused(text, quote):
    with pytest.raises(InvalidParams) as caught:
        schemas.parse_price(msgspec.Raw(f"{quote}{text}{quote}".encode()))
    assert caught.value.param == "price"


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (schemas.parse_price, "1000000000.000001"),
        (schemas.parse_quantity, "-0.0001"),
        (schemas.parse_quantity, "28147497671.0656"),
        (schemas.parse_quantity, "0.00001"),
        (schemas.parse_fee, "-1"),
        (schemas.parse_usdc, "0"),
        (schemas.parse_usdc, "-5"),
    ],
)
def test_values_out_of_range_are_refused(parse, text):
    with pytest.raises(InvalidParams):
        parse(msgspec.Raw(text.encode()))


def test_zero_and_negative_prices_reach_the_engine_which_names_them():
    assert schemas.parse_price(msgspec.Raw(b"-1")) == -CASH_SCALE
    assert schemas.parse_price(msgspec.Raw(b"0")) == 0


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b'{"a":1,}', b"nul", b"\xff", b'{"a":NaN}', b'{"a":Infinity}', b"-Infinity",
        b'{"a":1} x', b"[" * 9_000 + b"]" * 9_000, b'{"a":"\x01"}', b"\xef\xbb\xbf{}",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ParseError):
        schemas.check_json(text)


@pytest.mark.parametrize("text", [b'{"a":1,"a":1}', b'{"x":{"b":1,"b":2}}', b'[{"a":1,"a":2}]'])
def test_the_same_field_twice_is_refused(text):
    with pytest.raises(InvalidParams, match="twice"):
        schemas.check_json(text)


def test_huge_integers_cost_nothing():
    schemas.check_json(b'{"a":' + b"9" * 16_000 + b"}")


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (b'{"instrument_name":"X","depth":"5"}', "depth"),
        (b'{"instrument_name":"X","depth":5.0}', "depth"),
        (b'{"instrument_name":"X","depth":true}', "depth"),
        (b'{"instrument_name":"X","depth":null}', "depth"),
        (b'{"instrument_name":"X","depth":0}', "depth"),
        (b'{"instrument_name":"X","depth":99999999999999999999999}', "depth"),
        (b'{"instrument_name":5}', "instrument_name"),
        (b'{"instrument_name":""}', "instrument_name"),
        (b'{"instrument_name":"' + b"X" * 513 + b'"}', "instrument_name"),
        (b"{}", "instrument_name"),
        (b'{"instrument_name":"X","dept":5}', "dept"),
        (b"[1]", ""),
        (b'"x"', ""),
    ],
)
def test_wrong_parameters_are_refused_by_name(text, param):
    with pytest.raises(InvalidParams) as caught:
        schemas.decode(text, schemas.BookParams)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("pairs", "kind", "expected"),
    [
        (
            [("instrument_name", "X"), ("depth", "5")],
            schemas.BookParams,
            {"instrument_name": "X", "depth": 5},
        ),
        ([("instrument_name", "5")], schemas.InstrumentParams, {"instrument_name": "5"}),
        (
            [("currency", "any"), ("expired", "true")],
            schemas.InstrumentsParams,
            {"currency": "any", "expired": True},
        ),
        ([("channels", "a,b")], schemas.ChannelsParams, {"channels": ["a", "b"]}),
        ([("channels", '["a"]')], schemas.ChannelsParams, {"channels": ["a"]}),
        ([("depth", "05")], schemas.BookParams, {"depth": "05"}),
        ([("expired", "True")], schemas.InstrumentsParams, {"expired": "True"}),
        ([("unknown", "1")], schemas.Empty, {"unknown": "1"}),
        ([("subaccount_id", "2")], schemas.SubaccountParams, {"subaccount_id": 2}),
    ],
)
def test_query_strings_become_json_of_the_right_types(pairs, kind, expected):
    assert msgspec.json.decode(schemas.query_to_json(pairs, kind)) == expected


@pytest.mark.parametrize("pairs", [[("a", "1"), ("a", "2")], [("channels", "[1")]])
def test_query_strings_that_contradict_themselves_are_refused(pairs):
    with pytest.raises(InvalidParams):
        schemas.query_to_json(pairs, schemas.ChannelsParams)


def test_decimals_stay_text_in_query_strings():
    text = schemas.query_to_json([("amount", "0.1")], OrderHashParams)
    assert text == b'{"amount":"0.1"}'


CHECKSUMMED = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


@pytest.mark.parametrize("text", [CHECKSUMMED, CHECKSUMMED.lower(), "0x" + CHECKSUMMED[2:].upper()])
def test_addresses_become_checksummed(text):
    assert schemas.parse_address(text, "signer") == CHECKSUMMED


@pytest.mark.parametrize(
    "text",
    [CHECKSUMMED[:-1], CHECKSUMMED + "0", CHECKSUMMED + "\n", CHECKSUMMED[2:], "0X" + "0" * 40,
     CHECKSUMMED.replace("E", "e", 1), "0x" + "g" * 40],
)  # fmt: skip
def test_wrong_addresses_are_refused(text):
    with pytest.raises(InvalidParams) as caught:
        schemas.parse_address(text, "signer")
    assert caught.value.param == "signer"


@pytest.mark.parametrize("text", ["", "0", "0x0", "0xzz", "0x00\n", " 0x00", "0x" + "00" * 257])
def test_wrong_hex_is_refused(text):
    with pytest.raises(InvalidParams):
        schemas.parse_hex(text, "signature")


def test_hex_becomes_bytes():
    assert schemas.parse_hex("0x00fF", "signature") == b"\x00\xff"
