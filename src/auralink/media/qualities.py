"""LiveKit's video qualities and the names the engine has for them."""

from livekit.protocol.models import VideoQuality

from auralink.media.engine import QualityName

QUALITIES: dict[QualityName, "VideoQuality"] = {
    "low": VideoQuality.LOW,
    "medium": VideoQuality.MEDIUM,
    "high": VideoQuality.HIGH,
}
QUALITY_NAMES: dict[int, QualityName] = {quality: name for name, quality in QUALITIES.items()}
