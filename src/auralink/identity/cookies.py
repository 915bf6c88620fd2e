"""The browser's session: a refresh token in a cookie scripts cannot read, and a CSRF token they must send back.

Over https the cookie is `__Host-`: Secure, for this host only. Over plain http (a console on loopback) browsers refuse
that prefix, so it has a plain name and is limited to the auth routes. Both are HttpOnly and SameSite=Strict.
"""

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from auralink.identity.domain import ClientKind, Issued
from auralink.identity.errors import CsrfRefused

SECURE_NAME = "__Host-auralink_refresh"
PLAIN_NAME = "auralink_refresh"
CSRF_NAME = "auralink_csrf"
CSRF_HEADER = "X-CSRF-Token"
CLIENT_HEADER = "X-AuraLink-Client"
_PLAIN_PATH = "/api/v1/auth"
_SAME_SITE = frozenset({"same-origin", "none"})


class SessionCookies:
    def __init__(self, *, always_secure: bool) -> None:
        self._always_secure = always_secure

    def token(self, request: Request) -> str | None:
        """The refresh token of the browser that asks. Raises CsrfRefused when another site made the browser ask
        (Fetch Metadata: https://www.w3.org/TR/fetch-metadata/)."""
        token = request.cookies.get(SECURE_NAME if self._is_secure(request) else PLAIN_NAME)
        if token and request.headers.get("Sec-Fetch-Site", "same-origin") not in _SAME_SITE:
            raise CsrfRefused
        return token

    def set(self, request: Request, response: Response, issued: Issued, csrf_token: str) -> None:
        if issued.client is not ClientKind.WEB:
            return
        secure = self._is_secure(request)
        response.set_cookie(
            SECURE_NAME if secure else PLAIN_NAME,
            issued.refresh_token,
            expires=issued.refresh_expires_at,
            path="/" if secure else _PLAIN_PATH,
            secure=secure,
            httponly=True,
            samesite="strict",
        )
        self._set_csrf(response, csrf_token, issued.refresh_expires_at, secure)

    def clear(self, request: Request, response: Response) -> None:
        secure = self._is_secure(request)
        response.delete_cookie(
            SECURE_NAME if secure else PLAIN_NAME,
            path="/" if secure else _PLAIN_PATH,
            secure=secure,
            httponly=True,
            samesite="strict",
        )
        response.delete_cookie(CSRF_NAME, path="/", secure=secure, samesite="strict")

    def _is_secure(self, request: Request) -> bool:
        return self._always_secure or request.url.scheme == "https"

    def _set_csrf(self, response: Response, csrf_token: str, expires: datetime, secure: bool) -> None:
        """Readable by scripts of this origin on purpose: that they can read it is the proof."""
        response.set_cookie(CSRF_NAME, csrf_token, expires=expires, path="/", secure=secure, samesite="strict")


def client_kind(request: Request) -> ClientKind:
    return ClientKind.WEB if request.headers.get(CLIENT_HEADER, "").lower() == "web" else ClientKind.PROGRAM
