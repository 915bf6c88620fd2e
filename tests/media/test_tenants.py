"""Tenants of one media server: whose rooms a key opens, what it may know of, and what rotation and revocation mean."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from livekit.protocol.rtc import JoinRequest
from tests.media.scripted import KEY, Client, Server

from auralink.kit.errors import Unavailable
from auralink.kit.testing import VirtualClock
from auralink.media.keys import PLATFORM, FormerSecret, KeyPair
from auralink.media.token_refresh import refresh_token
from auralink.media.tokens import KeyRing, TokenRefused, UnknownKey
from auralink.media.twirp import RoomService

ACME = KeyPair("APIacme", "acme's secret, which nobody else can know", "org_acme")
BOLT = KeyPair("APIbolt", "bolt's secret, which nobody else can know", "org_bolt")


def served(*pairs: KeyPair) -> Server:
    server = Server()
    server.keys.set_tenants(pairs)
    return server


def called(server: Server, method: str, key: str, request: dict[str, Any] | None = None) -> Any:
    """A Twirp method with every grant for the room `lobby`, as that key."""
    grants = {"roomCreate": True, "roomList": True, "roomAdmin": True, "room": "lobby"}
    claims = server.keys.verify(server.token("server", key=key, video=grants))
    service = RoomService(server.rooms, server.keys).methods()[method]
    return service.run(service.request(**(request or {})), claims)


def test_the_same_name_under_two_keys_is_two_rooms() -> None:
    server = served(ACME, BOLT)
    _, ann = server.join("ann", key=ACME.key)
    _, bob = server.join("bob", key=BOLT.key)
    _, cyd = server.join("cyd")
    for client in (ann, bob, cyd):
        assert client.of("join")[0].room.name == "lobby"
        assert not client.of("join")[0].other_participants
        assert len(client.of("update")) <= 1  # of itself
    assert len({client.of("join")[0].room.sid for client in (ann, bob, cyd)}) == 3


def test_the_same_identity_under_two_keys_is_two_people() -> None:
    server = served(ACME, BOLT)
    _, first = server.join("ann", key=ACME.key)
    server.join("ann", key=BOLT.key)
    assert not first.closed


def test_a_key_lists_and_ends_its_own_rooms_only() -> None:
    server = served(ACME, BOLT)
    server.join("ann", key=ACME.key)
    server.join("bob", key=BOLT.key)
    assert not called(server, "ListRooms", KEY).rooms
    assert [p.identity for p in called(server, "ListParticipants", BOLT.key, {"room": "lobby"}).participants] == ["bob"]
    assert called(server, "ListRooms", ACME.key, {"names": ["lobby"]}).rooms[0].num_participants == 1
    called(server, "DeleteRoom", ACME.key, {"room": "lobby"})
    assert server.rooms.find("lobby", tenant=ACME.tenant) is None
    assert server.rooms.find("lobby", tenant=BOLT.tenant)


def test_a_resume_with_another_tenants_key_finds_nobody() -> None:
    server = served(ACME, BOLT)
    session, _ = server.join("ann", key=ACME.key)
    claims = server.keys.verify(server.token("ann", key=BOLT.key))
    assert server.joining.resume(claims, JoinRequest(participant_sid=session.me.sid), Client().connection) is None


def test_idle_rooms_of_equal_names_end_each_in_its_own_time() -> None:
    server = served(ACME, BOLT)
    called(server, "CreateRoom", ACME.key, {"name": "lobby", "empty_timeout": 10})
    called(server, "CreateRoom", BOLT.key, {"name": "lobby", "empty_timeout": 10_000})
    server.rooms.close_idle(time.monotonic() + 60)
    assert not server.rooms.of(ACME.tenant)
    assert len(server.rooms.of(BOLT.tenant)) == 1


def test_a_revoked_pair_lets_nobody_in_and_ends_no_call() -> None:
    server = served(ACME)
    session, client = server.join("ann", key=ACME.key)
    token = server.token("bob", key=ACME.key)
    server.keys.set_tenants([])
    with pytest.raises(TokenRefused, match="invalid API key"):
        server.keys.verify(token)
    with pytest.raises(UnknownKey):
        server.keys.sign(ACME.key, {})
    before = len(client.of("refresh_token"))
    refresh_token(server.keys, session.me)
    assert len(client.of("refresh_token")) == before
    assert not client.closed


async def test_the_former_secret_works_until_its_time_and_the_new_one_signs() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    clock = VirtualClock(now)
    ring = KeyRing({KEY: "the platform's own secret, long enough"}, clock=clock)
    ring.set_tenants([ACME])
    old = ring.sign(ACME.key, {"sub": "ann", "exp": 4_000_000_000})
    former = FormerSecret(ACME.secret, now + timedelta(hours=1))
    ring.set_tenants([replace(ACME, secret="another secret of acme's, just as long", former=(former,))])
    assert ring.verify(old).tenant == ACME.tenant
    new = ring.sign(ACME.key, {"sub": "ann", "exp": 4_000_000_000})
    await clock.advance(timedelta(hours=2).total_seconds())
    with pytest.raises(TokenRefused):
        ring.verify(old)
    assert ring.verify(new).identity == "ann"


def test_a_tenant_cannot_take_the_platforms_key() -> None:
    server = served(KeyPair(KEY, "what somebody wishes the secret to be, long", "org_evil"))
    assert server.keys.verify(server.token("ann")).tenant == PLATFORM


def test_one_tenant_cannot_use_up_the_servers_rooms() -> None:
    server = served(ACME, BOLT)
    server.rooms.limits = replace(server.rooms.limits, rooms_per_tenant=2)
    for name in ("one", "two"):
        called(server, "CreateRoom", ACME.key, {"name": name})
    with pytest.raises(Unavailable):
        called(server, "CreateRoom", ACME.key, {"name": "three"})
    called(server, "CreateRoom", ACME.key, {"name": "one"})  # is there already
    for key in (BOLT.key, KEY):
        called(server, "CreateRoom", key, {"name": "three"})
