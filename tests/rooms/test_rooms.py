"""Rooms through the API: what members do with them."""

from typing import Any

import httpx
import jwt
import pytest

from auralink.app.testing import Gateway, MakeGateway, MakePerson, Person
from auralink.kit.livekit import LiveKitSettings


def address(room: dict[str, Any], rest: str = "") -> str:
    return f"/api/v1/rooms/{room['id']}{rest}"


def claims_of(gateway: Gateway, token: str) -> dict[str, Any]:
    settings = gateway.assembly.settings(LiveKitSettings)
    secret, key = settings.livekit_api_secret.get_secret_value(), settings.livekit_api_key.get_secret_value()
    claims: dict[str, Any] = jwt.decode(token, secret, algorithms=["HS256"], issuer=key)
    return claims


async def test_a_room_is_created_listed_read_changed_and_deleted(person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room(name="Kitchen", join_policy="invite", max_participants=5, metadata='{"a": 1}')
    assert room["id"].startswith("room_")
    assert room["created_by"] == ann.id
    assert room["status"] == "waiting"
    assert room["invite_code"]

    assert (await ann.client.get("/api/v1/rooms")).json() == {"items": [room], "next_cursor": None}
    assert (await ann.client.get(address(room))).json() == room

    changed = await ann.client.patch(address(room), json={"name": "Living room", "max_participants": 9})
    assert changed.status_code == 200, changed.text
    after = changed.json()
    assert after == room | {"name": "Living room", "max_participants": 9, "updated_at": after["updated_at"]}

    assert (await ann.client.delete(address(room))).status_code == 204
    assert (await ann.client.get(address(room))).status_code == 404
    assert (await ann.client.delete(address(room))).status_code == 404
    assert (await ann.client.get("/api/v1/rooms")).json()["items"] == []


async def test_what_is_done_to_a_room_is_told_in_its_events(person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room(name="Kitchen")
    await ann.client.patch(address(room), json={"name": "Hall", "metadata": "x"})
    await ann.client.delete(address(room))
    events = (await ann.client.get("/api/v1/events", params={"room_id": room["id"]})).json()["items"]
    assert [(event["type"], event["sequence"]) for event in events] == [
        ("room.created", 1),
        ("room.updated", 2),
        ("room.deleted", 3),
    ]
    assert events[0]["data"] == {"name": "Kitchen", "join_policy": "members", "created_by": ann.id}
    assert events[1]["data"] == {"changed": ["metadata", "name"]}


async def test_pages_neither_repeat_nor_miss_a_room_while_others_are_made(person: MakePerson) -> None:
    ann = await person("Ann")
    made = [(await ann.create_room(name=f"Room {n}"))["id"] for n in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await ann.client.get("/api/v1/rooms", params=params)).json()
        seen += [room["id"] for room in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        await ann.create_room(name="Made meanwhile")
    assert seen == made[::-1]


@pytest.mark.parametrize("cursor", ["x", "W10", "!!!!", "WzFd", "bnVsbA", "x" * 600, "W251bGxd", "\x00"])
async def test_a_cursor_that_is_not_ours_is_refused(person: MakePerson, cursor: str) -> None:
    ann = await person("Ann")
    answer = await ann.client.get("/api/v1/rooms", params={"cursor": cursor})
    assert answer.status_code == 422, answer.text
    if cursor != "WzFd":  # [1] is a position in the events
        assert (await ann.client.get("/api/v1/events", params={"after": cursor})).status_code == 422


@pytest.mark.parametrize("limit", ["0", "-1", "201", "many", "1.5"])
async def test_a_page_size_out_of_bounds_is_refused(person: MakePerson, limit: str) -> None:
    ann = await person("Ann")
    for path in ("/api/v1/rooms", "/api/v1/organizations", "/api/v1/events"):
        assert (await ann.client.get(path, params={"limit": limit})).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 101},
        {"name": "a\x00b"},
        {"name": "a\r\nX-Injected: 1"},
        {"name": 7},
        {"name": "a", "join_policy": "anyone"},
        {"name": "a", "max_participants": 0},
        {"name": "a", "max_participants": 10_001},
        {"name": "a", "max_participants": "5"},
        {"name": "a", "max_participants": 1e99},
        {"name": "a", "empty_timeout_seconds": -1},
        {"name": "a", "metadata": "x" * 4097},
        {"name": "a", "metadata": "ä" * 2049},
        {"name": "a", "metadata": "\x00"},
        {"name": "a", "metadata": {"an": "object"}},
        {"name": "a", "org_id": "room_00000000000000000000000000"},
        {"name": "a", "id": "room_00000000000000000000000000"},
    ],
)
async def test_bad_input_makes_no_room(person: MakePerson, body: dict[str, object]) -> None:
    ann = await person("Ann")
    answer = await ann.client.post("/api/v1/rooms", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await ann.client.get("/api/v1/rooms")).json()["items"] == []


