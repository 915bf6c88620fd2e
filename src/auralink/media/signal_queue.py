"""Messages on their way to one client, and how fast messages of a client are taken: both bounded."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from auralink.media.limits import Limits


class SignalQueue:
    """Encoded messages in order; bounded in number and in bytes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._messages: deque[bytes | str] = deque()
        self._bytes = 0
        self._ended = False
        self._something = asyncio.Event()

    def put(self, message: bytes | str) -> bool:
        """False: there is no room for it; the reader is too slow."""
        size = self._bytes + len(message)
        if len(self._messages) >= self._limits.queued_messages or size > self._limits.queued_bytes:
            return False
        self._messages.append(message)
        self._bytes = size
        self._something.set()
        return True

    def end(self) -> None:
        """Nothing comes after what is there."""
        self._ended = True
        self._something.set()

    async def get(self) -> bytes | str | None:
        """The next message; None after the last."""
        while not self._messages:
            if self._ended:
                return None
            self._something.clear()
            await self._something.wait()
        message = self._messages.popleft()
        self._bytes -= len(message)
        return message


class Pace:
    """A token bucket: `burst` messages at once, `per_s` of them in the long run. `clock` in seconds."""

    def __init__(self, burst: int, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._clock = clock
        self._at = clock()

    def take(self) -> float:
        """Takes one; the seconds to wait before the next may be taken."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s) - 1
        self._at = now
        return max(0.0, -self._left / self._per_s)
