"""Examples of the API's description are requests that decode and replies of their shape."""

import jsonschema_rs
import msgspec
import pytest
from tests.unit.api.world import World

from exchange.api.app import METHODS
from exchange.api.result_shapes import RESULTS
from exchange.api.schemas import decode, query_to_json


@pytest.fixture(scope="module")
def document():
    world = World()
    yield world.app.openapi()
    world.gateway.stop()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_each_request_decodes_and_each_reply_has_its_shape(document, method):
    """By body, and by query where it is plain; every status shows an error with its codes."""
    path = document["paths"][f"/api/v2/{method.name}"]
    body = path["post"]["requestBody"]["content"]["application/json"]["example"]
    assert decode(msgspec.json.encode(body), method.params)
    query = [(p["name"], str(p["example"])) for p in path["get"]["parameters"] if "example" in p]
    if {name for name, _ in query} == set(body):
        assert decode(query_to_json(query, method.params), method.params)
    reply = document["components"]["examples"][f"Reply_{method.name.replace('/', '_')}"]["value"]
    jsonschema_rs.validator_for(RESULTS[method.name]).validate(reply["result"])
    for verb in ("get", "post"):
        responses = document["components"]["responses"]
        for status in set(path[verb]["responses"]) - {"200"}:
            name = path[verb]["responses"][status]["$ref"].removeprefix("#/components/responses/")
            shown = responses[name]["content"]["application/json"]["examples"]["error"]
            error = shown["value"]["error"]
            assert f"{error['code']} {error['message']}" in responses[name]["description"]
