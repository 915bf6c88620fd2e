"""Tenants do not meet: not through the API, and not through SQL as the application's role."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from auralink.app.testing import Gateway, MakePerson, Person
from auralink.kit.auth import Principal, PrincipalKind
from auralink.kit.db import Database
from auralink.kit.ids import OrgId, RoomId, UserId
from auralink.orgs import Role
from auralink.orgs.store import OrganizationStore

TENANT_TABLES = (
    "organizations", "memberships", "rooms", "room_invites", "room_sessions", "room_participants", "room_tracks",
    "outbox_events", "outbox_room_sequences",
)  # fmt: skip
PRIVATE_TABLES = (
    "users", "credentials", "session_families", "refresh_tokens", "signup_invitations", "livekit_webhooks"
)  # fmt: skip


def principal_of(someone: Person, org_id: str) -> Principal:
    org = OrgId.parse(org_id)
    return Principal(PrincipalKind.PERSON, UserId.parse(someone.id), {org: "owner"}, org)


async def home_of(someone: Person) -> str:
    (home,) = (await someone.client.get("/api/v1/organizations")).json()["items"]
    return str(home["id"])


async def test_another_tenants_ids_are_not_found_on_any_route(gateway: Gateway, person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    room = await ann.create_room(join_policy="invite")
    base = f"/api/v1/rooms/{room['id']}"
    invite = (await ann.client.get(f"{base}/invites")).json()["items"][0]
    org = await home_of(ann)
    attempts: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", base, None),
        ("PATCH", base, {"name": "Mine"}),
        ("DELETE", base, None),
        ("POST", f"{base}/token", {}),
        ("GET", f"{base}/participants", None),
        ("GET", f"{base}/participants?when=ever", None),
        ("DELETE", f"{base}/participants/{ann.id}", None),
        ("GET", f"{base}/invites", None),
        ("POST", f"{base}/invites", {}),
        ("DELETE", f"{base}/invites/{invite['id']}", None),
        ("GET", f"/api/v1/organizations/{org}", None),
        ("POST", "/api/v1/rooms", {"name": "Theirs", "org_id": org}),
    ]
    for method, path, body in attempts:
        answer = await bob.client.request(method, path, json=body)
        assert answer.status_code == 404, (method, path, answer.status_code, answer.text)
    listed = (await bob.client.get("/api/v1/events", params={"room_id": room["id"]})).json()
    assert listed["items"] == []
    assert (await ann.client.get(base)).json() == room
    assert gateway.media.removed == []


async def test_what_does_not_exist_and_what_is_anothers_look_the_same(person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    theirs = (await ann.create_room())["id"]
    answers = [(await bob.client.get(f"/api/v1/rooms/{room}")).json() for room in (theirs, str(RoomId.new()))]
    for answer in answers:
        answer.pop("request_id")
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "room_id", ["nonsense", "room_", "usr_00000000000000000000000000", "room_" + "z" * 26, "%00", "1"]
)
async def test_what_is_no_room_id_is_not_found(person: MakePerson, room_id: str) -> None:
    ann = await person("Ann")
    assert (await ann.client.get(f"/api/v1/rooms/{room_id}")).status_code == 404


async def test_members_join_and_read_but_only_hosts_change_a_room(gateway: Gateway, person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    room = await ann.create_room()
    base = f"/api/v1/rooms/{room['id']}"
    await make_member(gateway.database, room["org_id"], bob.id)
    assert (await bob.client.get(base)).status_code == 200
    assert (await bob.client.post(f"{base}/token")).status_code == 201
    for method, path in (("PATCH", base), ("DELETE", base), ("DELETE", f"{base}/participants/x")):
        answer = await bob.client.request(method, path, json={"name": "Mine"})
        assert (answer.status_code, answer.json()["code"]) == (403, "not_room_host")
    own = await bob.create_room(org_id=room["org_id"])
    assert (await bob.client.patch(f"/api/v1/rooms/{own['id']}", json={"name": "Still mine"})).status_code == 200
    assert (await ann.client.delete(f"/api/v1/rooms/{own['id']}")).status_code == 204  # its owner runs every room


async def test_leaving_an_organisation_holds_from_the_next_request(gateway: Gateway, person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    room = await ann.create_room()
    await make_member(gateway.database, room["org_id"], bob.id)
    assert (await bob.client.get(f"/api/v1/rooms/{room['id']}")).status_code == 200
    async with gateway.database.transaction(Principal.system()) as tx:
        await tx.session.execute(text("delete from memberships where role = 'member'"))
    assert (await bob.client.get(f"/api/v1/rooms/{room['id']}")).status_code == 404


async def make_member(database: Database, org_id: str, user_id: str) -> None:
    async with database.transaction(Principal.system()) as tx:
        now = datetime.now(UTC)
        await OrganizationStore().add_member(tx, OrgId.parse(org_id), UserId.parse(user_id), Role.MEMBER, now)


async def count(database: Database, principal: Principal | None, table: str) -> int:
    statement = text(f"select count(*) from {table}")  # noqa: S608 (a name from the list above)
    if principal is None:
        async with database.engine.connect() as connection:
            return int((await connection.execute(statement)).scalar_one())
    async with database.transaction(principal) as tx:
        return int((await tx.session.execute(statement)).scalar_one())


async def test_without_a_principal_the_database_shows_nothing(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    await ann.create_room(join_policy="invite")
    assert await count(gateway.database, Principal.system(), "rooms") == 1
    for table in TENANT_TABLES + PRIVATE_TABLES:
        assert await count(gateway.database, None, table) == 0, table


async def test_the_database_shows_each_tenant_only_its_own(gateway: Gateway, person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    await ann.create_room(join_policy="invite")
    as_ann, as_bob = principal_of(ann, await home_of(ann)), principal_of(bob, await home_of(bob))
    for table in ("rooms", "room_invites", "outbox_room_sequences"):
        assert await count(gateway.database, as_ann, table) == 1, table
        assert await count(gateway.database, as_bob, table) == 0, table
    for table in ("organizations", "memberships", "users"):
        assert await count(gateway.database, as_bob, table) == 1, table
    for table in ("credentials", "session_families", "refresh_tokens", "livekit_webhooks"):
        assert await count(gateway.database, as_ann, table) == 0, table


async def test_the_database_refuses_to_change_another_tenants_rows(gateway: Gateway, person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    room = await ann.create_room(join_policy="invite")
    as_bob = principal_of(bob, await home_of(bob))
    for statement in (
        "update rooms set name = 'stolen'",
        "update room_invites set revoked_at = now()",
        "update organizations set name = 'stolen' where kind = 'personal' and name = 'Ann'",
        "update users set name = 'stolen' where name = 'Ann'",
        "update credentials set password_hash = 'x'",
        "delete from session_families",
        "update memberships set role = 'member'",
        "delete from memberships",
    ):
        async with gateway.database.transaction(as_bob) as tx:
            assert (await tx.session.execute(text(statement))).rowcount == 0, statement  # type: ignore[attr-defined]
    assert (await ann.client.get(f"/api/v1/rooms/{room['id']}")).json() == room


@pytest.mark.parametrize(
    "statement",
    [
        "insert into rooms values (gen_random_uuid(), :org, null, 'x', 'open', 5, 5, '', now(), now(), null)",
        "insert into room_invites values (gen_random_uuid(), :room, :org, repeat('x', 22), null, now(), null, null)",
        "insert into memberships values (:org, :bob, 'owner', now())",
        "insert into room_sessions values (:room, 'RM_x', :org, now(), null)",
    ],
)
async def test_the_database_refuses_rows_for_another_tenant(
    gateway: Gateway, person: MakePerson, statement: str
) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    room = await ann.create_room()
    as_bob = principal_of(bob, await home_of(bob))
    given: dict[str, UUID] = {
        "org": OrgId.parse(room["org_id"]).uuid,
        "room": RoomId.parse(room["id"]).uuid,
        "bob": UserId.parse(bob.id).uuid,
    }
    used = {name: value for name, value in given.items() if f":{name}" in statement}
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with gateway.database.transaction(as_bob) as tx:
            await tx.session.execute(text(statement), used)


async def test_a_room_row_cannot_point_into_another_tenant(gateway: Gateway, person: MakePerson) -> None:
    """Even as the system: an invite's organisation is its room's, by a foreign key on both columns."""
    ann, bob = await person("Ann"), await person("Bob")
    room, other = await ann.create_room(), await home_of(bob)
    with pytest.raises(Exception, match="room_invites_room_id_fkey"):
        async with gateway.database.transaction(Principal.system()) as tx:
            await tx.session.execute(
                text(
                    "insert into room_invites values "
                    "(gen_random_uuid(), :room, :org, repeat('x', 22), null, now(), null, null)"
                ),
                {"room": RoomId.parse(room["id"]).uuid, "org": OrgId.parse(other).uuid},
            )
