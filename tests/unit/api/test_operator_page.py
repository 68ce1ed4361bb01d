"""The operator's page: open to everybody, without a figure in it, under the terminal's policy."""

import asyncio
from pathlib import Path

import httpx
import pytest
from tests.unit.api.test_terminal import modules_of
from tests.unit.api.world import World

from exchange.api.admin import create_admin_app
from exchange.api.operator_page import is_page
from exchange.api.terminal import policy

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "web" / "operator" / "index.html").read_text()
TOKEN = "a" * 32


def get(world, *paths):
    app = create_admin_app(world.sequencer, token=TOKEN, gateway=world.gateway)

    async def scenario():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(scenario())


@pytest.fixture
def world():
    world = World(terminal_dir=str(ROOT / "web"))
    yield world
    world.gateway.stop()


def test_the_page_and_every_module_that_it_reaches_are_served_without_a_token(world):
    modules_of(PAGE, "/terminal/operator/main.js", lambda place: get(world, place)[0])
    page, *styles = get(world, "/", "/terminal/style.css", "/terminal/operator/style.css")
    assert page.headers["content-security-policy"] == policy(PAGE)
    assert "connect-src 'self';" in policy(PAGE)
    assert all(style.status_code == 200 for style in styles)
    assert TOKEN not in page.text


def test_the_page_opens_no_other_route(world):
    """Whatever lies beside it still needs the token, and the page leads to no other file."""
    for path in ("/metrics", "/admin/status", "/admin/markets", "/nothing", "/terminalx"):
        assert get(world, path)[0].status_code == 401, path
    for path in ("/terminal/../README.md", "/packages/../package.json", "/packages/uplot/x"):
        assert get(world, path)[0].status_code in (401, 404), path
    assert [is_page(path) for path in ("/", "/terminal/a.js", "/admin/halt")] == [True, True, False]


def test_a_venue_without_a_terminal_has_no_page():
    world = World()
    assert get(world, "/")[0].status_code == 404
    world.gateway.stop()
