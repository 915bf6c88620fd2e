"""What rooms need from elsewhere."""

from collections.abc import Sequence
from typing import Protocol

from auralink.kit.ids import RoomId
from auralink.rooms.domain import Participant


class MediaControl(Protocol):
    """The media server's own API. Everything raises MediaUnavailable when it does not answer."""

    async def participants(self, room_id: RoomId) -> Sequence[Participant]:
        """Who is in the room now; empty when it is not open."""

    async def close_room(self, room_id: RoomId) -> None:
        """Send everyone out; they are told that the room was deleted. A room that is not open is fine."""

    async def remove_participant(self, room_id: RoomId, identity: str) -> None:
        """Raises ParticipantNotFound."""
