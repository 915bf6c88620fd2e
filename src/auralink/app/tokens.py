"""`auralink token`: a LiveKit join token by hand."""

from dataclasses import dataclass
from datetime import timedelta

from livekit.api import AccessToken, VideoGrants

from auralink.app.settings import AppSettings
from auralink.kit.livekit import LiveKitSettings


@dataclass(frozen=True, slots=True)
class Wish:
    """What the token's bearer may do. The room is a wire name: for rooms made over the API, their id."""

    room: str
    identity: str
    name: str
    can_publish: bool
    can_subscribe: bool
    can_publish_data: bool
    admin: bool
    life: timedelta


def mint(wish: Wish, livekit: LiveKitSettings) -> str:
    key, secret = livekit.livekit_api_key.get_secret_value(), livekit.livekit_api_secret.get_secret_value()
    grants = VideoGrants(
        room_join=True,
        room=wish.room,
        room_admin=True if wish.admin else None,
        can_publish=wish.can_publish,
        can_subscribe=wish.can_subscribe,
        can_publish_data=wish.can_publish_data,
    )
    token = AccessToken(key, secret).with_identity(wish.identity).with_name(wish.name or wish.identity)
    return token.with_ttl(wish.life).with_grants(grants).to_jwt()


def address(livekit: LiveKitSettings, settings: AppSettings) -> str:
    """Where to use the token."""
    return livekit.media_public_url or livekit.livekit_url or f"ws://localhost:{settings.media_port}"
