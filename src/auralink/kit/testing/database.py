"""A real PostgreSQL for tests. Load it with `pytest_plugins = ["auralink.kit.testing.database"]` in the root conftest.

`postgres`     one embedded server for each xdist worker, with a migrated template
`database_url` a fresh database, migrated, as the application's role (`database_owner_url`: as the owner); 0.05 s
`database`     a `Database` on it
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import URL

from auralink.kit.db import Database, DatabaseSettings
from auralink.kit.embedded_postgres import EmbeddedPostgres, Role
from auralink.kit.migrations import Migrations
from auralink.kit.outbox import write_events
from auralink.kit.settings import SecretStore

_TEMPLATE = "auralink"


@dataclass(frozen=True, slots=True)
class TestPostgres:
    """A running server whose `auralink` database is migrated and used only as a template."""

    __test__ = False

    server: EmbeddedPostgres

    async def create(self, name: str) -> None:
        await self._administer(f'create database "{name}" template {_TEMPLATE} owner {Role.OWNER.value}')

    async def drop(self, name: str) -> None:
        await self._administer(f'drop database if exists "{name}" with (force)')

    def url(self, name: str, role: Role = Role.APPLICATION) -> URL:
        return self.server.url(role, name)

    async def _administer(self, statement: str) -> None:
        url = self.server.url(Role.SUPERUSER, "postgres")
        connection = await asyncpg.connect(
            host=url.host, port=url.port, user=url.username, password=url.password, database=url.database
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestPostgres]:
    with tempfile.TemporaryDirectory(prefix="auralink-pg-", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        place.chmod(0o711)  # PostgreSQL's own account walks through
        server = EmbeddedPostgres(place / "postgres", SecretStore(place), durable=False)
        try:
            asyncio.run(_start(server))
            yield TestPostgres(server)
        finally:
            asyncio.run(server.stop())


async def _start(server: EmbeddedPostgres) -> None:
    await server.start()
    await Migrations(server.url(Role.OWNER)).up()


_names = count(1)


@pytest_asyncio.fixture
async def database_name(postgres: TestPostgres) -> AsyncIterator[str]:
    name = f"test_{next(_names)}"
    await postgres.create(name)
    yield name
    await postgres.drop(name)


@pytest.fixture
def database_url(postgres: TestPostgres, database_name: str) -> URL:
    return postgres.url(database_name)


@pytest.fixture
def database_owner_url(postgres: TestPostgres, database_name: str) -> URL:
    return postgres.url(database_name, Role.OWNER)


@pytest_asyncio.fixture
async def database(database_url: URL) -> AsyncIterator[Database]:
    database = Database(database_url, DatabaseSettings(), write_events)
    yield database
    await database.close()
