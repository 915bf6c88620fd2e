"""Dynacast: publishers are told which of their layers somebody takes, so that they send no others."""

from collections.abc import Iterable

from livekit.protocol.rtc import SignalResponse, SubscribedCodec, SubscribedQuality, SubscribedQualityUpdate

from auralink.media.participant import Participant, PublishedTrack
from auralink.media.qualities import QUALITIES


def wanted(track: PublishedTrack, qualities: Iterable[str]) -> None:
    """Somebody takes these layers, and nobody others."""
    if track.wanted != (now := frozenset(qualities)):
        track.wanted = now
        _tell(track)


def repeat(me: Participant) -> None:
    """After a resume: what was told while nobody listened."""
    for track in me.tracks.values():
        if track.wanted is not None:
            _tell(track)


def _tell(track: PublishedTrack) -> None:
    taken = track.wanted or frozenset()
    qualities = [SubscribedQuality(quality=q, enabled=name in taken) for name, q in QUALITIES.items()]
    codec = track.info.mime_type.partition("/")[2].lower()
    update = SubscribedQualityUpdate(
        track_sid=track.info.sid,
        subscribed_qualities=qualities,
        subscribed_codecs=[SubscribedCodec(codec=codec, qualities=qualities)],
    )
    track.publisher.send(SignalResponse(subscribed_quality_update=update))
