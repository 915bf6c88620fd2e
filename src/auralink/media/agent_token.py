"""The token with which an agent enters its room."""

import time

from livekit.protocol.agent import AvailabilityResponse

from auralink.media.agent_workers import Worker
from auralink.media.tokens import SOURCE_NAMES, KeyRing

NAME_ATTRIBUTE = "lk.agent_name"
"""The participant attribute by which frontends find an agent."""
_LIFE_S = 3600


def agent_token(keys: KeyRing, worker: Worker, room: str, answer: AvailabilityResponse) -> str:
    """Of what the worker asked to be and may do. Raises UnknownKey when its key was revoked."""
    allowed = worker.permissions
    video: dict[str, object] = {
        "roomJoin": True,
        "agent": True,
        "room": room,
        "canPublish": allowed.can_publish,
        "canSubscribe": allowed.can_subscribe,
        "canPublishData": allowed.can_publish_data,
        "canUpdateOwnMetadata": allowed.can_update_metadata,
        "canSubscribeMetrics": allowed.can_subscribe_metrics,
        "hidden": allowed.hidden,
    }
    if allowed.can_publish_sources:
        video["canPublishSources"] = [SOURCE_NAMES[source] for source in allowed.can_publish_sources]
    now = int(time.time())
    claims = {
        "sub": answer.participant_identity,
        "name": answer.participant_name,
        "kind": "agent",
        "metadata": answer.participant_metadata,
        "attributes": {**answer.participant_attributes, NAME_ATTRIBUTE: worker.kind.agent_name},
        "nbf": now,
        "exp": now + _LIFE_S,
        "video": video,
    }
    return keys.sign(worker.api_key, claims)
