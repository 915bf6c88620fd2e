"""Sets the checkout up: `python3 -m tools.setup [--tests]`. Does only what is not done yet, so a second run is quick.

Makes .venv from requirements.lock (every package by hash), the media core from the Rust sources, the console from web/,
and for tests Chromium, Firefox and agents. What it needs from the machine, and does not bring itself: Python >= 3.11,
Rust, a C compiler.
"""

import fcntl
import os
import re
import shutil
import sys
import time
from pathlib import Path

from tools.steps import (
    BIN,
    ROOT,
    TOOLS,
    VENV,
    Stamp,
    StepFailed,
    answer_of,
    apt_install,
    digest,
    fail,
    paint,
    program,
    run,
    say,
    step,
)

_PYTHON = (3, 11)
_RUST = (1, 85)
_NODE = (20, 19)
# Debian packages the tests use, and the programs any of which will do.
_TEST_PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "firefox-esr": ("firefox-esr", "firefox"),
    "coturn": ("turnserver",),
}


def main() -> None:
    for_tests = "--tests" in sys.argv
    TOOLS.mkdir(exist_ok=True)
    started = time.monotonic()
    with (TOOLS / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            packages()
            native()
            console()
            if for_tests:
                test_programs()
                agents()
        except StepFailed as error:
            fail(str(error))
    say(f"{paint('1', 'Set up')} {paint('2', f'{time.monotonic() - started:.1f} s')}")


def packages() -> None:
    """.venv, exactly as locked."""
    if sys.version_info < _PYTHON:
        raise StepFailed(f"Python {_dotted(_PYTHON)} or newer is needed, this is {sys.version.split()[0]}.")
    lock = ROOT / "requirements.lock"
    stamp = Stamp(VENV / ".locked", digest(lock, salt=sys.version))
    if stamp.current(BIN / "python", BIN / "uv"):
        return
    with step("Python packages", "1 min"):
        _make_venv()
        uv = _bootstrap_uv(lock)
        run(uv, "pip", "sync", "--require-hashes", "--python", BIN / "python", lock)
        (VENV / ".native").unlink(missing_ok=True)  # our own package was removed with the rest that is not locked
    stamp.set()


def _make_venv() -> None:
    if (BIN / "python").exists():
        if answer_of(BIN / "python", "-c", "import sys; print(sys.version)") == sys.version.strip():
            return
        shutil.rmtree(VENV)
    try:
        run(sys.executable, "-m", "venv", "--without-pip", VENV)
    except StepFailed:
        shutil.rmtree(VENV, ignore_errors=True)
        apt_install("python3-venv", "Python's venv module is missing.")
        run(sys.executable, "-m", "venv", "--without-pip", VENV)


def _bootstrap_uv(lock: Path) -> Path:
    """uv, of the locked version and hash, by pip, which comes with Python (on Debian in a package of its own)."""
    if (BIN / "uv").exists():
        return BIN / "uv"
    TOOLS.mkdir(exist_ok=True)
    only_uv = TOOLS / "uv.lock"
    only_uv.write_text(_entry(lock.read_text(), "uv"))
    pip = (sys.executable, "-m", "pip")
    if not answer_of(*pip, "--version"):
        apt_install("python3-pip", "Python's pip is missing.")
    run(*pip, "--python", BIN / "python", "install", "-q", "--require-hashes", "--no-deps", "-r", only_uv)
    return BIN / "uv"


def _entry(lock: str, name: str) -> str:
    """The lines of one package in the lock file: its pin and its hashes."""
    match = re.search(rf"^{name}==.*(?:\n    .*)*", lock, re.MULTILINE)
    if not match:
        raise StepFailed(f"requirements.lock holds no {name}.")
    return match[0] + "\n"


def native() -> None:
    """The media core, as a Python extension, and the `auralink` command."""
    sources = [ROOT / "crates" / name for name in ("media", "media-net", "native", "prefetch")]
    files = [ROOT / name for name in ("Cargo.toml", "Cargo.lock", "pyproject.toml")]
    stamp = Stamp(VENV / ".native", digest(*sources, *files))
    if stamp.current(BIN / "auralink", ROOT / "src/auralink/_native.abi3.so"):
        return
    _require_rust()
    program("cc", missing="A C compiler is needed. On Debian: sudo apt-get install build-essential")
    with step("Media core (Rust, release)", "30 s after a change, 5 min the first time"):
        environment = {"VIRTUAL_ENV": str(VENV), "CARGO_TERM_COLOR": "never"}
        run(BIN / "maturin", "develop", "--release", "--uv", "-q", env=environment)
    stamp.set()


def _require_rust() -> None:
    how = f"Rust {_dotted(_RUST)} or newer is needed (cargo, rustc)."
    program("cargo", missing=how)
    found = answer_of(program("rustc", missing=how), "--version")
    if _version(found) < _RUST:
        raise StepFailed(f"{how} This is {found}.")


def console() -> None:
    """web/dist, built where its sources changed."""
    web = ROOT / "web"
    if not (web / "package.json").is_file():
        return
    wanted = digest(web)
    stamp = Stamp(TOOLS / "console.stamp", wanted)
    if stamp.current(web / "dist" / "index.html", web / "node_modules"):
        return
    environment = node_environment()
    web_packages(environment)
    with step("Console", "20 s"):
        run("npm", "run", "--silent", "build", cwd=web, env=environment)
    stamp.set()


def web_packages(environment: dict[str, str]) -> None:
    web = ROOT / "web"
    stamp = Stamp(web / "node_modules" / ".locked", digest(web / "package-lock.json"))
    if stamp.current():
        return
    with step("Console's packages", "30 s"):
        run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=web, env=environment)
    stamp.set()


