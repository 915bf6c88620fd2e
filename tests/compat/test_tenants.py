"""Two organisations with key pairs of their own on one running platform: the official SDKs never see each other."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from livekit import api
from tests.compat.clients import holds, joined
from tests.compat.conftest import MediaServer
from tests.media.receivers import Hook, served
from tests.platform import Platform, running_platform, serving_media

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORGANIZATIONS = "/api/v1/organizations"


class Tenant:
    """An account, its organisation, and one key pair of it."""

    def __init__(self, client: httpx.AsyncClient, org_id: str) -> None:
        self.client = client
        self.keys = f"{ORGANIZATIONS}/{org_id}/api-keys"
        self.pair: dict[str, Any] = {}

    async def make_pair(self, *webhooks: str) -> None:
        answer = await self.client.post(self.keys, json={"name": "Backend", "webhook_urls": webhooks})
        assert answer.status_code == 201, answer.text
        self.pair = answer.json()

    def server(self, platform: Platform) -> MediaServer:
        return MediaServer(platform.media_url, self.pair["api_key"], self.pair["secret"])

    async def events(self) -> list[dict[str, Any]]:
        return list((await self.client.get("/api/v1/events", params={"limit": 200})).json()["items"])


@asynccontextmanager
async def signed_up(platform: Platform, name: str) -> AsyncIterator[Tenant]:
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as client:
        body = {"email": f"{name}@example.org", "password": "a quiet place in the sun", "name": name}
        account = (await client.post("/api/v1/auth/signup", json=body)).json()
        client.headers["Authorization"] = f"Bearer {account['access_token']}"
        (home,) = (await client.get(ORGANIZATIONS)).json()["items"]
        yield Tenant(client, home["id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    state: Path = tmp_path_factory.mktemp("tenants") / "state"
    async with running_platform(state, AURALINK_SIGNUP="open") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def tenants(platform: Platform) -> AsyncIterator[list[Tenant]]:
    async with AsyncExitStack() as stack:
        count = len(list(platform.state.parent.glob("used-*")))
        (platform.state.parent / f"used-{count}").touch()
        yield [await stack.enter_async_context(signed_up(platform, f"{name}{count}")) for name in ("acme", "bolt")]


async def accepted(server: MediaServer, wanted: bool, within_s: float = 5.0) -> None:
    """Wait until the media server takes the pair, or does not any more."""
    async with asyncio.timeout(within_s):
        while (await takes(server)) is not wanted:  # noqa: ASYNC110 (nobody tells when)
            await asyncio.sleep(0.05)


async def takes(server: MediaServer) -> bool:
    token = api.AccessToken(server.key, server.secret).with_grants(api.VideoGrants(room_list=True)).to_jwt()
    address = server.url.replace("ws", "http", 1) + "/twirp/livekit.RoomService/ListRooms"
    async with httpx.AsyncClient() as client:
        answer = await client.post(address, json={}, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == httpx.codes.OK


async def test_two_organisations_use_one_room_name_and_never_meet(platform: Platform, tenants: list[Tenant]) -> None:
    acme, bolt = tenants
    for tenant in tenants:
        await tenant.make_pair()
        await accepted(tenant.server(platform), True)
    first, second = acme.server(platform), bolt.server(platform)
    async with AsyncExitStack() as calls:
        ann, cyd = [await calls.enter_async_context(joined(first, "daily", who)) for who in ("ann", "cyd")]
        bob, ann_of_bolt = [await calls.enter_async_context(joined(second, "daily", who)) for who in ("bob", "ann")]
        await holds("ann sees cyd", lambda: set(ann.room.remote_participants) == {"cyd"})
        await holds("bob sees bolt's ann", lambda: set(bob.room.remote_participants) == {"ann"})
        await ann.publish()
        await ann.say(b"for acme only")
        await cyd.hears(b"for acme only")
        await cyd.sees_more()
        for other in (bob, ann_of_bolt):
            assert other.messages.empty()
            assert (other.audio_frames, other.video_frames) == (0, 0)
        assert not ann.disconnected.is_set()  # by the same identity elsewhere
        for server, people in ((first, {"ann", "cyd"}), (second, {"ann", "bob"})):
            async with server.api() as client:
                (room,) = (await client.room.list_rooms(api.ListRoomsRequest())).rooms
                assert (room.name, room.num_participants) == ("daily", 2)
                listed = await client.room.list_participants(api.ListParticipantsRequest(room="daily"))
                assert {one.identity for one in listed.participants} == people
    secrets = json.loads((platform.state / "secrets.json").read_text())
    ours = MediaServer(platform.media_url, secrets["livekit_api_key"], secrets["livekit_api_secret"])
    async with ours.api() as client:
        assert not (await client.room.list_rooms(api.ListRoomsRequest())).rooms


async def test_webhooks_and_events_of_a_tenant_are_its_own(platform: Platform, tenants: list[Tenant]) -> None:
    acme, bolt = tenants
    hook = Hook("", "")
    async with served(hook.app()) as url:
        await acme.make_pair(url)
        await bolt.make_pair()
        hook.key, hook.secret = acme.pair["api_key"], acme.pair["secret"]
        for tenant in tenants:
            await accepted(tenant.server(platform), True)
        async with joined(bolt.server(platform), "weekly", "bob"), joined(acme.server(platform), "weekly", "ann"):
            pass
        await holds("ann's leaving was told", lambda: "participant_left" in [e["event"] for e in hook.events])
    assert {event["participant"]["identity"] for event in hook.events if "participant" in event} == {"ann"}
    assert not hook.refused
    for tenant, identity in ((acme, "ann"), (bolt, "bob")):
        async with asyncio.timeout(10):
            while not (told := await reported(tenant, "participant_left")):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert {event["identity"] for event in told} == {identity}


async def reported(tenant: Tenant, name: str) -> list[dict[str, Any]]:
    events = [event["data"] for event in await tenant.events() if event["type"] == "livekit.reported"]
    return [event for event in events if event["event"] == name and event["room"] == "weekly"]


async def test_rotation_overlaps_and_revocation_arrives_within_seconds(
    platform: Platform, tenants: list[Tenant]
) -> None:
    acme, _ = tenants
    await acme.make_pair()
    old = acme.server(platform)
    await accepted(old, True)
    place = f"{acme.keys}/{acme.pair['id']}"
    acme.pair = (await acme.client.post(f"{place}/rotate", json={"overlap_seconds": 600})).json()
    new = acme.server(platform)
    await accepted(new, True)
    assert await takes(old)
    async with joined(old, "handover", "ann") as ann, joined(new, "handover", "bob") as bob:
        await holds("old and new meet", lambda: "bob" in ann.room.remote_participants)
        assert (await acme.client.delete(place)).status_code == 204
        await accepted(new, False)
        assert not await takes(old)
        await ann.say(b"the call goes on")
        await bob.hears(b"the call goes on")


async def test_pairs_are_accepted_by_a_media_role_of_its_own_whose_control_plane_is_away(
    platform: Platform, tenants: list[Tenant]
) -> None:
    acme, _ = tenants
    await acme.make_pair()
    await accepted(acme.server(platform), True)
    cache = platform.state / "media" / "key-pairs.sealed"
    assert cache.stat().st_mode & 0o077 == 0
    assert acme.pair["secret"].encode() not in cache.read_bytes()
    await platform.stop()
    async with serving_media(platform.state, AURALINK_MEDIA_GATEWAY_URL=platform.url) as media:
        assert await takes(MediaServer(media.media_url, acme.pair["api_key"], acme.pair["secret"]))
        async with joined(MediaServer(media.media_url, acme.pair["api_key"], acme.pair["secret"]), "alone", "ann"):
            pass
        assert media.process
        assert media.process.poll() is None
    await platform.start()


async def test_a_media_role_of_its_own_learns_pairs_from_the_gateway(
    platform: Platform, tenants: list[Tenant], tmp_path: Path
) -> None:
    acme, _ = tenants
    state = tmp_path / "media-state"
    state.mkdir()
    shutil.copy(platform.state / "secrets.json", state / "secrets.json")
    async with serving_media(state, AURALINK_MEDIA_GATEWAY_URL=platform.url) as media:
        await acme.make_pair()
        server = MediaServer(media.media_url, acme.pair["api_key"], acme.pair["secret"])
        await accepted(server, True)
        async with joined(server, "weekly", "ann"):
            pass
        async with asyncio.timeout(10):
            while not await reported(acme, "participant_left"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert (await acme.client.delete(f"{acme.keys}/{acme.pair['id']}")).status_code == 204
        await accepted(server, False)
