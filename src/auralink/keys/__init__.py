"""LiveKit key pairs of organisations: made, rotated and revoked here, told to the media role."""

from auralink.keys.domain import ApiKeyId
from auralink.keys.events import ApiKeyChanged, ApiKeyCreated, ApiKeyRevoked, ApiKeyRotated
from auralink.keys.feed_document import FEED_PATH, KeyDocument, PairOut, feed_request, open_feed, seal_feed

__all__ = [
    "FEED_PATH",
    "ApiKeyChanged",
    "ApiKeyCreated",
    "ApiKeyId",
    "ApiKeyRevoked",
    "ApiKeyRotated",
    "KeyDocument",
    "PairOut",
    "feed_request",
    "open_feed",
    "seal_feed",
]
