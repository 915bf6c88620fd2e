"""The database: a bounded pool, one transaction per use case, and the principal the rows are shown to.

Row-level security reads four settings, local to the transaction, through the SQL functions of migration 0001:
`app_org_ids()` (uuid[], the principal's organisations), `app_org_id()` (the one acted for), `app_user_id()`,
`app_room_id()` (a guest's only room) and `app_is_system()`. They are unset outside a transaction, so a connection that
comes back from the pool shows nothing to anyone.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from pydantic import Field
from sqlalchemy import URL, DateTime, MetaData, Uuid, make_url, text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

from auralink.kit.auth import Principal, PrincipalKind
from auralink.kit.clock import Clock, SystemClock
from auralink.kit.errors import AuraError, Timeout, Unavailable
from auralink.kit.events import Event
from auralink.kit.ids import EventId, Id, OrgId, RoomId, UserId
from auralink.kit.settings import Settings

log = structlog.get_logger(__name__)

_CONNECT_FIRST_WAIT = 0.1
_CONNECT_LONGEST_WAIT = 5.0


class DatabaseSettings(Settings):
    """Times in seconds."""

    database_pool_size: int = Field(default=10, ge=1, le=500)
    """Connections of one process."""
    database_pool_wait: float = Field(default=5.0, gt=0)
    """The longest wait for one of them."""
    database_connect_timeout: float = Field(default=5.0, gt=0)
    """The longest wait for a new connection."""
    database_statement_timeout: float = Field(default=10.0, gt=0)
    """The longest a statement may run."""
    database_lock_timeout: float = Field(default=5.0, gt=0)
    """The longest a statement may wait for a lock."""
    database_idle_timeout: float = Field(default=15.0, gt=0)
    """The longest a transaction may sit idle before the server ends it."""


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "The database does not answer"


class DatabaseTimeout(Timeout):
    code = "database_timeout"
    title = "The database took too long"


class Base(DeclarativeBase):
    """Base of every domain's tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )


