"""schemathesis over the OpenAPI document: whatever it sends, no server error and no surprise.

Each operation gets generated requests from a wallet's session, over a real socket. What changes
state is meant to, so each answer must be one that the document lists, in Deribit's shape.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from tests.properties.test_malformed import mark_as_presets_do
from tests.unit.api.world import World, serving, session_of

from exchange.api.app import METHODS, PREFIX

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside schemathesis
]

ENDS_THE_SESSION = "private/logout"
EXAMPLES = {"dev": 3, "night": 300}.get(settings.get_current_profile_name(), 4)


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Any, dict[str, str]]]:
    world = World(requests_per_s=1e9, orders_per_s=1e9)
    mark_as_presets_do(world)
    with serving(world.app) as url:
        token = session_of(world).access_token
        document = schemathesis.openapi.from_url(f"{url}{PREFIX}/openapi.json")
        operations = {result.ok().label: result.ok() for result in document.get_all_operations()}
        yield operations, {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("method", [m.name for m in METHODS if m.name != ENDS_THE_SESSION])
def test_no_request_breaks_the_server(stage: Any, method: str, verb: str) -> None:
    operations, headers = stage
    operation = operations[f"{verb} {PREFIX}/{method}"]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        response = case.call(headers=headers, timeout=60)
        body = json.loads(response.content)
        assert response.status_code < 500, body
        assert str(response.status_code) in operation.definition.raw["responses"]
        assert ("result" in body) is (response.status_code == 200), body

    ask()
