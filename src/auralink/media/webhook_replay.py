"""`POST /webhooks/replay`: the operator has accepted events sent again, after a receiver lost them."""

import time
from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field

from auralink.kit.errors import Forbidden
from auralink.media.keys import PLATFORM
from auralink.media.tokens import KeyRing, TokenRefused
from auralink.media.webhooks import Webhooks


class ReplayIn(BaseModel):
    since: int = Field(ge=0)
    """Unix time in seconds, as `until`: events created between them, both included."""
    until: int | None = Field(default=None, ge=0)
    room: str = Field(default="", max_length=1024)
    """Only this room's."""


class ReplayOut(BaseModel):
    events: int
    """How many are sent again, over all receivers. They keep their ids, and come after what was waiting."""


def replay_router(webhooks: Webhooks, keys: KeyRing) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.post("/webhooks/replay")
    async def replay(wanted: ReplayIn, authorization: Annotated[str, Header(max_length=65_536)] = "") -> ReplayOut:
        """For a token of the platform's own key that may create and list rooms."""
        token = authorization.removeprefix("Bearer ").strip()
        if not token:
            raise TokenRefused("no access token")
        claims = keys.verify(token)
        if claims.tenant != PLATFORM or not (claims.video.room_create and claims.video.room_list):
            raise Forbidden("The token must be of the platform's own key and grant roomCreate and roomList.")
        until = wanted.until if wanted.until is not None else int(time.time())
        return ReplayOut(events=await webhooks.replay(wanted.since, until, wanted.room))

    return router
