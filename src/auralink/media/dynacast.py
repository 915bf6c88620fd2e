"""Dynacast: publishers are told which of their codecs and layers somebody takes, so that they send no others."""

from collections.abc import Iterable

from livekit.protocol.models import SubscribedAudioCodec
from livekit.protocol.rtc import (
    SignalResponse,
    SubscribedAudioCodecUpdate,
    SubscribedCodec,
    SubscribedQuality,
    SubscribedQualityUpdate,
)

from auralink.media.participant import Participant, PublishedTrack, TrackCodec
from auralink.media.qualities import QUALITIES


def wanted(track: PublishedTrack, codec: TrackCodec, qualities: Iterable[str]) -> None:
    """Somebody takes these layers in this codec, and nobody others. Audio has all of them or none."""
    if codec.wanted != (now := frozenset(qualities)):
        codec.wanted = now
        _tell(track)


def repeat(me: Participant) -> None:
    """After a resume: what was told while nobody listened."""
    for track in me.tracks.values():
        if any(codec.wanted is not None for codec in track.codecs):
            _tell(track)


def _tell(track: PublishedTrack) -> None:
    told = [codec for codec in track.codecs if codec.wanted is not None]
    if track.kind == "audio":
        subscribed = [SubscribedAudioCodec(codec=_name(codec), enabled=bool(codec.wanted)) for codec in told]
        audio = SubscribedAudioCodecUpdate(track_sid=track.info.sid, subscribed_audio_codecs=subscribed)
        track.publisher.send(SignalResponse(subscribed_audio_codec_update=audio))
        return
    update = SubscribedQualityUpdate(
        track_sid=track.info.sid,
        # Clients that know of no codecs send the first one alone.
        subscribed_qualities=_qualities(track.codecs[0]),
        subscribed_codecs=[SubscribedCodec(codec=_name(codec), qualities=_qualities(codec)) for codec in told],
    )
    track.publisher.send(SignalResponse(subscribed_quality_update=update))


def _qualities(codec: TrackCodec) -> list[SubscribedQuality]:
    taken = codec.wanted or frozenset()
    return [SubscribedQuality(quality=quality, enabled=name in taken) for name, quality in QUALITIES.items()]


def _name(codec: TrackCodec) -> str:
    """As clients write it in AddTrack: `vp8`."""
    return codec.info.mime_type.partition("/")[2].lower()
