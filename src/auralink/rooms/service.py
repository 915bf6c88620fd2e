"""Rooms and their invites, for members of the room's organisation."""

import secrets
from datetime import timedelta

from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Tx
from auralink.kit.ids import OrgId, RoomId
from auralink.kit.pagination import PageRequest
from auralink.orgs import Organizations
from auralink.rooms.domain import (
    Invite,
    InviteId,
    JoinPolicy,
    Participant,
    Room,
    RoomSettings,
    RoomView,
    Standing,
)
from auralink.rooms.errors import InviteNotFound, NotRoomHost, RoomNotFound
from auralink.rooms.events import RoomCreated, RoomDeleted, RoomUpdated
from auralink.rooms.store import RoomStore

_CODE_BYTES = 16


class RoomService:
    def __init__(self, store: RoomStore, organizations: Organizations, clock: Clock) -> None:
        self._store = store
        self._organizations = organizations
        self._clock = clock

    async def create(self, tx: Tx, caller: Principal, settings: RoomSettings, org_id: OrgId | None) -> RoomView:
        """A room that takes guests has an invite from the start."""
        now = self._clock.now()
        home = self._organizations.home_of(caller, org_id)
        room = Room(RoomId.new(), home, caller.user_id, settings, now, now)
        await self._store.add(tx, room)
        tx.emit(
            RoomCreated(
                org_id=home,
                room_id=room.id,
                occurred_at=now,
                name=settings.name,
                join_policy=settings.join_policy.value,
                created_by=caller.user_id,
            )
        )
        await self._give_it_an_invite(tx, caller, room)
        return await self._store.view(tx, room, now)

    async def page(self, tx: Tx, caller: Principal, request: PageRequest) -> tuple[list[RoomView], str | None]:
        return await self._store.page(tx, list(caller.roles), request, self._clock.now())

    async def view(self, tx: Tx, caller: Principal, room_id: RoomId) -> RoomView:
        return await self._store.view(tx, await self.get(tx, caller, room_id), self._clock.now())

    async def get(self, tx: Tx, caller: Principal, room_id: RoomId) -> Room:
        """Raises RoomNotFound, also for rooms of organisations the caller does not belong to."""
        room = await self._store.get(tx, room_id)
        if room is None or self.standing(caller, room) is Standing.STRANGER:
            raise RoomNotFound
        return room

    async def get_as_host(self, tx: Tx, caller: Principal, room_id: RoomId) -> Room:
        """Raises NotRoomHost for a member who may see the room but not run it."""
        room = await self.get(tx, caller, room_id)
        if self.standing(caller, room) is not Standing.HOST:
            raise NotRoomHost
        return room

    async def change(self, tx: Tx, caller: Principal, room_id: RoomId, changes: dict[str, object]) -> RoomView:
        """Limits and metadata hold from the room's next opening, since they travel in join tokens."""
        await self.get_as_host(tx, caller, room_id)
        now = self._clock.now()
        room = await self._store.change(tx, room_id, changes, now)
        tx.emit(RoomUpdated(org_id=room.org_id, room_id=room.id, occurred_at=now, changed=tuple(sorted(changes))))
        view = await self._store.view(tx, room, now)
        if view.invite_code is None and "join_policy" in changes:
            await self._give_it_an_invite(tx, caller, room)
            view = await self._store.view(tx, room, now)
        return view

    async def delete(self, tx: Tx, caller: Principal, room_id: RoomId) -> None:
        """The media server is told by a handler of RoomDeleted, again and again until it has heard."""
        room = await self.get_as_host(tx, caller, room_id)
        now = self._clock.now()
        await self._store.delete(tx, room_id, now)
        tx.emit(RoomDeleted(org_id=room.org_id, room_id=room.id, occurred_at=now))

    async def invite(self, tx: Tx, caller: Principal, room_id: RoomId, life: timedelta | None) -> Invite:
        """A further invite; those made before go on working until they are revoked."""
        room = await self.get(tx, caller, room_id)
        return await self._add_invite(tx, caller, room, life)

    async def invites(
        self, tx: Tx, caller: Principal, room_id: RoomId, request: PageRequest
    ) -> tuple[list[Invite], str | None]:
        await self.get(tx, caller, room_id)
        return await self._store.open_invites(tx, room_id, request, self._clock.now())

    async def revoke_invite(self, tx: Tx, caller: Principal, room_id: RoomId, invite_id: InviteId) -> None:
        await self.get_as_host(tx, caller, room_id)
        if not await self._store.revoke_invite(tx, room_id, invite_id, self._clock.now()):
            raise InviteNotFound

    async def history(
        self, tx: Tx, caller: Principal, room_id: RoomId, request: PageRequest
    ) -> tuple[list[Participant], str | None]:
        """Everyone who was ever in the room."""
        await self.get(tx, caller, room_id)
        return await self._store.participants(tx, room_id, request)

    def standing(self, caller: Principal, room: Room) -> Standing:
        role = self._organizations.role_of(caller, room.org_id)
        if role is None:
            return Standing.STRANGER
        is_host = role.manages or (room.created_by is not None and room.created_by == caller.user_id)
        return Standing.HOST if is_host else Standing.MEMBER

    async def _give_it_an_invite(self, tx: Tx, caller: Principal, room: Room) -> None:
        if room.settings.join_policy is not JoinPolicy.MEMBERS:
            await self._add_invite(tx, caller, room, None)

    async def _add_invite(self, tx: Tx, caller: Principal, room: Room, life: timedelta | None) -> Invite:
        now = self._clock.now()
        invite = Invite(
            id=InviteId.new(),
            room_id=room.id,
            code=secrets.token_urlsafe(_CODE_BYTES),
            created_at=now,
            expires_at=now + life if life else None,
            revoked_at=None,
        )
        await self._store.add_invite(tx, room, invite, caller.user_id)
        return invite
