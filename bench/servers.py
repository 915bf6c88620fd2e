"""The servers under load: ours and, when its binary is given, LiveKit's. Each is pinned to one core."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.generator import SERVER_CORE

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
KEY = "benchkey"
LOOPBACK = "127.0.0.1"


class ServerError(RuntimeError):
    """The server did not start; the message ends with what it said."""


@dataclass(frozen=True)
class Server:
    name: str
    pid: int
    address: str
    port: int
    secret: str
    log: Path

    @property
    def url(self) -> str:
        return f"ws://{self.address}:{self.port}"

    def options(self) -> list[str]:
        """What the generator needs to reach and to watch it."""
        return [
            *("--url", self.url, "--key", KEY, "--secret", self.secret),
            *("--server-pid", str(self.pid), "--server-core", str(SERVER_CORE)),
        ]


@contextmanager
def auralink(address: str = LOOPBACK) -> Iterator[Server]:
    """The media role alone, as LiveKit's server is only that."""
    secret = secrets.token_hex(24)
    http, tcp, udp = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="auralink-bench-") as state:
        environment = os.environ | {
            "AURALINK_STATE_DIR": state,
            "AURALINK_MEDIA_HOST": address,
            "AURALINK_MEDIA_ADDRESSES": json.dumps([address]),
            "AURALINK_MEDIA_PORT": str(http),
            "AURALINK_MEDIA_TCP_PORT": str(tcp),
            "AURALINK_MEDIA_UDP_PORT": str(udp),
            "AURALINK_LIVEKIT_API_KEY": KEY,
            "AURALINK_LIVEKIT_API_SECRET": secret,
        }
        command = [sys.executable, "-m", "auralink.cli", "serve", "media"]
        with _started("AuraLink", command, environment, Path(state), (address, http), secret) as server:
            yield server


@contextmanager
def livekit(binary: Path, address: str = LOOPBACK) -> Iterator[Server]:
    secret = secrets.token_hex(24)
    http, tcp, udp = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="livekit-bench-") as state:
        config = (
            f"port: {http}\nbind_addresses: [{address}]\nkeys: {{{KEY}: {secret}}}\nlogging: {{level: error}}\n"
            f"rtc: {{tcp_port: {tcp}, udp_port: {udp}, use_external_ip: false, node_ip: {address}, "
            f"enable_loopback_candidate: {str(address == LOOPBACK).lower()}}}\n"
        )
        command = [str(binary), "--config-body", config]
        with _started("LiveKit", command, dict(os.environ), Path(state), (address, http), secret) as server:
            yield server


@contextmanager
def _started(
    name: str, command: list[str], environment: dict[str, str], state: Path, at: tuple[str, int], secret: str
) -> Iterator[Server]:
    log = state / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=state,
            preexec_fn=_pin_to(SERVER_CORE),  # noqa: PLW1509 (the parent has one thread)
        )
    try:
        _await_answer(process, at, log)
        yield Server(name, process.pid, *at, secret, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)


def _pin_to(core: int) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, {core})


def _await_answer(process: subprocess.Popen[bytes], at: tuple[str, int], log: Path) -> None:
    address, port = at
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://{address}:{port}/", timeout=2):
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
    raise ServerError(f"{process.args!r} did not start: {log.read_text(errors='replace')[-1500:]}")


def free_ports(count: int) -> list[int]:
    """Ports free for TCP and UDP alike at this moment."""
    taken: list[socket.socket] = []
    ports: list[int] = []
    try:
        while len(ports) < count:
            tcp = socket.create_server(("127.0.0.1", 0))
            taken.append(tcp)
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            taken.append(udp)
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            ports.append(tcp.getsockname()[1])
    finally:
        for one in taken:
            one.close()
    return ports
