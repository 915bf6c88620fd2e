"""Codecs as LiveKit's messages name them: what we forward, what a publisher asked for."""

from collections.abc import Iterable, Sequence

from livekit.protocol.models import (
    AudioTrackFeature,
    BackupCodecPolicy,
    Codec,
    SimulcastCodecInfo,
    TrackInfo,
    TrackType,
    VideoLayer,
)
from livekit.protocol.rtc import AddTrackRequest

_RED = "audio/red"
ENABLED = tuple(
    Codec(mime=mime) for mime in ("audio/opus", _RED, "video/VP8", "video/H264", "video/VP9", "video/AV1", "video/rtx")
)
"""What clients are told that they may publish. Naming any lets livekit-client send AddTrack and its offer together."""


def mime_of(name: str, kind: "TrackType") -> str:
    """`vp9` or `video/vp9`, as clients say it, as a mime type; empty when nothing is named."""
    if not name or "/" in name:
        return name
    return f"{'audio' if kind == TrackType.AUDIO else 'video'}/{name}"


def first_choice(request: AddTrackRequest) -> str | None:
    """The codec a video publisher wants to send. Audio stays as the client prefers it: asked for RED first, the
    official SDK gave up more than half of its video at 20% loss and at 300 ms each way."""
    if request.type == TrackType.AUDIO:
        return None
    named = [mime_of(codec.codec, request.type) for codec in request.simulcast_codecs if codec.codec]
    return named[0] if named else None


def expected_mime(request: AddTrackRequest, offered: Sequence[str]) -> str:
    """What will probably come, until it does: the choice if it was offered, else the client's first."""
    wanted = (first_choice(request) or "").lower()
    return next((mime for mime in offered if mime.lower() == wanted), offered[0] if offered else "")


def audio_features(request: AddTrackRequest) -> list["AudioTrackFeature"]:
    """Those announced and those that its flags mean, each once: recorders and agents look only here."""
    stereo = [AudioTrackFeature.TF_STEREO] if request.stereo else []
    steady = [AudioTrackFeature.TF_NO_DTX] if request.disable_dtx else []
    return list(dict.fromkeys([*request.audio_features, *stereo, *steady]))


def set_audio_features(info: TrackInfo, features: Iterable["AudioTrackFeature"]) -> None:
    """The publisher changed them; the flags follow."""
    kept = list(dict.fromkeys(features))
    del info.audio_features[:]
    info.audio_features.extend(kept)
    info.stereo = AudioTrackFeature.TF_STEREO in kept
    info.disable_dtx = AudioTrackFeature.TF_NO_DTX in kept


def backup_policy(request: AddTrackRequest) -> "BackupCodecPolicy":
    """Audio may always come in two codecs, unless its publisher wants one at a time."""
    if request.type == TrackType.AUDIO and request.backup_codec_policy != BackupCodecPolicy.REGRESSION:
        return BackupCodecPolicy.SIMULCAST
    return request.backup_codec_policy


def layers(request: AddTrackRequest) -> list[VideoLayer]:
    """Lowest quality first, whatever the order they were announced in."""
    named = request.layers or (request.simulcast_codecs[0].layers if request.simulcast_codecs else ())
    return sorted(named, key=lambda layer: layer.quality)


def of_track(request: AddTrackRequest, info: TrackInfo) -> SimulcastCodecInfo:
    named = request.simulcast_codecs[0] if request.simulcast_codecs else None
    return SimulcastCodecInfo(
        mime_type=info.mime_type,
        mid=info.mid,
        cid=named.cid if named and named.cid else request.cid,
        layers=(named.layers if named and named.layers else info.layers),
    )
