"""The command line: each answer in plain words, and an exit code that a script can use."""

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner

from auralink.app.doctor import Verdict, examine
from auralink.cli import app
from auralink.kit.embedded_postgres.process import servers_on
from auralink.kit.settings import CoreSettings
from auralink.kit.telemetry import configure_logging

run = CliRunner().invoke


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="auralink-cli-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        monkeypatch.setenv("AURALINK_STATE_DIR", directory)
        yield Path(directory).resolve()
    configure_logging("info", json=False)


def test_token_joins_the_named_room_and_allows_what_was_asked(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURALINK_LIVEKIT_API_KEY", "APIkey")
    monkeypatch.setenv("AURALINK_LIVEKIT_API_SECRET", "s" * 40)
    monkeypatch.setenv("AURALINK_MEDIA_PORT", "7999")
    wish = ["--room", "hall", "--identity", "ada", "--name", "Ada L.", "--no-can-publish", "--hours", "1"]
    result = run(app, ["token", *wish])
    assert result.exit_code == 0, result.output
    url, token = (line.split()[1] for line in result.output.splitlines())
    assert url == "ws://localhost:7999"
    claims = jwt.decode(token, "s" * 40, algorithms=["HS256"], issuer="APIkey")
    assert (claims["sub"], claims["name"]) == ("ada", "Ada L.")
    grant = claims["video"]
    assert (grant["roomJoin"], grant["room"], grant["canPublish"], grant["canSubscribe"]) == (True, "hall", False, True)
    assert 3500 < claims["exp"] - claims["nbf"] <= 3600


def test_token_uses_the_key_pair_that_the_platform_made(state: Path) -> None:
    first, second = (run(app, ["token", "--room", "r", "--identity", "i"]).output.split()[-1] for _ in range(2))
    issuers = {jwt.decode(token, options={"verify_signature": False})["iss"] for token in (first, second)}
    assert len(issuers) == 1
    assert (state / "secrets.json").stat().st_mode & 0o777 == 0o600


def answering(answer: tuple[int, dict[str, object]], asked: list[dict[str, Any]]) -> ThreadingHTTPServer:
    """A media server that answers every request so; closed by the caller."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, "token": self.headers["Authorization"].removeprefix("Bearer "), **body})
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(json.dumps(answer[1]).encode())

        def log_message(self, *_: object) -> None:
            """Not into the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((200, {"events": 3}), 0, "3 sent again"),
        ((404, {}), 1, "keeps no webhooks"),
        ((403, {"title": "Forbidden", "detail": "Not with this key."}), 1, "Not with this key."),
    ],
)
def test_webhooks_are_asked_for_again_and_the_answer_is_told(
    state: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, dict[str, object]], code: int, words: str
) -> None:
    asked: list[dict[str, Any]] = []
    server = answering(answer, asked)
    try:
        monkeypatch.setenv("AURALINK_LIVEKIT_URL", f"ws://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AURALINK_LIVEKIT_API_KEY", "APIkey")
        monkeypatch.setenv("AURALINK_LIVEKIT_API_SECRET", "s" * 40)
        times = ["--since", "2026-01-31T12:00:00+0000", "--until", "2026-01-31T13:00:00+0000"]
        result = run(app, ["webhooks", "replay", *times, "--room", "hall"])
    finally:
        server.shutdown()
        server.server_close()
    assert result.exit_code == code, result.output
    assert words in result.output
    assert (asked[0]["path"], asked[0]["room"]) == ("/webhooks/replay", "hall")
    assert (asked[0]["since"], asked[0]["until"]) == (1_769_860_800, 1_769_864_400)
    grants = jwt.decode(asked[0]["token"], "s" * 40, algorithms=["HS256"], issuer="APIkey")["video"]
    assert (grants["roomCreate"], grants["roomList"]) == (True, True)


def test_a_media_server_that_does_not_answer_is_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURALINK_LIVEKIT_URL", "ws://127.0.0.1:1")
    result = run(app, ["webhooks", "replay", "--since", "2026-01-31"])
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.output
    assert "Traceback" not in result.output


def test_migrations_run_by_hand_up_and_down(state: Path) -> None:
    assert "schema empty" in run(app, ["migrate", "status"]).output
    assert "to run" not in run(app, ["migrate", "up"]).output
    refused = run(app, ["migrate", "down"])
    assert refused.exit_code == 1
    assert "--to" in refused.output
    assert "schema empty" in run(app, ["migrate", "down", "--to", "base"]).output
    assert servers_on(state / "postgres" / "data") == []


def test_unreachable_database_is_told_without_a_traceback_or_the_password(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURALINK_DATABASE_URL", "postgresql://someone:secret-word@127.0.0.1:1/none")
    result = run(app, ["migrate", "status"])
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.output
    assert "secret-word" not in result.output
    assert "Traceback" not in result.output


def test_wrong_setting_is_told_by_its_name(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURALINK_ENV", "prod")
    result = run(app, ["up"])
    assert result.exit_code == 1
    assert "AURALINK_ENV" in result.output


async def test_doctor_names_a_taken_port_and_its_setting(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("AURALINK_GATEWAY_PORT", str(port))
        findings = {finding.name: finding async for finding in examine(CoreSettings())}
    gateway = findings["Port of the gateway"]
    assert gateway.verdict is Verdict.WARNING
    assert str(port) in gateway.fact
    assert "AURALINK_GATEWAY_PORT" in gateway.todo


async def test_doctor_finds_a_database_that_does_not_answer(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURALINK_DATABASE_URL", "postgresql://someone:secret-word@127.0.0.1:1/none")
    findings = {finding.name: finding async for finding in examine(CoreSettings())}
    assert findings["Database"].verdict is Verdict.BAD
    assert "secret-word" not in findings["Database"].fact


async def test_doctor_says_what_to_do_about_everything_that_is_not_good(state: Path) -> None:
    async for finding in examine(CoreSettings()):
        assert (finding.verdict is Verdict.GOOD) == (not finding.todo), finding
