"""Fresh tokens for those in a room, with which they can come back later."""

import asyncio
from datetime import UTC, datetime, timedelta

from livekit.protocol.rtc import SignalResponse

from auralink.media.participant import Participant
from auralink.media.rooms import Rooms
from auralink.media.tokens import SOURCE_NAMES, KeyRing

_REFRESH_S = 300.0
_REFRESHED_LIFE = timedelta(minutes=10)


async def keep_tokens_fresh(rooms: Rooms, keys: KeyRing) -> None:
    """Runs as long as the server does."""
    while True:
        await asyncio.sleep(_REFRESH_S)
        for room in rooms.all():
            for participant in room.participants.values():
                refresh_token(keys, participant)


def refresh_token(keys: KeyRing, me: Participant) -> None:
    """A fresh token of the same grants, with which the client can resume later."""
    if not keys.knows(me.api_key):
        return  # the pair was revoked: the call goes on, but there is no way back into it
    expires = datetime.now(UTC) + _REFRESHED_LIFE
    remaining = datetime.fromtimestamp(float(me.claims["exp"]), UTC)
    video = {**(me.claims.get("video") or {}), **_grant_claims(me)}
    now = {"name": me.name, "metadata": me.metadata, "attributes": me.attributes}
    claims = {**me.claims, **now, "video": video, "exp": int(max(expires, remaining).timestamp())}
    me.send(SignalResponse(refresh_token=keys.sign(me.api_key, claims)))


def _grant_claims(me: Participant) -> dict[str, object]:
    """Permissions as they are now, in a token's words."""
    grant = me.grant
    return {
        "canPublishSources": [SOURCE_NAMES[source] for source in grant.can_publish_sources],
        "canPublish": grant.can_publish,
        "canSubscribe": grant.can_subscribe,
        "canPublishData": grant.can_publish_data,
        "canUpdateOwnMetadata": grant.can_update_own_metadata,
        "canSubscribeMetrics": grant.can_subscribe_metrics,
        "hidden": grant.hidden,
    }
