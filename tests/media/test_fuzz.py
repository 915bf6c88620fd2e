"""Whatever a client sends: an answer, a refusal or the end of its connection, and never an error of ours."""

import asyncio
import base64
import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from google.protobuf import json_format
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from livekit.protocol.rtc import JoinRequest, SignalRequest, WrappedJoinRequest
from tests.media.anything import messages, with_field
from tests.media.scripted import KEY, ScriptedSocket, Server
from tests.media.test_rooms import publish

from auralink import _native
from auralink.media.encoding import Encoder
from auralink.media.ice_fragment import (
    DescriptionRefused,
    credentials,
    for_player,
    fragment_of,
    parse_fragment,
    sections,
    with_credentials,
)
from auralink.media.join import JoinRequestRefused, decode_join_request
from auralink.media.join_query import join_request_of
from auralink.media.signal import SignalConnection, Wanted
from auralink.media.twirp import RoomService
from auralink.media.twirp_server import twirp_router

OFFERS = [
    path.read_text()
    for path in sorted((Path(__file__).parents[2] / "crates" / "media" / "tests" / "offers").glob("*.sdp"))
]
REQUESTS = list(SignalRequest.DESCRIPTOR.oneofs_by_name["message"].fields)
WORDS = ["ann", "bob", "camera", "TR_ann", "PA_ann", "0", "1", ""]

fuzzed = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def engine() -> Iterator[_native.Engine]:
    """The real one: what it is told must fit the types it takes."""
    engine = _native.Engine(bind_addresses=["127.0.0.1"], advertised_addresses=[], udp_port=0, tcp_port=0)
    yield engine
    engine.close(5.0)


class Scene:
    """A room of two, with a track, of which the engine is the real one."""

    def __init__(self, engine: _native.Engine | None = None) -> None:
        self.server = Server()
        self.ann, self.client = self.server.join("ann", video={"canUpdateOwnMetadata": True})
        self.bob, _ = self.server.join("bob")
        track = publish(self.server, self.ann)
        self.sids = {"TR_ann": track, "PA_ann": self.ann.me.sid}
        if engine is not None:
            self.ann.room.engine = engine

    def named(self, request: SignalRequest) -> SignalRequest:
        """With the sids of this run in place of the words for them."""
        data = request.SerializeToString()
        text = json_format.MessageToJson(SignalRequest.FromString(data))
        for word, sid in self.sids.items():
            text = text.replace(json.dumps(word), json.dumps(sid))
        return json_format.Parse(text, SignalRequest())


@pytest.mark.parametrize("field", REQUESTS, ids=[field.name for field in REQUESTS])
def test_no_request_of_a_client_is_an_error_of_ours(field: Any, engine: _native.Engine) -> None:
    scene = Scene(engine)

    @fuzzed
    @given(with_field(SignalRequest, field, WORDS))
    def told(request: SignalRequest) -> None:
        nonlocal scene
        if scene.ann.room.participants.get("ann") is not scene.ann.me:
            scene = Scene(engine)
        scene.ann.handle(scene.named(request))
        for message in scene.client.received:
            message.SerializeToString()
        scene.client.received.clear()

    told()
    scene.bob.room.broadcast_participant(scene.bob.me)
    assert scene.bob.room.participants["bob"] is scene.bob.me


def connect(message: bytes | str) -> ScriptedSocket:
    """A participant comes, sends this, and its connection is over. The event loop hears of no exception."""
    server, socket, errors = Server(), ScriptedSocket(), []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        wanted = Wanted(server.keys.verify(server.token("ann")), JoinRequest(), dual=False)
        connection = SignalConnection(server.joining, Encoder())
        running = asyncio.create_task(connection.run(socket, wanted))
        await asyncio.sleep(0)
        connection.received(message)
        connection.received(None)
        await running

    asyncio.run(run())
    assert not errors
    assert socket.sent, "the join was answered"
    return socket


@fuzzed
@given(st.binary(max_size=200))
def test_bytes_that_are_no_request_end_the_connection(data: bytes) -> None:
    assert connect(data).codes[0] in (1000, 1007)


