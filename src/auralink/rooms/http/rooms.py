"""Rooms themselves, and who is in them."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query

from auralink.kit.errors import InvalidInput, Unauthenticated, Unavailable
from auralink.kit.http import Caller, Transaction
from auralink.kit.http.responses import problems
from auralink.kit.ids import RoomId
from auralink.kit.pagination import Page, Paging
from auralink.orgs import OrganizationNotFound
from auralink.rooms.errors import MediaUnavailable, NotRoomHost, ParticipantNotFound, RoomNotFound
from auralink.rooms.live import LiveRooms
from auralink.rooms.schemas import ParticipantOut, RoomChangeIn, RoomIn, RoomOut
from auralink.rooms.service import RoomService


class When(StrEnum):
    NOW = "now"
    EVER = "ever"


Identity = Annotated[str, Path(min_length=1, max_length=256)]


def rooms_router(rooms: RoomService, live: LiveRooms) -> APIRouter:
    router = APIRouter(prefix="/api/v1/rooms", tags=["rooms"])

    @router.post(
        "",
        status_code=201,
        operation_id="createRoom",
        responses=problems(Unauthenticated, OrganizationNotFound, InvalidInput, Unavailable),
    )
    async def create_room(body: RoomIn, caller: Caller, tx: Transaction) -> RoomOut:
        """Create a room in one's organisation. One that takes guests comes with an invite."""
        return RoomOut.of(await rooms.create(tx, caller, body.settings(), body.org_id))

    @router.get("", operation_id="listRooms", responses=problems(Unauthenticated, InvalidInput, Unavailable))
    async def list_rooms(paging: Paging, caller: Caller, tx: Transaction) -> Page[RoomOut]:
        """The rooms of the caller's organisations, newest first."""
        views, cursor = await rooms.page(tx, caller, paging)
        return Page(items=[RoomOut.of(view) for view in views], next_cursor=cursor)

    @router.get("/{room_id}", operation_id="getRoom", responses=problems(Unauthenticated, RoomNotFound, Unavailable))
    async def get_room(room_id: RoomId, caller: Caller, tx: Transaction) -> RoomOut:
        """One room of the caller's organisations."""
        return RoomOut.of(await rooms.view(tx, caller, room_id))

    @router.patch(
        "/{room_id}",
        operation_id="updateRoom",
        responses=problems(Unauthenticated, NotRoomHost, RoomNotFound, InvalidInput, Unavailable),
    )
    async def update_room(room_id: RoomId, body: RoomChangeIn, caller: Caller, tx: Transaction) -> RoomOut:
        """Change a room, as its host. Limits and metadata hold from its next opening."""
        return RoomOut.of(await rooms.change(tx, caller, room_id, body.changes()))

    @router.delete(
        "/{room_id}",
        status_code=204,
        operation_id="deleteRoom",
        responses=problems(Unauthenticated, NotRoomHost, RoomNotFound, Unavailable),
    )
    async def delete_room(room_id: RoomId, caller: Caller, tx: Transaction) -> None:
        """Delete a room, as its host. Whoever is in it is sent out."""
        await rooms.delete(tx, caller, room_id)

    @router.get(
        "/{room_id}/participants",
        operation_id="listParticipants",
        responses=problems(Unauthenticated, RoomNotFound, InvalidInput, MediaUnavailable),
    )
    async def list_participants(
        room_id: RoomId,
        paging: Paging,
        caller: Caller,
        when: Annotated[When, Query()] = When.NOW,
    ) -> Page[ParticipantOut]:
        """Who is in the room now, asked of the media server, or who ever was, from history."""
        found, cursor = await (
            live.present(caller, room_id) if when is When.NOW else live.history(caller, room_id, paging)
        )
        return Page(items=[ParticipantOut.of(participant) for participant in found], next_cursor=cursor)

    @router.delete(
        "/{room_id}/participants/{identity}",
        status_code=204,
        operation_id="removeParticipant",
        responses=problems(Unauthenticated, NotRoomHost, RoomNotFound, ParticipantNotFound, MediaUnavailable),
    )
    async def remove_participant(room_id: RoomId, identity: Identity, caller: Caller) -> None:
        """Send someone out of the room, as its host. Their token can still be used until it expires."""
        await live.remove(caller, room_id, identity)

    return router
