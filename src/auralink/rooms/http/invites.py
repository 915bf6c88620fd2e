"""Invites of a room, for its members."""

from datetime import timedelta

from fastapi import APIRouter

from auralink.kit.errors import InvalidInput, Unauthenticated, Unavailable
from auralink.kit.http import Caller, Transaction
from auralink.kit.http.responses import problems
from auralink.kit.ids import RoomId
from auralink.kit.pagination import Page, Paging
from auralink.rooms.domain import InviteId
from auralink.rooms.errors import InviteNotFound, NotRoomHost, RoomNotFound
from auralink.rooms.schemas import InviteIn, InviteOut
from auralink.rooms.service import RoomService


def invites_router(rooms: RoomService) -> APIRouter:
    router = APIRouter(prefix="/api/v1/rooms/{room_id}/invites", tags=["invites"])

    @router.post(
        "",
        status_code=201,
        operation_id="createInvite",
        responses=problems(Unauthenticated, RoomNotFound, InvalidInput, Unavailable),
    )
    async def create_invite(room_id: RoomId, body: InviteIn, caller: Caller, tx: Transaction) -> InviteOut:
        """A further invite to the room. It lets guests in unless the room is for members only."""
        life = timedelta(hours=body.expires_in_hours) if body.expires_in_hours else None
        return InviteOut.of(await rooms.invite(tx, caller, room_id, life))

    @router.get(
        "", operation_id="listInvites", responses=problems(Unauthenticated, RoomNotFound, InvalidInput, Unavailable)
    )
    async def list_invites(room_id: RoomId, paging: Paging, caller: Caller, tx: Transaction) -> Page[InviteOut]:
        """The invites that work, newest first."""
        found, cursor = await rooms.invites(tx, caller, room_id, paging)
        return Page(items=[InviteOut.of(invite) for invite in found], next_cursor=cursor)

    @router.delete(
        "/{invite_id}",
        status_code=204,
        operation_id="revokeInvite",
        responses=problems(Unauthenticated, NotRoomHost, RoomNotFound, InviteNotFound, Unavailable),
    )
    async def revoke_invite(room_id: RoomId, invite_id: InviteId, caller: Caller, tx: Transaction) -> None:
        """Make an invite worthless, as the room's host. Who is in already stays."""
        await rooms.revoke_invite(tx, caller, room_id, invite_id)

    return router
