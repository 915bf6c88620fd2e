"""Commands on their way into the engine, which may take no more for a while: the room's shard does not keep up.

The engine then refuses a command (EngineFull). It waits here with all later ones of its room, in order, so that what
the engine does is what the room believes. A room for which too much waits ends, and its clients build it anew.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import structlog

from auralink._native import EngineFull
from auralink.media.engine import Engine
from auralink.media.timers import Later, Timer

log = structlog.get_logger(__name__)

MAX_WAITING = 16_384
"""Commands of one room, as many as the engine itself lets wait for a shard."""
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Of descriptions in them."""
RETRY_S = 0.05

Command = Callable[[], None]


@dataclass
class _Waiting:
    """Of one room."""

    commands: deque[tuple[Command, int]] = field(default_factory=deque)
    """With the bytes of each."""
    bytes: int = 0
    given_up: bool = False
    """The room ends: nothing is asked for it any more but to close."""

    def add(self, command: Command, size: int) -> None:
        self.commands.append((command, size))
        self.bytes += size

    def run(self) -> bool:
        """Hands over what waits, oldest first. False: the engine takes no more."""
        while self.commands:
            command, size = self.commands[0]
            try:
                command()
            except EngineFull:
                return False
            except Exception:
                # Costs this command only, as one that is given at once.
                log.exception("media.command_failed")
            self.commands.popleft()
            self.bytes -= size
        return True


class EngineCommands:
    """Owner of what waits; ends with `close`."""

    def __init__(self, engine: Engine, later: Later, give_up: Callable[[int], None]) -> None:
        """`give_up`: too much waits for this room."""
        self._engine = engine
        self._later = later
        self._give_up = give_up
        self._rooms: dict[int, _Waiting] = {}
        self._retry: Timer | None = None

    def of(self, room: int) -> Engine:
        """The engine for one room: its commands are taken in order and never refused."""
        return cast("Engine", _RoomEngine(self, self._engine, room))

    def run(self, room: int, name: str, *arguments: Any, **options: Any) -> None:
        command = partial(getattr(self._engine, name), *arguments, **options)
        if name == "close_room":
            # Ends every peer, so what waits is not missed.
            self._rooms.pop(room, None)
            command()
            return
        waiting = self._rooms.get(room)
        closes = name == "close_peer"
        if waiting is None or (waiting.given_up and closes):
            try:
                command()
            except EngineFull:
                self._wait(room, command, _bytes(arguments))
        elif closes or not waiting.given_up:
            self._wait(room, command, _bytes(arguments), always=closes)

    def _wait(self, room: int, command: Command, size: int, *, always: bool = False) -> None:
        waiting = self._rooms.setdefault(room, _Waiting())
        full = len(waiting.commands) >= MAX_WAITING or waiting.bytes + size > MAX_WAITING_BYTES
        if full and not always:
            log.warning("media.engine_too_slow", room=room, commands=len(waiting.commands))
            waiting.commands.clear()
            waiting.given_up = True
            # Not at once: whoever gave this command is in the middle of changing the room.
            self._later(0.0, lambda: self._give_up(room))
            return
        waiting.add(command, size)
        if self._retry is None:
            self._retry = self._later(RETRY_S, self._flush)

    def _flush(self) -> None:
        self._retry = None
        for room, waiting in list(self._rooms.items()):
            if not waiting.given_up and waiting.run():
                del self._rooms[room]
        if any(waiting.commands for waiting in self._rooms.values()):
            self._retry = self._later(RETRY_S, self._flush)

    def close(self) -> None:
        """The engine is about to end."""
        self._rooms.clear()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


class _RoomEngine:
    """Looks like the engine to one room."""

    def __init__(self, commands: EngineCommands, engine: Engine, room: int) -> None:
        self._commands = commands
        self._room = room
        self.send_data = engine.send_data
        """Says itself whether it was taken: messages wait elsewhere, see `data_out`."""

    def __getattr__(self, name: str) -> Any:
        return partial(self._commands.run, self._room, name)


def _bytes(arguments: tuple[Any, ...]) -> int:
    return sum(len(argument) for argument in arguments if isinstance(argument, str))
