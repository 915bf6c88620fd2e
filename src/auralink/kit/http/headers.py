"""Headers that keep browsers on our side, and which origins may call us."""

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), display-capture=(self), geolocation=(), payment=()",
}
_HSTS = "max-age=31536000"


class SecureHeaders:
    """Adds what an answer does not set itself; a console page brings its own content security policy."""

    def __init__(self, app: ASGIApp, *, open_to_any_origin: bool) -> None:
        self._app = app
        self._resource_policy = "cross-origin" if open_to_any_origin else "same-origin"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                _refuse_split(headers)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                headers.setdefault("content-security-policy", API_POLICY)
                headers.setdefault("cross-origin-resource-policy", self._resource_policy)
                if scope["scheme"] == "https":
                    headers.setdefault("strict-transport-security", _HSTS)
            await send(message)

        await self._app(scope, receive, guarded)


def _refuse_split(headers: MutableHeaders) -> None:
    """A line break in a value would let its author write headers of their own."""
    for name, value in headers.raw:
        if b"\r" in value or b"\n" in value or b"\0" in value:
            raise ValueError(f"line break in the header {name.decode('latin-1')}")


def content_security_policy(connect: Sequence[str]) -> str:
    """The console's policy: our own files, media from the camera and peers, and connections to `connect` only."""
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' blob: mediastream:",
        "font-src": "'self'",
        "connect-src": " ".join(("'self'", *connect)),
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())
