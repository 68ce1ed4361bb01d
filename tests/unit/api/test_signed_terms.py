"""Words and decimals mean the terms that a client signs, by names and the domain alone."""

from types import SimpleNamespace

import msgspec
import pytest
from tests.unit.api.world import CALL_NAME, DOMAIN, MAKER, MAKER_ID, NAMES, PUT_NAME
from tests.venue import contracts, usdc

from exchange.api.errors import InvalidParams, UnknownInstrument
from exchange.api.signed_terms import (
    EntryParams,
    MassQuoteParams,
    is_plain,
    plain_order,
    sheet_command,
)
from exchange.merkle import merkle_root
from exchange.model import OrderTerms, Quote, Side, TimeInForce
from exchange.signing import order_digest, sheet_digest, sheet_leaves

SIGNATURE = "0x" + "ab" * 65
FIELDS = {
    "subaccount_id": MAKER_ID,
    "deadline": 1_900_000_000,
    "max_fee": "12.5",
    "signer": MAKER,
    "signature": SIGNATURE,
}
ORDER = FIELDS | {"instrument_name": CALL_NAME, "amount": "1.5", "price": "1000", "nonce": 7}


class Names:
    def instrument(self, name):
        if name not in NAMES:
            raise UnknownInstrument(f"no instrument {name}", "instrument_name")
        return SimpleNamespace(instrument_id=NAMES[name], legs_hash=b"")

    def domain(self):
        return DOMAIN


def entry(**changes):
    return msgspec.convert(given(ORDER | changes), EntryParams)


def sheet(*quotes):
    fields = FIELDS | {"sheet_nonce": 3, "first_nonce": 50, "quotes": quotes}
    return msgspec.convert(given(fields), MassQuoteParams)


def given(fields):
    """Decimals as a decoder leaves them: the text of the number."""
    decimals = {"amount", "price", "max_fee", "max_show"}
    if isinstance(fields, list | tuple):
        return [given(one) for one in fields]
    if not isinstance(fields, dict):
        return fields
    return {
        name: msgspec.Raw(f'"{one}"'.encode()) if name in decimals else given(one)
        for name, one in fields.items()
    }


def test_an_order_means_its_terms():
    command, digest = plain_order(Names(), entry(reduce_only=True, label="a"), Side.SELL)
    assert command.terms == OrderTerms(
        subaccount_id=MAKER_ID,
        instrument_id=NAMES[CALL_NAME],
        side=Side.SELL,
        quantity=contracts("1.5"),
        limit_price=usdc(1000),
        max_fee=usdc("12.5"),
        reduce_only=True,
        nonce=7,
        deadline=1_900_000_000,
        signer=MAKER,
    )
    assert digest == order_digest(DOMAIN, command.terms)
    assert (command.signature, command.label) == (bytes.fromhex("ab" * 65), "a")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, TimeInForce.GTC),
        ({"type": "market"}, TimeInForce.IOC),
        ({"type": "market", "time_in_force": "fill_or_kill"}, TimeInForce.FOK),
        ({"time_in_force": "immediate_or_cancel"}, TimeInForce.IOC),
    ],
)
def test_a_market_order_never_rests(changes, expected):
    command, _ = plain_order(Names(), entry(**changes), Side.BUY)
    assert command.time_in_force is expected


@pytest.mark.parametrize("missing", ["nonce", "subaccount_id", "deadline", "signer"])
def test_a_signed_order_says_all_that_was_signed(missing):
    with pytest.raises(InvalidParams, match=missing):
        plain_order(Names(), entry(**{missing: None}), Side.BUY)


@pytest.mark.parametrize(
    ("changes", "plain"),
    [
        ({}, True),
        ({"signature": None}, False),
        ({"linked_order_type": "one_cancels_other"}, False),
        ({"otoco_config": [ORDER | {"direction": "buy"}]}, False),
        ({"advanced": "implv"}, False),
    ],
)
def test_a_plain_order_comes_alone_with_a_price_and_a_signature(changes, plain):
    assert is_plain(entry(**changes)) is plain


def test_a_sheet_means_its_leaves():
    bid, ask = {"price": "900", "amount": "1"}, {"price": "1100", "amount": "2"}
    params = sheet(
        {"instrument_name": CALL_NAME, "bid": bid, "ask": ask},
        {"instrument_name": PUT_NAME, "ask": ask},
    )
    command, digest = sheet_command(Names(), params)
    two = usdc(1100), contracts(2)
    assert command.quotes == (
        Quote(NAMES[CALL_NAME], usdc(900), contracts(1), *two),
        Quote(NAMES[PUT_NAME], 0, 0, *two),
    )
    root = merkle_root(sheet_leaves(command.terms, command.quotes))
    assert digest == sheet_digest(DOMAIN, command.terms, root)


def test_a_sheet_without_a_side_is_refused():
    with pytest.raises(InvalidParams, match="at least one side"):
        sheet_command(Names(), sheet({"instrument_name": CALL_NAME}))
