"""Bounds on what one participant may make us keep (LiveKit's own where it has them)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    signal_message_bytes: int = 2 * 1024 * 1024
    sdp_bytes: int = 1024 * 1024
    """As the engine's own: an offer of a meeting of a hundred with video fits."""
    name_bytes: int = 256
    """Of identities, room names and display names."""
    metadata_bytes: int = 512 * 1024
    attributes_bytes: int = 64 * 1024
    data_bytes: int = 64 * 1024
    tracks_per_participant: int = 100
    data_tracks_per_participant: int = 100
    """As the engine's own."""
    encoding_bytes: int = 32
    """Of the name of an encoding that only its users know."""
    data_blobs: bool = True
    """Whether participants may store any."""
    blob_bytes: int = 64_000
    """Of all data blobs of one participant with their keys."""
    blob_key_bytes: int = 256
    blobs_per_participant: int = 500
    layers_per_track: int = 16
    wishes_per_participant: int = 2_000
    queued_bytes: int = 8 * 1024 * 1024
    """Of signal messages waiting for one client; one that reads slower is disconnected and may resume. The largest
    message several times over."""
    requests_burst: int = 1_000
    """Requests taken from one client at once: of a large call, all track settings and candidates."""
    requests_per_s: int = 100
    """And in the long run; what comes faster waits in the client's socket."""
    rooms: int = 10_000
    rooms_per_tenant: int = 2_000
    """Of an organisation's key pairs, so that one that leaked cannot use up the server's rooms."""

    def track_problem(self, texts: Iterable[str]) -> str | None:
        """Which of the texts of an AddTrack is too long, if any."""
        if any(len(text.encode()) > self.name_bytes for text in texts):
            return "a name is too long"
        return None

    def metadata_problem(self, name: str, metadata: str, attributes: Mapping[str, str]) -> str | None:
        """What is too large, if anything."""
        if len(name.encode()) > self.name_bytes:
            return "name is too long"
        if len(metadata.encode()) > self.metadata_bytes:
            return "metadata is too large"
        if sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items()) > self.attributes_bytes:
            return "attributes are too large"
        return None
