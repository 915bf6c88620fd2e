"""Routes of rooms: /rooms, /invites, /events, /livekit/webhook."""

from auralink.rooms.http.events import events_router
from auralink.rooms.http.invites import invites_router
from auralink.rooms.http.joining import ClientAddress, joining_router
from auralink.rooms.http.rooms import rooms_router
from auralink.rooms.http.webhook import webhook_router

__all__ = ["ClientAddress", "events_router", "invites_router", "joining_router", "rooms_router", "webhook_router"]
