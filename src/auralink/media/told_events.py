"""Events that a receiver has accepted, kept for a while so that they can be sent again."""

import json
from collections.abc import Iterable
from pathlib import Path

FILE_BYTES = 8 * 1024 * 1024
"""Two files of at most this are kept: at about 1 kB an event, the last eight to sixteen thousand."""
MAX_REPLAYED = 10_000


class ToldEvents:
    """Owner of the files. Not for several threads at a time."""

    def __init__(self, directory: Path, file_bytes: int = FILE_BYTES) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._newer = directory / "told.jsonl"
        self._older = directory / "told.older.jsonl"
        self._file_bytes = file_bytes

    def add(self, bodies: Iterable[str]) -> None:
        """Raises OSError."""
        text = "".join(f"{body}\n" for body in bodies)
        if not text:
            return
        with self._newer.open("a", encoding="utf-8") as file:
            file.write(text)
        if self._newer.stat().st_size > self._file_bytes:
            self._newer.replace(self._older)

    def since(self, since: int, until: int, room: str = "") -> list[str]:
        """Those created in these seconds (Unix, both included), in order and each once; of one room, if named. At most
        MAX_REPLAYED, the oldest."""
        found: dict[str, str] = {}
        for path in (self._older, self._newer):
            if not path.exists():
                continue
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    event = _read(line)
                    if not since <= _created(event) <= until or (room and _room(event) != room):
                        continue
                    found.setdefault(str(event.get("id")), line.rstrip("\n"))
                    if len(found) >= MAX_REPLAYED:
                        return list(found.values())
        return list(found.values())


def _read(line: str) -> dict[str, object]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}  # half a line, from a crash
    return event if isinstance(event, dict) else {}


def _created(event: dict[str, object]) -> int:
    value = str(event.get("createdAt", ""))
    return int(value) if value.isdecimal() else -1


def _room(event: dict[str, object]) -> str:
    room = event.get("room")
    return str(room.get("name", "")) if isinstance(room, dict) else ""