def node_environment() -> dict[str, str]:
    """A PATH on which node is new enough: the machine's, or one from a wheel."""
    found = shutil.which("node")
    if found and shutil.which("npm") and _version(answer_of(found, "--version")) >= _NODE:
        return {}
    folder = TOOLS / "node"
    lock = ROOT / "tools" / "node.lock"
    stamp = Stamp(folder / ".locked", digest(lock, salt=sys.version))
    if not stamp.current(folder / "bin" / "node"):
        with step(f"Node.js (the machine's is {'too old' if found else 'missing'})", "20 s"):
            shutil.rmtree(folder, ignore_errors=True)
            run(BIN / "uv", "venv", "-q", "--python", sys.executable, folder)
            run(
                BIN / "uv",
                "pip",
                "install",
                "-q",
                "--require-hashes",
                "--python",
                folder / "bin" / "python",
                "-r",
                lock,
            )
        stamp.set()
    return {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def test_programs() -> None:
    for package, names in _TEST_PROGRAMS.items():
        if not any(shutil.which(name) for name in names):
            with step(f"{package}, for the tests", "1 min"):
                apt_install(package, f"The tests need {' or '.join(names)}.")


def agents() -> None:
    """A real agent worker for the tests, of about 310 MB: it pins an older LiveKit SDK than ours."""
    folder, lock = TOOLS / "agents-venv", ROOT / "tests" / "agents" / "requirements.lock"
    python = folder / "bin" / "python"
    stamp = Stamp(folder / ".locked", digest(lock, salt=sys.version))
    if stamp.current(python):
        return
    with step("livekit-agents, for the agents' tests", "20 s"):
        shutil.rmtree(folder, ignore_errors=True)
        run(BIN / "uv", "venv", "-q", "--python", sys.executable, folder)
        run(BIN / "uv", "pip", "install", "-q", "--require-hashes", "--python", python, "-r", lock)
    stamp.set()


def _version(text: str) -> tuple[int, ...]:
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


if __name__ == "__main__":
    main()
