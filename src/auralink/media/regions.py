"""`/settings/regions`: where else a client could connect. LiveKit's cloud answers it; we have this one region."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from google.protobuf.json_format import MessageToDict
from livekit.protocol.rtc import RegionInfo, RegionSettings
from starlette.responses import JSONResponse, PlainTextResponse, Response

from auralink.media.tokens import KeyRing, TokenRefused


def regions_router(keys: KeyRing, region: str, public_url: str) -> APIRouter:
    """`public_url` is what clients connect to; empty: the host they called."""
    router = APIRouter(include_in_schema=False)

    @router.get("/settings/regions")
    async def regions(request: Request, authorization: Annotated[str, Header(max_length=65_536)] = "") -> Response:
        try:
            keys.verify(authorization.removeprefix("Bearer ").strip())
        except TokenRefused as error:
            return PlainTextResponse(error.detail or error.title, error.status)
        here = RegionInfo(region=region, url=public_url or _called(request), distance=0)
        answer = MessageToDict(RegionSettings(regions=[here]), always_print_fields_with_no_presence=True)
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    return router


def _called(request: Request) -> str:
    scheme = "wss" if request.url.scheme == "https" else "ws"
    return f"{scheme}://{request.url.netloc}"
