"""Putting a process together: what each domain's `wiring.install(assembly, ...)` receives.

The composition root makes one Assembly, lets the domains of the chosen roles install themselves, and runs it. Nothing
is looked up in it later: whatever an object needs, it gets by constructor while installing.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.types import ASGIApp

from auralink.kit.auth import Authenticator
from auralink.kit.clock import Clock, SystemClock
from auralink.kit.db import Database
from auralink.kit.errors import Unavailable
from auralink.kit.health import HealthRegistry
from auralink.kit.outbox import Notifier
from auralink.kit.ratelimit import RateLimiter
from auralink.kit.settings import CoreSettings, SecretStore, Settings, load_settings

SettingsT = TypeVar("SettingsT", bound=Settings)

Resource = Callable[[], AbstractAsyncContextManager[Any]]
Task = Callable[[], Awaitable[None]]


@dataclass
class Server:
    """One HTTP listener while it is put together: `gateway` or `media`."""

    name: str
    routers: list[APIRouter] = field(default_factory=list)
    mounts: list[tuple[str, ASGIApp]] = field(default_factory=list)
    health: HealthRegistry = field(default_factory=HealthRegistry)
    path_limits: dict[str, int] = field(default_factory=dict)
    open_to_any_origin: bool = False
    """Answers scripts of every origin, without cookies: for LiveKit clients, whose credentials are tokens."""
    publishes_api: bool = False
    """Serves its OpenAPI document."""

    def add_router(self, router: APIRouter) -> None:
        self.routers.append(router)

    def mount(self, path: str, app: ASGIApp) -> None:
        """Hand everything below `path` to another ASGI application."""
        self.mounts.append((path, app))

    def allow_body(self, path_prefix: str, bytes_: int) -> None:
        """Accept request bodies of up to `bytes_` below `path_prefix` instead of the general limit."""
        self.path_limits[path_prefix] = bytes_


class Assembly:
    def __init__(
        self,
        core: CoreSettings,
        *,
        secrets: SecretStore | None = None,
        database: Database | None = None,
        notifier: Notifier | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.core = core
        self.clock: Clock = clock or SystemClock()
        self.secrets = secrets or SecretStore(core.state_directory)
        self.servers: dict[str, Server] = {}
        redis = core.redis_url.get_secret_value() if core.redis_url else None
        self.rate_limiter = RateLimiter(redis)
        self.authenticator: Authenticator | None = None
        """Set by identity; used by the `Caller` and `Transaction` parameters of every route."""
        self.resources: list[tuple[str, Resource]] = []
        self.tasks: list[tuple[str, Task]] = []
        self.drains: list[tuple[str, Task]] = []
        self.facts: list[tuple[str, str]] = []
        """What the operator is shown at the end of start-up: a name and a value, such as a port."""
        self._database = database
        self._notifier = notifier

    @property
    def database(self) -> Database:
        """Raises Unavailable in a process whose roles need no database."""
        if self._database is None:
            raise Unavailable("This process runs without a database.")
        return self._database

    @property
    def notifier(self) -> Notifier:
        """Wakes readers of the outbox. Raises Unavailable in a process without a database."""
        if self._notifier is None:
            raise Unavailable("This process runs without a database.")
        return self._notifier

    @property
    def has_database(self) -> bool:
        return self._database is not None

    def settings(self, cls: type[SettingsT]) -> SettingsT:
        """A domain's settings, from the environment and the generated secrets. Raises SettingsError."""
        return load_settings(cls, store=self.secrets, production=self.core.production)

    def server(self, name: str) -> Server:
        return self.servers.setdefault(name, Server(name))

    def resource(self, name: str, make: Resource) -> None:
        """Something to enter before serving and to leave, in reverse order, after draining."""
        self.resources.append((name, make))

    def task(self, name: str, run: Task) -> None:
        """Something that runs as long as the process serves; if it ends or raises, the process stops."""
        self.tasks.append((name, run))

    def drain(self, name: str, action: Task) -> None:
        """Something to say or finish when the process is asked to stop, before its servers close: goodbyes to
        participants, open streams. It has the drain time."""
        self.drains.append((name, action))
