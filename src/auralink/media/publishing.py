"""Tracks of a room: announced by AddTrack, matched with the m-line that carries them, ended."""

import time
from collections.abc import Iterable

from livekit.protocol.models import Encryption, TimedVersion, TrackInfo, TrackSource
from livekit.protocol.rtc import AddTrackRequest, SignalResponse, TrackPublishedResponse, TrackUnpublishedResponse

from auralink.media import backup, codecs, subscribing
from auralink.media.engine import OfferedSection, SourceName
from auralink.media.participant import Participant, PublishedTrack, TrackCodec
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
    named = codecs.of_track(request)
    info = TrackInfo(
        sid=track_sid(request.type, request.source),
        type=request.type,
        name=request.name,
        muted=request.muted,
        width=request.width,
        height=request.height,
        simulcast=codecs.is_simulcast(named[0]),
        disable_dtx=request.disable_dtx,
        source=request.source,
        layers=codecs.layers(request),
        codecs=named,
        stereo=request.stereo,
        disable_red=request.disable_red,
        encryption=request.encryption,
        stream=request.stream or STREAMS.get(request.source, "unknown"),
        audio_features=codecs.audio_features(request),
        backup_codec_policy=codecs.backup_policy(request),
        packet_trailer_features=request.packet_trailer_features,
        version=TimedVersion(unix_micro=time.time_ns() // 1_000),
    )
    track = PublishedTrack(
        request.cid, info, request, me, [TrackCodec(room.ids.next(), codec) for codec in info.codecs]
    )
    me.tracks[info.sid] = track
    for codec in track.codecs:
        _expect(room, track, codec)
    me.send(SignalResponse(track_published=TrackPublishedResponse(cid=request.cid, track=info)))
    return track


def add_codec(room: Room, track: PublishedTrack, request: AddTrackRequest) -> None:
    """The publisher is about to send a codec that it announced with the track; others are ignored, as by LiveKit."""
    for named in request.simulcast_codecs:
        mime = codecs.mime_of(named.codec, track.info.type).lower()
        codec = next((c for c in track.codecs[1:] if c.info.mime_type.lower() == mime), None)
        if codec is None:
            continue
        codec.info.cid = named.cid
        if named.layers:
            del codec.info.layers[:]
            codec.info.layers.extend(codecs.in_order(named.layers))
        _expect(room, track, codec)
    track.publisher.send(SignalResponse(track_published=TrackPublishedResponse(cid=request.cid, track=track.info)))


def _expect(room: Room, track: PublishedTrack, codec: TrackCodec) -> None:
    if cids := _cids(track, codec):
        room.engine.expect(
            track.publisher.peer,
            cids=sorted(cids),
            kind=track.kind,
            mime=codecs.preferred(track.info, codec.info),
            stereo=track.request.stereo,
            disable_dtx=track.request.disable_dtx,
            disable_red=track.request.disable_red,
        )


def match_sections(room: Room, me: Participant, sections: Iterable[OfferedSection]) -> None:
    """Give m-lines their tracks: by the cid in the msid, else the first of that kind nobody claims."""
    sections = list(sections)
    carrying = {codec.info.mid for track in me.tracks.values() for codec in track.bound}
    named = {section["cid"] for section in sections}
    for section in sections:
        if section["mid"] in carrying:
            continue
        waiting = [
            (track, codec, cids)
            for track in me.tracks.values()
            for codec in track.codecs
            if track.kind == section["kind"] and not codec.info.mid and (cids := _cids(track, codec))
        ]
        found = next((entry for entry in waiting if section["cid"] in entry[2]), None)
        if found is None and section["mid"] not in me.used_mids:
            found = next((entry for entry in waiting if not entry[2] & named), None)
        if found:
            track, codec, _ = found
            _bind(room, track, codec, section)


def _bind(room: Room, track: PublishedTrack, codec: TrackCodec, section: OfferedSection) -> None:
    info, me = track.info, track.publisher
    codec.info.mid = section["mid"]
    codec.info.mime_type = codecs.expected_mime(codecs.preferred(info, codec.info), section["codecs"])
    me.used_mids.add(codec.info.mid)
    room.tracks[codec.id] = track
    room.by_track[codec.id] = room
    layers = codec.info.layers or info.layers
    room.engine.publish(
        me.peer,
        codec.id,
        mid=codec.info.mid,
        sid=info.sid,
        stream_id=f"{me.sid}|{info.sid}",
        stream=info.stream,
        kind=section["kind"],
        source=SOURCES.get(info.source, "unknown"),
        muted=info.muted,
        layers=[(QUALITY_NAMES.get(v.quality, "high"), v.width, v.height, v.bitrate) for v in layers],
        sif_trailer=room.sif_trailer if info.encryption != Encryption.NONE else b"",
        make_red=room.makes_red and codecs.wants_red(track.request),
    )
    if codec is track.codecs[0]:
        info.mid, info.mime_type = codec.info.mid, codec.info.mime_type
        if me.active:
            announce(room, track)
    else:
        backup.published(room, track)
        _tell_changed(room, track)
    backup.follow_audio(room, track)


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


def started(room: Room, track: PublishedTrack, codec: TrackCodec, mime: str) -> None:
    """Its first packets are here, of this codec."""
    first = codec is track.codecs[0]
    if codec.info.mime_type != mime:
        codec.info.mime_type = mime
        if first:
            track.info.mime_type = mime
        _tell_changed(room, track)
    if not first:
        backup.started(room, track)


def section_ended(room: Room, track: PublishedTrack, codec: TrackCodec) -> None:
    """The publisher stopped the m-line. A backup may come again, in another one."""
    if codec is track.codecs[0]:
        end(room, track)
        return
    del room.tracks[codec.id], room.by_track[codec.id]
    gone = codec.id
    codec.info.mid = codec.info.cid = ""
    codec.wanted = None
    backup.withdrawn(room, track)
    room.engine.unpublish(gone)
    codec.id = room.ids.next()
    _tell_changed(room, track)


def end(room: Room, track: PublishedTrack, *, leaving: bool = False) -> None:
    """Its publisher sends it no more, or may not; `leaving`: it is about to go, and all will be told that."""
    me = track.publisher
    me.tracks.pop(track.info.sid, None)
    for codec in track.bound:
        del room.tracks[codec.id], room.by_track[codec.id]
        room.engine.unpublish(codec.id)
    for other in room.participants.values():
        taken = track.info.sid in other.subscriptions
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
    for codec in track.bound:
        room.engine.set_muted(codec.id, muted)
    _tell_changed(room, track)


def _tell_changed(room: Room, track: PublishedTrack) -> None:
    if track.announced:
        track.publisher.touch()
        room.broadcast_participant(track.publisher)


def _cids(track: PublishedTrack, codec: TrackCodec) -> set[str]:
    """What an offer may call it; nothing while its publisher has not said that it will send it."""
    own = {codec.info.cid} if codec.info.cid else set()
    return own | {track.cid} if codec is track.codecs[0] else own
