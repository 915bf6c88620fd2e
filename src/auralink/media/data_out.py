"""A room's messages on their way into the engine, which may take no more for a while: its shard does not keep up.

Lossy messages are dropped then. Reliable ones wait, in order and bounded; beyond that their receivers have to connect
anew, so that nobody goes on without a message that it believes it has.
"""

from collections import deque
from collections.abc import Callable, Iterable

import structlog

from auralink.media.engine import ChannelLabel, Engine
from auralink.media.timers import Later, Timer

log = structlog.get_logger(__name__)

MAX_WAITING_BYTES = 16 * 1024 * 1024
RETRY_S = 0.05


class DataOut:
    """Owner of the messages of one room that wait; ends with `close`."""

    def __init__(self, engine: Engine, later: Later, give_up: Callable[[Iterable[int]], None]) -> None:
        """`give_up`: these peers would miss a reliable message."""
        self._engine = engine
        self._later = later
        self._give_up = give_up
        self._waiting: deque[tuple[list[int], bytes, int | None]] = deque()
        self._waiting_bytes = 0
        self._retry: Timer | None = None

    def send(self, peers: list[int], channel: ChannelLabel, payload: bytes, sender: int | None = None) -> None:
        """`sender`: the peer that waits while readers of its reliable messages are behind."""
        if channel != "_reliable":
            if not self._engine.send_data(peers, channel, payload):
                log.warning("media.data_dropped", channel=channel, receivers=len(peers))
        elif self._waiting or not self._engine.send_data(peers, channel, payload, sender=sender):
            self._wait(peers, payload, sender)

    def _wait(self, peers: list[int], payload: bytes, sender: int | None) -> None:
        if self._waiting_bytes + len(payload) > MAX_WAITING_BYTES:
            log.warning("media.data_too_slow", receivers=len(peers))
            self._give_up(peers)
            return
        self._waiting.append((peers, payload, sender))
        self._waiting_bytes += len(payload)
        if self._retry is None:
            self._retry = self._later(RETRY_S, self._flush)

    def _flush(self) -> None:
        self._retry = None
        while self._waiting:
            peers, payload, sender = self._waiting[0]
            if not self._engine.send_data(peers, "_reliable", payload, sender=sender):
                self._retry = self._later(RETRY_S, self._flush)
                return
            self._waiting.popleft()
            self._waiting_bytes -= len(payload)

    def close(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
