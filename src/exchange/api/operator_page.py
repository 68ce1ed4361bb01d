"""The operator's page at `/` of the operator's listener: static, without a secret.

Whoever opens it pastes a token, which stays in that page's memory; every figure that it shows comes
from the guarded routes beside it. The public listener has no way here.
"""

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from exchange.api.terminal import FRESH, PACKAGES, Modules, add_packages, policy

_FILES: Final = ("/terminal/", PACKAGES)


def is_page(path: str) -> bool:
    """Whether a path belongs to the page alone: files that anybody may read."""
    return path == "/" or path.startswith(_FILES)


def add_operator_page(app: FastAPI, folder: Path) -> None:
    """Serve `operator/index.html` of the terminal's folder at `/`, and what it is made of."""
    page = (folder / "operator" / "index.html").read_text()
    headers = {
        **FRESH,
        "Content-Security-Policy": policy(page),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }

    async def index(_: Request) -> Response:
        return Response(page, headers=headers, media_type="text/html")

    app.add_route("/", index, methods=["GET", "HEAD"])
    add_packages(app, folder, page)
    app.mount("/terminal", Modules(directory=folder))
