"""`auralink up`: one command that says what it does, stops everything it started, and gets in nobody's way."""

import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.platform import Platform, free_ports, running_platform

from auralink.kit.embedded_postgres.process import servers_on


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="auralink-up-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        yield Path(directory) / "state"


def databases_of(platform: Platform) -> list[psutil.Process]:
    return servers_on(platform.state / "postgres" / "data")


async def test_it_starts_says_where_everything_is_and_stops_everything_it_started(state: Path) -> None:
    async with running_platform(state) as platform:
        said = platform.last_words()
        for address in (platform.url, platform.media_url):
            assert address.replace("127.0.0.1", "localhost") in said
        assert "PostgreSQL" in said
        assert (state / "secrets.json").stat().st_mode & 0o777 == 0o600
        async with httpx.AsyncClient(base_url=platform.url) as client:
            assert (await client.get("/livez")).json() == {"status": "alive"}
            assert (await client.get("/readyz")).json()["checks"]["database"] == {"ok": True}
            assert "auralink_http_requests_total" in (await client.get("/metrics")).text
            document = (await client.get("/api/v1/openapi.json")).json()
            assert "/api/v1/rooms" in document["paths"]
        children = psutil.Process(platform.pid).children(recursive=True)
        assert databases_of(platform)
        assert await platform.stop() == 0
        assert not [child for child in children if child.is_running()]
        assert "Everything is stopped" in platform.last_words()
        assert databases_of(platform) == []


async def test_second_platform_on_the_same_state_is_refused_in_plain_words(state: Path) -> None:
    async with running_platform(state) as platform:
        second = Platform(state=state, environment=platform.environment)
        with pytest.raises(AssertionError, match="ended with 1") as refused:
            await second.start()
        assert "AuraLink runs already on" in str(refused.value).replace("\n", " ")
        assert "Traceback" not in str(refused.value)
        assert (await platform.readiness()).status_code == httpx.codes.OK
        second.process = None


async def test_taken_port_is_told_with_its_holder_and_the_setting_that_moves_ours(state: Path) -> None:
    [port] = free_ports(1)
    platform = Platform(state=state)
    platform.gateway_port, platform.media_port, platform.media_tcp_port, platform.media_udp_port = port, *free_ports(3)
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(AssertionError, match="ended with 1") as refused:
            await platform.start()
        told = " ".join(str(refused.value).split())
    for word in (str(port), "AURALINK_GATEWAY_PORT", f"(process {psutil.Process().pid})"):
        assert word in told
    assert "Traceback" not in told
    assert databases_of(platform) == []


async def test_database_that_is_killed_comes_back_and_readiness_follows(state: Path) -> None:
    async with running_platform(state) as platform:
        for process in databases_of(platform):
            process.kill()
        async with httpx.AsyncClient(base_url=platform.url) as client:
            while (await client.get("/readyz")).status_code != httpx.codes.OK or not databases_of(platform):
                pass
        assert platform.process is not None
        assert platform.process.poll() is None


async def test_terminated_platform_stops_its_database_too(state: Path) -> None:
    async with running_platform(state) as platform:
        assert platform.process is not None
        running = databases_of(platform)
        platform.process.send_signal(signal.SIGTERM)
        assert platform.process.wait(30) == 0
        assert not [process for process in running if process.is_running()]
        platform.process = None


async def test_production_refuses_to_start_without_secrets(state: Path) -> None:
    platform = Platform(state=state, environment={"AURALINK_ENV": "production"})
    with pytest.raises(AssertionError, match="must be set in production") as refused:
        await platform.start()
    assert "Traceback" not in str(refused.value)
    assert databases_of(platform) == []
