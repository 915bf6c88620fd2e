"""Where and on what the figures were taken."""

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.generator import REPOSITORY


@dataclass(frozen=True)
class Machine:
    processor: str
    cores: int
    kernel: str
    date: str
    commit: str
    load_before: float
    """Load average of the last minute when the run began: other work on the machine disturbs the figures."""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def describe() -> Machine:
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        kernel=platform.release(),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=_commit(),
        load_before=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _commit() -> str:
    def git(*words: str) -> str:
        command = ["git", *words]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=10, check=False).stdout

    changed = "+changes" if git("status", "--porcelain", "--untracked-files=no").strip() else ""
    return (git("rev-parse", "--short", "HEAD").strip() or "unknown") + changed
