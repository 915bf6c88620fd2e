"""Bounds on what one participant may make us keep (LiveKit's own where it has them)."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    signal_message_bytes: int = 2 * 1024 * 1024
    sdp_bytes: int = 256 * 1024
    name_bytes: int = 256
    """Of identities, room names and display names."""
    metadata_bytes: int = 512 * 1024
    attributes_bytes: int = 64 * 1024
    data_bytes: int = 64 * 1024
    tracks_per_participant: int = 100
    wishes_per_participant: int = 2_000
    queued_messages: int = 2_000
    """Signal messages waiting for one client; one that reads slower is disconnected and may resume."""
    rooms: int = 10_000

    def metadata_problem(self, name: str, metadata: str, attributes: Mapping[str, str]) -> str | None:
        """What is too large, if anything."""
        if len(name.encode()) > self.name_bytes:
            return "name is too long"
        if len(metadata.encode()) > self.metadata_bytes:
            return "metadata is too large"
        if sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items()) > self.attributes_bytes:
            return "attributes are too large"
        return None
