"""Who may enter a room, and the token that lets them.

Doors are looked up as the system, because someone outside the organisation cannot see its rows; what decides is
`Room.admits`.
"""

from dataclasses import dataclass

from auralink.identity import People
from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database
from auralink.kit.errors import Forbidden
from auralink.kit.ids import RoomId
from auralink.rooms.domain import GuestId, Room, Standing
from auralink.rooms.errors import InviteNotFound, RoomNotFound
from auralink.rooms.join_tokens import JoinTokens
from auralink.rooms.service import RoomService
from auralink.rooms.store import RoomStore


@dataclass(frozen=True, slots=True)
class Admission:
    room: Room
    identity: str
    token: str
    expires_in_seconds: int


class Joining:
    def __init__(
        self,
        database: Database,
        store: RoomStore,
        rooms: RoomService,
        people: People,
        tokens: JoinTokens,
        clock: Clock,
    ) -> None:
        self._database = database
        self._store = store
        self._rooms = rooms
        self._people = people
        self._tokens = tokens
        self._clock = clock

    async def join(self, caller: Principal, room_id: RoomId, display_name: str | None) -> Admission:
        """Raises RoomNotFound for a room that is not there and for one that does not admit the caller."""
        if caller.user_id is None:
            raise Forbidden("Only people join by the id of a room.")
        async with self._database.transaction(Principal.system()) as tx:
            room = await self._store.get(tx, room_id)
            standing = self._rooms.standing(caller, room) if room else Standing.STRANGER
            if room is None or not room.admits(standing):
                raise RoomNotFound
            name = display_name or (await self._people.get(tx, caller.user_id)).name
        return self._admit(room, str(caller.user_id), name, standing)

    async def look_at_invite(self, code: str) -> Room:
        """The room an invite opens. Raises InviteNotFound."""
        async with self._database.transaction(Principal.system()) as tx:
            room = await self._store.invited_room(tx, code, self._clock.now())
        if room is None or not room.admits(Standing.GUEST):
            raise InviteNotFound
        return room

    async def join_as_guest(self, code: str, display_name: str) -> Admission:
        """Raises InviteNotFound. Each time a new identity: a guest is nobody beyond one visit."""
        room = await self.look_at_invite(code)
        return self._admit(room, str(GuestId.new()), display_name, Standing.GUEST)

    def _admit(self, room: Room, identity: str, name: str, standing: Standing) -> Admission:
        token = self._tokens.mint(room, identity, name, standing)
        return Admission(room, identity, token, int(self._tokens.life.total_seconds()))
