"""The gateway, assembled as in the product, for tests: real domains and PostgreSQL, a fake media server, a clock that
tests move. Load it with `pytest_plugins = ["auralink.kit.testing.database", "auralink.app.testing"]`.

`gateway`  the application in this process, no port
`person`   makes a signed-in account with its HTTP client
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from auralink.identity.wiring import install as install_identity
from auralink.keys.wiring import install as install_keys
from auralink.kit.assembly import Assembly
from auralink.kit.db import Database
from auralink.kit.http.shell import build_server
from auralink.kit.ids import RoomId
from auralink.kit.outbox import Notifier
from auralink.kit.settings import CoreSettings, SecretStore
from auralink.kit.testing import VirtualClock
from auralink.orgs.wiring import install as install_orgs
from auralink.rooms import MediaUnavailable, Participant
from auralink.rooms.wiring import install as install_rooms

BASE_URL = "http://gateway.test"
PASSWORD = "a quiet place in the sun"  # noqa: S105 (of test accounts)


@dataclass
class FakeMedia:
    """A media server that remembers what it was told. `away` makes it not answer."""

    away: bool = False
    present: dict[RoomId, list[Participant]] = field(default_factory=dict)
    closed: list[RoomId] = field(default_factory=list)
    removed: list[tuple[RoomId, str]] = field(default_factory=list)

    async def participants(self, room_id: RoomId) -> Sequence[Participant]:
        self._answer()
        return self.present.get(room_id, [])

    async def close_room(self, room_id: RoomId) -> None:
        self._answer()
        self.closed.append(room_id)

    async def remove_participant(self, room_id: RoomId, identity: str) -> None:
        self._answer()
        self.removed.append((room_id, identity))

    def _answer(self) -> None:
        if self.away:
            raise MediaUnavailable("The media server cannot be reached.")


@dataclass
class Gateway:
    app: ASGIApp
    assembly: Assembly
    clock: VirtualClock
    media: FakeMedia

    @property
    def database(self) -> Database:
        return self.assembly.database

    def client(self, *, address: str = "192.0.2.1", base_url: str = BASE_URL, **headers: str) -> httpx.AsyncClient:
        """A client of its own, with its own cookies, that seems to call from `address`."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 50000))
        return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers)


@dataclass
class Person:
    """A signed-in account. `client` sends its access token."""

    client: httpx.AsyncClient
    account: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.account["user"]["id"])

    @property
    def access_token(self) -> str:
        return str(self.account["access_token"])

    @property
    def refresh_token(self) -> str:
        return str(self.account["refresh_token"])

    async def create_room(self, **settings: object) -> dict[str, Any]:
        answer = await self.client.post("/api/v1/rooms", json={"name": "A room"} | settings)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        room: dict[str, Any] = answer.json()
        return room


MakeGateway = Callable[..., Awaitable[Gateway]]
MakePerson = Callable[..., Awaitable[Person]]


@pytest_asyncio.fixture
async def make_gateway(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeGateway]:
    """`await make_gateway(signup="invitation")`: settings by their names, on one database."""
    monkeypatch.setenv("AURALINK_ARGON2_MEMORY_KIB", "8192")
    monkeypatch.setenv("AURALINK_ARGON2_TIME_COST", "1")
    async with AsyncExitStack() as running:

        async def make(*, only_loopback: bool = True, **settings: object) -> Gateway:
            for name, value in settings.items():
                monkeypatch.setenv(f"AURALINK_{name.upper()}", str(value))
            clock, media = VirtualClock(datetime.now(UTC)), FakeMedia()
            core = CoreSettings(state_dir=tmp_path)
            assembly = Assembly(
                core, secrets=SecretStore(tmp_path), database=database, notifier=Notifier(database), clock=clock
            )
            organizations = install_orgs(assembly)
            people = install_identity(assembly, tenancy=organizations, only_loopback=only_loopback)
            install_rooms(assembly, organizations=organizations, people=people, media=media)
            install_keys(assembly, organizations=organizations)
            server = assembly.server("gateway")
            server.publishes_api = True
            for _, make_resource in assembly.resources:
                await running.enter_async_context(make_resource())
            return Gateway(build_server(assembly, server), assembly, clock, media)

        yield make


@pytest_asyncio.fixture
async def gateway(make_gateway: MakeGateway) -> Gateway:
    return await make_gateway()


@pytest_asyncio.fixture
async def person(gateway: Gateway) -> AsyncIterator[MakePerson]:
    """`await person("Ann")` signs up a new account."""
    numbers = count(1)
    async with AsyncExitStack() as open_clients:

        async def sign_up(name: str = "Ann") -> Person:
            number = next(numbers)
            client = await open_clients.enter_async_context(gateway.client(address=f"198.51.100.{number}"))
            body = {"email": f"person{number}@example.org", "password": PASSWORD, "name": name}
            answer = await client.post("/api/v1/auth/signup", json=body)
            assert answer.status_code == httpx.codes.CREATED, answer.text
            account = answer.json()
            client.headers["Authorization"] = f"Bearer {account['access_token']}"
            return Person(client, account)

        yield sign_up
