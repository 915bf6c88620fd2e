"""LiveKit's AgentDispatchService: agents are sent into rooms, and called back, by name."""

from livekit.protocol.agent_dispatch import (
    AgentDispatch,
    CreateAgentDispatchRequest,
    DeleteAgentDispatchRequest,
    ListAgentDispatchRequest,
    ListAgentDispatchResponse,
    RoomAgentDispatch,
)

from auralink.media.agent_jobs import AgentJobs, TooManyDispatches
from auralink.media.agent_socket import deployment_problem
from auralink.media.room import RoomKey
from auralink.media.rooms import Rooms
from auralink.media.tokens import Claims
from auralink.media.twirp import ATTRIBUTES_TOO_LARGE, METADATA_TOO_LARGE, size_of
from auralink.media.twirp_server import Method, TwirpError, permit


class AgentDispatchService:
    def __init__(self, rooms: Rooms, jobs: AgentJobs) -> None:
        self._rooms = rooms
        self._jobs = jobs

    def methods(self) -> dict[str, Method]:
        return {
            "CreateDispatch": Method(CreateAgentDispatchRequest, self._create),
            "DeleteDispatch": Method(DeleteAgentDispatchRequest, self._delete),
            "ListDispatch": Method(ListAgentDispatchRequest, self._list),
        }

    def _create(self, request: CreateAgentDispatchRequest, claims: Claims) -> AgentDispatch:
        """Makes the room too, where rooms are made by themselves."""
        _administers(request.room, claims)
        if problem := deployment_problem(request.deployment):
            raise TwirpError("invalid_argument", problem)
        if len(request.metadata.encode()) > self._rooms.limits.metadata_bytes:
            raise TwirpError("invalid_argument", METADATA_TOO_LARGE)
        if size_of(request.attributes) > self._rooms.limits.attributes_bytes:
            raise TwirpError("invalid_argument", ATTRIBUTES_TOO_LARGE)
        room = self._rooms.find(request.room, tenant=claims.tenant)
        if room is None and not self._rooms.defaults.auto_create:
            raise _missing()
        room = room or self._rooms.open(request.room, tenant=claims.tenant)
        wanted = RoomAgentDispatch(
            agent_name=request.agent_name,
            metadata=request.metadata,
            attributes=request.attributes,
            restart_policy=request.restart_policy,
            deployment=request.deployment,
        )
        try:
            return self._jobs.dispatch(room, wanted).shown()
        except TooManyDispatches as error:
            raise TwirpError("resource_exhausted", "the room has as many dispatches as it may have") from error

    def _delete(self, request: DeleteAgentDispatchRequest, claims: Claims) -> AgentDispatch:
        key = self._existing(request.room, claims)
        dispatch = self._jobs.delete(key, request.dispatch_id)
        if dispatch is None:
            raise TwirpError("not_found", "dispatch ID not found")
        return dispatch.shown()

    def _list(self, request: ListAgentDispatchRequest, claims: Claims) -> ListAgentDispatchResponse:
        key = self._existing(request.room, claims)
        found = self._jobs.dispatches(key, request.dispatch_id)
        return ListAgentDispatchResponse(agent_dispatches=[dispatch.shown() for dispatch in found])

    def _existing(self, name: str, claims: Claims) -> RoomKey:
        _administers(name, claims)
        room = self._rooms.find(name, tenant=claims.tenant)
        if room is None:
            raise _missing()
        return room.key


def _administers(room: str, claims: Claims) -> None:
    permit(claims.video.room_admin and claims.video.room == room, "roomAdmin of this room")


def _missing() -> TwirpError:
    return TwirpError("not_found", "requested room does not exist")
