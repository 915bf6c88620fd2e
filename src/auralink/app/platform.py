"""Runs an assembled process: starts what it is made of in order, serves, drains, and stops in reverse.

Owner of every task and socket of the process.
"""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog

from auralink.app.assembly import Listener
from auralink.app.serving import HttpServer, listen
from auralink.app.settings import AppSettings
from auralink.kit.assembly import Assembly

log = structlog.get_logger(__name__)

_TASK_GOODBYE_SECONDS = 5.0


class TaskEnded(Exception):
    """A task that must run as long as the process ended by itself."""


class Platform:
    def __init__(self, assembly: Assembly, listeners: Sequence[Listener], settings: AppSettings) -> None:
        self._assembly = assembly
        self._listeners = listeners
        self._settings = settings
        self._stop = asyncio.Event()
        self.addresses: dict[str, tuple[str, int]] = {}
        """Where each server listens, once `run` says it is ready."""

    def stop(self) -> None:
        self._stop.set()

    def stop_on_signals(self) -> None:
        """The first SIGINT or SIGTERM drains; a second one stops at once."""
        loop = asyncio.get_running_loop()

        def asked(number: signal.Signals) -> None:
            if self._stop.is_set():
                loop.remove_signal_handler(number)
                signal.raise_signal(number)
            self._stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked, number)

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until stopped. Raises PortTaken, or what a resource or task raised."""
        sockets = self._bind()
        try:
            async with AsyncExitStack() as resources:
                for name, make in self._assembly.resources:
                    log.debug("platform.resource", name=name)
                    await resources.enter_async_context(make())
                await self._serve(sockets, ready)
        finally:
            for listener in sockets:
                listener.close()

    def _bind(self) -> list[socket.socket]:
        """All ports before anything starts, so that a taken one is told at once."""
        bound: list[socket.socket] = []
        try:
            for wanted in self._listeners:
                listener = listen(wanted.host, wanted.port, wanted.variable)
                self.addresses[wanted.name] = listener.getsockname()[:2]
                bound.append(listener)
        except BaseException:
            for listener in bound:
                listener.close()
            raise
        return bound

    async def _serve(self, sockets: Sequence[socket.socket], ready: Callable[[], None]) -> None:
        pairs = zip(self._listeners, sockets, strict=True)
        servers = [HttpServer(wanted.app, listener, self._settings) for wanted, listener in pairs]
        tasks = {asyncio.create_task(_forever(name, run), name=name) for name, run in self._assembly.tasks}
        serving = {asyncio.create_task(server.run_until_stopped(), name="http") for server in servers}
        stopping: asyncio.Task[Any] = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            up = asyncio.gather(*(server.up.wait() for server in servers))
            done, _ = await asyncio.wait({up, stopping, *tasks, *serving}, return_when=asyncio.FIRST_COMPLETED)
            if up in done:
                ready()
                done, _ = await asyncio.wait({stopping, *tasks, *serving}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            await self._drain(servers, serving)
            for ended in done - {stopping, up}:
                ended.result()
        finally:
            await _cancel({stopping, *tasks, *serving})

    async def _drain(self, servers: Sequence[HttpServer], serving: set[asyncio.Task[None]]) -> None:
        for server in self._assembly.servers.values():
            server.health.draining = True
        for name, action in self._assembly.drains:
            try:
                async with asyncio.timeout(self._settings.drain_timeout):
                    await action()
            except Exception:
                log.exception("platform.drain_failed", name=name)
        for http in servers:
            http.stop()
        if serving:
            await asyncio.wait(serving, timeout=self._settings.drain_timeout + 2)


async def _forever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    await run()
    raise TaskEnded(f"{name} ended by itself")


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_TASK_GOODBYE_SECONDS)
