"""Webhooks to a real HTTP receiver: order, repetition, signature, restarts, filters, and sending again."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from aiohttp import web
from fastapi import FastAPI
from livekit.protocol.models import Room as RoomInfo
from tests.media.receivers import served
from tests.media.scripted import KEY, SECRET

from auralink.kit.http.problem import install_problem_handlers
from auralink.media.journal import Journal
from auralink.media.keys import KeyPair
from auralink.media.tokens import KeyRing
from auralink.media.told_events import ToldEvents
from auralink.media.webhook_replay import replay_router
from auralink.media.webhooks import EventFilter, Webhooks


class Listener:
    """Answers with the statuses it is given, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.requests: list[tuple[float, dict[str, str], bytes]] = []
        self.heard = asyncio.Event()

    @property
    def names(self) -> list[str]:
        """Of the events accepted, in order."""
        return [event["event"] for event in self.events]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, headers, body in self.requests if headers["status"] == "200"]

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{rest:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        status = self.statuses.pop(0) if self.statuses else 200
        body = await request.read()
        self.requests.append((time.monotonic(), {**request.headers, "status": str(status)}, body))
        self.heard.set()
        self.heard = asyncio.Event()
        return web.Response(status=status)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not holds():
                await self.heard.wait()


def webhooks(url: str, directory: Path, **options: Any) -> Webhooks:
    return Webhooks(None, [url], KeyRing({KEY: SECRET}), directory, **options)


def record(hooks: Webhooks, *names: str, room: str = "lobby", tenant: str = "") -> None:
    for name in names:
        hooks.of(tenant).record(name, RoomInfo(name=room, sid="RM_1", num_participants=0))


async def test_the_body_is_livekits_json_and_signed_without_bearer(tmp_path: Path) -> None:
    listener = Listener()
    async with served(listener.app()) as url:
        hooks = webhooks(url, tmp_path)
        async with hooks.running():
            record(hooks, "room_started")
            await listener.until(lambda: bool(listener.events))
    ((_, headers, body),) = listener.requests
    assert headers["Content-Type"] == "application/webhook+json"
    claims = jwt.decode(headers["Authorization"], SECRET, algorithms=["HS256"])
    assert claims["iss"] == KEY
    assert base64.b64decode(claims["sha256"]) == hashlib.sha256(body).digest()
    assert 0 < claims["exp"] - time.time() <= 300
    event = json.loads(body)
    assert event["room"] == {"name": "lobby", "sid": "RM_1"}, "camelCase, and without what is zero"
    assert event["id"].startswith("EV_")
    assert isinstance(event["createdAt"], str), "64-bit numbers are strings"


async def test_the_order_stays_and_what_failed_is_repeated_ever_more_slowly(tmp_path: Path) -> None:
    listener = Listener(500, 503, 429)
    async with served(listener.app()) as url:
        hooks = webhooks(url, tmp_path)
        async with hooks.running():
            record(hooks, "one", "two", "three")
            await listener.until(lambda: len(listener.events) == 3)
    assert listener.names == ["one", "two", "three"]
    bodies = [body for _, _, body in listener.requests]
    assert len(set(bodies[:4])) == 1, "the first is repeated before the second is told"
    times = [at for at, _, _ in listener.requests]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits[0] >= 0.09
    assert waits[2] >= 0.35, "0.2 s, then 0.4 s, then 0.8 s, each halved at most by chance"


async def test_an_event_that_is_refused_for_good_holds_up_nothing(tmp_path: Path) -> None:
    listener = Listener(400)
    async with served(listener.app()) as url:
        hooks = webhooks(url, tmp_path)
        async with hooks.running():
            record(hooks, "one", "two")
            await listener.until(lambda: listener.names == ["two"])


async def test_a_receiver_that_is_away_holds_up_no_other(tmp_path: Path) -> None:
    away, there = Listener(*[503] * 50), Listener()
    async with served(away.app()) as first, served(there.app()) as second:
        hooks = Webhooks(None, [first, second], KeyRing({KEY: SECRET}), tmp_path)
        async with hooks.running():
            record(hooks, "one", "two")
            await there.until(lambda: there.names == ["one", "two"])
            async with asyncio.timeout(10):
                while hooks.waiting != 2:  # noqa: ASYNC110 (it is a state, not an event)
                    await asyncio.sleep(0.01)


async def test_what_was_not_told_is_told_after_a_restart_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auralink.media.webhooks._GOODBYE_S", 0.2)
    listener = Listener(200, *[503] * 50)
    async with served(listener.app()) as url:
        before = webhooks(url, tmp_path)
        async with before.running():
            record(before, "one", "two", "three")
            await listener.until(lambda: len(listener.requests) >= 2)
        listener.statuses.clear()
        after = webhooks(url, tmp_path)
        async with after.running():
            record(after, "four")
            await listener.until(lambda: len(listener.events) == 4)
    assert listener.names == ["one", "two", "three", "four"]


async def test_dropped_events_are_counted_in_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auralink.media.webhooks.Journal", lambda directory: Journal(directory, most=2))
    listener = Listener()
    async with served(listener.app()) as url:
        hooks = webhooks(url, tmp_path)
        async with hooks.running():
            record(hooks, "one", "two", "lost", "lost")
            await listener.until(lambda: len(listener.events) == 2)
            await receiver_is_idle(hooks)
            record(hooks, "three", "four")
            await listener.until(lambda: len(listener.events) == 4)
    assert [(event["event"], event.get("numDropped", 0)) for event in listener.events] == [
        ("one", 0),
        ("two", 0),
        ("three", 2),
        ("four", 0),
    ]


async def receiver_is_idle(hooks: Webhooks) -> None:
    async with asyncio.timeout(10):
        while hooks.waiting:  # noqa: ASYNC110 (it is a state, not an event)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("filter_", "told"),
    [
        (EventFilter(), ["room_started", "track_published", "room_finished"]),
        (EventFilter(include=["room_started"]), ["room_started"]),
        (EventFilter(exclude=["track_published"]), ["room_started", "room_finished"]),
        (EventFilter(include=["room_started"], exclude=["room_started"]), ["room_started"]),
    ],
    ids=["none", "include", "exclude", "both"],
)
async def test_the_operators_urls_hear_what_they_want(tmp_path: Path, filter_: EventFilter, told: list[str]) -> None:
    listener = Listener()
    async with served(listener.app()) as url:
        hooks = webhooks(url, tmp_path, filter_=filter_)
        async with hooks.running():
            record(hooks, "room_started", "track_published", "room_finished")
            await listener.until(lambda: len(listener.events) == len(told))
            await receiver_is_idle(hooks)
    assert listener.names == told


