"""A file of events that are still to be told: what happened survives a crash, and the order stays.

One line per event, appended; a second file keeps how many of them were acknowledged. Both start over when everything
has been. Owner of the files: one `Journal` per state directory.
"""

import json
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

MAX_WAITING = 100_000
"""Events kept; newer ones are dropped and counted. That is days of a room's life with nobody to tell."""


@dataclass(frozen=True)
class Entry:
    number: int
    """Counts from 1 within the file."""
    body: str


class Journal:
    """Not for several processes. Writes are buffered until `flush`, which may run in a thread."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = directory / "events.jsonl"
        self._acknowledged_path = directory / "events.acknowledged"
        self._waiting: deque[Entry] = deque()
        self._unwritten: list[str] = []
        self._last = 0
        self._acknowledged = 0
        self.dropped = 0
        self._recover()

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, body: str) -> bool:
        """False when there is no room for it."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return False
        self._last += 1
        self._waiting.append(Entry(self._last, body))
        self._unwritten.append(json.dumps({"number": self._last, "body": body}))
        return True

    def oldest(self) -> Entry | None:
        return self._waiting[0] if self._waiting else None

    def acknowledge(self, entry: Entry) -> None:
        """It was told (or never can be); only the oldest may be acknowledged."""
        if self._waiting and self._waiting[0] == entry:
            self._waiting.popleft()
            self._acknowledged = entry.number

    def flush(self) -> None:
        """Make what was appended and acknowledged durable."""
        lines, self._unwritten = self._unwritten, []
        if not self._waiting and not lines:
            self._start_over()
            return
        if lines:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
                file.flush()
                os.fsync(file.fileno())
        self._write_acknowledged()

    def _start_over(self) -> None:
        """Numbers go on, so that a crash between the two steps repeats nothing and loses nothing."""
        self._write_acknowledged()
        self._path.unlink(missing_ok=True)

    def _write_acknowledged(self) -> None:
        replacement = self._acknowledged_path.with_suffix(".new")
        replacement.write_text(str(self._acknowledged))
        replacement.replace(self._acknowledged_path)

    def _recover(self) -> None:
        if self._acknowledged_path.exists():
            text = self._acknowledged_path.read_text().strip()
            self._acknowledged = self._last = int(text) if text.isdigit() else 0
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                entry = Entry(int(record["number"]), str(record["body"]))
            except (ValueError, KeyError, TypeError):
                log.warning("media.journal_line_unreadable")  # the last line of a crash
                continue
            self._last = max(self._last, entry.number)
            if entry.number > self._acknowledged:
                self._waiting.append(entry)
