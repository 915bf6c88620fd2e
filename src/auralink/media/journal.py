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

COMPACT_AFTER = 1_000
"""Acknowledged events that may stay in the file."""


@dataclass(frozen=True)
class Entry:
    number: int
    """Counts from 1 within the file."""
    body: str


@dataclass(frozen=True)
class Batch:
    lines: list[str]
    acknowledged: int
    empty: bool
    """Nothing waits any more."""
    compact: list[str] | None
    """The whole file anew, without what was acknowledged."""


class Journal:
    """Not for several processes. Writes are buffered until `take` and `write`; the latter may run in a thread."""

    def __init__(self, directory: Path, *, most: int = MAX_WAITING) -> None:
        self._most = most
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = directory / "events.jsonl"
        self._acknowledged_path = directory / "events.acknowledged"
        self._waiting: deque[Entry] = deque()
        self._unwritten: list[str] = []
        self._last = 0
        self._acknowledged = 0
        self._compacted = 0
        """Acknowledged events up to this number are no longer in the file."""
        self.dropped = 0
        self._recover()

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, body: str) -> bool:
        """False when there is no room for it."""
        if len(self._waiting) >= self._most:
            self.dropped += 1
            return False
        self._last += 1
        self._waiting.append(Entry(self._last, body))
        self._unwritten.append(_line(self._waiting[-1]))
        return True

    def oldest(self) -> Entry | None:
        return self._waiting[0] if self._waiting else None

    def acknowledge(self, entry: Entry) -> None:
        """It was told (or never can be); only the oldest may be acknowledged."""
        if self._waiting and self._waiting[0] == entry:
            self._waiting.popleft()
            self._acknowledged = entry.number

    def take(self) -> Batch:
        """What is to be made durable now. On the event loop; hand it to `write`, or back with `give_back`."""
        lines, self._unwritten = self._unwritten, []
        compact = None
        if self._acknowledged - self._compacted >= COMPACT_AFTER:
            compact = [_line(entry) for entry in self._waiting]
        return Batch(lines, self._acknowledged, empty=not self._waiting, compact=compact)

    def write(self, batch: Batch) -> None:
        """Durable when this returns; may run in a thread. Raises OSError, after which `give_back` is due."""
        if batch.empty and not batch.lines:
            # Numbers go on, so that a crash between the two steps repeats nothing and loses nothing.
            self._write_acknowledged(batch.acknowledged)
            self._path.unlink(missing_ok=True)
        elif batch.compact is not None:
            self._replace(self._path, "".join(batch.compact))
            self._write_acknowledged(batch.acknowledged)
            self._compacted = batch.acknowledged
        else:
            self._append(batch.lines)
            self._write_acknowledged(batch.acknowledged)

    def give_back(self, batch: Batch) -> None:
        """Writing failed: keep the lines for the next time."""
        self._unwritten = [*batch.lines, *self._unwritten]

    def flush(self) -> None:
        """`take` and `write` in one, where nothing else runs."""
        self.write(self.take())

    def _append(self, lines: list[str]) -> None:
        if not lines:
            return
        before = self._path.stat().st_size if self._path.exists() else 0
        with self._path.open("a", encoding="utf-8") as file:
            try:
                file.write("".join(lines))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self._path, before)  # no half line for the next one to grow onto
                raise

    def _write_acknowledged(self, number: int) -> None:
        self._replace(self._acknowledged_path, str(number))

    def _replace(self, path: Path, text: str) -> None:
        replacement = path.with_suffix(".new")
        with replacement.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        replacement.replace(path)

    def _recover(self) -> None:
        if self._acknowledged_path.exists():
            text = self._acknowledged_path.read_text().strip()
            self._acknowledged = self._last = int(text) if text.isdigit() else 0
        if not self._path.exists():
            return
        self._cut_torn_line()
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                entry = Entry(int(record["number"]), str(record["body"]))
            except (ValueError, KeyError, TypeError):
                log.warning("media.journal_line_unreadable")
                continue
            if entry.number > self._last:
                self._last = entry.number
                self._waiting.append(entry)
        self._compacted = self._acknowledged

    def _cut_torn_line(self) -> None:
        """A crash may have left half a line at the end; the next line must not grow onto it."""
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            log.warning("media.journal_torn_line_cut", bytes=len(content) - whole)
            with self._path.open("r+b") as file:
                file.truncate(whole)


def _line(entry: Entry) -> str:
    return json.dumps({"number": entry.number, "body": entry.body}) + "\n"
