"""The pool is bounded, the principal does not outlive its transaction, and waiting has an end that says why."""

import asyncio

import pytest
from sqlalchemy import URL, text

from auralink.kit.auth import Principal, PrincipalKind
from auralink.kit.db import Database, DatabaseSettings, DatabaseTimeout, DatabaseUnavailable
from auralink.kit.embedded_postgres import Role
from auralink.kit.embedded_postgres.process import free_port
from auralink.kit.ids import OrgId, UserId
from auralink.kit.outbox import write_events
from auralink.kit.testing import VirtualClock
from auralink.kit.testing.database import TestPostgres

SYSTEM = Principal.system()


def database_with(url: URL, monkeypatch: pytest.MonkeyPatch, **settings: str) -> Database:
    for name, value in settings.items():
        monkeypatch.setenv(f"AURALINK_DATABASE_{name.upper()}", value)
    return Database(url, DatabaseSettings(), write_events)


async def shown(database: Database) -> tuple[str, str]:
    """What row-level security would see on a connection of the pool, outside any transaction of ours."""
    async with database.engine.connect() as connection:
        row = (await connection.execute(text("select app_org_ids()::text, app_is_system()::text"))).one()
        return row[0], row[1]


async def test_principal_is_forgotten_between_transactions_on_the_same_connection(
    database_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = database_with(database_url, monkeypatch, pool_size="1")
    org = OrgId.new()
    try:
        async with database.transaction(SYSTEM) as tx:
            assert await tx.session.scalar(text("select app_is_system()")) is True
        assert await shown(database) == ("{}", "false")
        person = Principal(PrincipalKind.PERSON, UserId.new(), roles={org: "owner"}, org_id=org)
        async with database.transaction(person) as tx:
            assert await tx.session.scalar(text("select app_org_ids()")) == [org.uuid]
            assert await tx.session.scalar(text("select app_org_id()")) == org.uuid
            assert await tx.session.scalar(text("select app_user_id()")) == person.user_id.uuid  # type: ignore[union-attr]
            assert await tx.session.scalar(text("select app_is_system()")) is False
        with pytest.raises(LookupError):
            async with database.transaction(person):
                raise LookupError
        assert await shown(database) == ("{}", "false")
    finally:
        await database.close()


async def test_pool_is_bounded_and_a_late_caller_is_told_that_every_connection_is_busy(
    database_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = database_with(database_url, monkeypatch, pool_size="2", pool_wait="0.1")
    held, release = asyncio.Semaphore(0), asyncio.Event()

    async def hold() -> None:
        async with database.transaction(SYSTEM):
            held.release()
            await release.wait()

    try:
        holders = [asyncio.create_task(hold()) for _ in range(2)]
        for _ in holders:
            await held.acquire()
        assert database.pool.in_use == 2
        with pytest.raises(DatabaseUnavailable, match="Every connection is busy"):
            async with database.transaction(SYSTEM):
                pass
        release.set()
        await asyncio.gather(*holders)
        await database.check()
    finally:
        await database.close()


async def test_query_that_takes_too_long_is_ended_by_the_server(
    database_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = database_with(database_url, monkeypatch, statement_timeout="0.05")
    try:
        with pytest.raises(DatabaseTimeout):
            async with database.transaction(SYSTEM) as tx:
                await tx.session.execute(text("select pg_sleep(30)"))
    finally:
        await database.close()


async def test_lock_that_is_held_too_long_is_not_waited_for(database_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    database = database_with(database_url, monkeypatch, lock_timeout="0.05")
    lock = text("select pg_advisory_xact_lock(7)")
    try:
        async with database.transaction(SYSTEM) as first:
            await first.session.execute(lock)
            with pytest.raises(DatabaseTimeout):
                async with database.transaction(SYSTEM) as second:
                    await second.session.execute(lock)
    finally:
        await database.close()


async def test_transaction_left_idle_is_ended_by_the_server(database_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    database = database_with(database_url, monkeypatch, idle_timeout="0.05")
    watcher = database_with(database_url, monkeypatch, idle_timeout="15")
    sessions = text("select count(*) from pg_stat_activity where pid = :pid")

    async def session_lives(pid: int) -> bool:
        async with watcher.transaction(SYSTEM) as other:
            return bool(await other.session.scalar(sessions, {"pid": pid}))

    async def sit_idle() -> None:
        async with database.transaction(SYSTEM) as tx:
            pid = await tx.session.scalar(text("select pg_backend_pid()"))
            while await session_lives(pid):
                pass
            await tx.session.execute(text("select 1"))

    try:
        with pytest.raises((DatabaseTimeout, DatabaseUnavailable)):
            await sit_idle()
        await database.check()
    finally:
        await watcher.close()
        await database.close()


async def test_waiting_for_the_database_backs_off_and_says_what_it_waits_for() -> None:
    clock, said = VirtualClock(run_ahead=True), []
    port = free_port()
    database = Database(f"postgresql://someone:secret-word@127.0.0.1:{port}/aura", DatabaseSettings(), write_events)
    with pytest.raises(DatabaseUnavailable):
        await database.wait_until_ready(clock, said.append, deadline=20)
    assert len(said) == len(clock.slept) > 4
    assert all(f"127.0.0.1:{port}/aura" in line for line in said)
    assert "secret-word" not in "".join(said)
    longest = [min(0.1 * 2**n, 5.0) for n in range(len(clock.slept))]
    assert all(most / 2 <= slept <= most for slept, most in zip(clock.slept, longest, strict=True))
    assert clock.monotonic() <= 20


async def test_failure_of_another_service_inside_a_transaction_is_not_blamed_on_the_database(
    database: Database,
) -> None:
    with pytest.raises(ConnectionResetError):
        async with database.transaction(SYSTEM):
            raise ConnectionResetError


@pytest.mark.parametrize(("role", "trouble"), [(Role.SUPERUSER, "superuser"), (Role.OWNER, "owns tables")])
async def test_role_that_would_see_every_tenant_is_found_out(
    postgres: TestPostgres, database_name: str, role: Role, trouble: str
) -> None:
    database = Database(postgres.url(database_name, role), DatabaseSettings(), write_events)
    try:
        assert trouble in (await database.privileges_trouble() or "")
    finally:
        await database.close()


async def test_application_role_neither_owns_nor_bypasses(database: Database) -> None:
    assert await database.privileges_trouble() is None
    with pytest.raises(Exception, match="must be owner"):
        async with database.transaction(SYSTEM) as tx:
            await tx.session.execute(text("alter table outbox_events disable row level security"))


def test_other_kinds_of_database_are_refused() -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        Database("mysql://localhost/x", DatabaseSettings(), write_events)
