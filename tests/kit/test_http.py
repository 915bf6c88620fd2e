"""What every HTTP answer promises, whichever domain gives it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import structlog
from fastapi import APIRouter, Query, Request
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import set_tracer_provider
from pydantic import BaseModel
from sqlalchemy import text
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from auralink.kit.assembly import Assembly, Server
from auralink.kit.auth import Principal
from auralink.kit.db import Database
from auralink.kit.errors import NotFound, Unauthenticated, Unavailable
from auralink.kit.http import Caller, Transaction
from auralink.kit.http.shell import build_server
from auralink.kit.ids import RoomId
from auralink.kit.settings import CoreSettings
from auralink.kit.telemetry import configure_logging, outgoing_headers

PROBLEM = "application/problem+json"


class Note(BaseModel):
    text: str
    size: int = 1


class RoomLost(NotFound):
    code = "room_lost"
    title = "The room is lost"


def routes() -> APIRouter:
    router = APIRouter(prefix="/api/v1")

    @router.post("/notes")
    async def note(body: Note) -> Note:
        return body

    @router.get("/rooms/{room_id}")
    async def room(room_id: RoomId) -> None:
        raise RoomLost(f"No room {room_id}.")

    @router.get("/bug")
    async def bug() -> None:
        raise RuntimeError("secret-of-the-house")

    @router.get("/numbers")
    async def numbers(n: Annotated[int, Query(ge=1)]) -> int:
        return n

    @router.get("/split")
    async def split(value: str) -> Response:
        return PlainTextResponse("ok", headers={"x-echo": value})

    @router.get("/outgoing")
    async def outgoing() -> dict[str, str]:
        return outgoing_headers()

    @router.get("/forever")
    async def forever() -> None:
        await asyncio.Event().wait()

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(3):
                await asyncio.sleep(0.03)
                yield b"x"

        return StreamingResponse(chunks())

    return router


Client = Callable[..., httpx.AsyncClient]


@pytest.fixture
def client_for(tmp_path: Path) -> Client:
    def make(server: Server | None = None, assembly: Assembly | None = None) -> httpx.AsyncClient:
        assembly = assembly or Assembly(CoreSettings(state_dir=tmp_path))
        server = server or Server("test")
        server.add_router(routes())
        transport = httpx.ASGITransport(build_server(assembly, server), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://aura.test")

    return make


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/api/v1/notes", 405, "method_not_allowed"),
        ("POST", "/api/v1/notes", 422, "invalid_input"),
        ("GET", "/api/v1/numbers?n=0", 422, "invalid_input"),
        ("GET", "/api/v1/rooms/room_01m839czmke17bvfjsh11s9bjy", 404, "room_lost"),
        ("GET", "/api/v1/rooms/not-an-id", 404, "not_found"),
        ("GET", "/api/v1/bug", 500, "internal"),
    ],
)
async def test_every_error_is_a_problem_document_with_the_request_id(
    client_for: Client, method: str, path: str, status: int, code: str
) -> None:
    async with client_for() as client:
        answer = await client.request(method, path, headers={"x-request-id": "req-12345678"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert (body["status"], body["code"], body["request_id"]) == (status, code, "req-12345678")
    assert answer.headers["x-request-id"] == "req-12345678"
    assert "secret-of-the-house" not in answer.text


async def test_refused_input_names_each_field(client_for: Client) -> None:
    async with client_for() as client:
        answer = await client.post("/api/v1/notes", json={"size": "many"})
    assert [(f["field"], f["code"]) for f in answer.json()["fields"]] == [("text", "missing"), ("size", "int_parsing")]
    assert "many" not in json.dumps(answer.json()), "input is not echoed: it may be a password"


async def test_method_not_allowed_says_what_is(client_for: Client) -> None:
    async with client_for() as client:
        assert (await client.delete("/api/v1/notes")).headers["allow"] == "POST"


async def test_body_above_the_limit_is_refused_announced_or_not(client_for: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    async with client_for() as client:
        announced = await client.post("/api/v1/notes", content=b"x" * 2_000_000)
        streamed = await client.post("/api/v1/notes", content=chunks(), headers={"content-type": "application/json"})
    for answer in (announced, streamed):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert answer.headers["content-type"] == PROBLEM


async def test_body_limit_can_be_another_below_a_path(client_for: Client) -> None:
    server = Server("test")
    server.allow_body("/api/v1/notes", 10)
    async with client_for(server) as client:
        assert (await client.post("/api/v1/notes", json={"text": "longer than that"})).status_code == 413


async def test_answer_that_does_not_begin_in_time_is_given_up(
    client_for: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURALINK_REQUEST_TIMEOUT", "0.05")
    async with client_for() as client:
        answer = await client.get("/api/v1/forever")
        assert (answer.status_code, answer.json()["code"]) == (504, "timeout")
        assert (await client.get("/api/v1/stream")).text == "xxx", "an answer that has begun is not cut off"


async def test_line_break_in_a_header_value_is_refused(client_for: Client) -> None:
    async with client_for() as client:
        answer = await client.get("/api/v1/split", params={"value": "a\r\nset-cookie: admin=1"})
    assert answer.status_code == 500
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("given", ["short", "a" * 65, "with space 123", "tab\t12345678", "ünicode-12345"])
async def test_unfit_request_id_is_replaced(client_for: Client, given: str) -> None:
    async with client_for() as client:
        answer = await client.get("/livez", headers=[(b"x-request-id", given.encode())])
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) == 32


async def test_answers_carry_secure_headers(client_for: Client) -> None:
    async with client_for() as client:
        for path in ("/livez", "/nowhere", "/api/v1/bug"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
            assert headers["referrer-policy"] == "no-referrer"
            assert "strict-transport-security" not in headers


async def test_only_the_exact_origin_is_allowed(client_for: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURALINK_CORS_ORIGINS", '["https://app.example.org"]')
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    async with client_for() as client:
        friend = await client.options("/api/v1/notes", headers={"origin": "https://app.example.org", **ask})
        assert friend.headers["access-control-allow-origin"] == "https://app.example.org"
        for origin in ("https://app.example.org.evil.test", "http://app.example.org", "null"):
            stranger = await client.get("/livez", headers={"origin": origin})
            assert "access-control-allow-origin" not in stranger.headers


@pytest.mark.parametrize("origins", ['["*"]', '["https://*.example.org"]', '["example.org"]', '["https://a.test/x"]'])
async def test_inexact_origins_are_refused_at_start(
    client_for: Client, monkeypatch: pytest.MonkeyPatch, origins: str
) -> None:
    monkeypatch.setenv("AURALINK_CORS_ORIGINS", origins)
    with pytest.raises(Exception, match="AURALINK_CORS_ORIGINS"):
        client_for()


async def test_no_origin_is_allowed_unless_set(client_for: Client) -> None:
    async with client_for() as client:
        answer = await client.get("/livez", headers={"origin": "https://app.example.org"})
    assert "access-control-allow-origin" not in answer.headers


async def test_readiness_names_the_dependency_that_fails(client_for: Client) -> None:
    async def good() -> None:
        return None

    async def bad() -> None:
        raise Unavailable("connection refused")

    async def hung() -> None:
        await asyncio.Event().wait()

    server = Server("test")
    server.health.add("good", good)
    async with client_for(server) as client:
        assert (await client.get("/readyz")).status_code == 200
        server.health.add("database", bad)
        server.health.add("engine", hung)
        answer = await client.get("/readyz")
        assert (await client.get("/livez")).status_code == 200
    assert answer.status_code == 503
    assert answer.json()["failing"] == ["database", "engine"]
    assert answer.json()["checks"]["database"] == {"ok": False, "reason": "connection refused"}


async def test_draining_server_is_alive_but_not_ready(client_for: Client) -> None:
    server = Server("test")
    async with client_for(server) as client:
        server.health.draining = True
        assert (await client.get("/readyz")).json()["failing"] == ["process"]


async def test_metrics_count_by_route_template_and_never_by_path(client_for: Client) -> None:
    room = RoomId.new()
    async with client_for() as client:
        await client.get(f"/api/v1/rooms/{room}")
        await client.get("/wp-admin.php")
        text_ = (await client.get("/metrics")).text
    assert (
        'auralink_http_requests_total{method="GET",route="/api/v1/rooms/{room_id}",server="test",status="404"}' in text_
    )
    assert 'route="unmatched"' in text_
    assert str(room) not in text_
    assert "wp-admin" not in text_


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    set_tracer_provider(provider)
    return exporter


async def test_trace_and_request_id_go_through_to_the_next_service(
    client_for: Client, spans: InMemorySpanExporter
) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    given = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "x-request-id": "req-12345678"}
    async with client_for() as client:
        passed_on = (await client.get("/api/v1/outgoing", headers=given)).json()
    assert passed_on["x-request-id"] == "req-12345678"
    assert passed_on["traceparent"].split("-")[1] == trace_id
    [span] = [s for s in spans.get_finished_spans() if s.name == "GET /api/v1/outgoing"]
    assert format(span.context.trace_id, "032x") == trace_id


async def test_one_log_line_for_each_request_with_its_id(client_for: Client) -> None:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        async with client_for() as client:
            await client.get("/api/v1/numbers?n=0", headers={"x-request-id": "req-12345678"})
    [line] = [entry for entry in lines if entry["event"] == "http.request"]
    assert (line["request_id"], line["route"], line["status"]) == ("req-12345678", "/api/v1/numbers", 422)


class _KnowsEveryone:
    async def authenticate(self, connection: Any) -> Principal:
        if "authorization" not in connection.headers:
            raise Unauthenticated
        return Principal.system()


async def test_transaction_is_committed_before_the_answer_leaves_and_rolled_back_on_error(
    client_for: Client, database: Database, tmp_path: Path
) -> None:
    assembly = Assembly(CoreSettings(state_dir=tmp_path), database=database)
    assembly.authenticator = _KnowsEveryone()
    server, router = Server("test"), APIRouter()

    @router.post("/consumers/{name}")
    async def add(name: str, request: Request, tx: Transaction, caller: Caller) -> str:
        statement = "insert into outbox_consumers (name, position, updated_at) values (:name, 0, now())"
        await tx.session.execute(text(statement), {"name": name})
        if "fail" in request.query_params:
            raise RoomLost
        return caller.kind

    server.add_router(router)

    async def names() -> list[str]:
        async with database.transaction(Principal.system()) as tx:
            return list(await tx.session.scalars(text("select name from outbox_consumers order by name")))

    async with client_for(server, assembly) as client:
        assert (await client.post("/consumers/a")).status_code == 401
        allowed = {"authorization": "Bearer x"}
        assert (await client.post("/consumers/b", headers=allowed)).json() == "system"
        assert await names() == ["b"]
        assert (await client.post("/consumers/c?fail", headers=allowed)).status_code == 404
        assert (await client.post("/consumers/b", headers=allowed)).status_code == 500
    assert await names() == ["b"]


def test_logging_writes_json_with_ids_and_no_library_noise(tmp_path: Path) -> None:

    try:
        configure_logging("info", json=True, file=tmp_path / "log" / "a.log", terminal_level="critical")
        with structlog.contextvars.bound_contextvars(request_id="req-12345678"):
            structlog.get_logger("x").info("thing.happened", room="room_1")
        logging.getLogger("uvicorn.access").info("noise")
        [line] = (tmp_path / "log" / "a.log").read_text().splitlines()
    finally:
        configure_logging("info", json=False)
    entry = json.loads(line)
    assert (entry["event"], entry["request_id"], entry["room"]) == ("thing.happened", "req-12345678", "room_1")
    assert (tmp_path / "log" / "a.log").stat().st_mode & 0o077 == 0
