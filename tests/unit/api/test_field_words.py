"""Each field and parameter says what it means, and each number in which unit."""

import re

import pytest

from exchange.api.app import METHODS
from exchange.api.field_words import FIELDS, PARAMETERS
from exchange.api.result_shapes import RESULTS

# A unit, or what the number counts or numbers.
UNIT = re.compile(
    r"USDC|[Cc]ontracts|[Cc]redits|percent|UTC|seconds|of the index|[Uu]nits? of|ratio|[Hh]ow many"
    r"|[Nn]umber|Always|Epoch|Place|`seq`|Share|Of the signed order|What a bid must expect|In the"
    r" currency|Signed, in|The same as a number|0 up|Dollars|Continuous, yearly"
)


def numbers(schema, path):
    """Every number in a schema, with where it stands."""
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if kinds & {"number", "integer"}:
        yield path, schema.get("description", "")
    parts = list(schema.get("properties", {}).items())
    parts += [("*", part) for part in (schema.get("items"), schema.get("additionalProperties"))]
    parts += [(str(n), part) for n, part in enumerate(schema.get("prefixItems", ()))]
    parts += [(word, part) for word in ("oneOf", "anyOf") for part in schema.get(word, ())]
    for name, part in parts:
        if isinstance(part, dict):
            yield from numbers(part, f"{path}.{name}")


def fields(schema, path):
    """Every field of every object, with its words; names to choose from are words too."""
    for name, part in schema.get("properties", {}).items():
        inner = part.get("items", part)
        plain = "properties" not in inner and "oneOf" not in inner and "prefixItems" not in inner
        if plain:
            yield (
                f"{path}.{name}",
                part.get("description") or inner.get("description") or "enum" in part,
            )
    for part in (*schema.get("properties", {}).values(), schema.get("items")):
        if isinstance(part, dict):
            yield from fields(part, f"{path}.*")
    for word in ("oneOf", "anyOf"):
        for part in schema.get(word, ()):
            yield from fields(part, path)


@pytest.mark.parametrize("method", RESULTS)
def test_each_number_of_a_result_has_a_unit(method):
    assert [
        place for place, words in numbers(RESULTS[method], method) if not UNIT.search(words)
    ] == []


NAMES = {"locked_currencies", "locked_indices", "underlyings", "kinds", "option", "future"}


@pytest.mark.parametrize("method", RESULTS)
def test_each_field_of_a_result_says_what_it_is(method):
    """Lists of names aside, which are called what they hold."""
    bare = [place for place, words in fields(RESULTS[method], method) if not words]
    assert [place for place in bare if place.rpartition(".")[2] not in NAMES] == []


def test_a_number_without_a_unit_is_seen():
    row = {"type": "object", "properties": {"x": {"type": "number", "description": "Large"}}}
    assert [place for place, words in numbers(row, "m") if not UNIT.search(words)] == ["m.x"]


def test_no_parameter_is_described_in_vain():
    from exchange.api.openapi import _definitions

    used = {
        name
        for method in METHODS
        for schema in _definitions(method).values()
        for name in schema.get("properties", {})
    }
    assert set(PARAMETERS) <= used
    assert not {
        name for name, words in PARAMETERS.items() if FIELDS.get(name, ("", ""))[1] == words
    }
