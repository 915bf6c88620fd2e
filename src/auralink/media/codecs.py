"""Codecs as LiveKit's messages name them: what we forward, what a publisher asked for."""

from collections.abc import Collection, Iterable, Sequence

from livekit.protocol.models import (
    AudioTrackFeature,
    BackupCodecPolicy,
    Codec,
    SimulcastCodecInfo,
    TrackInfo,
    TrackType,
    VideoLayer,
)
from livekit.protocol.rtc import AddTrackRequest, SimulcastCodec

_LAYERED = frozenset({"video/vp9", "video/av1"})
"""Codecs with several spatial layers in one stream."""
_RED = "audio/red"
"""Opus, each packet with some of those before it (RFC 2198)."""
_RTX = "video/rtx"
"""Retransmissions come with every video codec."""
ENABLED = (
    "video/VP8",
    "video/H264",
    "video/VP9",
    "video/AV1",
    "video/H265",
    "audio/PCMU",
    "audio/PCMA",
    "audio/opus",
    _RED,
    _RTX,
)
"""What can be forwarded. Those come first that most can decode, and video before audio for Flutter's sake."""


def enabled(names: Iterable[str]) -> tuple[str, ...]:
    """Those of ours that are named, whatever their case; all, when none is named. Raises ValueError for others."""
    wanted = {name.lower() for name in names}
    if unknown := wanted - {mime.lower() for mime in ENABLED}:
        raise ValueError(f"{', '.join(sorted(unknown))}: not among {', '.join(ENABLED)}")
    return tuple(mime for mime in ENABLED if not wanted or mime.lower() in wanted or mime == _RTX)


def named(mimes: Iterable[str]) -> list[Codec]:
    return [Codec(mime=mime) for mime in mimes]


def publishable(mimes: Iterable[str], refused: Collection[str]) -> list[Codec]:
    """What clients are told that they may publish. Naming any lets livekit-client send AddTrack and offer together."""
    return named(mime for mime in mimes if mime != _RTX and mime not in refused)


def mime_of(name: str, kind: "TrackType") -> str:
    """`vp9` or `video/vp9`, as clients say it, as a mime type; empty when nothing is named."""
    if not name or "/" in name:
        return name
    return f"{'audio' if kind == TrackType.AUDIO else 'video'}/{name}"


def preferred(info: TrackInfo, codec: SimulcastCodecInfo) -> str | None:
    """What the publisher is asked to send: what it named, else sound with redundancy (RED) unless it wants none."""
    if info.type == TrackType.AUDIO and not codec.mime_type and not info.disable_red:
        return _RED
    return codec.mime_type or None


def wants_red(request: AddTrackRequest) -> bool:
    """May sound come to others as RED, although its publisher sends plain Opus? Not where that names another codec, or
    several, which it will send itself."""
    named = [mime_of(codec.codec, request.type).lower() for codec in request.simulcast_codecs if codec.codec]
    return named == [_RED] if named else not request.disable_red


def expected_mime(wanted: str | None, offered: Sequence[str]) -> str:
    """What will probably come, until it does: the wanted one if it was offered, else the client's first."""
    return next((mime for mime in offered if mime.lower() == (wanted or "").lower()), offered[0] if offered else "")


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
    return in_order(request.layers or (request.simulcast_codecs[0].layers if request.simulcast_codecs else ()))


def in_order(announced: Iterable[VideoLayer]) -> list[VideoLayer]:
    """Lowest quality first, whatever the order they were announced in."""
    return sorted(announced, key=lambda layer: layer.quality)


def of_track(request: AddTrackRequest) -> list[SimulcastCodecInfo]:
    """The first is what the publisher wants to send; what it names twice counts once. Clients that know nothing of
    several codecs name none: there is one all the same."""
    announced = list(request.simulcast_codecs) or [SimulcastCodec(cid=request.cid)]
    infos: dict[str, SimulcastCodecInfo] = {}
    for codec in announced:
        mime = mime_of(codec.codec, request.type)
        if not infos:
            cid = codec.cid or request.cid
        elif mime:
            cid = codec.cid
        else:
            continue
        mode = codec.video_layer_mode or _layer_mode(mime, request)
        info = SimulcastCodecInfo(
            mime_type=mime, cid=cid, layers=in_order(codec.layers or request.layers), video_layer_mode=mode
        )
        infos.setdefault(mime, info)
    return list(infos.values())


def _layer_mode(mime: str, request: AddTrackRequest) -> "VideoLayer.Mode":
    if mime.lower() in _LAYERED:
        return VideoLayer.Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM
    if request.type == TrackType.AUDIO and mime:
        return VideoLayer.Mode.MODE_UNUSED
    return VideoLayer.Mode.ONE_SPATIAL_LAYER_PER_STREAM


def is_simulcast(first: SimulcastCodecInfo) -> bool:
    """Does it come in several streams?"""
    return len(first.layers) > 1 and first.video_layer_mode != VideoLayer.Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM
