"""LiveKit's `config.yaml`, read as settings of ours: what is applied, and what is not and why, key by key."""

from auralink.app.livekit_config.reading import BadLiveKitConfig, Line, Reading, read

__all__ = ["BadLiveKitConfig", "Line", "Reading", "read"]
