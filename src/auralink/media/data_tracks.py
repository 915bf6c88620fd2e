"""Data tracks of a room: who publishes which, who takes them, under which handle. Their packets never come here.

A packet's header carries a handle: the publisher's own on the way in, one of the subscriber's own on the way out. The
engine rewrites it; here the handles are given out and told.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from livekit.protocol.models import DataTrackFrameEncoding, DataTrackInfo, DataTrackSchemaEncoding
from livekit.protocol.rtc import (
    DataTrackSubscriberHandles,
    PublishDataTrackRequest,
    PublishDataTrackResponse,
    RequestResponse,
    SignalResponse,
    UnpublishDataTrackRequest,
    UnpublishDataTrackResponse,
    UpdateDataSubscription,
)

from auralink.media.engine import Engine
from auralink.media.limits import Limits
from auralink.media.participant import DataTrack, Participant
from auralink.media.sids import new_sid

_HANDLES = 65_536
_FIRST_HANDLES = 256
"""Subscribers' handles start at a random one of these, so that nobody takes them for the publisher's."""

Refusal = tuple["RequestResponse.Reason", str]


@dataclass
class DataTracks:
    engine: Engine
    new_id: Callable[[], int]
    participants: Mapping[str, Participant]
    """The room's own, by identity."""
    tell: Callable[[Participant], None]
    """Announces a changed participant to the others."""
    _by_sid: dict[str, DataTrack] = field(default_factory=dict)

    # --- publishing ----------------------------------------------------------------------------------------------

    def publish(self, me: Participant, request: PublishDataTrackRequest, limits: Limits) -> None:
        if refusal := _refusal(me, request, limits):
            reason, message = refusal
            echo = PublishDataTrackRequest(pub_handle=request.pub_handle, name=request.name[: limits.name_bytes])
            me.send(
                SignalResponse(
                    request_response=RequestResponse(reason=reason, message=message, publish_data_track=echo)
                )
            )
            return
        info = DataTrackInfo(
            pub_handle=request.pub_handle,
            sid=new_sid("DTR_"),
            name=request.name,
            encryption=request.encryption,
            frame_encoding=request.frame_encoding if request.HasField("frame_encoding") else None,
            schema=request.schema if request.HasField("schema") else None,
        )
        track = DataTrack(self.new_id(), info, me)
        me.data_tracks[info.sid] = self._by_sid[info.sid] = track
        self.engine.publish_data(me.peer, track.id, info.pub_handle)
        self.tell(me)
        for other in self.participants.values():
            self._follow(other, [track])
        me.send(SignalResponse(publish_data_track_response=PublishDataTrackResponse(info=info)))

    def unpublish(self, me: Participant, request: UnpublishDataTrackRequest) -> None:
        track = next((t for t in me.data_tracks.values() if t.info.pub_handle == request.pub_handle), None)
        if track is None:
            missing = RequestResponse(reason=RequestResponse.NOT_FOUND, unpublish_data_track=request)
            me.send(SignalResponse(request_response=missing))
            return
        self._end(track)
        self._tell_ended(track)
        self.tell(me)

    def _end(self, track: DataTrack) -> None:
        me = track.publisher
        del me.data_tracks[track.info.sid], self._by_sid[track.info.sid]
        self.engine.unpublish_data(track.id)
        for other in self.participants.values():
            other.data_wishes.pop(track.info.sid, None)
            if other.data_handles.pop(track.info.sid, None):
                self.tell_handles(other)

    def _tell_ended(self, track: DataTrack) -> None:
        ended = UnpublishDataTrackResponse(info=track.info)
        track.publisher.send(SignalResponse(unpublish_data_track_response=ended))

    def reconsider_publisher(self, me: Participant) -> None:
        """Its permissions changed, or what it permits others."""
        if not me.grant.can_publish_data and me.data_tracks:
            for track in list(me.data_tracks.values()):
                self._end(track)
                self._tell_ended(track)
            self.tell(me)
        for other in self.participants.values():
            self._follow(other, me.data_tracks.values())

    # --- subscribing ---------------------------------------------------------------------------------------------

    def update(self, me: Participant, update: UpdateDataSubscription, limits: Limits) -> None:
        """Explicit (un)subscription; kept for tracks that are not there yet."""
        if len(me.data_wishes) + len(update.updates) > limits.wishes_per_participant:
            return
        me.data_wishes.update({wish.track_sid: wish.subscribe for wish in update.updates})
        wished = {wish.track_sid for wish in update.updates}
        self._follow(me, [track for sid in wished if (track := self._by_sid.get(sid))])

    def reconsider_subscriber(self, me: Participant) -> None:
        """It came to be connected, or its permissions changed."""
        self._follow(me, self._by_sid.values())

    def left(self, me: Participant) -> None:
        """It is not in the room any more."""
        for track in list(me.data_tracks.values()):
            self._end(track)

    def _follow(self, me: Participant, tracks: Iterable[DataTrack]) -> None:
        """(Un)subscribe so that it matches what `me` wants and may have; its handles are told once."""
        before = dict(me.data_handles)
        for track in tracks:
            sid, wanted = track.info.sid, _wanted(me, track)
            if wanted and sid not in me.data_handles:
                me.data_handles[sid] = handle = _next_handle(me)
                self.engine.subscribe_data(me.primary, track.id, handle)
            elif not wanted and sid in me.data_handles:
                del me.data_handles[sid]
                self.engine.unsubscribe_data(me.primary, track.id)
        if me.data_handles != before:
            self.tell_handles(me)

    def tell_handles(self, me: Participant) -> None:
        """All that count from now on."""
        handles = DataTrackSubscriberHandles()
        for sid, handle in me.data_handles.items():
            publisher, told = self._by_sid[sid].publisher, handles.sub_handles[handle]
            told.publisher_identity, told.publisher_sid, told.track_sid = publisher.identity, publisher.sid, sid
        me.send(SignalResponse(data_track_subscriber_handles=handles))


