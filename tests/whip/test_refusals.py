"""What WHIP and WHEP turn away, and how they say so."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from livekit.api import ListParticipantsRequest, ListRoomsRequest
from tests.compat.conftest import MediaServer

SDP = {"Content-Type": "application/sdp"}
OFFER = (Path(__file__).parents[2] / "crates/media/tests/offers/chromium-156-publish.sdp").read_text()


@pytest_asyncio.fixture
async def client(server: MediaServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url.replace("ws", "http", 1), timeout=30) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("endpoint", ["/whip/v1", "/whip/v1/", "/whep/v1"])
async def test_without_a_valid_token_nobody_comes_in(client: httpx.AsyncClient, endpoint: str) -> None:
    for headers in ({}, bearer("nonsense"), {"Authorization": "Basic YTpi"}):
        answer = await client.post(endpoint, content=OFFER, headers=SDP | headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["error"], "LiveKit's word for it"


async def test_a_token_without_the_right_is_forbidden(
    server: MediaServer, room: str, client: httpx.AsyncClient
) -> None:
    mute = bearer(server.token(room, "encoder", can_publish=False))
    assert (await client.post("/whip/v1", content=OFFER, headers=SDP | mute)).status_code == 403
    deaf = bearer(server.token(room, "player", can_subscribe=False))
    assert (await client.post("/whep/v1", content=OFFER, headers=SDP | deaf)).status_code == 403


@pytest.mark.parametrize("endpoint", ["/whip/v1", "/whep/v1"])
@pytest.mark.parametrize(
    "body", ["", "v=0\r\n", "nonsense", "\xff", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"]
)
async def test_an_offer_that_is_none_is_refused(
    server: MediaServer, room: str, client: httpx.AsyncClient, endpoint: str, body: str
) -> None:
    token = bearer(server.token(room, "somebody"))
    answer = await client.post(endpoint, content=body.encode("latin-1"), headers=SDP | token)
    assert answer.status_code == 400
    assert answer.json()["code"] == "description_refused"
    async with server.api() as api:
        if (await api.room.list_rooms(ListRoomsRequest(names=[room]))).rooms:
            assert not (await api.room.list_participants(ListParticipantsRequest(room=room))).participants


async def test_other_content_types_and_large_bodies_are_refused(
    server: MediaServer, room: str, client: httpx.AsyncClient
) -> None:
    token = bearer(server.token(room, "encoder"))
    answer = await client.post("/whip/v1", content=OFFER, headers={"Content-Type": "text/plain"} | token)
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_content_type")
    answer = await client.patch("/whip/v1/PA_nobody", content="a=mid:0", headers=SDP | token)
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_content_type")
    answer = await client.post("/whip/v1", content=OFFER + "a=x:y\r\n" * 200_000, headers=SDP | token)
    assert answer.status_code == 413


async def test_a_session_belongs_to_the_participant_of_its_token(
    server: MediaServer, room: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/whip/v1", content=OFFER, headers=SDP | bearer(server.token(room, "encoder")))
    assert answer.status_code == 201, answer.text
    session = answer.headers["location"]
    for stranger in (server.token(room, "mallory"), server.token(f"{room}2", "encoder")):
        assert (await client.delete(session, headers=bearer(stranger))).status_code == 404
    assert (await client.delete(session)).status_code == 401
    assert (await client.delete(session, headers=bearer(server.token(room, "encoder")))).status_code == 200


async def test_resources_can_be_asked_about(client: httpx.AsyncClient) -> None:
    for path in ("/whip/v1", "/whep/v1", "/whip/v1/PA_x"):
        assert (await client.get(path)).status_code == 204
        assert (await client.head(path)).status_code == 204
        options = await client.options(path)
        assert options.status_code == 200
        assert "PATCH" in options.headers["access-control-allow-methods"]
        assert (await client.put(path)).status_code == 405


async def test_browsers_may_read_what_a_session_needs(client: httpx.AsyncClient) -> None:
    origin = {"Origin": "https://player.example"}
    asked = origin | {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "if-match"}
    preflight = await client.options("/whip/v1/PA_x", headers=asked)
    assert preflight.status_code == 200
    assert "if-match" in preflight.headers["access-control-allow-headers"].lower()
    answer = await client.post("/whip/v1", headers=origin)
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert {"location", "etag", "link"} <= set(exposed.replace(" ", "").split(","))
