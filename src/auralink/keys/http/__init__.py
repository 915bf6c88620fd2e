"""Routes of key pairs."""

from auralink.keys.http.api_keys import api_keys_router
from auralink.keys.http.feed import feed_router

__all__ = ["api_keys_router", "feed_router"]
