"""The web terminal at `/`: its own modules, and of each pinned package only what its page imports.

The page's import map is the list of the package files that are served; its inline scripts are
allowed by their hashes. Nothing comes from another host, and no other script runs.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from exchange.signing import address_of

PACKAGES: Final = "/packages/"
_INLINE: Final = re.compile(r"<script(?P<attributes>[^>]*)>(?P<body>.*?)</script>", re.DOTALL)
_POLICY: Final = (
    "default-src 'none'; script-src 'self' {hashes}; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'{node}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FRESH: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


class ImportMap(msgspec.Struct):
    """What a page's modules call a package, and where it is served."""

    imports: dict[str, str]


class LocalAccount(msgspec.Struct, frozen=True):
    """A key that everybody knows, for a venue without real money."""

    name: str
    address: str
    key: str


class LocalVenue(msgspec.Struct, frozen=True):
    """What a local venue offers to anybody: hex keys, and the node that their transactions reach.

    Without keys the page is told no node and may speak to none: wallets bring their own.
    """

    keys: tuple[str, ...] = ()
    node: str = ""


class LocalAccounts(msgspec.Struct, frozen=True):
    """The same, as the page asks for it."""

    accounts: list[LocalAccount]
    node: str


def add_terminal(app: FastAPI, folder: Path, venue: LocalVenue) -> None:
    """Serve the page at `/`, its modules under `/terminal/`, the packages, and local accounts."""
    page = (folder / "index.html").read_text()
    node = venue.node if venue.keys else ""
    headers = {
        **FRESH,
        "Content-Security-Policy": policy(page, node),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    accounts = msgspec.json.encode(LocalAccounts(local_accounts(venue.keys), node))

    async def index(_: Request) -> Response:
        return Response(page, headers=headers, media_type="text/html")

    async def local(_: Request) -> Response:
        return Response(accounts, headers=FRESH, media_type="application/json")

    app.add_route("/", index, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_route("/local_accounts", local, methods=["GET"], include_in_schema=False)
    add_packages(app, folder, page)
    app.mount("/terminal", Modules(directory=folder))


def add_packages(app: FastAPI, folder: Path, page: str) -> None:
    """Serve the package files that a page's import map names."""
    for path in package_files(page):
        file = folder.parent / "node_modules" / path
        app.add_route(PACKAGES + path, _package(file), methods=["GET"], include_in_schema=False)


def policy(page: str, node: str = "") -> str:
    """The page's Content-Security-Policy; `node` is one more place that it may ask."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(found['body'].encode()).digest()).decode()}'"
        for found in _INLINE.finditer(page)
        if "src=" not in found["attributes"]
    ]
    return _POLICY.format(hashes=" ".join(hashes), node=f" {node}" if node else "")


def package_files(page: str) -> list[str]:
    """Files below node_modules that the page's import map names."""
    for found in _INLINE.finditer(page):
        if 'type="importmap"' in found["attributes"]:
            places = msgspec.json.decode(found["body"], type=ImportMap).imports.values()
            files = [place.removeprefix(PACKAGES) for place in places]
            assert all(place.startswith(PACKAGES) for place in places), "elsewhere"
            assert not any(".." in Path(file).parts for file in files), "beside the packages"
            return files
    return []


def local_accounts(keys: tuple[str, ...]) -> list[LocalAccount]:
    """The accounts behind hex keys, as the page offers them."""
    return [
        LocalAccount(f"Local account {number}", address_of(bytes.fromhex(key[2:])), key)
        for number, key in enumerate(keys, start=1)
    ]


def _package(file: Path) -> Any:
    async def package(_: Request) -> Response:
        return FileResponse(file, headers=FRESH, media_type="text/javascript")

    return package


class Modules(StaticFiles):
    """Files that a browser asks for again at each visit, and gets only if they changed."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """As ever, with the headers of this page."""
        response = super().file_response(*arguments, **options)
        response.headers.update(FRESH)
        return response
