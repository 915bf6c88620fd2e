"""Ways into a room: one's account, or an invite."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Request

from auralink.kit.errors import InvalidInput, RateLimited, Unauthenticated, Unavailable
from auralink.kit.http import Caller
from auralink.kit.http.responses import problems
from auralink.kit.ids import RoomId
from auralink.rooms.errors import InviteNotFound, RoomNotFound
from auralink.rooms.guest_limit import GuestLimit
from auralink.rooms.joining import Admission, Joining
from auralink.rooms.schemas import GuestJoinIn, InvitationOut, JoinIn, JoinOut

ClientAddress = Callable[[str, str], str]
"""Scheme and host a client reached us by -> the media server's address for that client."""

Code = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{20,64}$")]


def joining_router(joining: Joining, client_url: ClientAddress, limit: GuestLimit) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["joining"])

    def answer(request: Request, admission: Admission) -> JoinOut:
        return JoinOut(
            token=admission.token,
            url=client_url(request.url.scheme, request.url.hostname or "localhost"),
            identity=admission.identity,
            room=admission.room.wire_name,
            expires_in=admission.expires_in_seconds,
        )

    @router.post(
        "/rooms/{room_id}/token",
        status_code=201,
        operation_id="createJoinToken",
        responses=problems(Unauthenticated, RoomNotFound, InvalidInput, Unavailable),
    )
    async def create_join_token(
        room_id: RoomId, request: Request, caller: Caller, body: JoinIn | None = None
    ) -> JoinOut:
        """A token to join with, as oneself. Works in rooms of one's organisations and in open rooms."""
        return answer(request, await joining.join(caller, room_id, body.display_name if body else None))

    @router.get(
        "/invites/{code}", operation_id="getInvitation", responses=problems(InviteNotFound, RateLimited, Unavailable)
    )
    async def get_invitation(code: Code, request: Request) -> InvitationOut:
        """What an invite is to; needs no account."""
        await limit.check(request)
        return InvitationOut.of(await joining.look_at_invite(code))

    @router.post(
        "/invites/{code}/token",
        status_code=201,
        operation_id="createGuestToken",
        responses=problems(InviteNotFound, InvalidInput, RateLimited, Unavailable),
    )
    async def create_guest_token(code: Code, request: Request, body: GuestJoinIn) -> JoinOut:
        """A token to join with as a guest; needs no account."""
        await limit.check(request)
        return answer(request, await joining.join_as_guest(code, body.display_name))

    return router