@pytest.mark.parametrize(
    "name", ["'; drop table rooms; --", '" or 1=1 --', "{{7*7}}", "<script>alert(1)</script>", "%s%n"]
)
async def test_text_that_means_something_elsewhere_is_just_text(person: MakePerson, name: str) -> None:
    ann = await person("Ann")
    room = await ann.create_room(name=name, metadata=name)
    again = (await ann.client.get(address(room))).json()
    assert (again["name"], again["metadata"]) == (name, name)


async def test_a_join_token_carries_identity_grants_and_the_rooms_limits(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room(max_participants=7, empty_timeout_seconds=30, metadata="note")
    answer = await ann.client.post(address(room, "/token"), json={"display_name": "Annie"})
    assert answer.status_code == 201, answer.text
    joined = answer.json()
    assert joined["identity"] == ann.id
    assert joined["room"] == room["id"]
    assert joined["url"] == "ws://gateway.test:7880"
    claims = claims_of(gateway, joined["token"])
    assert (claims["sub"], claims["name"]) == (ann.id, "Annie")
    assert claims["video"] == {
        "roomJoin": True,
        "roomAdmin": True,
        "room": room["id"],
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
        "canUpdateOwnMetadata": True,
    }
    assert claims["roomConfig"] == {"maxParticipants": 7, "emptyTimeout": 30, "metadata": "note"}
    assert claims["exp"] - claims["nbf"] == joined["expires_in"] == 3600


async def test_a_token_bears_the_accounts_name_unless_another_is_given(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann Ray")
    room = await ann.create_room()
    joined = (await ann.client.post(address(room, "/token"))).json()
    assert claims_of(gateway, joined["token"])["name"] == "Ann Ray"


async def test_a_server_of_ones_own_is_where_clients_are_sent(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(
        livekit_url="https://livekit.example.org",
        livekit_api_key="their-key",
        livekit_api_secret="their-secret-0123456789012345678",
    )
    async with gateway.client() as client:
        body = {"email": "ann@example.org", "password": "a quiet place in the sun", "name": "Ann"}
        token = (await client.post("/api/v1/auth/signup", json=body)).json()["access_token"]
        ann = Person(client, {"user": {}})
        client.headers["Authorization"] = f"Bearer {token}"
        room = await ann.create_room()
        joined = (await client.post(address(room, "/token"))).json()
    assert joined["url"] == "wss://livekit.example.org"
    assert jwt.decode(joined["token"], options={"verify_signature": False})["iss"] == "their-key"


async def test_guests_join_by_invite_with_a_name_and_no_powers(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room(name="Kitchen", join_policy="invite")
    async with gateway.client() as stranger:
        shown = await stranger.get(f"/api/v1/invites/{room['invite_code']}")
        assert shown.json() == {"room": {"id": room["id"], "name": "Kitchen"}, "join_policy": "invite"}
        answers = [
            await stranger.post(f"/api/v1/invites/{room['invite_code']}/token", json={"display_name": "Guest Gus"})
            for _ in range(2)
        ]
    first, second = (answer.json() for answer in answers)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert first["identity"].startswith("guest_")
    assert first["identity"] != second["identity"]
    claims = claims_of(gateway, first["token"])
    assert claims["name"] == "Guest Gus"
    assert "roomAdmin" not in claims["video"]
    assert claims["video"]["room"] == room["id"]


async def test_a_guest_needs_a_name(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room(join_policy="invite")
    async with gateway.client() as stranger:
        for body in ({}, {"display_name": ""}, {"display_name": "\x00"}, {"display_name": "x" * 101}):
            answer = await stranger.post(f"/api/v1/invites/{room['invite_code']}/token", json=body)
            assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("code", ["A" * 22, "short", "x" * 65, "%00" * 22, "..%2F..%2Fetc", "' or '1'='1"])
async def test_an_unknown_invite_is_not_found(gateway: Gateway, code: str) -> None:
    async with gateway.client() as stranger:
        assert (await stranger.get(f"/api/v1/invites/{code}")).status_code == 404
        join = await stranger.post(f"/api/v1/invites/{code}/token", json={"display_name": "Gus"})
        assert join.status_code == 404


async def works(gateway: Gateway, code: str) -> bool:
    async with gateway.client() as stranger:
        answer = await stranger.post(f"/api/v1/invites/{code}/token", json={"display_name": "Gus"})
    assert answer.status_code in (201, 404)
    return bool(answer.status_code == httpx.codes.CREATED)


async def test_an_invite_works_until_it_is_revoked_or_expires_or_the_room_goes(
    gateway: Gateway, person: MakePerson
) -> None:
    ann = await person("Ann")
    room = await ann.create_room(join_policy="invite")
    brief = (await ann.client.post(address(room, "/invites"), json={"expires_in_hours": 1})).json()
    lasting = (await ann.client.post(address(room, "/invites"), json={})).json()
    listed = (await ann.client.get(address(room, "/invites"))).json()["items"]
    assert [invite["code"] for invite in listed] == [lasting["code"], brief["code"], room["invite_code"]]
    assert all([await works(gateway, invite["code"]) for invite in listed])

    assert (await ann.client.delete(address(room, f"/invites/{lasting['id']}"))).status_code == 204
    assert not await works(gateway, lasting["code"])
    assert await works(gateway, room["invite_code"])

    await gateway.clock.advance(300)
    room_later = (await ann.client.get(address(room))).json()
    assert room_later["invite_code"] == brief["code"]

    assert (await ann.client.delete(address(room))).status_code == 204
    assert not await works(gateway, room["invite_code"])


async def test_an_expired_invite_no_longer_works(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room(join_policy="invite")
    brief = (await ann.client.post(address(room, "/invites"), json={"expires_in_hours": 1})).json()
    await gateway.clock.advance(3601)
    assert not await works(gateway, brief["code"])
    assert await works(gateway, room["invite_code"])


async def test_a_room_for_members_only_takes_no_invites_until_its_policy_changes(
    gateway: Gateway, person: MakePerson
) -> None:
    ann = await person("Ann")
    room = await ann.create_room(join_policy="members")
    assert room["invite_code"] is None
    code = (await ann.client.post(address(room, "/invites"), json={})).json()["code"]
    assert not await works(gateway, code)
    opened = (await ann.client.patch(address(room), json={"join_policy": "invite"})).json()
    assert opened["invite_code"] == code
    assert await works(gateway, code)
    await ann.client.patch(address(room), json={"join_policy": "members"})
    assert not await works(gateway, code)


async def test_an_open_room_takes_every_signed_in_person_and_shows_them_nothing_else(person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    room = await ann.create_room(join_policy="open")
    joined = await bob.client.post(address(room, "/token"))
    assert joined.status_code == 201
    claims = jwt.decode(joined.json()["token"], options={"verify_signature": False})
    assert "roomAdmin" not in claims["video"]
    assert (await bob.client.get(address(room))).status_code == 404
    assert (await bob.client.get("/api/v1/rooms")).json()["items"] == []


async def test_joining_by_invites_is_limited_per_address(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(guest_limit_per_address="2/minute")
    async with gateway.client() as stranger:
        statuses = [(await stranger.get(f"/api/v1/invites/{'A' * 22}")).status_code for _ in range(3)]
    assert statuses == [404, 404, 429]


async def test_present_participants_are_asked_of_the_media_server(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room()
    assert (await ann.client.get(address(room, "/participants"))).json() == {"items": [], "next_cursor": None}
    gateway.media.away = True
    answer = await ann.client.get(address(room, "/participants"))
    assert answer.status_code == 503
    assert answer.json()["code"] == "media_unavailable"
    assert "retry-after" in answer.headers
    assert (await ann.client.get(address(room, "/participants"), params={"when": "ever"})).status_code == 200


async def test_a_host_sends_someone_out(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room()
    answer = await ann.client.delete(address(room, "/participants/guest_1"))
    assert answer.status_code == 204
    assert [(str(where), who) for where, who in gateway.media.removed] == [(room["id"], "guest_1")]


async def test_the_api_description_is_complete(gateway: Gateway) -> None:
    async with gateway.client() as client:
        description = (await client.get("/api/v1/openapi.json")).json()
    ours = [o for p, path in description["paths"].items() if p.startswith("/api/v1") for o in path.values()]
    names = [operation["operationId"] for operation in ours]
    assert len(names) == len(set(names)) >= 25
    assert all(name.isidentifier() and "_" not in name for name in names)
    for operation in ours:
        assert operation["tags"], operation
        assert operation["description"], operation
        success = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
        assert success.get("content") or "204" in operation["responses"]
        for status, answer in operation["responses"].items():
            if not status.startswith("2"):
                assert list(answer["content"]) == ["application/problem+json"], (operation["operationId"], status)
    open_to_all = {operation["operationId"] for operation in ours if not operation.get("security")}
    assert open_to_all == {
        "getSignupMode", "signUp", "logIn", "refreshSession", "logOut", "getKeySet", "getInvitation",
        "createGuestToken", "receiveLiveKitWebhook",
    }  # fmt: skip
