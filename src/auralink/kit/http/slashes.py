"""Paths that begin with two slashes: clients append theirs to an address that ends in one."""

from starlette.types import ASGIApp, Receive, Scope, Send


class OneLeadingSlash:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"].startswith("//"):
            scope = {**scope, "path": "/" + scope["path"].lstrip("/")}
        await self._app(scope, receive, send)
