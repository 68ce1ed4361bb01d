"""The documentation page works without any other host."""

import re

import httpx
import pytest
from tests.unit.api.world import World, serving

from exchange.api.docs_page import ASSETS


@pytest.fixture(scope="module")
def url():
    world = World()
    with serving(world.app) as url:
        yield url


def get(url, path):
    return httpx.get(f"{url}{path}", trust_env=False, timeout=60)


def test_the_page_names_no_other_host(url):
    page = get(url, "/api/v2/docs")
    assert page.status_code == 200
    links = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert len(links) == len(ASSETS)
    assert all(link.startswith("/api/v2/docs/") for link in links)
    assert "://" not in re.sub(r"<!--.*?-->", "", page.text, flags=re.DOTALL)


@pytest.mark.parametrize("name", ASSETS)
def test_its_assets_are_served(url, name):
    asset = get(url, f"/api/v2/docs/{name}")
    assert asset.status_code == 200
    assert asset.headers["content-type"].split(";")[0] == ASSETS[name]
    assert len(asset.content) > 100


def test_nothing_else_is(url):
    for path in ("../app.py", "swagger-ui.js", ""):
        assert get(url, f"/api/v2/docs/{path}").status_code in (404, 307)
    document = get(url, "/api/v2/openapi.json").json()
    assert not any("docs" in path for path in document["paths"])
