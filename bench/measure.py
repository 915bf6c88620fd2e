"""Taking the figures: each row against each server, the raw UDP limit beside it, joins, memory."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import generator
from bench.generator import GENERATOR_CORE, REPOSITORY, SERVER_CORE, GeneratorError
from bench.network import LOOPBACK, Network
from bench.rows import Row
from bench.servers import KEY, Server

Starter = Callable[[], AbstractContextManager[Server]]
Report = dict[str, Any]


@dataclass(frozen=True)
class Effort:
    """How long everything is looked at."""

    seconds: float
    warm_up_s: float
    repeats: int
    joins: int
    raw_seconds: float

    @classmethod
    def short(cls) -> "Effort":
        return cls(seconds=6, warm_up_s=2, repeats=1, joins=20, raw_seconds=1.5)

    @classmethod
    def long(cls) -> "Effort":
        return cls(seconds=15, warm_up_s=3, repeats=3, joins=60, raw_seconds=4)


@dataclass
class Results:
    """Everything measured; what failed is in `failures` with its reason, never left out silently."""

    loads: dict[str, dict[str, list[Report]]] = field(default_factory=dict)
    """Row name, then server name: one report of the generator per repeat."""
    raw: dict[str, dict[str, float]] = field(default_factory=dict)
    """Row name: packets per CPU-second of a bare relay: sendmmsg and GSO at the row's rate, and GSO flat out."""
    joins: dict[str, dict[str, Report]] = field(default_factory=dict)
    sdk_joins: dict[str, Report] = field(default_factory=dict)
    churn: dict[str, Report] = field(default_factory=dict)
    """Server name: newcomers, ten joining at any time."""
    failures: list[str] = field(default_factory=list)
    network: str = LOOPBACK.name
    """What is between servers and clients."""
    steered: bool = False
    """The kernel's work for receivers was done on the generator's core."""


class Bench:
    def __init__(
        self,
        binary: Path,
        servers: dict[str, Starter],
        effort: Effort,
        network: Network,
        say: Callable[[str], None],
    ) -> None:
        self._binary = binary
        self._servers = servers
        self._effort = effort
        self._network = network
        self._say = say
        self.results = Results(network=network.name)

    def load(self, row: Row) -> None:
        """The row against every server, and the raw limit for its sends, all within a minute or two.

        Raises ServerError when a server does not start: it would not for the next row either.
        """
        for name, start in self._servers.items():
            for _ in range(self._effort.repeats):
                self._say(f"{row.name}: {name}")
                options = [*row.options(), "--seconds", str(self._effort.seconds)]
                options += ["--warm-up", str(self._effort.warm_up_s), "--check-every", "8"]
                report = self._against(f"{row.name}, {name}", start, "run", options)
                if report:
                    self.results.loads.setdefault(row.name, {}).setdefault(name, []).append(report)
        self._say(f"{row.name}: raw UDP")
        self.results.raw[row.name] = {
            "sendmmsg": self._raw(row, gso=False),
            "gso": self._raw(row, gso=True),
            "gso_flat_out": self._raw(row, gso=True, paced=False),
        }

    def joins(self) -> None:
        for name, start in self._servers.items():
            for at_once in (1, 10):
                self._say(f"joins, {at_once} at once: {name}")
                options = ["--joins", str(self._effort.joins), "--at-once", str(at_once), "--room", f"joins-{at_once}"]
                report = self._against(f"joins, {name}", start, "join", options)
                if report:
                    self.results.joins.setdefault(name, {})[str(at_once)] = report
            self._say(f"joins, as many as it takes: {name}")
            options = ["--at-once", "10", "--seconds", str(self._effort.seconds)]
            options += ["--warm-up", str(self._effort.warm_up_s)]
            report = self._against(f"joins, as many as it takes, {name}", start, "churn", options)
            if report:
                self.results.churn[name] = report
            if not self._network.is_loopback:
                continue  # The SDK has kernel sockets, and none of those is behind the card.
            self._say(f"joins with the official Python SDK: {name}")
            try:
                with start() as server:
                    self.results.sdk_joins[name] = self._sdk_joins(server)
            except GeneratorError as error:
                self.results.failures.append(f"SDK joins, {name}: {error}")

    def _against(self, what: str, start: Starter, command: str, options: list[str]) -> Report | None:
        try:
            with start() as server:
                words = server.options()
                if command == "join":
                    words = words[: words.index("--server-pid")]
                words += [*options, *self._network.generator_options]
                return generator.run(self._binary, command, words, timeout_s=300)
        except GeneratorError as error:
            self.results.failures.append(f"{what}: {error}")
            return None

    def _raw(self, row: Row, *, gso: bool, paced: bool = True) -> float:
        """Packets per CPU-second of a relay without any work, over the shapes of the row."""
        cpu_s_per_packet = 0.0
        for shape in row.shapes():
            options = ["--destinations", str(shape.destinations), "--packets-per-frame", str(shape.packets_per_frame)]
            options += ["--bytes", str(shape.bytes), "--gso", str(gso).lower(), "--server-core", str(SERVER_CORE)]
            options += ["--seconds", str(self._effort.raw_seconds), "--rate", str(shape.frames_per_s if paced else 0)]
            options += self._network.generator_options
            reports = [generator.run(self._binary, "udp", options, timeout_s=60) for _ in range(self._effort.repeats)]
            if dropped := sum(report["card_drops"] or 0 for report in reports):
                self.results.failures.append(f"{row.name}, raw UDP: the card dropped {dropped} packets")
            cpu_s_per_packet += shape.share / statistics.median(r["packets_per_cpu_s"] for r in reports)
        return 1 / cpu_s_per_packet

    def _sdk_joins(self, server: Server) -> Report:
        command = [sys.executable, "-m", "bench.sdk_joins", server.url, KEY, str(self._effort.joins)]
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            # The secret is not for the process list.
            env=os.environ | {"BENCH_API_SECRET": server.secret},
            preexec_fn=lambda: os.sched_setaffinity(0, {GENERATOR_CORE}),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode != 0:
            raise GeneratorError(done.stderr.strip()[-500:])
        report: Report = json.loads(done.stdout.splitlines()[-1])
        return report
