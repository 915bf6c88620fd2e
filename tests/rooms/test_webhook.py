"""What the media server reports becomes history and events, whatever order it comes in, however often."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from google.protobuf.json_format import MessageToJson, ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit.api import AccessToken
from livekit.protocol.webhook import WebhookEvent

from auralink.app.testing import Gateway, MakePerson, Person
from auralink.kit.auth import Principal
from auralink.kit.livekit import LiveKitSettings
from auralink.kit.outbox import Relay
from auralink.rooms.handlers import DeletedRooms
from auralink.rooms.history_store import HistoryStore

PATH = "/api/v1/livekit/webhook"
T0 = 1_800_000_000


class MediaServer:
    """Says what a LiveKit server says, about one room."""

    def __init__(self, gateway: Gateway, room_id: str, session: str = "RM_1") -> None:
        self.gateway = gateway
        self.room = {"name": room_id, "sid": session}
        self._count = 0

    def event(self, kind: str, who: str | None = None, track: str | None = None, **more: Any) -> dict[str, Any]:
        self._count += 1
        event: dict[str, Any] = {"event": kind, "id": f"EV_{self.room['sid']}_{self._count}", "room": self.room}
        event["createdAt"] = str(T0 + self._count)
        if who:
            event["participant"] = {"sid": f"PA_{who}", "identity": who, "name": who.title(), "joinedAt": str(T0)}
        if track:
            event["track"] = {"sid": f"TR_{track}", "type": "VIDEO", "source": "CAMERA", "name": track}
        return event | more

    async def tell(self, *events: dict[str, Any]) -> None:
        for event in events:
            answer = await self.post(event)
            assert answer.status_code == 204, answer.text

    async def post(self, event: dict[str, Any]) -> httpx.Response:
        body = MessageToJson(ParseDict(event, WebhookEvent(), ignore_unknown_fields=True)).encode()
        return await self.send(body, self.sign(body))

    async def send(self, body: bytes, authorization: str | None) -> httpx.Response:
        headers = {"content-type": "application/webhook+json"}
        if authorization is not None:
            headers["authorization"] = authorization
        async with self.gateway.client() as client:
            return await client.post(PATH, content=body, headers=headers)

    def sign(self, body: bytes, *, life: timedelta = timedelta(minutes=5), **pair: str) -> str:
        ours = self.gateway.assembly.settings(LiveKitSettings)
        key = pair.get("key", ours.livekit_api_key.get_secret_value())
        token = AccessToken(key, pair.get("secret", ours.livekit_api_secret.get_secret_value()))
        token.with_sha256(base64.b64encode(hashlib.sha256(body).digest()).decode())
        return token.with_ttl(life).to_jwt()


MakeServer = Callable[..., MediaServer]


@pytest.fixture
async def ann(person: MakePerson) -> Person:
    return await person("Ann")


@pytest.fixture
async def room(ann: Person) -> dict[str, Any]:
    return await ann.create_room()


@pytest.fixture
def server(gateway: Gateway, room: dict[str, Any]) -> MediaServer:
    return MediaServer(gateway, room["id"])


async def events_of(someone: Person, room: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await someone.client.get("/api/v1/events", params={"room_id": room["id"], "limit": 200})
    events: list[dict[str, Any]] = answer.json()["items"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    return [event for event in events if event["type"] != "room.created"]


def told(events: list[dict[str, Any]]) -> list[str]:
    return [
        " ".join([e["type"], *(e["data"].get(k) for k in ("identity", "track") if e["data"].get(k))]) for e in events
    ]


WHOLE_CALL = [
    "room.started",
    "participant.joined bob",
    "track.published bob TR_cam",
    "track.unpublished bob TR_cam",
    "participant.left bob",
    "room.finished",
]


def whole_call(server: MediaServer) -> list[dict[str, Any]]:
    return [
        server.event("room_started"),
        server.event("participant_joined", "bob"),
        server.event("track_published", "bob", "cam"),
        server.event("track_unpublished", "bob", "cam"),
        server.event("participant_left", "bob"),
        server.event("room_finished"),
    ]


async def test_a_call_is_told_from_start_to_end(server: MediaServer, ann: Person, room: dict[str, Any]) -> None:
    await server.tell(*whole_call(server))
    events = await events_of(ann, room)
    assert told(events) == WHOLE_CALL
    assert events[1]["data"] == {"session": "RM_1", "participant": "PA_bob", "identity": "bob", "name": "Bob"}
    assert events[4]["data"]["reason"] == "unknown_reason"


async def test_the_room_is_active_while_it_is_open(server: MediaServer, ann: Person, room: dict[str, Any]) -> None:
    async def status() -> str:
        return str((await ann.client.get(f"/api/v1/rooms/{room['id']}")).json()["status"])

    assert await status() == "waiting"
    await server.tell(server.event("room_started"))
    assert await status() == "active"
    await server.tell(server.event("room_finished"))
    assert await status() == "waiting"


async def test_history_says_who_was_there(server: MediaServer, ann: Person, room: dict[str, Any]) -> None:
    await server.tell(
        server.event("room_started"),
        server.event("participant_joined", ann.id),
        server.event("participant_joined", "bob"),
        server.event(
            "participant_left",
            "bob",
            participant={"sid": "PA_bob", "identity": "bob", "disconnectReason": "CLIENT_INITIATED"},
        ),
        server.event("participant_connection_aborted", "carl"),
    )
    answer = await ann.client.get(f"/api/v1/rooms/{room['id']}/participants", params={"when": "ever"})
    people = {p["identity"]: (p["status"], p["leave_reason"], p["user_id"]) for p in answer.json()["items"]}
    assert people == {
        ann.id: ("joined", None, ann.id),
        "bob": ("left", "client_initiated", None),
        "carl": ("aborted", "unknown_reason", None),
    }


async def test_a_repeated_report_changes_nothing(server: MediaServer, ann: Person, room: dict[str, Any]) -> None:
    call = whole_call(server)
    for event in call:
        await server.tell(event, event)
    await server.tell(*call)
    assert told(await events_of(ann, room)) == WHOLE_CALL


async def test_the_same_report_many_times_at_once_counts_once(
    server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    joined = server.event("participant_joined", "bob")
    await asyncio.gather(*(server.tell(joined) for _ in range(8)))
    assert told(await events_of(ann, room)) == ["room.started", "participant.joined bob"]


async def test_many_reports_at_once_leave_no_gap_in_the_sequence(
    server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    reports = [server.event("participant_joined", f"p{n}") for n in range(20)]
    renames = [ann.client.patch(f"/api/v1/rooms/{room['id']}", json={"name": f"Name {n}"}) for n in range(10)]
    await asyncio.gather(*(server.tell(report) for report in reports), *renames)
    types = [event["type"] for event in await events_of(ann, room)]
    assert sorted(types) == ["participant.joined"] * 20 + ["room.started"] + ["room.updated"] * 10


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)), lost=st.sets(st.integers(0, 5), max_size=3))
async def test_any_order_and_any_loss_make_a_history_that_holds_together(
    gateway: Gateway, ann: Person, order: list[int], lost: set[int]
) -> None:
    room = await ann.create_room()
    server = MediaServer(gateway, room["id"])
    call = whole_call(server)
    for index in order:
        if index not in lost:
            await server.tell(call[index])
    events = told(await events_of(ann, room))
    assert events == sorted(events, key=WHOLE_CALL.index)
    assert len(events) == len(set(events))
    for beginning, end in (("participant.joined bob", "participant.left bob"), ("room.started", "room.finished"),
                           ("track.published bob TR_cam", "track.unpublished bob TR_cam")):  # fmt: skip
        assert end not in events or beginning in events
    if "room.finished" in events:
        assert ("participant.joined bob" in events) == ("participant.left bob" in events)
        assert ("track.published bob TR_cam" in events) == ("track.unpublished bob TR_cam" in events)


async def test_who_leaves_unheard_of_had_joined(server: MediaServer, ann: Person, room: dict[str, Any]) -> None:
    await server.tell(server.event("participant_left", "bob"), server.event("participant_joined", "bob"))
    assert told(await events_of(ann, room)) == ["room.started", "participant.joined bob", "participant.left bob"]


async def test_a_finished_room_has_nobody_in_it(server: MediaServer, ann: Person, room: dict[str, Any]) -> None:
    await server.tell(*whole_call(server)[:3], server.event("room_finished"), server.event("participant_left", "bob"))
    assert told(await events_of(ann, room)) == WHOLE_CALL


async def test_a_new_session_ends_one_whose_end_was_never_reported(
    gateway: Gateway, server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    """As after a media server that was killed."""
    await server.tell(server.event("participant_joined", "bob"))
    later = MediaServer(gateway, room["id"], session="RM_2")
    later._count = 100
    await later.tell(later.event("participant_joined", "bob", participant={"sid": "PA_bob2", "identity": "bob"}))
    events = await events_of(ann, room)
    assert told(events) == [
        "room.started",
        "participant.joined bob",
        "participant.left bob",
        "room.finished",
        "room.started",
        "participant.joined bob",
    ]
    assert events[3]["data"] == {"session": "RM_1", "reason": "superseded"}


async def test_an_aborted_connection_is_told_once_and_never_as_a_join(
    server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    await server.tell(server.event("room_started"), server.event("participant_connection_aborted", "bob"))
    assert told(await events_of(ann, room)) == ["room.started", "participant.aborted bob"]


@pytest.mark.parametrize(
    "name", ["elsewhere", "room_00000000000000000000000000", "room_01m839czmke17bvfjsh11s9bjy", "", "'; drop table"]
)
async def test_reports_about_rooms_that_are_not_ours_are_taken_and_dropped(gateway: Gateway, name: str) -> None:
    server = MediaServer(gateway, name)
    await server.tell(*whole_call(server))


async def test_a_tenants_room_is_not_taken_for_the_room_whose_id_it_bears(
    server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    await server.tell(server.event("room_started"))
    before = await events_of(ann, room)
    forged = server.event("participant_joined", who="eve") | {"tenant": "org_of_eve"}
    body = json.dumps(forged).encode()
    assert (await server.send(body, server.sign(body))).status_code == 204
    assert await events_of(ann, room) == before


async def test_what_happens_in_a_tenants_room_is_told_to_the_tenant_only(
    gateway: Gateway, person: MakePerson, ann: Person
) -> None:
    bob = await person("Bob")
    (home,) = (await ann.client.get("/api/v1/organizations")).json()["items"]
    server = MediaServer(gateway, "lobby")
    left = server.event("participant_left", who="eve") | {"tenant": home["id"]}
    left["participant"]["disconnectReason"] = "CLIENT_INITIATED"
    body = json.dumps(left).encode()
    for _ in range(2):  # a repetition counts once
        assert (await server.send(body, server.sign(body))).status_code == 204
    events = (await ann.client.get("/api/v1/events")).json()["items"]
    (told,) = [event for event in events if event["type"] == "livekit.reported"]
    assert (told["org_id"], told["room_id"], told["sequence"]) == (home["id"], None, None)
    data = told["data"]
    assert (data["event"], data["room"], data["identity"]) == ("participant_left", "lobby", "eve")
    assert data["reason"] == "client_initiated"
    theirs = (await bob.client.get("/api/v1/events")).json()["items"]
    assert "livekit.reported" not in {event["type"] for event in theirs}


async def test_reports_of_other_kinds_are_taken_and_dropped(
    server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    await server.tell(server.event("egress_started"), server.event("ingress_ended"), server.event("next_years_event"))
    assert await events_of(ann, room) == []


async def test_what_guests_call_themselves_is_kept_within_bounds(
    server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    odd = {"sid": "PA_1", "identity": "gu\x00est'; drop table rooms; --", "name": "x" * 5000}
    await server.tell(server.event("participant_joined", "x", participant=odd))
    (_, joined) = await events_of(ann, room)
    assert joined["data"]["identity"] == "guest'; drop table rooms; --"
    assert len(joined["data"]["name"]) == 256


async def test_an_identity_that_looks_like_an_account_may_be_nobodys(
    server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    """Whoever holds the key pair can mint a token for any identity."""
    await server.tell(server.event("participant_joined", "usr_00000000000000000000000000"))
    assert len(await events_of(ann, room)) == 2


@pytest.mark.parametrize("authorization", [None, "", "nonsense", "Bearer ", "a.b.c", "x" * 5000])
async def test_an_unsigned_report_is_refused(server: MediaServer, authorization: str | None) -> None:
    answer = await server.send(b"{}", authorization)
    assert answer.status_code == 401
    assert answer.json()["code"] == "webhook_refused"


async def test_a_report_signed_by_others_or_for_another_body_is_refused(
    server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    body = MessageToJson(ParseDict(server.event("room_started"), WebhookEvent())).encode()
    unsigned = jwt.encode({"sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(), "exp": T0}, None, "none")
    join_token = (await ann.client.post(f"/api/v1/rooms/{room['id']}/token")).json()["token"]
    for authorization in (
        server.sign(body, secret="another-secret-0123456789012345678"),
        server.sign(body, key="another-key"),
        server.sign(body + b" "),
        server.sign(body, life=timedelta(minutes=-5)),
        unsigned,
        join_token,
    ):
        assert (await server.send(body, authorization)).status_code == 401
    assert await events_of(ann, room) == []
    assert (await server.send(body, server.sign(body))).status_code == 204


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", b'{"event": 7}', b'{"event": "room_started", "createdAt": "x"}', b"\xff\xfe",
     b'{"event": "participant_joined", "id": "EV_1", "room": {"name": "%s"}}',
     b'{"event": "track_published", "id": "EV_1", "room": {"name": "%s"}, "participant": {"sid": "PA_1"}}',
     b'{"event": "room_started", "room": {"name": "%s"}}',
     b'{"event": "participant_joined", "id": "EV_1", "room": {"name": "%s"}, "participant": {}}',
     b'{"event": "room_started", "id": "EV_1", "createdAt": "9223372036854775807", "room": {"name": "%s"}}'],
)  # fmt: skip
async def test_a_signed_report_that_makes_no_sense_is_refused_for_good(server: MediaServer, body: bytes) -> None:
    """400 rather than 503: repeating it would not help, and it must not block those behind it."""
    whole = body.replace(b"%s", server.room["name"].encode())
    answer = await server.send(whole, server.sign(whole))
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "malformed_webhook"


async def test_while_the_database_is_away_the_sender_is_asked_to_repeat(
    gateway: Gateway, server: MediaServer, ann: Person, room: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = server.event("room_started")
    url = gateway.database.engine.url
    await gateway.database.engine.dispose()
    with monkeypatch.context() as away:
        away.setattr(gateway.database.engine.sync_engine, "url", url)
        away.setattr(gateway.database.engine.sync_engine.pool, "_creator", refuse)
        away.setattr(gateway.database.engine.sync_engine.pool, "_invoke_creator", refuse)
        answer = await server.post(report)
        assert answer.status_code == 503, answer.text
        assert answer.json()["code"] == "database_unavailable"
    await server.tell(report)
    assert told(await events_of(ann, room)) == ["room.started"]


def refuse(*_: object) -> None:
    raise ConnectionRefusedError("the database is away")


async def relay_once(gateway: Gateway) -> None:
    relay = Relay(gateway.database, gateway.assembly.notifier, "rooms", DeletedRooms(gateway.media).handle)
    while await relay.step():
        pass


async def test_a_deleted_room_is_closed_on_the_media_server_as_soon_as_that_answers(
    gateway: Gateway, ann: Person, room: dict[str, Any]
) -> None:
    await ann.client.delete(f"/api/v1/rooms/{room['id']}")
    gateway.media.away = True
    with pytest.raises(Exception, match="cannot be reached"):
        await relay_once(gateway)
    gateway.media.away = False
    await relay_once(gateway)
    await relay_once(gateway)
    assert [str(closed) for closed in gateway.media.closed] == [room["id"]]


async def test_a_deleted_room_that_is_entered_with_an_old_token_is_closed_again(
    gateway: Gateway, server: MediaServer, ann: Person, room: dict[str, Any]
) -> None:
    await ann.client.delete(f"/api/v1/rooms/{room['id']}")
    await relay_once(gateway)
    await server.tell(server.event("room_started"), server.event("participant_joined", "bob"))
    await relay_once(gateway)
    assert [str(closed) for closed in gateway.media.closed] == [room["id"]] * 2
    assert [event["type"] for event in await events_of(ann, room)] == [
        "room.deleted",
        "room.started",
        "room.revived",
        "participant.joined",
    ]


async def test_report_ids_are_forgotten_after_a_while(gateway: Gateway, server: MediaServer) -> None:
    await server.tell(*whole_call(server))
    store = HistoryStore()
    async with gateway.database.transaction(Principal.system()) as tx:
        assert await store.forget_reports(tx, gateway.clock.now(), timedelta(days=1), 100) == 0
    await gateway.clock.advance(2 * 24 * 3600)
    async with gateway.database.transaction(Principal.system()) as tx:
        assert await store.forget_reports(tx, gateway.clock.now(), timedelta(days=1), 4) == 4
        assert await store.forget_reports(tx, gateway.clock.now(), timedelta(days=1), 100) == 2
