"""`make check`: everything that can be known without running the product. Two lanes; output only of what fails.

The caches of each tool make a second run quick; a cold one compiles the Rust dependencies first.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tools.setup import node_environment, packages, web_packages
from tools.steps import BIN, ROOT, StepFailed, fail, paint, say

_PYTHON_FOLDERS = tuple(name for name in ("src", "tests", "tools", "migrations", "bench") if (ROOT / name).is_dir())


@dataclass(frozen=True)
class Check:
    name: str
    command: tuple[str, ...]
    cwd: Path = ROOT
    env: dict[str, str] = field(default_factory=dict)


def _python() -> Iterable[Check]:
    ruff = str(BIN / "ruff")
    yield Check("ruff format", (ruff, "format", "--check", "--quiet", *_PYTHON_FOLDERS))
    yield Check("ruff", (ruff, "check", "--quiet", *_PYTHON_FOLDERS))
    yield Check("mypy", (str(BIN / "mypy"),))
    # The contracts of our own live in tools/, the package in src/.
    path = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    yield Check("import contracts", (str(BIN / "lint-imports"), "--no-logo"), env=path)


def _rust() -> Iterable[Check]:
    yield Check("cargo fmt", ("cargo", "fmt", "--all", "--check"))
    clippy = ("cargo", "clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings")
    yield Check("clippy", clippy, env={"PYO3_PYTHON": str(BIN / "python")})


def _web() -> Iterable[Check]:
    web = ROOT / "web"
    if (web / "package.json").is_file():
        environment = node_environment()
        web_packages(environment)
        yield Check("tsc, eslint", ("npm", "run", "--silent", "check"), cwd=web, env=environment)
        generated = (str(BIN / "python"), "-m", "tools.gen", "--check")
        yield Check("what is generated", generated, env={**environment, "PYTHONPATH": str(ROOT / "src")})


def _run(check: Check, failures: list[str]) -> None:
    started = time.monotonic()
    environment = {**os.environ, **check.env}
    result = subprocess.run(
        check.command,
        check=False,
        cwd=check.cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    mark = paint("31", "x") if result.returncode else paint("32", "✓")
    line = f"  {mark} {check.name:<18}{paint('2', f'{time.monotonic() - started:6.1f} s')}"
    if result.returncode:
        failures.append(check.name)
        line += f"\n{result.stdout.rstrip()}\n"
    say(line)


def main() -> None:
    started = time.monotonic()
    failures: list[str] = []
    try:
        packages()
        lanes = [[*_rust(), *_python()], [*_web()]]
    except StepFailed as error:
        fail(str(error))
    threads = [threading.Thread(target=lambda lane=lane: [_run(check, failures) for check in lane]) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(f"{paint('1', 'Checked')} {paint('2', f'{time.monotonic() - started:.1f} s')}")
    if failures:
        fail(f"Not right yet: {', '.join(failures)}.")


if __name__ == "__main__":
    sys.exit(main())
