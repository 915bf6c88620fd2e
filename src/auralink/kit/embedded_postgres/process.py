"""Looking at PostgreSQL processes, ours and those a crash left behind."""

import ctypes
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if os.uname().sysname == "Linux" else None


def die_with_parent() -> None:
    """Runs in the child before exec: ask the kernel for a fast shutdown of PostgreSQL when our process dies."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class LockFile:
    """What postmaster.pid says (src/include/utils/pidfile.h: one fact per line)."""

    pid: int
    port: int
    ready: bool


def read_lock_file(data: Path) -> LockFile | None:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else 0
    return LockFile(pid, port, ready=len(lines) > 7 and lines[7].strip() == "ready")


def servers_on(data: Path) -> list[psutil.Process]:
    """Every process of a PostgreSQL that works in `data`; the postmaster first. They all make it their directory."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "postgres" and Path(process.cwd()) == data:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    pids = {process.pid for process in found}
    return sorted(found, key=lambda process: (_parent(process) in pids, process.pid))


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


def stop_leftovers(data: Path, wait: float, tell: Callable[[str], None]) -> None:
    """Stop whatever still runs on `data`: first asked, then made to. PostgreSQL recovers from either."""
    left = servers_on(data)
    if not left:
        return
    tell("an earlier PostgreSQL still runs on this data; stopping it")
    _signal(left[:1], signal.SIGINT)
    psutil.wait_procs(left, timeout=wait)
    left = servers_on(data)
    _signal(left, signal.SIGKILL)
    psutil.wait_procs(left, timeout=wait)


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def remove_stale_lock(data: Path) -> None:
    """A lock file whose process is gone, or is by now something else, would keep PostgreSQL from starting."""
    (data / "postmaster.pid").unlink(missing_ok=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
