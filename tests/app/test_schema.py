"""What every table promises, asked of the catalogue of a migrated database."""

from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine

from auralink.kit.migrations import Migrations

NOT_OF_A_TENANT = frozenset({"alembic_version", "outbox_consumers"})


async def rows(url: URL, statement: str) -> list[Any]:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return list((await connection.execute(text(statement))).all())
    finally:
        await engine.dispose()


async def shape(url: URL) -> list[Any]:
    """Every column, constraint, index, policy and grant."""
    return await rows(
        url,
        """
        select 'column', table_name || '.' || column_name, data_type || is_nullable from information_schema.columns
          where table_schema = 'public'
        union all select 'constraint', conname, pg_get_constraintdef(oid) from pg_constraint
          where connamespace = 'public'::regnamespace
        union all select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
        union all select 'policy', tablename || '.' || policyname, cmd || coalesce(qual, '') || coalesce(with_check, '')
          from pg_policies
        union all select 'grant', table_name || '.' || grantee, privilege_type from information_schema.table_privileges
          where table_schema = 'public'
        union all select 'function', proname, pg_get_functiondef(oid) from pg_proc
          where pronamespace = 'public'::regnamespace and proname like 'app\\_%'
        order by 1, 2, 3
        """,
    )


async def test_migrations_go_up_down_and_up_again(database_owner_url: URL) -> None:
    migrations = Migrations(database_owner_url)
    first = await shape(database_owner_url)
    await migrations.down("base")
    left = {row[1].partition(".")[0] for row in await shape(database_owner_url)}
    assert all(name.startswith("alembic_version") for name in left), left
    await migrations.up()
    assert await shape(database_owner_url) == first


async def test_each_migration_can_be_taken_back_alone(database_owner_url: URL) -> None:
    migrations = Migrations(database_owner_url)
    head = (await migrations.status()).head
    for revision in range(int(head) - 1, 0, -1):
        whole = await shape(database_owner_url)
        await migrations.down(f"{revision:04}")
        await migrations.up(f"{revision + 1:04}")
        assert await shape(database_owner_url) == whole
        await migrations.down(f"{revision:04}")


async def test_row_level_security_is_on_and_forced_everywhere(database_owner_url: URL) -> None:
    tables = await rows(
        database_owner_url,
        "select relname, relrowsecurity and relforcerowsecurity from pg_class "
        "where relkind = 'r' and relnamespace = 'public'::regnamespace",
    )
    assert len(tables) > 10
    assert {name for name, forced in tables if not forced} <= NOT_OF_A_TENANT


async def test_the_application_owns_nothing_and_bypasses_nothing(database_owner_url: URL, database_url: URL) -> None:
    (who,) = await rows(
        database_url, "select rolsuper, rolbypassrls, rolcreaterole, rolname from pg_roles where rolname = current_user"
    )
    assert tuple(who)[:3] == (False, False, False)
    owned = await rows(database_owner_url, f"select 1 from pg_tables where tableowner = '{who.rolname}'")  # noqa: S608
    assert owned == []


async def test_every_foreign_key_has_an_index(database_owner_url: URL) -> None:
    missing = await rows(
        database_owner_url,
        """
        select c.conrelid::regclass::text, c.conname from pg_constraint c
        where c.contype = 'f' and c.connamespace = 'public'::regnamespace and not exists (
          select 1 from pg_index i where i.indrelid = c.conrelid and i.indpred is null
            and (i.indkey::smallint[])[0:cardinality(c.conkey) - 1] @> c.conkey
        )
        """,
    )
    assert missing == []


async def test_every_id_of_another_table_is_a_foreign_key(database_owner_url: URL) -> None:
    """Columns that name a row elsewhere; the outbox outlives what its events speak of."""
    loose = await rows(
        database_owner_url,
        """
        select table_name, column_name from information_schema.columns col
        where table_schema = 'public' and table_name not like 'outbox_%'
          and (column_name like '%\\_id' or column_name in ('created_by', 'used_by', 'personal_of')) and not exists (
          select 1 from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
          where c.contype = 'f' and c.conrelid = col.table_name::regclass and a.attname = col.column_name
        )
        """,
    )
    assert loose == []


async def test_time_is_kept_with_its_zone(database_owner_url: URL) -> None:
    bare = await rows(
        database_owner_url,
        "select table_name, column_name from information_schema.columns "
        "where table_schema = 'public' and data_type = 'timestamp without time zone'",
    )
    assert bare == []
