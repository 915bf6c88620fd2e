"""Webhooks of tenants: signed by their own key, sent to their own URLs, with nobody else's rooms in them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from livekit.protocol.models import Room
from tests.media.receivers import Hook, served
from tests.platform import eventually

from auralink.media.keys import PLATFORM, KeyPair
from auralink.media.public_addresses import NotPublic, PublicOnly, is_public
from auralink.media.tokens import KeyRing
from auralink.media.webhooks import Webhooks

KEY, SECRET = "APIplatform", "the platform's own secret, long enough"
ACME = KeyPair("APIacme", "acme's secret, which nobody else can know", "org_acme")
BOLT = KeyPair("APIbolt", "bolt's secret, which nobody else can know", "org_bolt")


class World:
    """Our gateway and two tenants, each with a receiver of its own."""

    def __init__(self) -> None:
        self.ring = KeyRing({KEY: SECRET})
        self.ours = Hook(KEY, SECRET)
        self.acme = Hook(ACME.key, ACME.secret)
        self.bolt = Hook(BOLT.key, BOLT.secret)
        self.urls: list[str] = []

    def set(self, *pairs: KeyPair) -> None:
        self.ring.set_tenants(pairs)
        self.webhooks.set_tenants(pairs)

    @asynccontextmanager
    async def running(self, directory: Path, *, private: bool = True) -> AsyncIterator["World"]:
        async with AsyncExitStack() as stack:
            hooks = (self.ours, self.acme, self.bolt)
            own, *self.urls = [await stack.enter_async_context(served(hook.app())) for hook in hooks]
            self.webhooks = Webhooks(own, [], self.ring, directory, private=private)
            await stack.enter_async_context(self.webhooks.running())
            yield self

    def start(self, tenant: str, name: str = "lobby") -> None:
        self.webhooks.of(tenant).record("room_started", Room(name=name, sid=f"RM_{tenant}"))


async def test_each_tenant_hears_of_its_own_rooms_signed_by_its_own_key(tmp_path: Path) -> None:
    async with World().running(tmp_path) as world:
        world.set(replace(ACME, webhook_urls=(world.urls[0],)), replace(BOLT, webhook_urls=(world.urls[1],)))
        for tenant in (ACME.tenant, BOLT.tenant, PLATFORM):
            world.start(tenant)
        await eventually("everybody was told", lambda: not world.webhooks.waiting)
    for hook, tenant in ((world.acme, ACME.tenant), (world.bolt, BOLT.tenant)):
        assert [(e["room"]["sid"], e["room"]["name"]) for e in hook.events] == [(f"RM_{tenant}", "lobby")]
        assert "tenant" not in hook.events[0]
        assert not hook.refused
    assert [event.get("tenant", PLATFORM) for event in world.ours.events] == [ACME.tenant, BOLT.tenant, PLATFORM]
    assert not world.ours.refused


async def test_two_tenants_that_name_one_url_are_told_there_each_under_its_own_key(tmp_path: Path) -> None:
    async with World().running(tmp_path) as world:
        shared = (world.urls[0],)
        world.set(replace(ACME, webhook_urls=shared), replace(BOLT, webhook_urls=shared))
        world.start(ACME.tenant)
        world.start(BOLT.tenant)
        await eventually("both were told", lambda: not world.webhooks.waiting)
    assert [event["room"]["sid"] for event in world.acme.events] == ["RM_org_acme"]
    assert len(world.acme.refused) == 1  # signed by the other's key, as the receiver can tell


async def test_a_url_that_is_taken_away_hears_nothing_more_and_leaves_nothing(tmp_path: Path) -> None:
    async with World().running(tmp_path) as world:
        world.set(replace(ACME, webhook_urls=(world.urls[0],)))
        world.start(ACME.tenant, "first")
        await eventually("it was told", lambda: len(world.acme.events) == 1)
        world.set(ACME)
        world.start(ACME.tenant, "second")
        await eventually("the gateway was told", lambda: len(world.ours.events) == 2)
        await eventually("its journal is gone", lambda: not list((tmp_path / "tenants").iterdir()))
    assert len(world.acme.events) == 1


async def test_what_a_tenant_could_not_be_told_waits_for_the_next_start(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/"
    async with World().running(tmp_path) as world:
        world.set(replace(ACME, webhook_urls=(nobody,)))
        world.start(ACME.tenant)
    async with World().running(tmp_path) as world:
        world.set(replace(ACME, webhook_urls=(nobody,)))
        assert world.webhooks.waiting == 1


async def test_a_tenants_webhook_never_goes_to_this_machine_or_network(tmp_path: Path) -> None:
    async with World().running(tmp_path, private=False) as world:
        port = httpx.URL(world.urls[0]).port
        urls = tuple(
            f"http://{host}:{port}/" for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433")
        )
        world.set(replace(ACME, webhook_urls=urls))
        world.start(ACME.tenant)
        await eventually("all were given up", lambda: not world.webhooks.waiting)
    assert not world.acme.events
    assert not world.acme.refused
    assert len(world.ours.events) == 1  # our own gateway may be anywhere


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),  # noqa: S104 (not bound to)
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_a_name_that_leads_to_this_machine_is_refused_before_connecting() -> None:
    async with httpx.AsyncClient(transport=PublicOnly()) as client:
        with pytest.raises(NotPublic):
            await client.get("http://localhost:1/")
