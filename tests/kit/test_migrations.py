"""Several processes may want the same migrations. (What the migrations promise: tests/app/test_schema.py.)"""

import asyncio

from sqlalchemy import URL

from auralink.kit.migrations import Migrations


async def test_processes_that_migrate_at_once_do_it_once(database_owner_url: URL) -> None:
    await Migrations(database_owner_url).down("base")
    ran = await asyncio.gather(*(Migrations(database_owner_url).up() for _ in range(3)))
    assert sum(1 for revisions in ran if revisions) == 1


async def test_status_says_where_the_schema_is_and_what_would_run(database_owner_url: URL) -> None:
    migrations = Migrations(database_owner_url)
    there = await migrations.status()
    assert (there.current, there.pending) == (there.head, ())
    await migrations.down("base")
    nowhere = await migrations.status()
    assert nowhere.current is None
    assert await migrations.up() == nowhere.pending
    assert nowhere.pending[-1] == nowhere.head