async def test_accepted_events_are_sent_again_with_their_ids_also_after_a_restart(tmp_path: Path) -> None:
    listener = Listener()
    async with served(listener.app()) as url:
        before = webhooks(url, tmp_path)
        async with before.running():
            record(before, "one", "two")
            record(before, "elsewhere", room="attic")
            await listener.until(lambda: len(listener.events) == 3)
        after = webhooks(url, tmp_path)
        now = int(time.time())
        async with after.running():
            assert await after.replay(now - 60, now, "lobby") == 2
            await listener.until(lambda: len(listener.events) == 5)
            assert await after.replay(now - 60, now, "lobby") == 2, "each once, however often it was sent"
            assert await after.replay(now + 60, now + 120) == 0
    assert listener.names[3:5] == ["one", "two"]
    assert [event["id"] for event in listener.events[3:5]] == [event["id"] for event in listener.events[:2]]


async def test_only_the_operator_has_events_sent_again(tmp_path: Path) -> None:
    keys = KeyRing({KEY: SECRET})
    keys.set_tenants([KeyPair("APItenant", SECRET, tenant="another")])
    listener = Listener()
    video = {"roomCreate": True, "roomList": True}
    async with served(listener.app()) as url:
        hooks = Webhooks(None, [url], keys, tmp_path)
        app = FastAPI()
        app.include_router(replay_router(hooks, keys))
        install_problem_handlers(app)
        transport = httpx.ASGITransport(app)
        async with hooks.running(), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            record(hooks, "one")
            await listener.until(lambda: len(listener.events) == 1)
            await receiver_is_idle(hooks)

            async def ask(key: str, grants: dict[str, bool]) -> httpx.Response:
                token = keys.sign(key, {"exp": time.time() + 60, "video": grants})
                headers = {"Authorization": f"Bearer {token}"}
                return await client.post("/webhooks/replay", json={"since": 0}, headers=headers)

            assert (await ask(KEY, {"roomCreate": True})).status_code == 403
            assert (await ask("APItenant", video)).status_code == 403
            assert (await client.post("/webhooks/replay", json={"since": 0})).status_code == 401
            assert (await ask(KEY, video)).json() == {"events": 1}
            await listener.until(lambda: listener.names == ["one", "one"])


def test_what_was_told_is_kept_within_bounds_and_survives_half_a_line(tmp_path: Path) -> None:
    told = ToldEvents(tmp_path, file_bytes=2_000)
    for number in range(200):
        told.add([json.dumps({"id": f"EV_{number}", "createdAt": "100", "room": {"name": "lobby"}})])
    with (tmp_path / "told.jsonl").open("a") as file:
        file.write('{"id": "EV_half')
    kept = [json.loads(body)["id"] for body in told.since(0, 200)]
    assert kept[-1] == "EV_199"
    assert 20 < len(kept) < 100
    assert kept == sorted(kept, key=lambda name: int(name.removeprefix("EV_")))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 5_000
