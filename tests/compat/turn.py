"""Debian's coturn as an external TURN server on this machine, as an operator would run it."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.platform import free_ports, listening

SECRET = "what coturn and AuraLink know"
_START_S = 10.0


@dataclass(frozen=True)
class Coturn:
    port: int
    log: Path

    def allocations(self) -> list[str]:
        """Names of users whose credentials got them a relay."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [
            line.partition("user <")[2].partition(">")[0] for line in lines if "ALLOCATE processed, success" in line
        ]

    def relayed(self) -> bool:
        """Whether any relay carried packets to somebody."""
        return "CREATE_PERMISSION processed, success" in self.log.read_text(errors="replace")


@asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[Coturn]:
    """One of our own, for as long as the block lasts."""
    program = shutil.which("turnserver")
    assert program, "no coturn on this machine; on Debian: sudo apt-get install coturn"
    (port,) = free_ports(1)
    server = Coturn(port, folder / "turn.log")
    command = [program, "-n", "--no-tls", "--no-dtls", "--no-cli", "--use-auth-secret", "--realm=auralink.test"]
    command += [f"--static-auth-secret={SECRET}", f"--listening-port={port}", "--listening-ip=127.0.0.1"]
    command += ["--relay-ip=127.0.0.1", "--allow-loopback-peers", "--verbose", "--simple-log", "--no-stdout-log"]
    command += [f"--log-file={server.log}", f"--pidfile={folder / 'turn.pid'}", f"--userdb={folder / 'turn.db'}"]
    process = _spawned(command)
    try:
        deadline = time.monotonic() + _START_S
        while not listening(port):
            assert process.poll() is None, f"coturn ended with {process.returncode}"
            assert time.monotonic() < deadline, "coturn does not listen"
            await asyncio.sleep(0.05)
        yield server
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)


def _spawned(command: list[str]) -> "subprocess.Popen[bytes]":
    silent = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent)
