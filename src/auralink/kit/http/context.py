"""The outermost layer of a server: request id, trace, one log line and one measurement for each request."""

import re
import time
import uuid
from dataclasses import dataclass

import structlog
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, Status, StatusCode
from prometheus_client import Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auralink.kit.telemetry import tracer

log = structlog.get_logger("auralink.http")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~-]{8,64}")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})

_LABELS = ("server", "method", "route")
REQUESTS = Counter("auralink_http_requests_total", "Requests answered", (*_LABELS, "status"))
SECONDS = Histogram(
    "auralink_http_request_seconds",
    "Time from the request to the end of its answer",
    _LABELS,
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("auralink_http_requests_in_flight", "Requests being answered", ("server",))
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(slots=True)
class _Answer:
    status: int = 0


class RequestContext:
    def __init__(self, app: ASGIApp, server: str) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["request_id"] = request_id = _accepted(headers.get("x-request-id"))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        answer = _Answer()

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        started = time.perf_counter()
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        parent = propagate.extract(dict(headers))
        with (
            IN_FLIGHT.labels(self._server).track_inprogress(),
            tracer.start_as_current_span(
                method, parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
            ) as span,
        ):
            try:
                await self._app(scope, receive, answered)
            except Exception:
                # FastAPI has answered 500 already and passes the exception on for us to log.
                log.exception("http.unhandled", method=method, route=route_of(scope))
                if not answer.status:
                    answer.status = 500
                    await _plain_500(answered)
            finally:
                route = route_of(scope)
                seconds = time.perf_counter() - started
                span.update_name(f"{method} {route}")
                span.set_attribute("http.request.method", method)
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", answer.status)
                if answer.status >= 500:
                    span.set_status(Status(StatusCode.ERROR))
                REQUESTS.labels(self._server, method, route, str(answer.status)).inc()
                SECONDS.labels(self._server, method, route).observe(seconds)
                if route not in _QUIET:
                    self._write_line(method, route, answer.status, seconds)

    def _write_line(self, method: str, route: str, status: int, seconds: float) -> None:
        milliseconds = round(seconds * 1000, 1)
        log.info("http.request", server=self._server, method=method, route=route, status=status, ms=milliseconds)


def route_of(scope: Scope) -> str:
    """The template of the route that answered, never the path: ids and codes in it are nobody's business."""
    route = scope.get("route")
    path = getattr(route, "path", None)
    if isinstance(path, str):
        return path
    return "unmatched"


def _accepted(given: str | None) -> str:
    """The caller's request id when it is harmless to repeat in headers and logs, otherwise a new one."""
    if given and _REQUEST_ID.fullmatch(given):
        return given
    return uuid.uuid4().hex


async def _plain_500(send: Send) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
