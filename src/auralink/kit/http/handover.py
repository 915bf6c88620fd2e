"""WebSockets that something else than this server goes on with, once their client may come in."""

from collections.abc import Callable
from typing import TypeVar, cast

from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import AcceptConnection, Request

_EXTENSION = "auralink.handover"
_CLOSED = 1006

Adopted = TypeVar("Adopted")
Adopt = Callable[[int, bytes], Adopted]
"""Takes the descriptor of a TCP connection, to duplicate it, and what its client is to be sent first: the answer to the
opening handshake (RFC 6455 section 4.2.2), by which no extension is agreed on."""


def hand_over(socket: WebSocket, adopt: Adopt[Adopted]) -> Adopted:
    """Instead of accepting it. Raises WebSocketDisconnect, and what `adopt` raises: then it is still ours."""
    return cast("Callable[[Adopt[Adopted]], Adopted]", socket.scope["extensions"][_EXTENSION])(adopt)


class HandoverProtocol(WSProtocol):
    """uvicorn's WebSocket, which can be handed over before it is accepted."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        extensions = cast("dict[str, object]", self.scope["extensions"])
        extensions[_EXTENSION] = self._hand_over  # the application's task starts later

    def _hand_over(self, adopt: Adopt[Adopted]) -> Adopted:
        if self.transport.is_closing():
            raise WebSocketDisconnect(_CLOSED)
        head = self.conn.send(AcceptConnection())
        adopted = adopt(self.transport.get_extra_info("socket").fileno(), head)
        self.handshake_complete = self.close_sent = True
        self.transport.abort()  # closes this descriptor, and leaves the connection
        return adopted
