"""Real agent workers: processes of livekit-agents, in the environment that set-up made for them."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest_asyncio
from tests.compat.conftest import MediaServer, media_server, room, server
from tests.platform import eventually
from tools.steps import TOOLS

__all__ = ["StartWorker", "media_server", "room", "server"]

PYTHON = TOOLS / "agents-venv" / "bin" / "python"
_START_S = 60.0

StartWorker = Callable[[str], Awaitable["subprocess.Popen[bytes]"]]
"""Starts a worker for agents of this name and waits until it is registered."""


@pytest_asyncio.fixture
async def start_worker(server: MediaServer, tmp_path: Path) -> AsyncIterator[StartWorker]:
    assert PYTHON.exists(), "python3 -m tools.setup --tests makes the agents' environment"
    running: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ,
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": server.key,
        "LIVEKIT_API_SECRET": server.secret,
    }

    async def start(agent_name: str) -> "subprocess.Popen[bytes]":
        log = tmp_path / f"worker-{len(running)}.log"
        command = [str(PYTHON), str(Path(__file__).with_name("tone_agent.py")), agent_name]
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)  # noqa: ASYNC220
        running.append(process)

        def registered() -> bool:
            assert process.poll() is None, log.read_text(errors="replace")[-4_000:]
            return "registered" in log.read_text(errors="replace").splitlines()

        await eventually(f"a worker for {agent_name} is registered", registered, _START_S)
        return process

    yield start
    for process in running:
        process.kill()
        await asyncio.to_thread(process.wait)
