"""What rooms install: routers, the media server's client, the closing of deleted rooms, the event stream."""

from auralink.identity import People
from auralink.kit.assembly import Assembly
from auralink.kit.livekit import LiveKitSettings
from auralink.kit.outbox import EventStreams, Relay
from auralink.orgs import Organizations
from auralink.rooms.forgetting import report_forgetting
from auralink.rooms.guest_limit import GuestLimit
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
from auralink.rooms.settings import MediaAddresses, RoomsSettings
from auralink.rooms.store import RoomStore
from auralink.rooms.tenant_rooms import TenantRooms
from auralink.rooms.webhook import WebhookReader


def install(
    assembly: Assembly,
    *,
    organizations: Organizations,
    people: People,
    media: MediaControl | None = None,
) -> Rooms:
    """`media` replaces the LiveKit server API, for tests."""
    settings = assembly.settings(RoomsSettings)
    livekit_settings = assembly.settings(LiveKitSettings)
    addresses = MediaAddresses(settings, livekit_settings)
    key = livekit_settings.livekit_api_key.get_secret_value()
    secret = livekit_settings.livekit_api_secret.get_secret_value()
    database, clock, store, history_store = assembly.database, assembly.clock, RoomStore(), HistoryStore()
    if media is None:
        livekit = LiveKitMedia(addresses.for_us, key, secret, timeout=settings.media_timeout)
        assembly.resource("livekit", livekit.running)
        media = livekit

    rooms = RoomService(store, organizations, clock)
    joining = Joining(database, store, rooms, people, JoinTokens(key, secret, settings.join_token_life), clock)
    history = RoomHistory(database, history_store, people, clock)
    streams = EventStreams(database, assembly.notifier, clock)

    gateway = assembly.server("gateway")
    gateway.add_router(rooms_router(rooms, LiveRooms(database, rooms, media)))
    gateway.add_router(invites_router(rooms))
    gateway.add_router(joining_router(joining, addresses.for_client, GuestLimit(assembly.rate_limiter, settings)))
    gateway.add_router(events_router(streams))
    gateway.add_router(webhook_router(WebhookReader(key, secret), history, TenantRooms(database, history_store, clock)))

    async def end_streams() -> None:
        streams.close()

    assembly.drain("event-streams", end_streams)
    assembly.task("rooms-relay", Relay(database, assembly.notifier, "rooms", DeletedRooms(media).handle).run)
    assembly.task("rooms-forgetting", report_forgetting(database, history_store, clock).run)
    return rooms
