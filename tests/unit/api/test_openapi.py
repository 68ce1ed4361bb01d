"""The document describes every route, each parameter and the errors."""

import json
import re
from pathlib import Path

import pytest
from tests.unit.api.world import World

from exchange.api.app import METHODS
from exchange.api.methods_private import SIGNED
from exchange.api.openapi import SHARED

SIZE_MAX = 800_000  # bytes


@pytest.fixture(scope="module")
def document():
    world = World()
    yield world.app.openapi()
    world.gateway.stop()


def resolved(document, part):
    """What a reference stands for; anything else is itself."""
    while "$ref" in part:
        part = place(document, part["$ref"])
    return part


def place(document, reference):
    found = document
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def test_what_many_operations_share_is_said_once(document):
    """The document is loaded by every page and program that begins here."""
    assert len(json.dumps(document, separators=(",", ":"))) < SIZE_MAX
    orders = document["components"]["schemas"]["Reply_private_buy"]
    assert '"#/components/schemas/Order"' in json.dumps(orders)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_each_method_is_described(document, method):
    path = document["paths"][f"/api/v2/{method.name}"]
    names = set(method.params.__struct_fields__)
    assert {p["name"] for p in path["get"]["parameters"]} == names
    body = path["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = resolved(document, body)
    assert set(schema["properties"]) == names
    assert schema["additionalProperties"] is False
    assert path["get"]["summary"] == method.summary
    assert {"200", "400", "401", "500"} <= path["post"]["responses"].keys()
    needs_session = method.private and method.name not in SIGNED
    assert ("security" in path["post"]) == needs_session


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_each_operation_has_its_errors_and_each_parameter_its_words(document, method):
    path = document["paths"][f"/api/v2/{method.name}"]
    for verb in ("get", "post"):
        responses = path[verb]["responses"].items()
        words = {status: resolved(document, one)["description"] for status, one in responses}
        assert "-32602 Invalid params" in words["400"]
        assert "10028 too_many_requests" in words["429"]
        assert "11094 internal_server_error" in words["500"]
        assert ("10009 not_enough_funds" in words["400"]) == method.matching
    assert all(one["description"] for one in path["get"]["parameters"])


def test_every_parameter_part_has_words(document):
    for name, schema in document["components"]["schemas"].items():
        if not name.startswith("Reply_") and name not in SHARED:
            for field, part in schema.get("properties", {}).items():
                assert "description" in part or "$ref" in part, (name, field)


def test_references_resolve(document):
    schemas = document["components"]["schemas"]
    assert {"Reply", "Error"} <= schemas.keys()
    assert "bearer" in document["components"]["securitySchemes"]


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()


def test_each_method_is_on_the_api_page():
    for method in METHODS:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{method.name}` |"))
        for field in method.params.__struct_fields__:
            assert f"`{field}`" in row, (method.name, field)


def test_every_reference_in_the_document_leads_somewhere(document):
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    assert len(references) > 3
    for reference in references:
        assert place(document, reference)


def test_the_page_tells_of_each_method_of_deribit_whether_it_is_served():
    page = PAGE.split("## Deribit's methods")[1].split("\n## ")[0]
    known = {method.name for method in METHODS}
    count = 0
    for line in page.splitlines():
        if line.startswith("| `"):
            names, words = line.strip("| ").split(" | ")
            found = set(re.findall(r"`((?:public|private)/[a-z_/]+)`", names))
            count += len(found)
            assert (found <= known) if words == "served" else not (found & known), found
            missing = set(re.findall(r"`((?:public|private)/[a-z_/]+)`", words)) - known
            assert not missing, "an alternative that does not exist"
    assert count > 150
