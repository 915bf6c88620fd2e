"""When a signal connection ends; the socket is scripted, the engine too."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from fastapi import WebSocket
from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import JoinRequest, LeaveRequest, Ping, SignalRequest, SignalResponse
from tests.media.scripted import Server

from auralink.media import membership, signal
from auralink.media.encoding import Encoder
from auralink.media.keys import PLATFORM
from auralink.media.room import Room
from auralink.media.signal import SignalConnection, Wanted

_PING = SignalRequest(ping_req=Ping(timestamp=5)).SerializeToString()
_LEAVE = SignalRequest(leave=LeaveRequest()).SerializeToString()
_PATIENCE_S = 20.0
"""Far below the 45 s after which a silent client is cut."""


class ScriptedSocket:
    """Gives these messages of a client, and then it is silent."""

    def __init__(self, messages: Iterable[bytes]) -> None:
        self._messages = list(messages)
        self.silent = asyncio.Event()
        self.sent: list[SignalResponse] = []
        self.closed_with = 0

    @property
    def unread(self) -> int:
        return len(self._messages)

    async def receive(self) -> dict[str, Any]:
        if not self._messages:
            self.silent.set()
            await asyncio.Event().wait()
        return {"type": "websocket.receive", "bytes": self._messages.pop(0)}

    async def send_bytes(self, message: bytes) -> None:
        self.sent.append(SignalResponse.FromString(message))

    async def close(self, code: int) -> None:
        self.closed_with = code

    def kinds(self) -> list[str | None]:
        return [message.WhichOneof("message") for message in self.sent]


def connected(server: Server, *messages: bytes) -> tuple[ScriptedSocket, "asyncio.Task[None]"]:
    socket = ScriptedSocket(messages)
    connection = SignalConnection(cast(WebSocket, socket), server.joining, Encoder())
    wanted = Wanted(server.keys.verify(server.token("ann")), JoinRequest(), dual=False)
    return socket, asyncio.create_task(connection.run(wanted))


def lobby(server: Server) -> Room:
    room = server.rooms.find("lobby", tenant=PLATFORM)
    assert room is not None
    return room


async def ended(run: "asyncio.Task[None]") -> None:
    await asyncio.wait_for(run, _PATIENCE_S)


async def test_a_client_that_says_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "_SILENCE_S", 0.01)
    server = Server()
    socket, run = connected(server, _PING)
    await ended(run)
    assert socket.kinds().count("pong_resp") == 1
    assert socket.closed_with == 1000
    assert "ann" not in lobby(server).participants


async def test_a_dismissal_ends_the_wait_for_the_next_request() -> None:
    server = Server()
    socket, run = connected(server, _PING)
    await socket.silent.wait()
    room = lobby(server)
    membership.dismiss(room, room.participants["ann"], DisconnectReason.PARTICIPANT_REMOVED)
    await ended(run)
    assert (socket.kinds()[-1], socket.closed_with) == ("leave", 1000)


async def test_nothing_is_read_after_a_leave() -> None:
    socket, run = connected(Server(), _LEAVE, _PING, _PING)
    await ended(run)
    assert socket.unread == 2
    assert "pong_resp" not in socket.kinds()


async def test_what_is_no_request_ends_the_connection() -> None:
    socket, run = connected(Server(), b"\xff\xff", _PING)
    await ended(run)
    assert (socket.unread, socket.closed_with) == (1, 1007)


async def test_a_connection_that_is_cancelled_takes_its_participant_along() -> None:
    server = Server()
    socket, run = connected(server)
    await socket.silent.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(run)
    assert "ann" not in lobby(server).participants
