"""Ways between a client and the server that can be cut, and mended."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.compat.conftest import MediaServer
from tests.platform import Platform, running_platform

Address = tuple[str, int]


class TcpRelay:
    """Connections to `port` go on to `target`. Cut: those that are there end, and new ones wait until it is mended."""

    def __init__(self, target: Address) -> None:
        self.port = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        self._open.clear()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def mend(self) -> None:
        self._open.set()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.cut()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._open.wait()
            onward_reader, onward_writer = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(_pipe(reader, onward_writer), _pipe(onward_reader, writer))
            finally:
                onward_writer.transport.abort()
        finally:
            writer.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def signal_relay(server: MediaServer) -> AsyncIterator[tuple[TcpRelay, MediaServer]]:
    """A relay of the signal connection, and the server as its clients see it."""
    host, _, port = server.url.removeprefix("ws://").partition(":")
    relay = TcpRelay((host, int(port)))
    await relay.start()
    try:
        yield relay, replace(server, url=f"ws://127.0.0.1:{relay.port}")
    finally:
        await relay.stop()


class UdpRelay(asyncio.DatagramProtocol):
    """Datagrams to `bound` go on to `target`, each sender's from a socket of its own, and answers back. `open` False:
    everything is lost; so is what concerns a client in `mute`."""

    def __init__(self, bound: Address, target: Address) -> None:
        self.open = True
        self.mute: set[Address] = set()
        self.passed = 0
        self._bound = bound
        self._target = target
        self._transport: asyncio.DatagramTransport | None = None
        self._onward: dict[Address, asyncio.Task[asyncio.DatagramTransport]] = {}

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self._bound)

    @property
    def clients(self) -> set[Address]:
        """Where datagrams came from so far."""
        return set(self._onward)

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
        for task in self._onward.values():
            if task.done():
                task.result().close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if not self.open or addr in self.mute:
            return
        if addr not in self._onward:
            self._onward[addr] = asyncio.create_task(self._connect(addr))
        task = self._onward[addr]
        if task.done():
            self.passed += 1
            task.result().sendto(data)

    async def _connect(self, client: Address) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        back = lambda: _Back(self, client)  # noqa: E731
        transport, _ = await loop.create_datagram_endpoint(back, remote_addr=self._target)
        return transport

    def answer(self, data: bytes, client: Address) -> None:
        if self.open and client not in self.mute and self._transport is not None:
            self.passed += 1
            self._transport.sendto(data, client)


class _Back(asyncio.DatagramProtocol):
    def __init__(self, relay: UdpRelay, client: Address) -> None:
        self._relay = relay
        self._client = client

    def datagram_received(self, data: bytes, _addr: Address) -> None:
        self._relay.answer(data, self._client)


@asynccontextmanager
async def behind_media_relay(
    state: Path, *, dual: bool = False
) -> AsyncIterator[tuple[UdpRelay, MediaServer, Platform]]:
    """A server of its own whose media all goes through a relay."""
    # It tells clients of an address where only the relay listens, at the same port.
    environment = {"AURALINK_MEDIA_ADDRESSES": json.dumps(["127.0.0.2"])}
    async with running_platform(state, **environment) as platform:
        secrets = json.loads((platform.state / "secrets.json").read_text())
        server = MediaServer(platform.media_url, secrets["livekit_api_key"], secrets["livekit_api_secret"], dual)
        port = platform.media_udp_port
        relay = UdpRelay(("127.0.0.2", port), ("127.0.0.1", port))
        await relay.start()
        try:
            yield relay, server, platform
        finally:
            relay.stop()
