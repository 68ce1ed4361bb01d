"""The page that shows the API and tries it, with its own Swagger UI: no other host is asked.

The assets come from a pinned package; only the three files that the page needs are served.
"""

from pathlib import Path
from typing import Any, Final

import swagger_ui_bundle
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_FOLDER: Final = Path(swagger_ui_bundle.swagger_ui_path)


def add_docs_page(app: FastAPI, prefix: str) -> None:
    """Serve the page at PREFIX/docs and its assets below it."""
    base = f"{prefix}/docs"

    async def page(_: Request) -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=f"{prefix}/openapi.json",
            title=app.title,
            swagger_js_url=f"{base}/swagger-ui-bundle.js",
            swagger_css_url=f"{base}/swagger-ui.css",
            swagger_favicon_url=f"{base}/favicon-32x32.png",
        )

    app.add_route(base, page, methods=["GET"], include_in_schema=False)
    for name, kind in ASSETS.items():
        app.add_route(
            f"{base}/{name}", _asset(name, kind), methods=["GET"], include_in_schema=False
        )


def _asset(name: str, kind: str) -> Any:
    async def asset(_: Request) -> Response:
        return FileResponse(_FOLDER / name, media_type=kind)

    return asset
