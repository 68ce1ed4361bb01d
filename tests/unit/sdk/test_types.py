"""Replies become structs with exact decimals; newer fields are ignored."""

from decimal import Decimal

import msgspec

from exchange.sdk import types


def test_decimals_are_exact_and_unknown_fields_ignored():
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    text = (
        b'{"trade_id":"1","instrument_name":"X","timestamp":1,"direction":"buy",'
        b'"price":0.1,"amount":3,"new":1}'
    )
    trade = msgspec.convert(decoder.decode(text), types.Trade, strict=False)
    assert (trade.price, trade.amount, trade.fee) == (Decimal("0.1"), Decimal(3), Decimal(0))
