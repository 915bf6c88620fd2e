"""Ids as LiveKit writes them: a prefix and twelve random characters."""

import secrets

from livekit.protocol.models import TrackSource, TrackType

# Without look-alikes, as people read these aloud.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_TYPE = {TrackType.AUDIO: "A", TrackType.VIDEO: "V", TrackType.DATA: "D"}
_SOURCE = {
    TrackSource.CAMERA: "C",
    TrackSource.MICROPHONE: "M",
    TrackSource.SCREEN_SHARE: "S",
    TrackSource.SCREEN_SHARE_AUDIO: "s",
}


def new_sid(prefix: str) -> str:
    """`prefix` is LiveKit's, such as `RM_` or `PA_`."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(12))


def track_sid(kind: "TrackType", source: "TrackSource") -> str:
    return new_sid("TR_" + _TYPE.get(kind, "") + _SOURCE.get(source, ""))
