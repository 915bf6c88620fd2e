"""`python -m bench.soak`: hours of joining and leaving; says whether the server's memory stays flat.

Rooms of a few people come and go all the time, half of them leaving without a word (their process is killed), beside
one room that stays. Memory is read between the waves, when only that room is left.
"""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench import generator, servers
from bench.generator import GENERATOR_CORE, GeneratorError
from bench.servers import Server

STAYING = ["--room", "staying", "--publishers", "2", "--subscribers", "4", "--publish", "both"]
LEAVING = ["--publishers", "3", "--subscribers", "9", "--publish", "both", "--warm-up", "1", "--joins-at-once", "4"]
WAVE_S = 8
ROOMS_PER_WAVE = 3
KILL_AFTER_S = 6
# The server gives up a participant that fell silent after 30 s at most, and closes an empty room after 20 s.
SETTLE_S = 60
FLAT = 0.05
"""Growth from the first half's median to the second half's that still counts as flat."""


@dataclass(frozen=True)
class Sample:
    minutes: float
    megabytes: float
    descriptors: int
    threads: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--waves", type=int, default=10, help="waves of rooms between two readings of memory")
    arguments = parser.parse_args()
    binary = generator.build()
    with servers.auralink() as server:
        samples = soak(binary, server, arguments.minutes, arguments.waves)
    print(report(samples))
    return 0 if is_flat(samples) else 1


def soak(binary: Path, server: Server, minutes: float, waves: int) -> list[Sample]:
    begun = time.monotonic()
    samples: list[Sample] = []
    long = ["--seconds", str(minutes * 60 + 24 * 3600)]
    staying = _start(binary, server, [*STAYING, *long])
    try:
        wave = 0
        while time.monotonic() - begun < minutes * 60 or len(samples) < 2:
            for _ in range(waves):
                wave += 1
                _wave(binary, server, wave)
                if staying.poll() is not None:
                    raise GeneratorError(f"the room that stays ended: {_error(staying)}")
            time.sleep(SETTLE_S)
            samples.append(sample(server.pid, (time.monotonic() - begun) / 60))
            last = samples[-1]
            print(
                f"[soak] {last.minutes:.1f} min, {wave * ROOMS_PER_WAVE} rooms, {last.megabytes:.1f} MB, "
                f"{last.descriptors} descriptors, {last.threads} threads",
                file=sys.stderr,
                flush=True,
            )
    finally:
        staying.kill()
        staying.wait()
    return samples


def _wave(binary: Path, server: Server, number: int) -> None:
    """A few rooms at once; those with an odd number are left without a word."""
    rooms = [
        _start(binary, server, [*LEAVING, "--room", f"wave-{number}-{place}", "--seconds", str(WAVE_S - 3)])
        for place in range(ROOMS_PER_WAVE)
    ]
    time.sleep(KILL_AFTER_S)
    for place, room in enumerate(rooms):
        if place % 2:
            room.kill()
        if room.wait(timeout=120) and not place % 2:
            raise GeneratorError(_error(room))


def _start(binary: Path, server: Server, options: list[str]) -> subprocess.Popen[bytes]:
    reach = server.options()
    reach = reach[: reach.index("--server-pid")]
    command = [str(binary), "run", *reach, *options, "--core", str(GENERATOR_CORE)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _error(process: subprocess.Popen[bytes]) -> str:
    said = process.stderr.read().decode(errors="replace") if process.stderr else ""
    return said.strip()[-500:] or f"exit status {process.returncode}"


def sample(pid: int, minutes: float) -> Sample:
    """What the process holds: private memory and its share of shared, open descriptors, threads."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return Sample(
        minutes=minutes,
        megabytes=kilobytes / 1000,
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
    )


def growth(samples: list[Sample]) -> float:
    """From the median of the first half to that of the second, as a share of the first."""
    half = max(1, len(samples) // 2)
    first = statistics.median(sample.megabytes for sample in samples[:half])
    second = statistics.median(sample.megabytes for sample in samples[half:])
    return second / first - 1


def is_flat(samples: list[Sample]) -> bool:
    return growth(samples) <= FLAT and samples[-1].descriptors <= samples[0].descriptors + 8


def report(samples: list[Sample]) -> str:
    lines = ["| minutes | MB | descriptors | threads |", "| --- | --- | --- | --- |"]
    lines += [f"| {s.minutes:.1f} | {s.megabytes:.1f} | {s.descriptors} | {s.threads} |" for s in samples]
    verdict = "flat" if is_flat(samples) else "NOT flat"
    lines += ["", f"Second half against first half: {growth(samples):+.1%}, {verdict}."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
