"""`make test`: sets up, runs the Python, Rust, console and browser tests, and says where the time went."""

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tools.setup import node_environment
from tools.steps import BIN, ROOT, StepFailed, fail, paint, run, say

# These measure real media in real time, or drive a browser: they have the machine to themselves.
_ALONE = ("agents", "journeys", "web", "compat", "media", "browser", "whip", "network")


@dataclass(frozen=True)
class Suite:
    name: str
    command: tuple[str, ...]
    cwd: Path = ROOT
    env: dict[str, str] = field(default_factory=dict)


def _suites() -> list[Suite]:
    # The extension itself is tested from Python; its own test binary would want Python's library to link with.
    cargo = ("cargo", "test", "--workspace", "--exclude", "auralink-native", "--locked", "--quiet")
    suites = [Suite("Rust", cargo)]
    if (ROOT / "web" / "package.json").is_file():
        suites.append(Suite("Console", ("npm", "test", "--silent"), ROOT / "web", node_environment()))
    pytest = (str(BIN / "python"), "-m", "pytest", "-q", "--durations=8", "--durations-min=1")
    shared, alone = _folders()
    if shared:
        suites.append(Suite("Python", (*pytest, "-n", str(min(4, os.cpu_count() or 2)), *shared)))
    suites += [Suite(f"Python: {Path(folder).name}", (*pytest, folder)) for folder in alone]
    return suites


def _folders() -> tuple[list[str], list[str]]:
    shared, alone = [], []
    for folder in sorted((ROOT / "tests").iterdir()):
        if folder.is_dir() and any(folder.rglob("test_*.py")):
            (alone if folder.name in _ALONE else shared).append(str(folder.relative_to(ROOT)))
    return shared, alone


def main() -> None:
    times: list[tuple[str, float, bool]] = []
    for suite in _suites():
        say(f"\n{paint('1', suite.name)} {paint('2', ' '.join(suite.command[:6]))}")
        started = time.monotonic()
        try:
            run(*suite.command, cwd=suite.cwd, env=suite.env, quiet=False)
            passed = True
        except StepFailed:
            passed = False
        times.append((suite.name, time.monotonic() - started, passed))
    say(f"\n{paint('1', 'Where the time went')}")
    for name, seconds, passed in times:
        say(f"  {paint('32', '✓') if passed else paint('31', 'x')} {name:<24}{seconds:7.1f} s")
    say(f"    {'together':<24}{sum(seconds for _, seconds, _ in times):7.1f} s")
    if failed := [name for name, _, passed in times if not passed]:
        fail(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    sys.exit(main())
