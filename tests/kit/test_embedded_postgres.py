"""The embedded PostgreSQL survives what happens to machines, and lets nobody in who should not be."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from auralink.kit.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresSettings, PostgresFailed, Role
from auralink.kit.embedded_postgres.account import Account
from auralink.kit.embedded_postgres.process import free_port, servers_on
from auralink.kit.settings import SecretStore


@pytest.fixture
def place() -> Iterator[Path]:
    """A state directory whose way down is open, as an operator's would be; pytest's own is closed to other accounts."""
    with tempfile.TemporaryDirectory(prefix="auralink-pg-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


def server_in(place: Path, *, durable: bool = False, tell: list[str] | None = None) -> EmbeddedPostgres:
    hear = tell.append if tell is not None else lambda _: None
    return EmbeddedPostgres(place / "postgres", SecretStore(place), durable=durable, tell=hear)


@asynccontextmanager
async def running(server: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def connect(server: EmbeddedPostgres, role: Role = Role.OWNER, password: str | None = None) -> asyncpg.Connection:
    url = server.url(role)
    return await asyncpg.connect(
        host=url.host, port=url.port, user=url.username, password=password or url.password, database=url.database
    )


async def sql(server: EmbeddedPostgres, statement: str, role: Role = Role.OWNER) -> object:
    connection = await connect(server, role)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def kill_everything(server: EmbeddedPostgres) -> None:
    for process in servers_on(server.directory / "data"):
        process.kill()


async def test_killing_everything_loses_no_committed_data(place: Path) -> None:
    server = server_in(place, durable=True)
    await server.start()
    await sql(server, "create table kept (n int primary key)")
    connection = await connect(server)
    for n in range(50):
        await connection.execute("insert into kept values ($1)", n)
    uncommitted = connection.transaction()
    await uncommitted.start()
    await connection.execute("insert into kept values (1000)")
    kill_everything(server)
    assert (server.directory / "data" / "postmaster.pid").exists(), "the lock file of the dead server is still there"
    async with running(server_in(place, durable=True)) as again:
        assert await sql(again, "select array_agg(n order by n) from kept") == list(range(50))


async def test_server_left_behind_is_stopped_and_its_data_used(place: Path) -> None:
    left, said = server_in(place), []
    await left.start()
    await sql(left, "create table kept as select 7 as n")
    async with running(server_in(place, tell=said)) as server:
        assert await sql(server, "select n from kept") == 7
        assert servers_on(server.directory / "data")[0].pid == server.pid
    assert any("earlier PostgreSQL still runs" in line for line in said)


async def test_stale_lock_file_with_a_reused_process_id_does_not_stop_the_start(place: Path) -> None:
    async with running(server_in(place)):
        pass
    lock = place / "postgres" / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{lock.parent}\n1\n5432\n\n127.0.0.1\n\nready\n")
    async with running(server_in(place)) as server:
        assert await sql(server, "select 1") == 1


async def test_interrupted_creation_is_begun_again(place: Path) -> None:
    half = place / "postgres" / "data.draft" / "base"
    half.mkdir(parents=True)
    (half / "rest").write_text("of an interrupted initdb")
    async with running(server_in(place)) as server:
        assert await sql(server, "select 1") == 1


async def test_two_state_directories_run_side_by_side(place: Path) -> None:
    (place / "a").mkdir(mode=0o711)
    (place / "b").mkdir(mode=0o711)
    async with running(server_in(place / "a")) as a, running(server_in(place / "b")) as b:
        assert a.port != b.port
        await sql(a, "create table only_in_a ()")
        assert await sql(b, "select to_regclass('only_in_a')") is None


async def test_it_runs_unprivileged_listens_on_loopback_only_and_wants_the_password(place: Path) -> None:
    async with running(server_in(place)) as server:
        process = psutil.Process(server.pid)
        assert process.uids().effective != 0
        listening = {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        with pytest.raises(asyncpg.InvalidPasswordError):
            await connect(server, Role.SUPERUSER, password="a guess")
        assert await sql(server, "show password_encryption", Role.SUPERUSER) == "scram-sha-256"
        open_doors = "select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'"
        assert await sql(server, open_doors, Role.SUPERUSER) == 0
        data = (server.directory / "data").stat()
        assert (data.st_mode & 0o077, data.st_uid) == (0, process.uids().effective)


async def test_application_and_owner_have_no_power_over_the_server(place: Path) -> None:
    powers = "select bool_or(rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication) from pg_roles"
    async with running(server_in(place)) as server:
        assert await sql(server, f"{powers} where rolname like 'auralink%'") is False
        assert await sql(server, "select count(*) from pg_roles where rolname like 'auralink%'") == 2
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql(server, "create table mine ()", Role.APPLICATION)


async def test_taken_port_is_told_with_the_setting_that_moves_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(server_in(place)) as first:
        monkeypatch.setenv("AURALINK_POSTGRES_PORT", str(first.port))
        (place / "b").mkdir(mode=0o711)
        with pytest.raises(PostgresFailed, match=rf"Port {first.port} \(AURALINK_POSTGRES_PORT\) is taken"):
            await server_in(place / "b").start()


async def test_set_port_is_used(place: Path) -> None:
    settings = EmbeddedPostgresSettings(postgres_port=free_port())
    async with running(EmbeddedPostgres(place / "postgres", SecretStore(place), settings, durable=False)) as server:
        assert server.port == settings.postgres_port


async def test_server_that_ends_by_itself_is_started_again_on_the_same_port(place: Path) -> None:
    async with running(server_in(place)) as server:
        watch = asyncio.create_task(server.keep_running())
        port, before = server.port, server.pid
        kill_everything(server)
        async with asyncio.timeout(60):
            while server.pid == before or not await answers(server):  # noqa: ASYNC110 (another process's doing)
                await asyncio.sleep(0.05)
        assert server.port == port
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def answers(server: EmbeddedPostgres) -> bool:
    try:
        return await sql(server, "select 1") == 1
    except (OSError, asyncpg.PostgresError):
        return False


async def test_lost_password_file_is_told_plainly(place: Path) -> None:
    async with running(server_in(place)):
        pass
    (place / "secrets.json").unlink()
    (place / "postgres" / "roles-prepared").unlink()
    with pytest.raises(PostgresFailed, match=r"secrets\.json"):
        await server_in(place).start()
    assert servers_on(place / "postgres" / "data") == []


_STARTS_AND_DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from auralink.kit.embedded_postgres import EmbeddedPostgres
from auralink.kit.settings import SecretStore
place = Path(sys.argv[1])
server = EmbeddedPostgres(place / "postgres", SecretStore(place), durable=False)
asyncio.run(server.start())
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_server_does_not_outlive_a_parent_that_was_killed(place: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _STARTS_AND_DIES, str(place))
    assert await process.wait() == -signal.SIGKILL
    left = servers_on(place / "postgres" / "data")
    _, alive = await asyncio.to_thread(psutil.wait_procs, left, 30)
    assert alive == []


async def test_data_whose_secrets_are_gone_is_not_touched(place: Path) -> None:
    async with running(server_in(place)):
        pass
    (place / "secrets.json").unlink()
    with pytest.raises(PostgresFailed, match=r"no secrets\.json"):
        await server_in(place).start()
    assert (place / "postgres" / "data" / "PG_VERSION").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account's directories to think of")
async def test_a_state_directory_made_anew_has_a_database_made_anew(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auralink.kit.embedded_postgres.server._OUT_OF_REACH", place / "elsewhere")
    state = place / "closed"
    state.mkdir(mode=0o700)
    async with running(server_in(state)) as first:
        await sql(first, "create table kept (n int)")
    shutil.rmtree(state)
    state.mkdir(mode=0o700)
    told: list[str] = []
    async with running(server_in(state, tell=told)) as second:
        assert await sql(second, "select to_regclass('kept') is null")
    moved = next(line for line in told if "earlier installation" in line).rpartition(" ")[2]
    assert (Path(moved) / "PG_VERSION").exists(), "nothing was deleted"


def test_account_that_cannot_enter_a_directory_does_not_reach_into_it(tmp_path: Path) -> None:
    stranger = Account(uid=54321, gid=54321, switch=True)
    open_place = Path(tempfile.gettempdir())
    assert stranger.reaches(open_place)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not stranger.reaches(closed)
    program = closed / "program"
    program.touch(mode=0o755)
    assert not stranger.reaches(program)
    assert Account(uid=54321, gid=54321, switch=False).reaches(program), "our own account is not asked"


def test_programs_are_copied_where_the_account_can_run_them(place: Path) -> None:
    from auralink.kit.embedded_postgres import tree

    class Confined(Account):
        def reaches(self, path: Path) -> bool:
            return path.is_relative_to(place)

    confined = Confined(os.geteuid(), os.getegid(), switch=False)
    binaries = tree.programs(confined, place)
    assert binaries.is_relative_to(place)
    version = subprocess.run([binaries / "initdb", "--version"], capture_output=True, text=True, check=True).stdout
    assert f"PostgreSQL) {tree.MAJOR}." in version
    assert tree.programs(confined, place) == binaries
