"""Small things the set-up, check and test programs share. Standard library only: set-up runs before anything else."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
BIN = VENV / "bin"
COLOUR = sys.stdout.isatty()


class StepFailed(Exception):
    """The message says what is missing and what to do."""


def paint(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def say(text: str) -> None:
    print(text, flush=True)


def fail(reason: str) -> NoReturn:
    say(f"\n{paint('1;31', 'Stopped.')} {reason}")
    raise SystemExit(1)


@contextmanager
def step(name: str, expected: str) -> Iterable[None]:
    """One thing that takes time: says so before, and how long it took after."""
    say(f"  {paint('36', '…')} {name} {paint('2', f'(about {expected})')}")
    started = time.monotonic()
    yield
    say(f"  {paint('32', '✓')} {name} {paint('2', f'{time.monotonic() - started:.1f} s')}")


def run(*command: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT, quiet: bool = True) -> None:
    """Raises StepFailed with the end of the program's output."""
    words = [str(word) for word in command]
    environment = {**os.environ, **(env or {})}
    if not quiet:
        if subprocess.run(words, env=environment, cwd=cwd, check=False).returncode:
            raise StepFailed(f"{' '.join(words[:3])} … failed, see above.")
        return
    result = subprocess.run(
        words, env=environment, cwd=cwd, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if result.returncode:
        ending = "\n".join(result.stdout.splitlines()[-40:])
        raise StepFailed(f"{' '.join(words[:3])} … failed:\n{ending}")


def answer_of(*command: str | Path) -> str:
    """What a program prints; nothing when it fails."""
    try:
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def digest(*paths: Path, salt: str = "") -> str:
    """Over the names and contents of files, and of all files below folders."""
    total = hashlib.sha256(salt.encode())
    for path in sorted(file for given in paths for file in _files(given)):
        total.update(f"{path.relative_to(ROOT)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


_NOT_SOURCES = frozenset({"node_modules", "dist", "target", "__pycache__", "test-results", ".vite"})


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for entry in path.iterdir():
            if entry.name not in _NOT_SOURCES:
                yield from _files(entry)


class Stamp:
    """Remembers of what a result was made."""

    def __init__(self, path: Path, wanted: str) -> None:
        self._path = path
        self._wanted = wanted

    def current(self, *results: Path) -> bool:
        try:
            return self._path.read_text() == self._wanted and all(result.exists() for result in results)
        except OSError:
            return False

    def set(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(self._wanted)


def program(name: str, *, missing: str) -> str:
    """The path of a program. Raises StepFailed with `missing`, which says how to get it."""
    found = shutil.which(name)
    if not found:
        raise StepFailed(missing)
    return found


def apt_install(package: str, why: str) -> None:
    """From Debian, when we may. Raises StepFailed with the command to run otherwise."""
    command = f"apt-get install -y --no-install-recommends {package}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise StepFailed(f"{why} Install it, on Debian with: sudo {command}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-q", env=quiet)
    run(*command.split(), env=quiet)