def _wanted(me: Participant, track: DataTrack) -> bool:
    sid = track.info.sid
    return (
        me.active
        and me is not track.publisher
        and me.data_wishes.get(sid, me.auto_subscribe_data)
        and me.grant.can_subscribe
        and (me.grant.recorder or track.publisher.permits(me, sid))
    )


def _next_handle(me: Participant) -> int:
    """Not 0, not one in use, and as late as possible one that was: packets under it may still be on their way."""
    taken = set(me.data_handles.values())
    handle = me.last_data_handle or secrets.randbelow(_FIRST_HANDLES)
    while True:
        handle = (handle + 1) % _HANDLES
        if handle and handle not in taken:
            me.last_data_handle = handle
            return handle


def _refusal(me: Participant, request: PublishDataTrackRequest, limits: Limits) -> Refusal | None:
    if not me.grant.can_publish_data:
        return RequestResponse.NOT_ALLOWED, "does not have permission to publish data"
    if not 0 < request.pub_handle < _HANDLES:
        return RequestResponse.INVALID_HANDLE, "handle should be > 0 AND < 65536"
    if not 0 < len(request.name.encode()) <= limits.name_bytes:
        return RequestResponse.INVALID_NAME, f"name should not be empty and should not exceed {limits.name_bytes} bytes"
    if not (_names_encoding(request.frame_encoding, limits) and _names_encoding(request.schema.encoding, limits)):
        return RequestResponse.INVALID_REQUEST, "encoding identifier is empty or exceeds the maximum length"
    present = [track.info for track in me.data_tracks.values()]
    if any(info.pub_handle == request.pub_handle for info in present):
        return RequestResponse.DUPLICATE_HANDLE, "a data track with same handle already exists"
    if any(info.name == request.name for info in present):
        return RequestResponse.DUPLICATE_NAME, "a data track with same name already exists"
    if len(present) >= limits.data_tracks_per_participant:
        return RequestResponse.LIMIT_EXCEEDED, "too many data tracks"
    return None


def _names_encoding(encoding: DataTrackFrameEncoding | DataTrackSchemaEncoding, limits: Limits) -> bool:
    """One of its own is named within bounds; well-known ones always are."""
    return not encoding.HasField("custom") or 0 < len(encoding.custom.encode()) <= limits.encoding_bytes
