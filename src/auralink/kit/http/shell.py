"""Builds the ASGI application of one server from what the domains put into it.

From the outside in: one slash at the beginning of a path; request id, trace, log and metrics; secure headers; CORS;
limits; problem documents; routes.
"""

from collections.abc import Sequence

from fastapi import FastAPI
from pydantic import Field, field_validator
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from auralink import __version__
from auralink.kit.assembly import Assembly, Server
from auralink.kit.http.context import RequestContext
from auralink.kit.http.dependencies import EdgeContext
from auralink.kit.http.description import Api
from auralink.kit.http.headers import SecureHeaders
from auralink.kit.http.limits import RequestLimits
from auralink.kit.http.operations import operations_router
from auralink.kit.http.problem import RESPONSES, install_problem_handlers
from auralink.kit.http.slashes import OneLeadingSlash
from auralink.kit.settings import Settings

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_HEADERS = (
    "authorization",
    "content-type",
    "if-match",
    "last-event-id",
    "x-auralink-client",
    "x-csrf-token",
    "x-request-id",
)
_EXPOSED = ("x-request-id", "retry-after", "etag", "link", "location")


class HttpSettings(Settings):
    cors_origins: list[str] = Field(default_factory=list)
    """Exact origins whose pages may call the API, as a JSON list such as ["https://app.example.org"]."""
    body_limit: int = Field(default=1_048_576, ge=1024)
    """Bytes of a request's body, where a route names no other limit."""
    request_timeout: float = Field(default=30.0, gt=0)
    """Seconds until an answer begins."""

    @field_validator("cors_origins")
    @classmethod
    def _exact(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            scheme, _, rest = origin.partition("://")
            if scheme not in ("http", "https") or not rest or "*" in rest or "/" in rest:
                raise ValueError(f"{origin!r} is not an exact origin such as https://app.example.org")
        return origins


def build_api(assembly: Assembly, server: Server) -> FastAPI:
    """The routes alone, for OpenAPI and for tests that need no outer layers."""
    api = Api(
        title="AuraLink",
        version=__version__,
        summary="Self-hosted real-time communications, compatible with the LiveKit protocol.",
        openapi_url="/api/v1/openapi.json" if server.publishes_api else None,
        docs_url=None,
        redoc_url=None,
        responses=RESPONSES,
        redirect_slashes=False,
        # RequestContext measures the whole stack; FastAPI's own would count every request twice.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        separate_input_output_schemas=False,
    )
    database = assembly.database if assembly.has_database else None
    api.state.edge = EdgeContext(database, assembly.authenticator)
    install_problem_handlers(api)
    api.include_router(operations_router(server.health))
    for router in server.routers:
        api.include_router(router)
    for path, app in server.mounts:
        api.mount(path, app)
    return api


def build_server(assembly: Assembly, server: Server) -> ASGIApp:
    settings = assembly.settings(HttpSettings)
    app: ASGIApp = build_api(assembly, server)
    app = RequestLimits(app, settings.body_limit, settings.request_timeout, server.path_limits)
    app = _open_cors(app) if server.open_to_any_origin else _cors(app, settings.cors_origins)
    app = SecureHeaders(app, open_to_any_origin=server.open_to_any_origin)
    return OneLeadingSlash(RequestContext(app, server.name))


def _cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=_HEADERS,
        expose_headers=_EXPOSED,
        allow_credentials=True,
        max_age=600,
    )


def _open_cors(app: ASGIApp) -> ASGIApp:
    """Names the origin that asks, as LiveKit does, instead of `*`. Without credentials: cookies are nothing to it."""
    return CORSMiddleware(
        app,
        allow_origin_regex=".+",
        allow_methods=_METHODS,
        allow_headers=_HEADERS,
        expose_headers=_EXPOSED,
        max_age=600,
    )
