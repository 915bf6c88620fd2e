"""Tracks of a room: announced by AddTrack, matched with the m-line that carries them, ended."""

import time
from collections.abc import Iterable

from livekit.protocol.models import TimedVersion, TrackInfo, TrackSource
from livekit.protocol.rtc import AddTrackRequest, SignalResponse, TrackPublishedResponse, TrackUnpublishedResponse

from auralink.media import codecs, subscribing
from auralink.media.engine import OfferedSection, SourceName
from auralink.media.participant import Participant, PublishedTrack
from auralink.media.qualities import QUALITY_NAMES
from auralink.media.room import Room
from auralink.media.sids import track_sid

SOURCES: dict[int, SourceName] = {
    TrackSource.MICROPHONE: "microphone",
    TrackSource.CAMERA: "camera",
    TrackSource.SCREEN_SHARE: "screen_share",
    TrackSource.SCREEN_SHARE_AUDIO: "screen_share_audio",
}
STREAMS: dict[int, str] = {
    TrackSource.MICROPHONE: "camera",
    TrackSource.CAMERA: "camera",
    TrackSource.SCREEN_SHARE: "screen",
    TrackSource.SCREEN_SHARE_AUDIO: "screen",
}
"""Which tracks clients play in step, unless the publisher says it."""


def add_track(room: Room, me: Participant, request: AddTrackRequest) -> PublishedTrack:
    info = TrackInfo(
        sid=track_sid(request.type, request.source),
        type=request.type,
        name=request.name,
        muted=request.muted,
        width=request.width,
        height=request.height,
        simulcast=len(request.layers) > 1 or any(len(c.layers) > 1 for c in request.simulcast_codecs),
        disable_dtx=request.disable_dtx,
        source=request.source,
        layers=codecs.layers(request),
        stereo=request.stereo,
        disable_red=request.disable_red,
        encryption=request.encryption,
        stream=request.stream or STREAMS.get(request.source, "unknown"),
        audio_features=codecs.audio_features(request),
        backup_codec_policy=codecs.backup_policy(request),
        packet_trailer_features=request.packet_trailer_features,
        version=TimedVersion(unix_micro=time.time_ns() // 1_000),
    )
    track = PublishedTrack(room.ids.next(), request.cid, info, request, me)
    me.tracks[info.sid] = track
    room.engine.expect(
        me.peer,
        cids=sorted(_cids(request)),
        kind=track.kind,
        mime=codecs.first_choice(request),
        stereo=request.stereo,
        disable_dtx=request.disable_dtx,
        disable_red=request.disable_red,
    )
    me.send(SignalResponse(track_published=TrackPublishedResponse(cid=request.cid, track=info)))
    return track


def match_sections(room: Room, me: Participant, sections: Iterable[OfferedSection]) -> None:
    """Give m-lines their tracks: by the cid in the msid, else the first of that kind nobody claims."""
    sections = list(sections)
    bound = {t.mid for t in me.tracks.values() if t.mid}
    free = [s for s in sections if s["mid"] not in bound]
    named = {s["cid"] for s in sections}
    for section in free:
        waiting = [t for t in me.tracks.values() if not t.mid and t.kind == section["kind"]]
        track = next((t for t in waiting if section["cid"] in _cids(t.request)), None)
        if track is None and section["mid"] not in me.used_mids:
            track = next((t for t in waiting if not (_cids(t.request) & named)), None)
        if track:
            _bind(room, track, section)


def _bind(room: Room, track: PublishedTrack, section: OfferedSection) -> None:
    info, me = track.info, track.publisher
    track.mid = info.mid = section["mid"]
    me.used_mids.add(track.mid)
    info.mime_type = codecs.expected_mime(track.request, section["codecs"])
    del info.codecs[:]
    info.codecs.append(codecs.of_track(track.request, info))
    room.tracks[track.id] = track
    room.by_track[track.id] = room
    room.engine.publish(
        me.peer,
        track.id,
        mid=track.mid,
        sid=info.sid,
        stream_id=f"{me.sid}|{info.sid}",
        kind=section["kind"],
        source=SOURCES.get(info.source, "unknown"),
        muted=info.muted,
        layers=[(QUALITY_NAMES.get(v.quality, "high"), v.width, v.height, v.bitrate) for v in info.layers],
    )
    if me.active:
        announce(room, track)


def announce(room: Room, track: PublishedTrack) -> None:
    if track.announced:
        return
    track.announced = True
    me = track.publisher
    me.touch()
    room.broadcast_participant(me)
    room.events.record("track_published", room.info(), me.info(), track.info)
    for other in room.participants.values():
        if other is not me:
            subscribing.follow_wishes(room, other, track)
    room.tell_changed()


def started(room: Room, track: PublishedTrack, mime: str) -> None:
    """Its first packets are here, of this codec."""
    if track.info.mime_type == mime:
        return
    track.info.mime_type = mime
    track.info.codecs[0].mime_type = mime
    if track.announced:
        track.publisher.touch()
        room.broadcast_participant(track.publisher)


def end(room: Room, track: PublishedTrack, *, leaving: bool = False) -> None:
    """Its publisher sends it no more, or may not; `leaving`: it is about to go, and all will be told that."""
    me = track.publisher
    me.tracks.pop(track.info.sid, None)
    if room.tracks.pop(track.id, None):
        room.by_track.pop(track.id, None)
        room.engine.unpublish(track.id)
    for other in room.participants.values():
        if taken := track.info.sid in other.subscriptions:
            other.sent_less()
        for kept in (other.subscriptions, other.settings, other.wishes):
            kept.pop(track.info.sid, None)
        other.refused.discard(track.info.sid)
        if taken and not leaving and not other.takes(me):
            room.speakers.unheard(other, me)
    if not track.announced:
        return
    track.announced = False
    if not leaving:
        me.send(SignalResponse(track_unpublished=TrackUnpublishedResponse(track_sid=track.info.sid)))
    room.events.record("track_unpublished", room.info(), me.info(), track.info)
    if not leaving:
        me.touch()
        room.broadcast_participant(me)
        room.tell_changed()


def set_muted(room: Room, track: PublishedTrack, muted: bool) -> None:
    if track.info.muted == muted:
        return
    track.info.muted = muted
    if track.mid:
        room.engine.set_muted(track.id, muted)
    if track.announced:
        track.publisher.touch()
        room.broadcast_participant(track.publisher)


def _cids(request: AddTrackRequest) -> set[str]:
    return {request.cid, *(c.cid for c in request.simulcast_codecs if c.cid)}
