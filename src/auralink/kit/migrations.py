"""Runs the Alembic migrations, as the owner of the tables, one process at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from auralink.kit.db import DatabaseUnavailable, asyncpg_url, translated
from auralink.kit.settings import SettingsError

APPLICATION_ROLE = "auralink_app"
_LOCK = 0x6175_7261_6D69_6772  # "auramigr"
_LOCK_TIMEOUT = "10s"


@dataclass(frozen=True, slots=True)
class Status:
    """`current` is None for an empty database; `pending` lists what `up` would run, oldest first."""

    current: str | None
    head: str
    pending: tuple[str, ...]


class Migrations:
    def __init__(self, owner_url: str | URL, directory: Path | None = None) -> None:
        self._url = asyncpg_url(owner_url)
        self._directory = directory or migrations_directory()

    async def status(self) -> Status:
        async with self._connection() as connection:
            return await connection.run_sync(self._status)

    async def up(self, revision: str = "head") -> tuple[str, ...]:
        """Run what is pending; returns the revisions run. Safe to call from several processes at once."""
        async with self._connection() as connection, _alone(connection):
            pending = (await connection.run_sync(self._status)).pending
            if pending:
                await _ensure_application_role(connection)
                await connection.run_sync(lambda sync: command.upgrade(self._config(sync), revision))
            return pending

    async def down(self, revision: str) -> None:
        """Back to `revision` ("base" for an empty database)."""
        async with self._connection() as connection, _alone(connection):
            await connection.run_sync(lambda sync: command.downgrade(self._config(sync), revision))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        settings = {"lock_timeout": _LOCK_TIMEOUT, "application_name": "auralink-migrate"}
        engine = create_async_engine(self._url, connect_args={"timeout": 10, "server_settings": settings})
        try:
            with translated(connecting=False):
                connection = await _open(engine)
                try:
                    yield connection
                finally:
                    await connection.close()
        finally:
            await engine.dispose()

    def _config(self, connection: Connection) -> Config:
        config = Config()
        config.set_main_option("script_location", str(self._directory).replace("%", "%%"))
        config.attributes["connection"] = connection
        return config

    def _status(self, connection: Connection) -> Status:
        script = ScriptDirectory.from_config(self._config(connection))
        current = MigrationContext.configure(connection).get_current_revision()
        head = script.get_current_head() or ""
        pending = [r.revision for r in script.iterate_revisions(head, current or "base")]
        return Status(current, head, tuple(reversed(pending)))


async def _open(engine: AsyncEngine) -> AsyncConnection:
    try:
        with translated(connecting=True):
            return await engine.connect()
    except DatabaseUnavailable as error:
        where = f"{engine.url.host or 'localhost'}:{engine.url.port or 5432}/{engine.url.database}"
        raise DatabaseUnavailable(f"The database at {where} does not answer: {error}") from error


def run_sql(script: str) -> None:
    """For a migration's `upgrade` and `downgrade`: run several statements, in the migration's own transaction.

    The driver prepares what `op.execute` gives it, and a prepared statement is only one; its simple protocol takes a
    whole script.
    """
    connection = op.get_bind()
    connection.execute(text("select 1"))  # the driver begins the transaction at the first statement it prepares
    driver: Any = connection.connection.dbapi_connection
    driver.run_async(lambda asyncpg_connection: asyncpg_connection.execute(script))


def migrations_directory() -> Path:
    """`migrations/` of the checkout, or the copy a package brings. Raises SettingsError when there is none."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "_migrations", package.parents[1] / "migrations"):
        if (candidate / "env.py").is_file():
            return candidate
    raise SettingsError("The database migrations are not installed with this copy of AuraLink.")


@asynccontextmanager
async def _alone(connection: AsyncConnection) -> AsyncIterator[None]:
    """A session lock: whoever comes second waits, and then finds nothing left to do."""
    await connection.execute(text("set lock_timeout = '120s'"))
    await connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
    await connection.execute(text(f"set lock_timeout = '{_LOCK_TIMEOUT}'"))
    await connection.commit()
    try:
        yield
        await connection.commit()
    finally:
        await connection.rollback()
        await connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _LOCK})
        await connection.commit()


async def _ensure_application_role(connection: AsyncConnection) -> None:
    known = await connection.scalar(text("select 1 from pg_roles where rolname = :name"), {"name": APPLICATION_ROLE})
    if not known:
        await connection.execute(text(f"create role {APPLICATION_ROLE} nologin"))
    await connection.commit()
