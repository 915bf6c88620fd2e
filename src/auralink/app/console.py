"""Serves the console's static build: real files as they are, every other address its one page, and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from auralink.kit.http.headers import content_security_policy

_PAGE_CACHE = "no-cache"
_ASSET_CACHE = "public, max-age=31536000, immutable"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]{1,253})(:\d{1,5})?", re.IGNORECASE)

_MISSING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>AuraLink</title>
<h1>The console is not built</h1><p>Run <code>make up</code> in the checkout; it builds the console first.
The API answers all the same, see <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p></html>"""

MediaUrls = Callable[[str], tuple[str, ...]]
"""The addresses a page served to this host name may connect to."""


class Console:
    path = "/{console}"
    """The name of its route in logs and metrics."""

    def __init__(self, directory: Path, media_urls: MediaUrls) -> None:
        self._directory = directory
        self._files = StaticFiles(directory=directory, check_dir=False)
        self._media_urls = media_urls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise HTTPException(404)
        scope["route"] = self
        response = await self._respond(scope)
        response.headers["content-security-policy"] = self._policy(scope)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"allow": "GET, HEAD"})
        path = self._files.get_path(scope)
        if path not in (".", "index.html"):
            try:
                response = await self._files.get_response(path, scope)
            except HTTPException as error:
                if error.status_code != 404 or Path(path).suffix or path.split("/")[0] == "api":
                    raise
            else:
                cached = path.startswith("assets/")  # names there carry a digest of the content
                response.headers["cache-control"] = _ASSET_CACHE if cached else _PAGE_CACHE
                return response
        return self._page()

    def _page(self) -> Response:
        page = self._directory / "index.html"
        if not page.is_file():
            return HTMLResponse(_MISSING, 503, {"cache-control": "no-store"})
        return FileResponse(page, headers={"cache-control": _PAGE_CACHE})

    def _policy(self, scope: Scope) -> str:
        match = _HOST.fullmatch(Headers(scope=scope).get("host", ""))
        return content_security_policy(self._media_urls(match[1].lower()) if match else ())
