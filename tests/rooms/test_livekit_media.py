"""The media server through LiveKit's server API: what we ask, and what we make of every kind of answer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import jwt
import pytest
from aiohttp import web
from livekit.protocol.models import ParticipantInfo, TrackInfo, TrackSource, TrackType
from livekit.protocol.room import (
    DeleteRoomRequest,
    DeleteRoomResponse,
    ListParticipantsRequest,
    ListParticipantsResponse,
    RemoveParticipantResponse,
    RoomParticipantIdentity,
)

from auralink.kit.ids import RoomId
from auralink.kit.livekit import LiveKitSettings
from auralink.rooms.errors import MediaUnavailable, ParticipantNotFound
from auralink.rooms.livekit_media import LiveKitMedia
from auralink.rooms.settings import MediaAddresses, RoomsSettings

ROOM = RoomId.new()
KEY, SECRET = "a-key", "a-secret-0123456789012345678901234567890"
PARTICIPANT = ParticipantInfo(
    sid="PA_1",
    identity="ann",
    name="Ann",
    joined_at=1_800_000_000,
    joined_at_ms=1_800_000_000_250,
    tracks=[TrackInfo(sid="TR_1", type=TrackType.VIDEO, source=TrackSource.SCREEN_SHARE, name="screen", muted=True)],
)


@dataclass
class TwirpServer:
    """Answers with what a test puts into `answers`, oldest first, and remembers what it was asked."""

    answers: list[web.Response] = field(default_factory=list)
    asked: list[tuple[str, bytes, str]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((request.path.rpartition("/")[2], body, request.headers["Authorization"]))
        return self.answers.pop(0)


def fine(message: bytes) -> web.Response:
    return web.Response(body=message, content_type="application/protobuf")


def error(code: str, status: int) -> web.Response:
    return web.json_response({"code": code, "msg": "no"}, status=status)


@pytest.fixture
async def server() -> AsyncIterator[TwirpServer]:
    twirp = TwirpServer()
    app = web.Application()
    app.router.add_post("/twirp/livekit.RoomService/{method}", twirp.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (place,) = runner.addresses
    twirp.url = f"http://127.0.0.1:{place[1]}"
    yield twirp
    await runner.cleanup()


@pytest.fixture
async def media(server: TwirpServer) -> AsyncIterator[LiveKitMedia]:
    livekit = LiveKitMedia(server.url, KEY, SECRET, timeout=5)
    async with livekit.running():
        yield livekit


async def test_participants_come_with_their_tracks(server: TwirpServer, media: LiveKitMedia) -> None:
    server.answers = [fine(ListParticipantsResponse(participants=[PARTICIPANT]).SerializeToString())]
    (ann,) = await media.participants(ROOM)
    assert (ann.sid, ann.identity, ann.name, ann.kind) == ("PA_1", "ann", "Ann", "standard")
    assert ann.joined_at == datetime.fromtimestamp(1_800_000_000.25, UTC)
    (screen,) = ann.tracks
    assert (screen.kind, screen.source, screen.muted) == ("video", "screen_share", True)
    method, body, authorization = server.asked[0]
    assert (method, ListParticipantsRequest.FromString(body).room) == ("ListParticipants", str(ROOM))
    claims = jwt.decode(authorization.removeprefix("Bearer "), SECRET, algorithms=["HS256"], issuer=KEY)
    assert claims["video"]["roomAdmin"] is True
    assert claims["video"]["room"] == str(ROOM)


async def test_a_room_that_is_not_open_has_nobody_in_it(server: TwirpServer, media: LiveKitMedia) -> None:
    server.answers = [error("not_found", 404)]
    assert list(await media.participants(ROOM)) == []


async def test_closing_a_room_that_is_closed_is_fine(server: TwirpServer, media: LiveKitMedia) -> None:
    server.answers = [fine(DeleteRoomResponse().SerializeToString()), error("not_found", 404)]
    await media.close_room(ROOM)
    await media.close_room(ROOM)
    assert [DeleteRoomRequest.FromString(body).room for _, body, _ in server.asked] == [str(ROOM)] * 2


async def test_removing_someone_who_is_not_there_says_so(server: TwirpServer, media: LiveKitMedia) -> None:
    server.answers = [fine(RemoveParticipantResponse().SerializeToString()), error("not_found", 404)]
    await media.remove_participant(ROOM, "ann")
    with pytest.raises(ParticipantNotFound):
        await media.remove_participant(ROOM, "ann")
    assert RoomParticipantIdentity.FromString(server.asked[0][1]).identity == "ann"


async def test_a_passing_failure_is_asked_again(server: TwirpServer, media: LiveKitMedia) -> None:
    server.answers = [error("unavailable", 503), fine(ListParticipantsResponse().SerializeToString())]
    assert list(await media.participants(ROOM)) == []
    assert len(server.asked) == 2


@pytest.mark.parametrize(("code", "status"), [("permission_denied", 403), ("unauthenticated", 401), ("bad_route", 404)])
async def test_a_refusal_is_not_repeated_and_told_as_unavailable(
    server: TwirpServer, media: LiveKitMedia, code: str, status: int
) -> None:
    server.answers = [error(code, status)]
    with pytest.raises(MediaUnavailable, match=code):
        await media.participants(ROOM)
    assert len(server.asked) == 1


async def test_a_server_that_is_gone_is_told_as_unavailable_and_not_asked_forever(server: TwirpServer) -> None:
    nowhere = LiveKitMedia("http://127.0.0.1:1", KEY, SECRET, timeout=5)
    async with nowhere.running():
        for _ in range(6):
            with pytest.raises(MediaUnavailable):
                await nowhere.participants(ROOM)
        with pytest.raises(MediaUnavailable, match="lately"):
            await nowhere.participants(ROOM)


async def test_before_it_runs_the_media_server_is_unavailable() -> None:
    with pytest.raises(MediaUnavailable):
        await LiveKitMedia("http://127.0.0.1:1", KEY, SECRET, timeout=5).participants(ROOM)


@pytest.mark.parametrize(
    ("settings", "scheme", "host", "ours", "theirs"),
    [
        ({}, "http", "localhost", "http://127.0.0.1:7880", "ws://localhost:7880"),
        ({}, "https", "calls.example.org", "http://127.0.0.1:7880", "wss://calls.example.org:7880"),
        ({"media_host": "::"}, "http", "192.0.2.7", "http://127.0.0.1:7880", "ws://192.0.2.7:7880"),
        ({"media_host": "::1"}, "http", "::1", "http://[::1]:7880", "ws://[::1]:7880"),
        ({"livekit_url": "wss://lk.example"}, "http", "localhost", "wss://lk.example", "wss://lk.example"),
        ({"livekit_url": "http://lk:7880"}, "http", "localhost", "http://lk:7880", "ws://lk:7880"),
        (
            {"livekit_url": "ws://10.0.0.7:7880", "media_public_url": "wss://calls.example.org"},
            "https",
            "localhost",
            "ws://10.0.0.7:7880",
            "wss://calls.example.org",
        ),
    ],
)
def test_we_and_clients_find_the_media_server(
    settings: dict[str, str], scheme: str, host: str, ours: str, theirs: str
) -> None:
    def named(cls: type[RoomsSettings] | type[LiveKitSettings]) -> dict[str, str]:
        return {name: value for name, value in settings.items() if name in cls.model_fields}

    addresses = MediaAddresses(RoomsSettings(**named(RoomsSettings)), LiveKitSettings(**named(LiveKitSettings)))
    assert addresses.for_us == ours
    assert addresses.for_client(scheme, host) == theirs
