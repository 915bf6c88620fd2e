"""What a route asks for in its signature.

    @router.post("/rooms", status_code=201)
    async def create_room(body: RoomIn, caller: Caller, tx: Transaction) -> RoomOut: ...

`Transaction` runs as the caller and is committed after the route returned and before the answer leaves; an exception
rolls it back. `SystemTransaction` is for routes without a caller (sign-up, webhooks).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from auralink.kit.auth import Authenticator, Principal
from auralink.kit.db import Database, Tx
from auralink.kit.errors import Unavailable


@dataclass(frozen=True, slots=True)
class EdgeContext:
    """What the shared dependencies need; the server shell keeps it in `app.state.edge`."""

    database: Database | None
    authenticator: Authenticator | None


def _edge(connection: HTTPConnection) -> EdgeContext:
    edge: EdgeContext = connection.app.state.edge
    return edge


def _database(connection: HTTPConnection) -> Database:
    database = _edge(connection).database
    if database is None:
        raise Unavailable("This server runs without a database.")
    return database


async def _caller(connection: HTTPConnection) -> Principal:
    authenticator = _edge(connection).authenticator
    if authenticator is None:
        raise Unavailable("This server cannot check credentials.")
    return await authenticator.authenticate(connection)


class _Described(SecurityBase):
    """Says in the OpenAPI document that a route takes a Bearer token; finding the principal is the authenticator's."""

    def __init__(self) -> None:
        self.model = HTTPBearer(scheme="bearer", bearerFormat="JWT", description="An access token, see /auth/login.")
        self.scheme_name = "accessToken"

    async def __call__(self, connection: HTTPConnection) -> Principal:
        return await _caller(connection)


Caller = Annotated[Principal, Depends(_Described())]


async def _caller_transaction(connection: HTTPConnection, caller: Caller) -> AsyncIterator[Tx]:
    async with _database(connection).transaction(caller) as tx:
        yield tx


async def _system_transaction(connection: HTTPConnection) -> AsyncIterator[Tx]:
    async with _database(connection).transaction(Principal.system()) as tx:
        yield tx


Transaction = Annotated[Tx, Depends(_caller_transaction, scope="function")]
SystemTransaction = Annotated[Tx, Depends(_system_transaction, scope="function")]
