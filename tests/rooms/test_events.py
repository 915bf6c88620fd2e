"""Events as programs read them: in pages, and as a stream on the same cursor."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any, Self

import pytest

from auralink.app.testing import Gateway, MakePerson, Person

LIFE_OF_ACCESS_TOKEN = 601.0


async def page(someone: Person, **params: Any) -> dict[str, Any]:
    answer = await someone.client.get("/api/v1/events", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


class Listener:
    """Reads a stream as it is written, which the usual client for applications in this process cannot."""

    def __init__(self, gateway: Gateway, someone: Person, query: str = "", last_event_id: str | None = None) -> None:
        self._gateway = gateway
        headers = {"host": "gateway.test", "authorization": f"Bearer {someone.access_token}"}
        if last_event_id:
            headers["last-event-id"] = last_event_id
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/api/v1/events/stream",
            "raw_path": b"/api/v1/events/stream",
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("192.0.2.1", 50000),
            "server": ("gateway.test", 80),
            "state": {},
        }
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._requested = False
        self._gone = asyncio.Event()
        self.status = 0

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._gateway.app(self._scope, self._receive, self._send))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        while not self._running.done():
            self._gateway.assembly.notifier.wake()
            await asyncio.wait([self._running], timeout=0.02)

    async def next(self) -> dict[str, str]:
        """The next event: `id`, `event` and `data`."""
        while True:
            waiting = asyncio.create_task(self._chunks.get())
            while not waiting.done():
                self._gateway.assembly.notifier.wake()
                await asyncio.wait([waiting], timeout=0.02)
            block = waiting.result().decode()
            if block.startswith("id: "):
                return dict(line.split(": ", 1) for line in block.strip().splitlines())  # type: ignore[misc]

    async def ended(self) -> None:
        """Returns when the server has closed the stream."""
        while not self._running.done():
            self._gateway.assembly.notifier.wake()
            await asyncio.wait([self._running], timeout=0.02)

    async def _receive(self) -> dict[str, Any]:
        if not self._requested:
            self._requested = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message.get("body"):
            self._chunks.put_nowait(message["body"])


async def test_every_event_is_read_once_page_by_page(person: MakePerson) -> None:
    ann = await person("Ann")
    for n in range(5):
        await ann.create_room(name=f"Room {n}")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        found = await page(ann, limit=3, **({"after": cursor} if cursor else {}))
        if not found["items"]:
            break
        seen += [event["id"] for event in found["items"]]
        cursor = found["next_cursor"]
    assert len(seen) == len(set(seen)) == 7  # the organisation, the account, five rooms
    assert found["next_cursor"] == cursor  # where to go on when something happens

    await ann.create_room(name="Later")
    (later,) = (await page(ann, after=cursor))["items"]
    assert (later["type"], later["data"]["name"]) == ("room.created", "Later")


async def test_events_of_others_are_not_there(person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    await ann.create_room()
    orgs = {event["org_id"] for event in (await page(bob))["items"]}
    assert len(orgs) == 1
    assert orgs.isdisjoint({event["org_id"] for event in (await page(ann))["items"]})


async def test_the_stream_tells_what_happened_and_what_happens(gateway: Gateway, person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    await ann.create_room(name="Before")
    async with Listener(gateway, ann) as listener:
        kinds = [(await listener.next())["event"] for _ in range(3)]
        assert kinds == ["organization.created", "account.opened", "room.created"]
        await bob.create_room(name="Not Ann's")
        await ann.create_room(name="Meanwhile")
        told = await listener.next()
    assert listener.status == 200
    assert json.loads(told["data"])["data"]["name"] == "Meanwhile"


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_stream_goes_on_from_its_last_event(gateway: Gateway, person: MakePerson, by_header: bool) -> None:
    ann = await person("Ann")
    await ann.create_room(name="One")
    cursor = (await page(ann))["next_cursor"]
    await ann.create_room(name="Two")
    place = {"last_event_id": cursor} if by_header else {"query": f"after={cursor}"}
    async with Listener(gateway, ann, **place) as listener:
        told = await listener.next()
    assert json.loads(told["data"])["data"]["name"] == "Two"
    assert told["id"] == (await page(ann))["next_cursor"]


async def test_a_stream_ends_with_the_access_token(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    async with Listener(gateway, ann) as listener:
        await listener.next()
        await gateway.clock.advance(LIFE_OF_ACCESS_TOKEN)
        await listener.ended()


async def test_a_stream_ends_when_the_server_drains(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    async with Listener(gateway, ann) as listener:
        await listener.next()
        for _, drain in gateway.assembly.drains:
            await drain()
        await listener.ended()


async def test_a_stream_needs_a_cursor_of_ours(person: MakePerson) -> None:
    ann = await person("Ann")
    for headers in ({"Last-Event-ID": "nonsense"}, {"Last-Event-ID": "W10"}, {"Last-Event-ID": "x" * 200}):
        assert (await ann.client.get("/api/v1/events/stream", headers=headers)).status_code == 422
