"""For the media role only: every working pair, sealed. A long poll, so that a revocation arrives at once."""

from typing import Annotated

import jwt
from fastapi import APIRouter, Header, Query
from fastapi.responses import Response

from auralink.keys.errors import KeyFeedRefused
from auralink.keys.feed import LONGEST_WAIT_S, KeyFeed
from auralink.keys.feed_document import FEED_PATH, feed_nonce, seal_feed


def feed_router(feed: KeyFeed, api_key: str, api_secret: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get(FEED_PATH)
    async def key_pairs(
        known: Annotated[str, Query(max_length=64)] = "",
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S)] = 0.0,
        authorization: Annotated[str, Header(max_length=4096)] = "",
    ) -> Response:
        try:
            nonce = feed_nonce(authorization.removeprefix("Bearer ").strip(), api_key, api_secret)
        except jwt.PyJWTError as error:
            raise KeyFeedRefused from error
        document = await feed.after(known, wait)
        headers = {"Cache-Control": "no-store"}
        if document is None:
            return Response(status_code=204, headers=headers)
        sealed = seal_feed(document, api_secret, nonce)
        return Response(sealed, media_type="application/octet-stream", headers=headers)

    return router
