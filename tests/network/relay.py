"""A network between a client and the media server: `Network` listens where the server says it is, and passes on what
its links let through.

The server listens on 127.0.0.1 and tells clients of 127.0.0.2 (AURALINK_MEDIA_ADDRESSES), at the same ports, where only
the relay is: no packet gets past it, and nobody's signalling is rewritten.
"""

import asyncio
import contextlib
import functools
import json
import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.network.link import Impairment, Link

Address = tuple[str, int]

SERVER, RELAY = "127.0.0.1", "127.0.0.2"
ENVIRONMENT = {"AURALINK_MEDIA_ADDRESSES": json.dumps([RELAY])}
_READ = 16_384
_DATAGRAM = 65_536


@dataclass
class Path:
    """Both directions between one client and the server, and the socket the server sees it by."""

    up: Link
    down: Link
    onward: socket.socket | None = None

    def forget(self) -> None:
        if self.onward:
            asyncio.get_running_loop().remove_reader(self.onward)
            self.onward.close()
            self.onward = None


class Network(asyncio.DatagramProtocol):
    """Each client, told by its address, has a path of its own."""

    def __init__(self, udp_port: int, tcp_port: int, seed: int = 1) -> None:
        self.udp = True
        """False: no datagram passes, as behind a strict firewall."""
        self.tcp = True
        """False: no new connection is taken."""
        self._passing = asyncio.Event()
        self._passing.set()
        self.paths: dict[Address, Path] = {}
        self.tcp_bytes = 0
        self._ports = udp_port, tcp_port
        self._seed = seed
        self._default = Impairment(), Impairment()
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> bool:
        """False: nothing passes at all."""
        return self._passing.is_set()

    @open.setter
    def open(self, passing: bool) -> None:
        (self._passing.set if passing else self._passing.clear)()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        udp_port, tcp_port = self._ports
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(RELAY, udp_port))
        self._server = await asyncio.start_server(self._accept, RELAY, tcp_port)

    async def stop(self) -> None:
        self.open = False
        if self._transport:
            self._transport.close()
        for path in self.paths.values():
            path.forget()
        if self._server:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def impair(self, up: Impairment, down: Impairment | None = None, spared: Collection[Address] = ()) -> None:
        """From now on, on paths that are there and that come. `up` is from the client; without `down` both ways."""
        self._default = up, down or up
        for client, path in self.paths.items():
            if client not in spared:
                path.up.impairment, path.down.impairment = self._default

    def rebind(self) -> None:
        """As a NAT does that forgets: the server sees what comes next from other ports."""
        for path in self.paths.values():
            path.forget()

    def passed(self) -> int:
        """Datagrams that arrived, both ways."""
        links = [link.counters for path in self.paths.values() for link in (path.up, path.down)]
        return sum(c["sent"] - c["lost"] - c["overflowed"] for c in links)

    def lost(self) -> int:
        return sum(link.counters["lost"] for path in self.paths.values() for link in (path.up, path.down))

    def server_side_ports(self) -> set[int]:
        """Where the server sees its clients."""
        return {path.onward.getsockname()[1] for path in self.paths.values() if path.onward}

    # --- datagrams -----------------------------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if not self.udp or not self.open:
            return
        path = self.paths.get(addr) or self._new_path(addr)
        self._carry(path.up, len(data), lambda: self._to_server(path, data, addr))

    def _new_path(self, client: Address) -> Path:
        up, down = self._default
        seed = self._seed * 1_000 + 2 * len(self.paths)
        path = self.paths[client] = Path(Link(up, seed), Link(down, seed + 1))
        return path

    def _carry(self, link: Link, size: int, deliver: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        arrival = link.arrival(loop.time(), size)
        if arrival is None:
            return
        if arrival > loop.time():
            loop.call_at(arrival, deliver)
        else:
            deliver()

    def _to_server(self, path: Path, data: bytes, client: Address) -> None:
        if not self.open:
            return
        if not path.onward:
            path.onward = onward = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            onward.setblocking(False)
            onward.connect((SERVER, self._ports[0]))
            asyncio.get_running_loop().add_reader(onward, self._from_server, path, onward, client)
        with contextlib.suppress(OSError):  # a full buffer is one more way to lose a packet
            path.onward.send(data)

    def _from_server(self, path: Path, onward: socket.socket, client: Address) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = onward.recv(_DATAGRAM)
                if self.open and self.udp:
                    self._carry(path.down, len(data), functools.partial(self._deliver, data, client))

    def _deliver(self, data: bytes, client: Address) -> None:
        if self.open and self._transport:
            self._transport.sendto(data, client)

    # --- connections ---------------------------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.tcp:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """TCP knows no loss, only time: the links delay what they would have lost as little as the rest, and what
        comes while nothing passes waits."""
        onward: asyncio.StreamWriter | None = None
        try:
            await self._passing.wait()
            onward_reader, onward = await asyncio.open_connection(SERVER, self._ports[1])
            up, down = self._default
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pipe(reader, onward, up))
                both.create_task(self._pipe(onward_reader, writer, down))
        except* (OSError, EOFError):
            pass
        finally:
            for end in (writer, onward):
                if end:
                    end.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, how: Impairment) -> None:
        link = Link(Impairment(delay=how.delay, jitter=how.jitter, rate_bps=how.rate_bps, queue_bytes=1 << 30))
        loop = asyncio.get_running_loop()
        while chunk := await reader.read(_READ):
            await self._passing.wait()
            self.tcp_bytes += len(chunk)
            arrival = link.arrival(loop.time(), len(chunk))
            if arrival is not None and arrival > loop.time():
                loop.call_at(arrival, writer.write, chunk)
            else:
                writer.write(chunk)
                await writer.drain()
        raise EOFError


@asynccontextmanager
async def network(udp_port: int, tcp_port: int, seed: int = 1) -> AsyncIterator[Network]:
    relay = Network(udp_port, tcp_port, seed)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()