@fuzzed
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda v: (
            st.lists(v) | st.dictionaries(st.sampled_from([field.json_name for field in REQUESTS]) | st.text(), v)
        ),
    ).map(json.dumps)
    | st.text()
)
@example('{"ping": ' + "[" * 100_000)
@example('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}")
@example('{"addTrack": {"cid": "\\ud800"}}')
@example('{"ping": 1e400}')
def test_text_that_is_no_request_ends_the_connection(text: str) -> None:
    assert connect(text).codes[0] in (1000, 1007)


@fuzzed
@given(messages(JoinRequest, WORDS), st.integers(0, 2), st.binary(max_size=40), st.integers(0, 300), st.booleans())
def test_a_join_request_is_read_or_refused(request: JoinRequest, how: int, junk: bytes, cut: int, packed: bool) -> None:
    body = request.SerializeToString()
    body = gzip.compress(body) if packed else body
    body = [body, body[:cut] + junk + body[cut + len(junk) :], body[:cut]][how]
    compression = WrappedJoinRequest.Compression.GZIP if packed else WrappedJoinRequest.Compression.NONE
    wrapped = WrappedJoinRequest(compression=compression, join_request=body).SerializeToString()
    with contextlib.suppress(JoinRequestRefused):
        assert decode_join_request(base64.urlsafe_b64encode(wrapped).decode()) == request or how != 0


@fuzzed
@given(st.text(max_size=100) | st.text("ABCDefgh0123-_=", max_size=100))
def test_a_join_parameter_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(JoinRequestRefused):
        decode_join_request(text)
    names = ["sdk", "protocol", "reconnect_reason", "attributes", "capabilities", "auto_subscribe"]
    join_request_of(dict.fromkeys(names, text), strict=False)
    with contextlib.suppress(JoinRequestRefused):
        join_request_of(dict.fromkeys(names, text), strict=True)


@fuzzed
@given(messages(JoinRequest, WORDS))
def test_whoever_joins_is_let_in_or_refused(request: JoinRequest) -> None:
    server, socket = Server(), ScriptedSocket()
    request.reconnect = False

    async def run() -> None:
        wanted = Wanted(
            server.keys.verify(server.token("ann", video={"canUpdateOwnMetadata": True})), request, dual=False
        )
        connection = SignalConnection(server.joining, Encoder())
        running = asyncio.create_task(connection.run(socket, wanted))
        await asyncio.sleep(0)
        connection.received(None)
        await running

    asyncio.run(run())
    assert socket.sent


@fuzzed
@given(st.sampled_from(OFFERS), st.lists(st.tuples(st.floats(0, 1), st.text(max_size=3)), max_size=6), st.floats(0, 1))
def test_an_offer_or_fragment_over_http_is_read_or_refused(
    offer: str, edits: list[tuple[float, str]], cut: float
) -> None:
    text = offer
    for where, put in edits:
        at = int(where * len(text))
        text = text[:at] + put + text[at + len(put) :]
    for version in (text, text[: int(cut * len(text))]):
        with contextlib.suppress(DescriptionRefused):
            fragment = parse_fragment(version)
            with_credentials(version, fragment)
        credentials(version)
        with contextlib.suppress(DescriptionRefused):
            offered = sections(version)
            fragment_of(version)
            for_player(version, offered, "stream")


METHODS = sorted(RoomService(Server().rooms, Server().keys).methods())


@pytest.mark.parametrize("name", METHODS)
def test_no_body_of_a_server_api_call_is_an_error_of_ours(name: str, engine: _native.Engine) -> None:
    scene = Scene(engine)
    service = RoomService(scene.server.rooms, scene.server.keys).methods()
    request_type = service[name].request
    app = FastAPI()
    app.include_router(twirp_router({"RoomService": service}, {}, scene.server.keys))
    video = {"roomCreate": True, "roomList": True, "roomAdmin": True, "room": "lobby"}
    token = scene.server.keys.sign(KEY, {"sub": "api", "exp": 4_000_000_000, "video": video})
    request = messages(request_type, [*WORDS, "lobby"])
    body = request.map(lambda message: message.SerializeToString()) | st.binary(max_size=100)
    text = request.map(json_format.MessageToJson).map(str.encode) | st.binary(max_size=100)

    async def ask(content: bytes, kind: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client, asyncio.timeout(20):
            path = f"/twirp/livekit.RoomService/{name}"
            return (await client.post(path, content=content, headers=headers)).status_code

    @fuzzed
    @given(st.tuples(body, st.just("application/protobuf")) | st.tuples(text, st.just("application/json")))
    def asked(call: tuple[bytes, str]) -> None:
        assert asyncio.run(ask(*call)) in (200, 400, 401, 403, 404, 408, 409, 412, 429, 501, 503)

    asked()
