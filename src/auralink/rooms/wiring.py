"""What rooms install: routers, the media server's client, the closing of deleted rooms, the event stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from auralink.identity import People
from auralink.kit.assembly import Assembly
from auralink.kit.outbox import EventStreams, Relay
from auralink.kit.ratelimit import RateLimiter
from auralink.orgs import Organizations
from auralink.rooms.forgetting import Forgetting
from auralink.rooms.handlers import DeletedRooms
from auralink.rooms.history import RoomHistory
from auralink.rooms.history_store import HistoryStore
from auralink.rooms.http import events_router, invites_router, joining_router, rooms_router, webhook_router
from auralink.rooms.interface import Rooms
from auralink.rooms.join_tokens import JoinTokens
from auralink.rooms.joining import Joining
from auralink.rooms.live import LiveRooms
from auralink.rooms.livekit_media import LiveKitMedia
from auralink.rooms.ports import MediaControl
from auralink.rooms.service import RoomService
from auralink.rooms.settings import RoomsSettings
from auralink.rooms.store import RoomStore
from auralink.rooms.webhook import WebhookReader


def install(
    assembly: Assembly,
    *,
    organizations: Organizations,
    people: People,
    limiter: RateLimiter,
    media: MediaControl | None = None,
) -> Rooms:
    """`media` replaces the LiveKit server API, for tests."""
    settings = assembly.settings(RoomsSettings)
    key, secret = settings.livekit_api_key, settings.livekit_api_secret.get_secret_value()
    database, clock, store, history_store = assembly.database, assembly.clock, RoomStore(), HistoryStore()
    if media is None:
        livekit = LiveKitMedia(settings.server_url, key, secret, timeout=settings.media_timeout)
        assembly.resource("livekit", livekit.running)
        media = livekit

    rooms = RoomService(store, organizations, clock)
    joining = Joining(database, store, rooms, people, JoinTokens(key, secret, settings.join_token_life), clock)
    history = RoomHistory(history_store, people, clock)
    streams = EventStreams(database, assembly.notifier, clock)

    gateway = assembly.server("gateway")
    gateway.add_router(rooms_router(rooms, LiveRooms(database, rooms, media)))
    gateway.add_router(invites_router(rooms))
    gateway.add_router(joining_router(joining, settings.client_url, limiter, settings.guest_limit_per_address))
    gateway.add_router(events_router(streams))
    gateway.add_router(webhook_router(WebhookReader(key, secret), history))

    assembly.resource("event-streams", lambda: _closing(streams))
    assembly.task("rooms-relay", Relay(database, assembly.notifier, "rooms", DeletedRooms(media).handle).run)
    assembly.task("rooms-forgetting", Forgetting(database, history_store, clock).run)
    return rooms


@asynccontextmanager
async def _closing(streams: EventStreams) -> AsyncIterator[None]:
    try:
        yield
    finally:
        streams.close()
