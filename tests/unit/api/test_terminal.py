"""The web terminal is served whole, under a strict policy, and nothing beside it."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from tests.unit.api.world import World, serving

from exchange.api.terminal import LocalAccount, local_accounts, package_files, policy
from exchange.signing import address_of

ROOT = Path(__file__).resolve().parents[3]
KEY = bytes(31) + b"\x07"
NODE = "http://127.0.0.1:8545"
PAGE = (ROOT / "web" / "index.html").read_text()


@pytest.fixture(scope="module")
def url():
    keys = (f"0x{KEY.hex()}",)
    world = World(terminal_dir=str(ROOT / "web"), local_keys=keys, local_node=NODE)
    with serving(world.app) as url:
        yield url


def get(url, path, **headers):
    return httpx.get(f"{url}{path}", headers=headers, trust_env=False)


def imports(text):
    """What a module imports, at once or when it is needed."""
    named = r"""(?:^import\b[^;"']*|[^.\w]import\()["']([^"']+)["']"""
    return re.findall(named, text, re.MULTILINE)


def modules_of(page, first, load):
    """Loads all that a page's first module reaches; by the import map, and relative to a module."""
    names = json.loads(re.search(r'type="importmap">(.*?)</script>', page, re.DOTALL)[1])["imports"]
    waiting, found = [first], {}
    while waiting:
        place = waiting.pop()
        if place in found:
            continue
        reply = found[place] = load(place)
        assert reply.status_code == 200, place
        for name in imports(reply.text):
            relative = str(httpx.URL(f"http://x{place}").join(name).path)
            waiting.append(relative if name.startswith(".") else names[name])
    assert found.keys() >= set(names.values()), "the import map names a file that nothing imports"
    return found


def test_every_module_that_the_page_reaches_is_served(url):
    """Imports are followed as a browser does."""
    found = modules_of(PAGE, "/terminal/main.js", lambda place: get(url, place))
    for place, reply in found.items():
        assert reply.headers["content-type"].startswith("text/javascript"), place
        assert reply.headers["x-content-type-options"] == "nosniff"
    for asset in ("style.css", "icon.svg"):
        assert get(url, f"/terminal/{asset}").status_code == 200


def test_the_policy_lets_our_own_files_and_the_import_map_through_and_nothing_else(url):
    page = get(url, "/")
    assert page.headers["content-security-policy"] == policy(PAGE, NODE)
    assert page.headers["cache-control"] == "no-cache"
    rules = dict(rule.split(" ", 1) for rule in policy(PAGE).split("; "))
    body = re.search(r'type="importmap">(.*?)</script>', page.text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    assert rules["script-src"] == f"'self' 'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == rules["style-src"] == "'self'"
    assert not re.search(r"https?://", page.text), "another host"
    assert policy("<script src='/a.js'></script>").count("sha256") == 0


def test_a_browser_that_has_a_file_is_not_sent_it_again(url):
    first = get(url, "/terminal/store.js")
    again = get(url, "/terminal/store.js", **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_local_accounts_are_those_of_the_settings(url):
    key = f"0x{KEY.hex()}"
    assert local_accounts((key,)) == [LocalAccount("Local account 1", address_of(KEY), key)]
    offered = {"name": "Local account 1", "address": address_of(KEY), "key": key}
    assert get(url, "/local_accounts").json() == {"accounts": [offered], "node": NODE}


def test_only_a_page_with_local_keys_may_speak_to_the_node():
    """Elsewhere the wallet brings its own node, and the page asks nobody but the venue."""
    assert f"connect-src 'self' {NODE};" in policy(PAGE, NODE)
    with serving(World(terminal_dir=str(ROOT / "web"), local_node=NODE).app) as url:
        assert NODE not in get(url, "/").headers["content-security-policy"]
        assert get(url, "/local_accounts").json() == {"accounts": [], "node": ""}


def test_nothing_beside_the_terminal_is_served(url):
    for path in (
        "/terminal/../README.md",
        "/terminal/%2e%2e/README.md",
        "/packages/preact/package.json",
        "/packages/../package.json",
        "/nothing",
        "/api/v2/public/nothing",
    ):
        reply = get(url, path)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, -32601), path
    assert get(url, "/api/v2/public/test").status_code == 200


def test_an_import_map_may_name_packages_only():
    assert package_files("<p>no scripts</p>") == []
    assert package_files("<script>1</script>") == []
    for place in ("https://elsewhere/x.js", "/packages/../secret.js"):
        page = f'<script type="importmap">{{"imports": {{"x": "{place}"}}}}</script>'
        with pytest.raises(AssertionError):
            package_files(page)


def test_a_venue_without_a_terminal_has_none():
    with serving(World().app) as url:
        for path in ("/", "/terminal/main.js", "/local_accounts"):
            assert get(url, path).status_code == 404


def test_the_terminals_modules_pass_their_own_tests():
    """Pure parts in Node: store, chain, decimals, signing on the shared vectors."""
    node = shutil.which("node", path=str(ROOT / ".venv" / "bin"))
    assert node is not None
    files = sorted(str(path) for path in (ROOT / "tests" / "web").glob("*.test.mjs"))
    assert files
    ran = subprocess.run(
        [node, "--test", "--test-reporter=tap", *files],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = re.search(r"^# pass (\d+)$", ran.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 20
