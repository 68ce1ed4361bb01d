"""Rows of the wire: closed, and each field with its unit."""

import pytest

from exchange.api import result_shapes, shapes
from exchange.api.field_words import FIELDS
from exchange.api.shapes import extended, field, row


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_says_what_it_is(name):
    found = field(name)
    assert found["type"]
    assert found["description"]


def test_a_row_is_closed_and_may_be_extended():
    base = row("price", "label", own={"type": "null"})
    assert base["required"] == ["own", "price"]
    assert base["additionalProperties"] is False
    more = extended(base, "amount")
    assert more["required"] == ["amount", "own", "price"]
    assert set(more["properties"]) == {"price", "label", "own", "amount"}
    assert "amount" not in base["properties"]


def test_a_field_may_be_null():
    assert field("price", nullable=True)["type"] == ["number", "null"]
    assert field("high")["type"] == ["number", "null"]


def test_no_field_is_described_in_vain():
    modules = (vars(shapes), vars(result_shapes))
    rows = [one for names in modules for one in names.values() if isinstance(one, dict)]
    text = str([one for one in rows if one is not FIELDS])
    assert [name for name in FIELDS if f"'{name}':" not in text] == []
