"""Which database a process uses: a server named by settings, or the embedded one of the state directory."""

import fcntl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import URL

from auralink.app.settings import AppSettings
from auralink.kit.db import asyncpg_url
from auralink.kit.embedded_postgres import EmbeddedPostgres, Role
from auralink.kit.settings import CoreSettings, SecretStore, SettingsError

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Data:
    """Where the rows are. `embedded` is the server this very process runs, if it does."""

    application_url: URL
    owner_url: URL
    embedded: EmbeddedPostgres | None = None

    @property
    def where(self) -> str:
        kind = "embedded PostgreSQL" if self.embedded else "PostgreSQL"
        return f"{kind} on {self.application_url.host or 'localhost'}:{self.application_url.port or 5432}"


class StateInUse(Exception):
    """Another process runs on this state directory."""


@asynccontextmanager
async def open_data(core: CoreSettings, settings: AppSettings, secrets: SecretStore, tell: Tell) -> AsyncIterator[Data]:
    """The database, started if it is ours to start and stopped on the way out. Raises PostgresFailed, SettingsError."""
    if core.database_url:
        yield _named(core, settings)
        return
    with _lock(core.state_directory / "postgres.lock") as alone:
        server = EmbeddedPostgres(core.state_directory / "postgres", secrets, tell=tell)
        if not alone:
            server.attach()
            yield _of(server, ours=False)
            return
        await server.start()
        try:
            yield _of(server, ours=True)
        finally:
            await server.stop()


def _of(server: EmbeddedPostgres, *, ours: bool) -> Data:
    return Data(server.url(Role.APPLICATION), server.url(Role.OWNER), server if ours else None)


def _named(core: CoreSettings, settings: AppSettings) -> Data:
    if core.database_url is None:
        raise SettingsError("AURALINK_DATABASE_URL is not set.")
    try:
        application = asyncpg_url(core.database_url.get_secret_value())
        owner = settings.database_owner_url
        return Data(application, asyncpg_url(owner.get_secret_value()) if owner else application)
    except ValueError as error:
        raise SettingsError(str(error)) from None


class _lock:  # noqa: N801 (reads as a statement where it is used)
    """Whether we are the only process on this file; the kernel lets go of it when we die, however we die."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> bool:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._file = self._path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()


@asynccontextmanager
async def alone_in(state: Path) -> AsyncIterator[None]:
    """For `up`: one whole platform for each state directory. Raises StateInUse."""
    with _lock(state / "up.lock") as alone:
        if not alone:
            raise StateInUse(
                f"AuraLink runs already on {state}. Stop it there first, or set AURALINK_STATE_DIR (and the ports) for "
                "a second copy."
            )
        yield
