"""When a signal connection ends; its socket is scripted, the engine too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import JoinRequest, LeaveRequest, Ping, SignalRequest, SignalResponse
from tests.media.scripted import ScriptedSocket, Server

from auralink.media import membership, signal
from auralink.media.encoding import Encoder
from auralink.media.keys import PLATFORM
from auralink.media.room import Room, leave
from auralink.media.session import Session
from auralink.media.signal import SignalConnection, Wanted
from auralink.media.signal_sockets import SignalSockets

_PING = SignalRequest(ping_req=Ping(timestamp=5)).SerializeToString()
_LEAVE = SignalRequest(leave=LeaveRequest()).SerializeToString()
_PATIENCE_S = 20.0


class Ann:
    """A client in the lobby of this server."""

    def __init__(self, server: Server, socket: ScriptedSocket) -> None:
        self.server = server
        self.socket = socket
        self.connection = SignalConnection(server.joining, Encoder())
        wanted = Wanted(server.keys.verify(server.token("ann")), JoinRequest(), dual=False)
        self.running = asyncio.create_task(self.connection.run(socket, wanted))

    def says(self, *messages: bytes | str | None) -> None:
        for message in messages:
            self.connection.received(message)

    def told(self) -> list[str | None]:
        return [SignalResponse.FromString(m).WhichOneof("message") for m in self.socket.sent if isinstance(m, bytes)]

    @property
    def room(self) -> Room:
        room = self.server.rooms.find("lobby", tenant=PLATFORM)
        assert room is not None
        return room

    async def ended(self) -> int:
        """With which code."""
        await asyncio.wait_for(self.running, _PATIENCE_S)
        return self.socket.codes[0]


@asynccontextmanager
async def ann(socket: ScriptedSocket | None = None) -> AsyncIterator[Ann]:
    client = Ann(Server(), socket or ScriptedSocket())
    await asyncio.sleep(0)
    yield client
    client.running.cancel()


async def test_who_is_gone_is_not_connected_any_more() -> None:
    async with ann() as client:
        client.says(_PING, None)
        assert await client.ended() == 1000
        assert client.told().count("pong_resp") == 1
        assert "ann" not in client.room.participants


async def test_a_dismissal_ends_the_connection() -> None:
    async with ann() as client:
        membership.dismiss(client.room, client.room.participants["ann"], DisconnectReason.PARTICIPANT_REMOVED)
        assert await client.ended() == 1000
        assert client.told()[-1] == "leave"


async def test_nothing_is_read_after_a_leave() -> None:
    async with ann() as client:
        client.says(_LEAVE, _PING, _PING)
        await client.ended()
        assert "pong_resp" not in client.told()


async def test_what_is_no_request_ends_the_connection() -> None:
    async with ann() as client:
        client.says(b"\xff\xff", _PING)
        assert await client.ended() == 1007
        assert "pong_resp" not in client.told()


async def test_a_fault_of_ours_ends_that_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(session: Session, request: SignalRequest) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(Session, "handle", fails)
    async with ann() as client:
        client.says(_PING)
        assert await client.ended() == 1011
        assert "ann" not in client.room.participants


async def test_who_says_json_is_answered_in_json() -> None:
    async with ann() as client:
        client.says('{"ping": "7"}')
        assert isinstance(client.socket.sent[-1], str)
        assert "pong" in client.socket.sent[-1]


async def test_who_reads_too_slowly_is_cut() -> None:
    async with ann(ScriptedSocket(room_for=2)) as client:
        client.says(_PING, _PING, _PING)
        assert await client.ended() == 1013
        assert len(client.socket.sent) == 2


async def test_who_is_to_come_again_closes_the_connection_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ann() as client:
        me = client.room.participants["ann"]
        me.send(leave(DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT))
        assert me.connection is not None
        me.connection.close()
        await asyncio.sleep(0.05)
        assert not client.socket.codes
        client.says(_PING, None)
        assert await client.ended() == 1000
    monkeypatch.setattr(signal, "_COMES_AGAIN_S", 0.01)
    async with ann() as client:
        client.room.participants["ann"].send(leave(DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT))
        client.connection.received(_LEAVE)
        assert await client.ended() == 1000


async def test_a_connection_that_is_cancelled_takes_its_participant_along() -> None:
    async with ann() as client:
        client.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.ended()
        assert "ann" not in client.room.participants
        assert client.socket.codes == [1000]


class ScriptedHub:
    """Gives what a test says that clients said."""

    def __init__(self) -> None:
        self.said: list[tuple[int, bytes | str | None]] = []
        self._adopted = 0

    def fileno(self) -> int:
        raise AssertionError("drained by hand")

    def drain(self, max_messages: int) -> list[tuple[int, bytes | str | None]]:
        batch, self.said = self.said[:max_messages], self.said[max_messages:]
        return batch

    def adopt(self, fd: int, head: bytes) -> ScriptedSocket:
        self._adopted += 1
        return ScriptedSocket(self._adopted)

    def close(self) -> None:
        pass


async def test_what_a_client_says_goes_to_its_receiver_until_nobody_cares() -> None:
    hub = ScriptedHub()
    sockets = SignalSockets(hub)
    heard: list[tuple[str, bytes | str | None]] = []
    first = sockets.adopt(0, b"", lambda message: heard.append(("first", message)))
    sockets.adopt(0, b"", lambda message: heard.append(("second", message)))
    hub.said = [(1, b"a"), (2, "b"), (2, None)]
    sockets._drain()
    sockets.forget(first)
    hub.said = [(1, b"c"), (1, None)]
    sockets._drain()
    assert heard == [("first", b"a"), ("second", "b"), ("second", None)]


async def test_a_large_batch_is_taken_in_several_turns() -> None:
    hub = ScriptedHub()
    sockets = SignalSockets(hub)
    heard: list[bytes | str | None] = []
    sockets.adopt(0, b"", heard.append)
    hub.said = [(1, str(i)) for i in range(600)]
    sockets._drain()
    assert 0 < len(heard) < 600
    await asyncio.sleep(0.05)
    assert heard == [str(i) for i in range(600)]


async def test_a_server_that_stops_ends_all_of_them() -> None:
    hub = ScriptedHub()
    sockets = SignalSockets(hub)
    heard: list[bytes | str | None] = []
    socket = sockets.adopt(0, b"", heard.append)
    sockets.go_away()
    assert isinstance(socket, ScriptedSocket)
    assert (heard, socket.codes) == ([None], [1012])
