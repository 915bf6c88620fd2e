"""The roles and the database inside the embedded server."""

from collections.abc import Callable, Mapping
from enum import StrEnum

import asyncpg
from sqlalchemy import URL

from auralink.kit.embedded_postgres.errors import PostgresFailed

DATABASE = "auralink"


class Role(StrEnum):
    SUPERUSER = "postgres"
    OWNER = "auralink_owner"
    """Owns the tables; runs migrations."""
    APPLICATION = "auralink_app"
    """Neither owner nor superuser, and subject to row-level security."""


UrlOf = Callable[[Role, str], URL]
_PLAIN = "login nosuperuser nocreatedb nocreaterole noreplication nobypassrls"


async def prepare_roles(url: UrlOf, passwords: Mapping[Role, str], *, first: bool) -> None:
    """Make the roles and the database where they are missing. `first` skips the look when nothing can be missing."""
    if not first:
        return
    try:
        connection = await _connect(url, "postgres")
    except asyncpg.InvalidPasswordError:
        raise PostgresFailed(
            "The password of the embedded database is not the one in secrets.json any more. Put the file that belongs "
            "to this data back, or move the data directory away to start afresh."
        ) from None
    try:
        for role in (Role.OWNER, Role.APPLICATION):
            await _ensure_role(connection, role, passwords[role])
        if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
            await connection.execute(f"create database {DATABASE} owner {Role.OWNER}")
        await connection.execute(f"revoke all on database {DATABASE} from public")
        await connection.execute(f"grant connect on database {DATABASE} to {Role.APPLICATION}")
    finally:
        await connection.close()
    connection = await _connect(url, DATABASE)
    try:
        await connection.execute(f"alter schema public owner to {Role.OWNER}")
        await connection.execute(f"grant usage on schema public to {Role.APPLICATION}")
        await connection.execute("create extension if not exists vector")
    finally:
        await connection.close()


async def _ensure_role(connection: asyncpg.Connection, role: Role, password: str) -> None:
    known = await connection.fetchval("select 1 from pg_roles where rolname = $1", role.value)
    verb = "alter" if known else "create"
    # Utility statements take no parameters; format(%L) quotes on the server's side.
    statement = await connection.fetchval(
        f"select format('{verb} role {role} {_PLAIN} password %L', $1::text)", password
    )
    await connection.execute(statement)


async def _connect(url: UrlOf, database: str) -> asyncpg.Connection:
    target = url(Role.SUPERUSER, database)
    return await asyncpg.connect(
        host=target.host,
        port=target.port,
        user=target.username,
        password=target.password,
        database=database,
        timeout=10,
    )
