"""One line of history, run up, down and up again, by one process at a time."""

import asyncio

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine

from auralink.kit.migrations import Migrations

_SCHEMA = text(
    """
    select 'column', table_name, column_name, data_type || is_nullable || coalesce(column_default, '')
      from information_schema.columns where table_schema = 'public' and table_name <> 'alembic_version'
    union all select 'index', tablename, indexname, indexdef from pg_indexes
      where schemaname = 'public' and tablename <> 'alembic_version'
    union all select 'policy', tablename, policyname, coalesce(qual, '') || coalesce(with_check, '') from pg_policies
    union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
      where connamespace = 'public'::regnamespace and conrelid::regclass::text <> 'alembic_version'
    union all select 'grant', table_name, grantee, privilege_type from information_schema.role_table_grants
      where table_schema = 'public' and grantee = 'auralink_app'
    union all select 'function', proname, '', pg_get_functiondef(p.oid) from pg_proc p
      left join pg_depend d on d.objid = p.oid and d.deptype = 'e'
      where pronamespace = 'public'::regnamespace and d.objid is null
    order by 1, 2, 3, 4
    """
)


async def schema_of(url: URL) -> list[tuple[str, ...]]:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(_SCHEMA)]
    finally:
        await engine.dispose()


async def test_history_goes_down_to_nothing_and_up_to_the_same(database_owner_url: URL) -> None:
    migrations = Migrations(database_owner_url)
    before = await schema_of(database_owner_url)
    assert before
    await migrations.down("base")
    assert await schema_of(database_owner_url) == []
    status = await migrations.status()
    assert status.current is None
    assert await migrations.up() == status.pending
    assert await schema_of(database_owner_url) == before
    assert (await migrations.status()).pending == ()


async def test_every_single_step_can_be_undone_and_done_again(database_owner_url: URL) -> None:
    migrations = Migrations(database_owner_url)
    after = [await schema_of(database_owner_url)]
    await migrations.down("base")
    revisions = (await migrations.status()).pending
    await migrations.up()
    for revision in reversed(("base", *revisions[:-1])):
        await migrations.down(revision)
        after.append(await schema_of(database_owner_url))
    for revision in revisions:
        assert await schema_of(database_owner_url) == after.pop()
        await migrations.up(revision)
    assert await schema_of(database_owner_url) == after.pop()


async def test_processes_that_migrate_at_once_do_it_once(database_owner_url: URL) -> None:
    await Migrations(database_owner_url).down("base")
    ran = await asyncio.gather(*(Migrations(database_owner_url).up() for _ in range(3)))
    assert sum(1 for revisions in ran if revisions) == 1


async def test_every_tenant_table_is_under_forced_row_level_security(database_owner_url: URL) -> None:
    engine = create_async_engine(database_owner_url)
    unprotected = text(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id' "
        "where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace "
        "and not (c.relrowsecurity and c.relforcerowsecurity)"
    )
    try:
        async with engine.connect() as connection:
            assert list(await connection.scalars(unprotected)) == []
    finally:
        await engine.dispose()


async def test_every_foreign_key_has_an_index(database_owner_url: URL) -> None:
    engine = create_async_engine(database_owner_url)
    bare = text(
        "select conrelid::regclass::text, conname from pg_constraint k where contype = 'f' and not exists ("
        "select from pg_index i where i.indrelid = k.conrelid "
        "and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)"
    )
    try:
        async with engine.connect() as connection:
            assert [tuple(row) for row in await connection.execute(bare)] == []
    finally:
        await engine.dispose()
