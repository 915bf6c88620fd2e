"""Reactions to events: a deleted room is closed on the media server too."""

from auralink.kit.db import Tx
from auralink.kit.outbox import StoredEvent
from auralink.rooms.events import RoomDeleted, RoomRevived
from auralink.rooms.ports import MediaControl


class DeletedRooms:
    """Closing is idempotent. While the media server is away the relay keeps the event and comes back to it."""

    def __init__(self, media: MediaControl) -> None:
        self._media = media

    async def handle(self, _: Tx, event: StoredEvent) -> None:
        if event.type in (RoomDeleted.type, RoomRevived.type) and event.room_id is not None:
            await self._media.close_room(event.room_id)
