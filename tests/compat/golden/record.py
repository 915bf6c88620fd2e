"""Writes `livekit.json`: what LiveKit's own server answers. `python -m tests.compat.golden.record <livekit-server>`."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.compat.conftest import MediaServer
from tests.compat.golden.player import Answer, Player
from tests.compat.golden.scenario import Step, steps
from tests.platform import free_ports, listening

FILE = Path(__file__).with_name("livekit.json")
_KEY, _SECRET = "APIgolden", "a secret that only this recording knows"
_START_S = 20.0


def main(binary: str) -> None:
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    port, tcp, udp = free_ports(3)
    config = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "keys": {_KEY: _SECRET},
        "rtc": {"tcp_port": tcp, "udp_port": udp, "use_external_ip": False, "node_ip": "127.0.0.1"},
        "logging": {"level": "error"},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(config, file)  # YAML reads JSON
        file.flush()
        process = subprocess.Popen([binary, "--config", file.name], stderr=subprocess.DEVNULL)
        try:
            _until_listening(port, process)
            server = MediaServer(f"ws://127.0.0.1:{port}", _KEY, _SECRET)
            answers = asyncio.run(_answers(server))
        finally:
            process.terminate()
            process.wait()
    recorded = {
        "recorded": {
            "from": version,
            "with": "python -m tests.compat.golden.record <livekit-server>",
            "on": time.strftime("%Y-%m-%d"),
            "configuration": "one key, loopback, everything else as it comes",
            "normalised": "sids, ids, times, versions and random names are replaced by <field> or {placeholder}",
        },
        "steps": [
            {"name": step.name, "request": _shown(step), **{kind: answers[kind][step.name].shown() for kind in answers}}
            for step in steps()
        ],
    }
    FILE.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(recorded['steps'])} steps of {version} in {FILE.name}")


async def _answers(server: MediaServer) -> dict[str, dict[str, Answer]]:
    return {kind: await Player(server, protobuf=kind == "protobuf").play() for kind in ("json", "protobuf")}


def _until_listening(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    while not listening(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the server does not start")
        time.sleep(0.05)
    time.sleep(0.5)  # its own registration, after it listens


def _shown(step: Step) -> dict[str, Any]:
    """The request for readers of the file; long texts by their length."""
    body = step.raw if step.raw is not None else {key: _short(value) for key, value in step.body.items()}
    shown: dict[str, Any] = {"call": f"{step.verb} {step.method}", "token": step.token, "body": body}
    return shown | ({"content_type": step.content_type} if step.content_type else {})


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, str) and len(value) > 100:
        return f"{value[0]} x {len(value)}"
    return value


if __name__ == "__main__":
    main(sys.argv[1])
