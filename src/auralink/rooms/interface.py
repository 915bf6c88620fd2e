"""What other domains may ask of rooms."""

from typing import Protocol

from auralink.kit.auth import Principal
from auralink.kit.db import Tx
from auralink.kit.ids import RoomId
from auralink.rooms.domain import Room, Standing


class Rooms(Protocol):
    async def get(self, tx: Tx, caller: Principal, room_id: RoomId) -> Room:
        """Raises RoomNotFound, also for rooms of organisations the caller does not belong to."""

    def standing(self, caller: Principal, room: Room) -> Standing:
        """What the caller is to the room."""
