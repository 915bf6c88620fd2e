"""The life of one embedded PostgreSQL: make the data directory once, start, stop."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import structlog
from pydantic import Field
from sqlalchemy import URL

from auralink.kit.embedded_postgres.account import choose_account
from auralink.kit.embedded_postgres.errors import PostgresFailed
from auralink.kit.embedded_postgres.process import (
    die_with_parent,
    free_port,
    port_is_taken,
    read_lock_file,
    remove_stale_lock,
    stop_leftovers,
)
from auralink.kit.embedded_postgres.roles import DATABASE, Role, prepare_roles
from auralink.kit.embedded_postgres.tree import MAJOR, programs
from auralink.kit.settings import SecretStore, Settings, random_secret

log = structlog.get_logger(__name__)

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.02
_TELL_EVERY = 3.0
_STOP_SECONDS = 15.0
_SOCKET_PATH_LIMIT = 90  # sun_path holds 107 bytes, and PostgreSQL adds ".s.PGSQL.<port>.lock"
_LOG_LIMIT = 5_000_000
_WATCH_SECONDS = 0.5
_RESTART_FIRST_WAIT = 0.5
_RESTART_LONGEST_WAIT = 15.0
_OUT_OF_REACH = Path("/var/lib/auralink")


class EmbeddedPostgresSettings(Settings):
    postgres_port: int = Field(default=0, ge=0, le=65535)
    """Of the embedded PostgreSQL, on loopback; 0 picks a free one."""
    postgres_start_timeout: float = Field(default=60.0, gt=0)
    """Seconds that the embedded PostgreSQL may take to start."""


def _silent(_: str) -> None:
    return None


class EmbeddedPostgres:
    """One server, and the only owner of its directory. `tell` hears what is going on, in words."""

    def __init__(
        self,
        directory: Path,
        secrets: SecretStore,
        settings: EmbeddedPostgresSettings | None = None,
        *,
        tell: Callable[[str], None] = _silent,
        durable: bool = True,
    ) -> None:
        """`durable` False trades safety of the data for speed, for tests only."""
        self._settings = settings or EmbeddedPostgresSettings()
        self._tell = tell
        self._durable = durable
        names = {role: f"postgres_{role.name.lower()}_password" for role in Role}
        self._first_start = not all(map(secrets.knows, names.values()))
        self._passwords = {role: secrets.get_or_create(name, random_secret) for role, name in names.items()}
        self._account = choose_account(directory / "data")
        self._asked_for = directory
        self._home = self._place(directory)
        self._data = self._home / "data"
        self._programs: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def log_path(self) -> Path:
        return self._home / "postgres.log"

    @property
    def directory(self) -> Path:
        """Where the data is; elsewhere than asked for if the account could not have reached it there."""
        return self._home

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def url(self, role: Role = Role.APPLICATION, database: str = DATABASE) -> URL:
        return URL.create(
            "postgresql+asyncpg", role.value, self._passwords[role], host=_HOST, port=self.port, database=database
        )

    async def start(self) -> None:
        """Ready to use when this returns. Raises PostgresFailed, with the end of PostgreSQL's own log, otherwise."""
        self._programs = programs(self._account, self._home)
        await asyncio.to_thread(stop_leftovers, self._data, _STOP_SECONDS, self._tell)
        if self._first_start and self._data.exists():
            self._set_aside()
        self._first_start = False
        if not (self._data / "PG_VERSION").exists():
            await self._create()
        self._refuse_other_version()
        await self._launch()
        try:
            await prepare_roles(self.url, self._passwords, first=not self._prepared.exists())
        except BaseException:
            await self.stop()
            raise
        self._prepared.touch()

    async def stop(self) -> None:
        """Fast shutdown: open transactions end, committed data is written, the process is gone."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        for number, wait in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            process.send_signal(number)
            if await _ended(process, wait):
                return

    def attach(self) -> None:
        """Use the server that another process runs on this directory. Raises PostgresFailed when it is not ready."""
        lock = read_lock_file(self._data)
        if not lock or not lock.ready:
            raise PostgresFailed("Another AuraLink process is just starting this database. Try again in a moment.")
        self.port = lock.port

    async def keep_running(self) -> None:
        """Start it again, on the same port, whenever it ends without being asked. Never returns."""
        pause = _RESTART_FIRST_WAIT
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._process is None or self._process.poll() is None:
                continue
            log.error("postgres.ended", status=self._process.returncode)
            try:
                await self.start()
                log.warning("postgres.restarted", port=self.port)
                pause = _RESTART_FIRST_WAIT
            except PostgresFailed as error:
                log.error("postgres.restart_failed", reason=str(error).splitlines()[0])
                await asyncio.sleep(pause)
                pause = min(pause * 2, _RESTART_LONGEST_WAIT)

    @property
    def _prepared(self) -> Path:
        return self._home / "roles-prepared"

    def _place(self, directory: Path) -> Path:
        """`directory`, made and owned as needed; a place under /var/lib when our account cannot get there."""
        directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._account.reaches(_nearest(directory.parent)):
            place = _OUT_OF_REACH / sha256(str(directory).encode()).hexdigest()[:16]
            self._tell(f"{directory} cannot be reached by PostgreSQL's account; its data is kept in {place}")
            directory = place
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        self._account.own(directory)
        return directory

    def _set_aside(self) -> None:
        """Data whose passwords nobody has any more. Kept elsewhere than the state directory, it outlived that: whoever
        deleted that starts afresh. Raises PostgresFailed where secrets.json was beside it, which is rather a mishap."""
        if self._home == self._asked_for:
            raise PostgresFailed(
                f"There is data in {self._data}, and no secrets.json with its passwords. Put the file that belongs to "
                "it back, or move the data directory away to start afresh."
            )
        old = self._data.with_name(f"data.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        self._data.rename(old)
        self._prepared.unlink(missing_ok=True)
        self._tell(f"the database of an earlier installation, whose secrets are gone, was moved to {old}")

    async def _create(self) -> None:
        self._tell("creating the database (once, about 2 s)")
        draft = self._home / "data.draft"
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
        password_file = self._home / "password.draft"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self._passwords[Role.SUPERUSER] + "\n")
        self._account.own(password_file)
        try:
            await self._run_initdb(draft, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        self._prepared.unlink(missing_ok=True)
        draft.rename(self._data)

    async def _run_initdb(self, draft: Path, password_file: Path) -> None:
        options = ["--username", Role.SUPERUSER.value, "--pwfile", str(password_file), "--auth", "scram-sha-256"]
        options += [
            "--encoding",
            "UTF8",
            "--locale-provider",
            "builtin",
            "--builtin-locale",
            "C.UTF-8",
            "--locale",
            "C",
        ]
        options += [] if self._durable else ["--no-sync"]
        process = self._spawn("initdb", "--pgdata", str(draft), *options, "--no-instructions")
        if not await _ended(process, self._settings.postgres_start_timeout):
            process.kill()
            raise PostgresFailed(f"initdb did not finish within {self._settings.postgres_start_timeout:g} s.")
        if process.returncode != 0:
            raise PostgresFailed(f"The database could not be created:\n{self._log_end()}")

    def _refuse_other_version(self) -> None:
        found = (self._data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise PostgresFailed(
                f"The data in {self._data} is of PostgreSQL {found}, this version brings {MAJOR}. Dump it with the "
                "version that wrote it and load it into a new state directory."
            )

    async def _launch(self) -> None:
        wanted = self._settings.postgres_port or self.port  # a restart keeps the address everyone has
        if wanted and port_is_taken(wanted):
            raise PostgresFailed(
                f"Port {wanted} (AURALINK_POSTGRES_PORT) is taken. Free it, or set another one; 0 picks a free one."
            )
        for attempt in range(3):
            self.port = wanted or free_port()
            remove_stale_lock(self._data)
            self._process = self._spawn("postgres", "-D", str(self._data), *self._options())
            if await self._came_up(self._process):
                return
            if wanted or attempt == 2 or "could not bind" not in self._log_end():
                break
        await self.stop()
        raise PostgresFailed(f"PostgreSQL did not start. Its log ({self.log_path}) ends with:\n{self._log_end()}")

    def _options(self) -> list[str]:
        sockets = self._home / "run"
        sockets.mkdir(exist_ok=True, mode=0o700)
        self._account.own(sockets)
        options: Mapping[str, str] = {
            "listen_addresses": _HOST,
            "port": str(self.port),
            "unix_socket_directories": str(sockets) if len(str(sockets)) < _SOCKET_PATH_LIMIT else "",
            "password_encryption": "scram-sha-256",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "max_wal_size": "512MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_min_messages": "warning",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            **({} if self._durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}),
        }
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    async def _came_up(self, process: subprocess.Popen[bytes]) -> bool:
        started = told = time.monotonic()
        while process.poll() is None:
            lock = read_lock_file(self._data)
            if lock and lock.ready and lock.pid == process.pid:
                return True
            now = time.monotonic()
            if now - started > self._settings.postgres_start_timeout:
                return False
            if now - told > _TELL_EVERY:
                told = now
                self._tell(f"PostgreSQL is starting, perhaps recovering from a crash ({now - started:.0f} s)")
            await asyncio.sleep(_POLL_SECONDS)
        return False

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        if self._programs is None:
            raise PostgresFailed("start() was not called")
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_LIMIT:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            self.log_path.chmod(0o600)
            return subprocess.Popen(  # noqa: S603 (our own program and arguments)
                [str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop PostgreSQL last
                preexec_fn=die_with_parent,  # noqa: PLW1509 (one system call, no allocation, no lock)
                user=self._account.uid if self._account.switch else None,
                group=self._account.gid if self._account.switch else None,
                extra_groups=[] if self._account.switch else None,
            )

    def _log_end(self, lines: int = 12) -> str:
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


def _nearest(path: Path) -> Path:
    return next(step for step in (path, *path.parents) if step.exists())


async def _ended(process: subprocess.Popen[bytes], wait: float) -> bool:
    end = time.monotonic() + wait
    while process.poll() is None:
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
