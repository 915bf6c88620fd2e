"""Listening sockets and uvicorn servers, several in one event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import psutil
import uvicorn
from starlette.types import ASGIApp

from auralink.app.settings import AppSettings
from auralink.kit.http.handover import HandoverProtocol


class PortTaken(Exception):
    """The message says which port, who has it and which setting moves ours."""


def listen(host: str, port: int, variable: str) -> socket.socket:
    """A listening socket. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)  # whoever comes before we serve waits instead of being refused
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"{host}:{port} cannot be used ({error.strerror}){_holder(port)}. "
            f"Stop what holds it, or set {variable} to another one."
        ) from error
    listener.set_inheritable(False)
    return listener


def holder_of(port: int) -> str | None:
    """The program that listens on this TCP port, if we may know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            return _name(connection.pid)
    return None


def _holder(port: int) -> str:
    name = holder_of(port)
    return f"; {name} has it" if name else ""


def _name(pid: int | None) -> str | None:
    if pid is None:
        return None
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


_LONGEST_MESSAGE = (
    2 * 1024 * 1024
)  # bytes of one WebSocket message; a description of a large call takes some tens of KiB


class HttpServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the platform, which stops all of them together."""

    def __init__(self, app: ASGIApp, listener: socket.socket, settings: AppSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                access_log=False,
                server_header=False,
                log_config=None,
                timeout_keep_alive=20,
                ws=HandoverProtocol,
                ws_max_size=_LONGEST_MESSAGE,
                timeout_graceful_shutdown=max(1, round(settings.drain_timeout)),
                limit_concurrency=settings.max_connections,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=settings.trusted_proxies,
            )
        )
        self._listener = listener
        self.up = asyncio.Event()

    async def run_until_stopped(self) -> None:
        await self.serve(sockets=[self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    def stop(self) -> None:
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