class IdType(TypeDecorator[Id]):
    """A typed id kept as uuid: `mapped_column(IdType(RoomId), primary_key=True)`."""

    impl = Uuid
    cache_ok = True

    def __init__(self, kind: type[Id]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> UUID | None:  # noqa: ARG002
        if value is None:
            return None
        if not isinstance(value, self.kind):
            raise TypeError(f"{self.kind.__name__} wanted, {type(value).__name__} given")
        return value.uuid

    def process_result_value(self, value: UUID | None, dialect: Dialect) -> Id | None:  # noqa: ARG002
        return None if value is None else self.kind(value)


SHARED_TYPES: dict[Any, TypeEngine[Any]] = {
    datetime: DateTime(timezone=True),
    OrgId: IdType(OrgId),
    UserId: IdType(UserId),
    RoomId: IdType(RoomId),
    EventId: IdType(EventId),
}
Base.registry.update_type_annotation_map(SHARED_TYPES)


class Tx:
    """One transaction. `session` runs SQL as the principal; events emitted here are committed with it or not at all."""

    def __init__(self, session: AsyncSession, principal: Principal) -> None:
        self.session = session
        self.principal = principal
        self._events: list[Event] = []
        self._after_commit: list[Callable[[], None]] = []

    def emit(self, event: Event) -> None:
        """Record that something happened. Written to the outbox at the end of this transaction, in order."""
        self._events.append(event)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run something quick and harmless to lose once the commit is durable, such as waking a waiter."""
        self._after_commit.append(action)

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def run_after_commit(self) -> None:
        for action in self._after_commit:
            action()


EventWriter = Callable[[AsyncSession, Sequence[Event]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PoolState:
    size: int
    in_use: int


class Database:
    """Owner of the pool. `write_events` is the outbox's; it runs inside the transaction, just before the commit."""

    def __init__(self, url: str | URL, settings: DatabaseSettings, write_events: EventWriter, name: str = "auralink"):
        self.url = asyncpg_url(url)
        self._settings = settings
        self._write_events = write_events
        self.engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_wait,
            pool_pre_ping=True,
            pool_recycle=1800,
            connect_args={
                "timeout": settings.database_connect_timeout,
                "command_timeout": settings.database_statement_timeout + 5,
                "server_settings": {
                    "application_name": name,
                    "timezone": "UTC",
                    "statement_timeout": _milliseconds(settings.database_statement_timeout),
                    "lock_timeout": _milliseconds(settings.database_lock_timeout),
                    "idle_in_transaction_session_timeout": _milliseconds(settings.database_idle_timeout),
                },
            },
        )

    @asynccontextmanager
    async def transaction(self, principal: Principal) -> AsyncIterator[Tx]:
        """Commits when the block ends, rolls back when it raises. Raises DatabaseUnavailable when there is no
        connection to be had in time."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            with translated(connecting=True):
                await _show_rows_to(session, principal)
            tx = Tx(session, principal)
            with translated():
                yield tx
                await session.flush()
                if events := tx.take_events():
                    await self._write_events(session, events)
                await session.commit()
        tx.run_after_commit()

    async def wait_until_ready(
        self, clock: Clock | None = None, tell: Callable[[str], None] | None = None, deadline: float = 60.0
    ) -> None:
        """Connect, waiting ever longer between attempts (jittered). `tell` hears what is waited for and why.
        Raises DatabaseUnavailable after `deadline` seconds."""
        clock = clock or SystemClock()
        started = clock.monotonic()
        wait = _CONNECT_FIRST_WAIT
        attempt = 0
        while True:
            attempt += 1
            try:
                await self.check()
                return
            except DatabaseUnavailable as error:
                elapsed = clock.monotonic() - started
                if elapsed + wait > deadline:
                    raise
                pause = wait * random.uniform(0.5, 1.0)  # noqa: S311 (spreads retries, protects nothing)
                message = f"waiting for the database at {self.where}: {error.detail}; next try in {pause:.1f} s"
                log.warning("database.waiting", attempt=attempt, where=self.where, reason=error.detail)
                if tell:
                    tell(message)
                await clock.sleep(pause)
                wait = min(wait * 2, _CONNECT_LONGEST_WAIT)

    async def check(self) -> None:
        """One round trip. Raises DatabaseUnavailable saying why."""
        with translated(connecting=True):
            async with self.engine.connect() as connection:
                await connection.execute(text("select 1"))

    async def privileges_trouble(self) -> str | None:
        """Why row-level security would not hold for the role we connect as, in a sentence; None when it holds."""
        async with self.engine.connect() as connection:
            row = (await connection.execute(_PRIVILEGES)).one()
        if row.rolsuper or row.rolbypassrls:
            what = "is a superuser" if row.rolsuper else "bypasses row-level security"
            return f"The database role {row.rolname} {what}, so tenants would see each other's rows."
        if row.owns:
            return f"The database role {row.rolname} owns tables of ours; migrations need an owner of their own."
        return None

    @property
    def where(self) -> str:
        """Host, port and database, for people; never the password."""
        return f"{self.url.host or 'localhost'}:{self.url.port or 5432}/{self.url.database}"

    @property
    def pool(self) -> PoolState:
        pool = self.engine.pool
        return PoolState(self._settings.database_pool_size, int(getattr(pool, "checkedout", lambda: 0)()))

    async def close(self) -> None:
        await self.engine.dispose()


async def _show_rows_to(session: AsyncSession, principal: Principal) -> None:
    await session.execute(_SET_PRINCIPAL, _principal_settings(principal))


_PRIVILEGES = text(
    "select r.rolname, r.rolsuper, r.rolbypassrls, exists (select from pg_class c where c.relowner = r.oid "
    "and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace) as owns "
    "from pg_roles r where rolname = current_user"
)
_SET_PRINCIPAL = text(
    "select set_config('app.org_ids', :org_ids, true), set_config('app.org_id', :org_id, true), "
    "set_config('app.user_id', :user_id, true), set_config('app.room_id', :room_id, true), "
    "set_config('app.role', :role, true)"
)


def _principal_settings(principal: Principal) -> dict[str, str]:
    def of(value: Id | None) -> str:
        return str(value.uuid) if value else ""

    return {
        "org_ids": "{" + ",".join(str(org.uuid) for org in principal.roles) + "}",
        "org_id": of(principal.org_id),
        "user_id": of(principal.user_id),
        "room_id": of(principal.room_id),
        "role": "system" if principal.kind is PrincipalKind.SYSTEM else principal.kind.value,
    }


class translated:  # noqa: N801 (reads as a statement where it is used)
    """Turns the driver's and the pool's ways of giving up into errors of ours. `connecting`: our own code runs alone,
    so a failed socket is the database's; elsewhere it may be any other service's."""

    def __init__(self, *, connecting: bool = False) -> None:
        self._connecting = connecting

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        known = _known(error) if error else None
        if known is None and self._connecting and isinstance(error, (OSError, asyncpg.PostgresError)):
            known = DatabaseUnavailable(_first_line(error))
        if known is not None:
            raise known from error


def _known(error: BaseException) -> AuraError | None:
    match error:
        case PoolTimeout():
            return DatabaseUnavailable("Every connection is busy.")
        case InterfaceError() | OperationalError():
            return DatabaseUnavailable(_first_line(error.orig or error))
        case DBAPIError():
            return _by_state(error)
        case _:
            return None


def _by_state(error: DBAPIError) -> AuraError | None:
    """PostgreSQL's error codes (appendix A of its manual) that say: not now, or not in this time."""
    state = str(getattr(error.orig, "sqlstate", "") or "")
    match state:
        case "57014":
            return DatabaseTimeout("A query took too long.")
        case "55P03":
            return DatabaseTimeout("Others held what this needed for too long.")
        case "25P03":
            return DatabaseTimeout("The transaction was left idle for too long.")
        case "40001" | "40P01":
            return DatabaseUnavailable("Others changed the same at the same time.")
        case "57P01" | "57P02" | "57P03" | "53300":
            return DatabaseUnavailable(_first_line(error.orig or error))
    if state.startswith("08") or error.connection_invalidated:
        return DatabaseUnavailable(_first_line(error.orig or error))
    return None


def _first_line(error: BaseException) -> str:
    line = str(error).strip().splitlines()
    return line[0] if line else type(error).__name__


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def asyncpg_url(url: str | URL) -> URL:
    """`url` for the driver we use. Raises ValueError for another kind of database."""
    parsed = make_url(url)
    if not parsed.drivername.startswith("postgres"):
        raise ValueError(f"AURALINK_DATABASE_URL must be a postgresql:// address, not {parsed.drivername}://")
    return parsed.set(drivername="postgresql+asyncpg")
