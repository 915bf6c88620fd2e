"""Logs, traces and metrics of a process.

Logs are structlog events: a static name, structured fields, the request and trace ids added by themselves; keys that
start with `pii.` hold personal data. Traces follow W3C trace context in and out and are exported over OTLP only where
AURALINK_OTLP_ENDPOINT names a collector. Metrics are Prometheus's, collected by each server's /metrics.
"""

import logging
import logging.handlers
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from pydantic import Field

from auralink import __version__
from auralink.kit.settings import Settings

tracer = trace.get_tracer("auralink", __version__)

_LOG_FILE_BYTES = 20_000_000
_LOG_FILES = 5


class TelemetrySettings(Settings):
    otlp_endpoint: str = ""
    """Where traces go, such as an OpenTelemetry collector's http address. Empty: nowhere."""
    trace_ratio: float = Field(default=1.0, ge=0, le=1)
    """The share of traces that begin here and are recorded."""


def configure_logging(level: str, *, json: bool, file: Path | None = None, terminal_level: str | None = None) -> None:
    """Everything that logs, ours and our libraries', ends here. With `file`, JSON lines go there as well (rotated),
    and the terminal gets only `terminal_level` and above."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(_formatter(shared, json=json))
    terminal.setLevel((terminal_level or level).upper())
    handlers: list[logging.Handler] = [terminal]
    if file:
        handlers.append(_file_handler(file, shared))
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(level.upper())
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpcore", "aiohttp.access", "alembic"):
        logger = logging.getLogger(noisy)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.WARNING)


def configure_tracing(settings: TelemetrySettings, role: str, exporter: SpanExporter | None = None) -> TracerProvider:
    """Record spans; export them where the settings say. Call `shutdown()` on the result to flush."""
    resource = Resource.create({"service.name": f"auralink-{role}", "service.version": __version__})
    if settings.otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
    # Where nobody collects, spans still carry ids for logs and callers, but record nothing.
    ratio = settings.trace_ratio if exporter else 0.0
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(ratio)))
    if exporter:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def outgoing_headers() -> dict[str, str]:
    """Headers for a call to another service: the trace and the request this work belongs to."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id:
        headers["x-request-id"] = str(request_id)
    return headers


def _add_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event


# Without local variables: they hold passwords and people's data.
_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def _formatter(shared: list[Any], *, json: bool) -> structlog.stdlib.ProcessorFormatter:
    last: list[Any]
    if json:
        last = [_tracebacks, structlog.processors.JSONRenderer(default=str)]
    else:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )


def _file_handler(path: Path, shared: list[Any]) -> logging.Handler:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_FILE_BYTES, backupCount=_LOG_FILES)
    handler.setFormatter(_formatter(shared, json=True))
    return handler
