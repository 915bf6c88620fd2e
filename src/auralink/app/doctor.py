"""`auralink doctor`: looks at this machine and this installation, and says what to do about what it finds."""

import platform
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import Field

from auralink import __version__
from auralink.app.data import open_data
from auralink.app.serving import holder_of
from auralink.app.settings import AppSettings
from auralink.kit.db import Database, DatabaseSettings, DatabaseUnavailable
from auralink.kit.embedded_postgres import PostgresFailed
from auralink.kit.migrations import Migrations
from auralink.kit.outbox import write_events
from auralink.kit.settings import CoreSettings, SecretStore, Settings, SettingsError, load_settings

_GIB = 1 << 30
_DISK_WANTED = 2 * _GIB
_UDP_BUFFER_WANTED = 4 << 20
_SO_RCVBUFFORCE = 33


class Verdict(StrEnum):
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """`todo` is what to do, for everything that is not good."""

    name: str
    verdict: Verdict
    fact: str
    todo: str = ""


class MediaPorts(Settings):
    """The media role's other ports; looked at, not used."""

    media_tcp_port: int = Field(default=7881, ge=0, le=65535)
    media_udp_port: int = Field(default=7882, ge=0, le=65535)


async def examine(core: CoreSettings) -> AsyncIterator[Finding]:
    """Every finding, the quick ones first."""
    store = SecretStore(core.state_directory)
    yield _versions()
    yield _native_build()
    yield _disk(core.state_directory)
    try:
        settings = load_settings(AppSettings, store=store, production=core.production)
        ports = load_settings(MediaPorts, store=store, production=core.production)
    except SettingsError as error:
        yield Finding("Settings", Verdict.BAD, str(error), "Correct the variable and run this again.")
        return
    yield Finding("Settings", Verdict.GOOD, f"{core.env.value}, state in {core.state_directory}")
    yield _secrets(store)
    for finding in _ports(settings, ports):
        yield finding
    yield _udp_buffers()
    yield _console(settings)
    yield await _database(core, settings, store)


def _versions() -> Finding:
    fact = f"AuraLink {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
    try:
        fact += f", livekit-protocol {version('livekit-protocol')}"
    except PackageNotFoundError:
        return Finding("Versions", Verdict.BAD, fact, "Packages are missing. Run: make setup")
    return Finding("Versions", Verdict.GOOD, fact)


def _native_build() -> Finding:
    try:
        from auralink.media.native_build import require_current_build

        require_current_build()
    except (ImportError, RuntimeError) as error:
        return Finding("Media core", Verdict.BAD, str(error).splitlines()[0], "Run: make setup")
    return Finding("Media core", Verdict.GOOD, "built, and as new as its sources")


def _disk(state: Path) -> Finding:
    place = next(step for step in (state, *state.parents) if step.exists())
    free = shutil.disk_usage(place).free
    fact = f"{free / _GIB:.1f} GiB free at {place}"
    if free < _DISK_WANTED:
        return Finding("Disk", Verdict.WARNING, fact, "Make room, or set AURALINK_STATE_DIR to a larger disk.")
    return Finding("Disk", Verdict.GOOD, fact)


def _secrets(store: SecretStore) -> Finding:
    if not store.path.exists():
        return Finding("Secrets", Verdict.GOOD, "none yet; made at the first start")
    mode = store.path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("Secrets", Verdict.BAD, f"{store.path} has mode {mode:o}", f"Run: chmod 600 {store.path}")
    return Finding("Secrets", Verdict.GOOD, f"{store.path}, readable by its owner only")


def _ports(settings: AppSettings, ports: MediaPorts) -> Iterator[Finding]:
    yield _tcp_port("Port of the gateway", settings.gateway_host, settings.gateway_port, "AURALINK_GATEWAY_PORT")
    yield _tcp_port("Port of the media server", settings.media_host, settings.media_port, "AURALINK_MEDIA_PORT")
    yield _tcp_port("Port of media over TCP", "", ports.media_tcp_port, "AURALINK_MEDIA_TCP_PORT")
    yield _udp_port(ports.media_udp_port)


def _tcp_port(name: str, host: str, port: int, variable: str) -> Finding:
    if _free(socket.SOCK_STREAM, host, port):
        return Finding(name, Verdict.GOOD, f"{port}/tcp is free")
    holder = holder_of(port)
    return Finding(
        name,
        Verdict.WARNING,
        f"{port}/tcp is taken{f' by {holder}' if holder else ''}",
        f"Fine if that is AuraLink itself; otherwise stop it or set {variable}.",
    )


def _udp_port(port: int) -> Finding:
    if _free(socket.SOCK_DGRAM, "", port):
        return Finding("Port of media", Verdict.GOOD, f"{port}/udp is free")
    return Finding(
        "Port of media",
        Verdict.WARNING,
        f"{port}/udp is taken",
        "Fine if that is AuraLink itself; otherwise stop what holds it or set AURALINK_MEDIA_UDP_PORT.",
    )


def _free(kind: socket.SocketKind, host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("" if ":" in host else host, port))
        except OSError:
            return False
    return True


def _udp_buffers() -> Finding:
    """What a media socket would get. The kernel reports twice the size, half of it for its own bookkeeping."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _UDP_BUFFER_WANTED)
        except OSError:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER_WANTED)
        got = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    fact = f"{got // 1024} KiB for received datagrams"
    if got < _UDP_BUFFER_WANTED:
        wanted = _UDP_BUFFER_WANTED
        todo = f"For large calls, as root: sysctl -w net.core.rmem_max={wanted} net.core.wmem_max={wanted}"
        return Finding("UDP buffers", Verdict.WARNING, fact, todo)
    return Finding("UDP buffers", Verdict.GOOD, fact)


def _console(settings: AppSettings) -> Finding:
    if (settings.console_directory / "index.html").is_file():
        return Finding("Console", Verdict.GOOD, str(settings.console_directory))
    return Finding("Console", Verdict.WARNING, f"not built in {settings.console_directory}", "Run: make setup")


async def _database(core: CoreSettings, settings: AppSettings, store: SecretStore) -> Finding:
    if not core.database_url and not (core.state_directory / "postgres").exists():
        return Finding("Database", Verdict.GOOD, "embedded; created at the first start")
    try:
        limits = load_settings(DatabaseSettings, store=store, production=core.production)
        async with open_data(core, settings, store, lambda _: None) as data:
            database = Database(data.application_url, limits, write_events)
            try:
                await database.check()
                if trouble := await database.privileges_trouble():
                    return Finding(
                        "Database", Verdict.BAD, trouble, "Use a role of its own: see AURALINK_DATABASE_URL."
                    )
            finally:
                await database.close()
            status = await Migrations(data.owner_url).status()
    except (DatabaseUnavailable, PostgresFailed, SettingsError, OSError) as error:
        return Finding("Database", Verdict.BAD, str(error), "Start it, or correct AURALINK_DATABASE_URL.")
    if status.pending:
        fact = f"{data.where}: {len(status.pending)} migrations to run"
        return Finding("Database", Verdict.WARNING, fact, "Run: auralink migrate up (auralink up does it by itself)")
    return Finding("Database", Verdict.GOOD, f"{data.where}: answers, schema {status.current}")
