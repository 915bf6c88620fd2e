"""The signal connections' sockets, which the native core owns: it answers pings, and hands on everything else."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Protocol

from auralink.media.joining import PING_TIMEOUT_S
from auralink.media.limits import Limits

SILENCE_S = 3.0 * PING_TIMEOUT_S
"""A client that says nothing for so long has lost its signal connection; it sends a ping every few seconds."""
_BATCH = 256
_SERVICE_RESTART = 1012

Receive = Callable[[bytes | str | None], None]
"""Told what the client says, and None once when nothing more comes."""


class SignalSocket(Protocol):
    """What `auralink._native.SignalSocket` offers; see there. Tests put a scripted one in its place."""

    @property
    def id(self) -> int: ...
    def send(self, message: bytes | str) -> bool: ...
    def close(self, code: int) -> None: ...
    def silent_for_s(self) -> float: ...


class SignalHub(Protocol):
    """What `auralink._native.SignalHub` offers."""

    def fileno(self) -> int: ...
    def drain(self, max_messages: int) -> list[tuple[int, bytes | str | None]]: ...
    def adopt(self, fd: int, head: bytes) -> SignalSocket: ...
    def close(self) -> None: ...


def native_hub(limits: Limits) -> SignalHub:
    from auralink._native import SignalHub as NativeHub

    return NativeHub(
        message_bytes=limits.signal_message_bytes,
        queued_bytes=limits.queued_bytes,
        burst=limits.requests_burst,
        per_s=limits.requests_per_s,
        silence_s=SILENCE_S,
    )


class SignalSockets:
    """Hands what each client says to whom it is for, on the event loop and in order."""

    def __init__(self, hub: SignalHub) -> None:
        self._hub = hub
        self._open: dict[int, tuple[SignalSocket, Receive]] = {}

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._hub.fileno(), self._drain)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._hub.fileno())
        self._hub.close()

    def adopt(self, fd: int, head: bytes, receive: Receive) -> SignalSocket:
        """Raises OSError. `receive` is called with the context variables of this call."""
        socket = self._hub.adopt(fd, head)
        context = contextvars.copy_context()
        self._open[socket.id] = socket, lambda message: context.run(receive, message)
        return socket

    def forget(self, socket: SignalSocket) -> None:
        """Nobody wants to know any more what its client says."""
        self._open.pop(socket.id, None)

    def go_away(self) -> None:
        """Ends all of them, after what waits for their clients."""
        for socket, receive in list(self._open.values()):
            socket.close(_SERVICE_RESTART)
            receive(None)

    def _drain(self) -> None:
        messages = self._hub.drain(_BATCH)
        for socket_id, message in messages:
            if socket_id in self._open:
                _, receive = self._open[socket_id]
                receive(message)
        if len(messages) == _BATCH:
            # More is there; let the loop breathe before the next batch.
            asyncio.get_running_loop().call_soon(self._drain)
