"""Rooms as they are at this moment. No transaction is open while the media server is asked."""

from collections.abc import Sequence

from auralink.kit.auth import Principal
from auralink.kit.db import Database
from auralink.kit.ids import RoomId
from auralink.kit.pagination import PageRequest
from auralink.rooms.domain import Participant
from auralink.rooms.ports import MediaControl
from auralink.rooms.service import RoomService


class LiveRooms:
    def __init__(self, database: Database, rooms: RoomService, media: MediaControl) -> None:
        self._database = database
        self._rooms = rooms
        self._media = media

    async def present(self, caller: Principal, room_id: RoomId) -> tuple[Sequence[Participant], None]:
        """Everyone in the room now: one page, as rooms are bounded. Raises RoomNotFound, MediaUnavailable."""
        async with self._database.transaction(caller) as tx:
            await self._rooms.get(tx, caller, room_id)
        return await self._media.participants(room_id), None

    async def history(
        self, caller: Principal, room_id: RoomId, request: PageRequest
    ) -> tuple[Sequence[Participant], str | None]:
        """Everyone who was ever in the room."""
        async with self._database.transaction(caller) as tx:
            return await self._rooms.history(tx, caller, room_id, request)

    async def remove(self, caller: Principal, room_id: RoomId, identity: str) -> None:
        """Raises NotRoomHost, ParticipantNotFound."""
        async with self._database.transaction(caller) as tx:
            await self._rooms.get_as_host(tx, caller, room_id)
        await self._media.remove_participant(room_id, identity)
