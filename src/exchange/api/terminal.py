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
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FRESH: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


class ImportMap(msgspec.Struct):
    """What a page's modules call a package, and where it is served."""

    imports: dict[str, str]


class LocalAccount(msgspec.Struct, frozen=True):
    """A key that everybody knows, for a venue without real money."""

    name: str
    address: str
    key: str


def add_terminal(app: FastAPI, folder: Path, local_keys: tuple[str, ...]) -> None:
    """Serve the page at `/`, its modules under `/terminal/`, the packages, and local accounts."""
    page = (folder / "index.html").read_text()
    headers = {
        **_FRESH,
        "Content-Security-Policy": policy(page),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    accounts = msgspec.json.encode(local_accounts(local_keys))

    async def index(_: Request) -> Response:
        return Response(page, headers=headers, media_type="text/html")

    async def local(_: Request) -> Response:
        return Response(accounts, headers=_FRESH, media_type="application/json")

    app.add_route("/", index, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_route("/local_accounts", local, methods=["GET"], include_in_schema=False)
    for path in package_files(page):
        file = folder.parent / "node_modules" / path
        app.add_route(PACKAGES + path, _package(file), methods=["GET"], include_in_schema=False)
    app.mount("/terminal", _Modules(directory=folder))


def policy(page: str) -> str:
    """The page's Content-Security-Policy."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(found['body'].encode()).digest()).decode()}'"
        for found in _INLINE.finditer(page)
        if "src=" not in found["attributes"]
    ]
    return _POLICY.format(hashes=" ".join(hashes))


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
        return FileResponse(file, headers=_FRESH, media_type="text/javascript")

    return package


class _Modules(StaticFiles):
    """Files that a browser asks for again at each visit, and gets only if they changed."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """As ever, with the headers of this page."""
        response = super().file_response(*arguments, **options)
        response.headers.update(_FRESH)
        return response
