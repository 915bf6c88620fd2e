"""A LiveKit-compatible server: the one that LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET name, else ours."""

import json
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
import pytest_asyncio
from livekit import api
from tests.platform import running_platform


@dataclass(frozen=True)
class MediaServer:
    url: str
    key: str
    secret: str
    dual: bool = False
    """Its clients are to use `/rtc`, with two peer connections, and not `/rtc/v1`."""

    def token(self, room: str, identity: str, **grants: object) -> str:
        video = api.VideoGrants(room_join=True, room=room, **grants)  # type: ignore[arg-type]
        token = api.AccessToken(self.key, self.secret).with_identity(identity).with_name(identity.title())
        return token.with_grants(video).with_ttl(timedelta(minutes=10)).to_jwt()

    def api(self) -> api.LiveKitAPI:
        return api.LiveKitAPI(self.url.replace("ws", "http", 1), self.key, self.secret)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def media_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MediaServer]:
    if url := os.environ.get("LIVEKIT_URL"):
        yield MediaServer(url, os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"])
        return
    async with running_platform(tmp_path_factory.mktemp("compat") / "state") as platform:
        secrets = json.loads((platform.state / "secrets.json").read_text())
        yield MediaServer(platform.media_url, secrets["livekit_api_key"], secrets["livekit_api_secret"])


both_paths = pytest.mark.parametrize("server", ["single", "dual"], indirect=True)
"""The test runs with clients of one and of two peer connections."""


@pytest.fixture(scope="session")
def server(media_server: MediaServer, request: pytest.FixtureRequest) -> MediaServer:
    return replace(media_server, dual=getattr(request, "param", "single") == "dual")


@pytest.fixture
def room() -> str:
    return f"room/{uuid.uuid4().hex}+ü"
