"""The load generator (crates/loadgen) as a command: built once, run pinned, its JSON read back."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
GENERATOR_CORE = 1
SERVER_CORE = 0


class GeneratorError(RuntimeError):
    """The generator could not be built, or gave up; the message is its own."""


def build() -> Path:
    """Path of the release binary, built when the sources changed."""
    cargo = shutil.which("cargo") or str(Path.home() / ".cargo/bin/cargo")
    command = [cargo, "build", "--release", "--quiet", "--locked", "--package", "auralink-loadgen"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode != 0:
        raise GeneratorError(done.stderr[-2000:])
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return target / "release" / "auralink-loadgen"


def run(binary: Path, command: str, options: list[str], timeout_s: float) -> dict[str, Any]:
    """One run of the generator on its core; returns its report."""
    words = [str(binary), command, *options, "--core", str(GENERATOR_CORE)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise GeneratorError(f"no end after {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise GeneratorError(done.stderr.strip()[-500:])
    report: dict[str, Any] = json.loads(done.stdout)
    return report
