"""Exact numbers, fresh nonces, signatures that the venue takes."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.api.auth import parse_sign_in, personal_digest
from exchange.fixed import CASH_SCALE
from exchange.sdk.errors import BadArgument
from exchange.sdk.wallet import (
    NonceAllocator,
    Wallet,
    price_text,
    quantity_text,
    sign_in_text,
    to_price,
    to_quantity,
)
from exchange.signing import recover_signer

KEY = "0x" + "11" * 32


@given(st.integers(0, 10**15))
def test_prices_survive_as_text_and_as_decimals(value):
    text = price_text(value)
    assert to_price(text) == to_price(Decimal(text)) == value
    assert to_price(Decimal(value) / CASH_SCALE) == value


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, 10_000), ("0.1", 1_000), (0.3, 3_000), (Decimal("1E+1"), 100_000), (2.5, 25_000)],
)
def test_amounts_of_every_kind(number, expected):
    assert to_quantity(number) == expected


@pytest.mark.parametrize(
    "number",
    [0.00001, "1e3", "x", "", Decimal("NaN"), Decimal("Infinity"), float("nan"), 1e-7, True, None],
)
def test_what_is_not_exact_is_not_sent(number):
    with pytest.raises(BadArgument, match="amount"):
        to_quantity(number)


def test_quantities_are_written_shortly():
    assert quantity_text(15_000) == "1.5"


def test_nonces_count_upwards_from_the_clock_of_the_first():
    times = iter([5, 3, 100, 99])
    nonces = NonceAllocator(lambda: next(times))
    assert [nonces.allocate() for _ in range(4)] == [5, 6, 7, 8]


def test_nonces_of_the_machines_clock_fit_the_wire():
    assert 10**15 < NonceAllocator().allocate() < 2**63


@pytest.mark.parametrize("key", ["0x12", "zz", b"short", "0x" + "1" * 66])
def test_bad_keys_are_refused_without_repeating_them(key):
    with pytest.raises(BadArgument) as caught:
        Wallet(key)
    assert str(key) not in str(caught.value)


def test_a_wallet_shows_its_address_and_never_its_key():
    wallet = Wallet(KEY)
    assert repr(wallet) == f"Wallet({wallet.address})"
    assert Wallet(bytes.fromhex("11" * 32)).address == wallet.address


def test_the_sign_in_text_is_the_one_that_the_venue_reads():
    wallet = Wallet(KEY)
    text = sign_in_text(
        domain="venue.example",
        uri="https://venue.example",
        address=wallet.address,
        chain_id=5,
        nonce="abcdefgh",
        time_ms=1_795_262_400_123,
    )
    parsed = parse_sign_in(text)
    assert (parsed.domain, parsed.chain_id, parsed.nonce) == ("venue.example", 5, "abcdefgh")
    assert parsed.issued_s == pytest.approx(1_795_262_400.123)
    signature = bytes.fromhex(wallet.sign_text(text)[2:])
    assert recover_signer(personal_digest(text), signature) == wallet.address
