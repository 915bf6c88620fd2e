"""Join tokens: LiveKit's own, so that any LiveKit server can honour them.

A room's limits travel in the token's `roomConfig`, hence a join needs neither the database nor the control plane.
"""

from datetime import timedelta

from livekit.api import AccessToken, VideoGrants
from livekit.protocol.room import RoomConfiguration

from auralink.rooms.domain import Room, Standing


class JoinTokens:
    def __init__(self, api_key: str, api_secret: str, life: timedelta) -> None:
        self._api_key = api_key
        self._api_secret = api_secret
        self.life = life
        """How long a token can be used to connect."""

    def mint(self, room: Room, identity: str, name: str, standing: Standing) -> str:
        token = AccessToken(self._api_key, self._api_secret)
        token.with_identity(identity).with_name(name).with_ttl(self.life)
        token.with_grants(_grants(room, standing))
        token.with_room_config(
            RoomConfiguration(
                max_participants=room.settings.max_participants,
                empty_timeout=room.settings.empty_timeout_seconds,
                metadata=room.settings.metadata,
            )
        )
        return token.to_jwt()


def _grants(room: Room, standing: Standing) -> VideoGrants:
    return VideoGrants(
        room_join=True,
        room=room.wire_name,
        room_admin=True if standing is Standing.HOST else None,
        can_publish=True,
        can_subscribe=True,
        can_publish_data=True,
        can_update_own_metadata=True,
    )
