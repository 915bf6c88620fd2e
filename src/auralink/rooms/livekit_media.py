"""The media server through LiveKit's own server API (Twirp), ours or any other."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

import aiohttp
from livekit.api import (
    DeleteRoomRequest,
    ListParticipantsRequest,
    LiveKitAPI,
    RoomParticipantIdentity,
    TwirpError,
)
from livekit.protocol.models import ParticipantInfo, TrackInfo, TrackSource, TrackType

from auralink.kit.errors import AuraError, Timeout, Unavailable
from auralink.kit.ids import RoomId
from auralink.kit.resilience import Policy
from auralink.rooms.domain import Participant, ParticipantStatus, Track
from auralink.rooms.errors import MediaUnavailable, ParticipantNotFound

T = TypeVar("T")

_NOT_FOUND = "not_found"


class LiveKitMedia:
    """Owner of one HTTP session, between `running()`'s beginning and end."""

    def __init__(self, url: str, api_key: str, api_secret: str, *, timeout: float) -> None:
        self._url = url
        self._api_key = api_key
        self._api_secret = api_secret
        self._timeout = timeout
        self._policy = Policy("livekit", timeout=timeout, attempts=2, retry_on=_is_outage)
        self._api: LiveKitAPI | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        total = aiohttp.ClientTimeout(total=self._timeout)
        self._api = LiveKitAPI(self._url, self._api_key, self._api_secret, timeout=total, failover=False)
        try:
            yield
        finally:
            api, self._api = self._api, None
            await api.aclose()

    async def participants(self, room_id: RoomId) -> Sequence[Participant]:
        try:
            answer = await self._ask(lambda api: api.room.list_participants(ListParticipantsRequest(room=str(room_id))))
        except _Absent:
            return ()
        return [_participant(info) for info in answer.participants]

    async def close_room(self, room_id: RoomId) -> None:
        try:
            await self._ask(lambda api: api.room.delete_room(DeleteRoomRequest(room=str(room_id))))
        except _Absent:
            return

    async def remove_participant(self, room_id: RoomId, identity: str) -> None:
        who = RoomParticipantIdentity(room=str(room_id), identity=identity)
        await self._ask_about_someone(lambda api: api.room.remove_participant(who))

    async def _ask_about_someone(self, call: Callable[[LiveKitAPI], Awaitable[T]]) -> T:
        try:
            return await self._ask(call)
        except _Absent:
            raise ParticipantNotFound from None

    async def _ask(self, call: Callable[[LiveKitAPI], Awaitable[T]], *, attempts: int | None = None) -> T:
        """Raises _Absent for what is not there, MediaUnavailable for everything that is not an answer."""
        api = self._api
        if api is None:
            raise MediaUnavailable("The connection to the media server is not open.")
        try:
            return await self._policy.run(lambda: call(api), attempts=attempts)
        except TwirpError as error:
            if error.code == _NOT_FOUND:
                raise _Absent from None
            raise MediaUnavailable(f"The media server refused the request ({error.code}).") from error
        except (aiohttp.ClientError, OSError) as error:
            raise MediaUnavailable("The media server cannot be reached; calls under way may still go on.") from error
        except (Timeout, Unavailable) as error:
            raise MediaUnavailable(error.detail) from error


class _Absent(Exception):
    """The media server does not know the room or the participant."""


def _is_outage(error: BaseException) -> bool:
    """Not being reached, or a server's own failure; a refusal is an answer."""
    if isinstance(error, TwirpError):
        return error.status >= 500
    if isinstance(error, AuraError):
        return error.retryable
    return isinstance(error, (aiohttp.ClientError, OSError, TimeoutError))


def _participant(info: ParticipantInfo) -> Participant:
    joined_ms = info.joined_at_ms or info.joined_at * 1000
    return Participant(
        sid=info.sid,
        identity=info.identity,
        name=info.name,
        kind=ParticipantInfo.Kind.Name(info.kind).lower(),
        status=ParticipantStatus.JOINED,
        joined_at=datetime.fromtimestamp(joined_ms / 1000, UTC),
        left_at=None,
        leave_reason=None,
        tracks=tuple(_track(track) for track in info.tracks),
    )


def _track(info: TrackInfo) -> Track:
    return Track(
        sid=info.sid,
        kind=TrackType.Name(info.type).lower(),
        source=TrackSource.Name(info.source).lower(),
        name=info.name,
        muted=info.muted,
    )
