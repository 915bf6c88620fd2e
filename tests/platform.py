"""A whole platform for tests: `auralink up` in a process of its own, on free ports, with its own state directory."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.05
_PORTS = range(10_000, 32_000)


@dataclass
class Platform:
    """A running copy. `restart` keeps ports and state, as a supervisor would."""

    state: Path
    environment: dict[str, str] = field(default_factory=dict)
    module: str = "auralink.cli"
    """What is run; a test may wrap it."""
    gateway_port: int = 0
    media_port: int = 0
    media_tcp_port: int = 0
    media_udp_port: int = 0
    process: subprocess.Popen[bytes] | None = None
    command: tuple[str, ...] = ("up",)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def _ready_url(self) -> str:
        return self.url if self.command == ("up",) else self.media_url.replace("ws", "http", 1)

    @property
    def media_url(self) -> str:
        return f"ws://127.0.0.1:{self.media_port}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def log(self) -> Path:
        return self.state.parent / f"{self.state.name}.log"

    async def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        _open_the_way_to(self.state)
        if not self.gateway_port:
            self.gateway_port, self.media_port, self.media_tcp_port, self.media_udp_port = free_ports(4)
            self.gateway_port = int(self.environment.get("AURALINK_GATEWAY_PORT", self.gateway_port))
        self.process = self._spawn()
        await self._until_ready()

    async def stop(self) -> int:
        """Ask it to stop, as Ctrl-C does; returns its exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGINT)
        return await self._until_gone()

    async def kill(self) -> None:
        """End it without a word, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        await self._until_gone()

    async def readiness(self) -> httpx.Response:
        async with httpx.AsyncClient(timeout=10) as client:
            return await client.get(f"{self.url}/readyz")

    def postgres(self) -> list[psutil.Process]:
        """The processes of the embedded PostgreSQL, the postmaster first."""
        descendants = psutil.Process(self.pid).children(recursive=True)
        return [process for process in descendants if process.name().startswith("postgres")]

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", self.module, *self.command],
                env=os.environ | self._settings(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.state.parent,
            )

    def _settings(self) -> dict[str, str]:
        return {
            "AURALINK_STATE_DIR": str(self.state),
            "AURALINK_GATEWAY_PORT": str(self.gateway_port),
            "AURALINK_MEDIA_PORT": str(self.media_port),
            "AURALINK_MEDIA_TCP_PORT": str(self.media_tcp_port),
            "AURALINK_MEDIA_UDP_PORT": str(self.media_udp_port),
            **self.environment,
        }

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        said = "nothing"
        async with httpx.AsyncClient(timeout=5) as client:
            while time.monotonic() < deadline:
                assert self.process is not None
                if self.process.poll() is not None:
                    raise AssertionError(f"ended with {self.process.returncode} at start:\n{self.last_words()}")
                try:
                    answer = await client.get(f"{self._ready_url}/readyz")
                except httpx.HTTPError as error:
                    said = repr(error)
                else:
                    if answer.status_code == httpx.codes.OK:
                        return
                    said = answer.text
                await asyncio.sleep(POLL_S)
        raise AssertionError(f"not ready after {START_TIMEOUT_S:.0f} s, /readyz: {said}\n{self.last_words()}")

    async def _until_gone(self) -> int:
        process, self.process = self.process, None
        assert process is not None
        try:
            return await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"did not stop in {STOP_TIMEOUT_S:.0f} s:\n{self.last_words()}") from None

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


@asynccontextmanager
async def running_platform(state: Path, **environment: str) -> AsyncIterator[Platform]:
    """A platform that is stopped at the end, however the test went."""
    platform = Platform(state=state, environment=environment)
    try:
        await platform.start()
        yield platform
    finally:
        await platform.stop()


@asynccontextmanager
async def serving_media(state: Path, *arguments: str, **environment: str) -> AsyncIterator[Platform]:
    """`auralink serve media` in a process of its own, stopped at the end."""
    platform = Platform(state=state, environment=environment, command=("serve", "media", *arguments))
    try:
        await platform.start()
        yield platform
    finally:
        await platform.stop()


def _open_the_way_to(state: Path) -> None:
    """Run by root, PostgreSQL works under another account. pytest's directories are closed to that, and what is then
    kept elsewhere nobody would delete."""
    temporary = Path(tempfile.gettempdir())
    for step in state.parents:
        if step.is_relative_to(temporary) and step != temporary and step.exists():
            step.chmod(step.stat().st_mode | 0o011)


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at this moment, for TCP and UDP alike, and that the kernel gives to nobody by itself."""
    ports: list[int] = []
    while len(ports) < count:
        port = secrets.choice(_PORTS)
        if port not in ports and _is_free(port):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listening(port: int) -> bool:
    """Does anybody take TCP connections there?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def signal_all(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue  # a worker of PostgreSQL that ended by itself


async def eventually(what: str, holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for something that tells nobody when it happens."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not in {timeout_s:.0f} s: {what}"
        await asyncio.sleep(POLL_S)
