"""Plays the scenario against a server and writes down what it answered, without what differs from run to run."""

import asyncio
import base64
import json
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from livekit import rtc
from livekit.protocol import agent_dispatch, models, room
from tests.compat.conftest import MediaServer
from tests.compat.golden.scenario import GRANTS, Step, steps

TIMEOUT_S = 20.0
_TOKEN = re.compile(r"eyJ[\w.-]+")

_RS, _AD = "RoomService", "AgentDispatchService"
_MESSAGES: dict[str, tuple[type[Message], type[Message]]] = {
    f"{_RS}/CreateRoom": (room.CreateRoomRequest, models.Room),
    f"{_RS}/ListRooms": (room.ListRoomsRequest, room.ListRoomsResponse),
    f"{_RS}/DeleteRoom": (room.DeleteRoomRequest, room.DeleteRoomResponse),
    f"{_RS}/ListParticipants": (room.ListParticipantsRequest, room.ListParticipantsResponse),
    f"{_RS}/GetParticipant": (room.RoomParticipantIdentity, models.ParticipantInfo),
    f"{_RS}/RemoveParticipant": (room.RoomParticipantIdentity, room.RemoveParticipantResponse),
    f"{_RS}/MutePublishedTrack": (room.MuteRoomTrackRequest, room.MuteRoomTrackResponse),
    f"{_RS}/UpdateParticipant": (room.UpdateParticipantRequest, models.ParticipantInfo),
    f"{_RS}/UpdateSubscriptions": (room.UpdateSubscriptionsRequest, room.UpdateSubscriptionsResponse),
    f"{_RS}/SendData": (room.SendDataRequest, room.SendDataResponse),
    f"{_RS}/UpdateRoomMetadata": (room.UpdateRoomMetadataRequest, models.Room),
    f"{_RS}/ForwardParticipant": (room.ForwardParticipantRequest, room.ForwardParticipantResponse),
    f"{_RS}/MoveParticipant": (room.MoveParticipantRequest, room.MoveParticipantResponse),
    f"{_RS}/PerformRpc": (room.PerformRpcRequest, room.PerformRpcResponse),
    f"{_AD}/CreateDispatch": (agent_dispatch.CreateAgentDispatchRequest, agent_dispatch.AgentDispatch),
    f"{_AD}/DeleteDispatch": (agent_dispatch.DeleteAgentDispatchRequest, agent_dispatch.AgentDispatch),
    f"{_AD}/ListDispatch": (agent_dispatch.ListAgentDispatchRequest, agent_dispatch.ListAgentDispatchResponse),
}
METHODS = frozenset(_MESSAGES)

_RUN_DEPENDENT = frozenset({
    "sid", "id", "creation_time", "creation_time_ms", "joined_at", "joined_at_ms", "created_at", "deleted_at",
    "turn_password", "version", "cid", "mid",
})  # fmt: skip
"""Fields replaced by their own name when they are set."""


@dataclass
class Answer:
    status: int
    content_type: str
    body: Any
    """JSON; of protobuf answers the message as JSON; text otherwise."""

    def shown(self) -> dict[str, Any]:
        return {"status": self.status, "content_type": self.content_type, "body": self.body}


@dataclass
class Player:
    """Owner of one run: one encoding, rooms of its own."""

    server: MediaServer
    protobuf: bool
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        run = uuid.uuid4().hex[:8]
        self.names |= {"room": f"gold/{run}+ü", "other": f"other {run}"}

    async def play(self) -> dict[str, Answer]:
        """Answers by step name."""
        answers = {}
        url = self.server.url.replace("ws", "http", 1)
        participant = _Ann(self.server, self.names["room"])
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client:
            try:
                for step in steps():
                    if step.name == "participants are listed":
                        self.names["track"] = await participant.join(client)
                    answers[step.name] = await self._ask(client, step)
            finally:
                await participant.leave()
        return answers

    async def _ask(self, client: httpx.AsyncClient, step: Step) -> Answer:
        kind = "application/protobuf" if self.protobuf else "application/json"
        headers = {"Content-Type": step.content_type or kind}
        if token := self._token(step.token):
            headers["Authorization"] = token
        content = self._content(step)
        response = await client.request(step.verb, f"/twirp/livekit.{step.method}", content=content, headers=headers)
        return self._answer(step, response)

    def _content(self, step: Step) -> bytes:
        if step.raw is not None:
            return self._filled(step.raw).encode()
        body = self._filled(step.body)
        if self.protobuf:
            request, _ = _MESSAGES.get(step.method, (room.ListRoomsRequest, None))
            return json_format.ParseDict(body, request(), ignore_unknown_fields=True).SerializeToString()
        return json.dumps(body).encode()

    def _answer(self, step: Step, response: httpx.Response) -> Answer:
        kind = response.headers.get("content-type", "").partition(";")[0]
        body: Any
        if kind == "application/protobuf":
            _, answer = _MESSAGES[step.method]
            body = _decoded(answer(), response.content)
        elif kind == "application/json":
            body = response.json()
        else:
            body = response.text
        if response.status_code == 200 and step.method == "AgentDispatchService/CreateDispatch":
            self.names["dispatch"] = body["id"]
        return Answer(response.status_code, kind, self._normal(body))

    def _filled(self, value: Any) -> Any:
        """With the names of this run."""
        if isinstance(value, dict):
            return {key: self._filled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._filled(one) for one in value]
        if isinstance(value, str):
            for name, real in self.names.items():
                value = value.replace(f"{{{name}}}", real)
        return value

    def _normal(self, value: Any, name: str = "") -> Any:
        if name in _RUN_DEPENDENT and value not in ("", "0", 0, None):
            return f"<{name}>"
        if isinstance(value, dict):
            return {key: self._normal(one, key) for key, one in sorted(value.items())}
        if isinstance(value, list):
            own = [one for one in value if name != "rooms" or one["name"] in self.names.values()]
            return sorted((self._normal(one) for one in own), key=_order)
        if isinstance(value, str):
            value = _TOKEN.sub("<token>", value).replace(self.server.key, "<key>")
            for placeholder in ("room", "other", "track", "dispatch"):
                if real := self.names.get(placeholder):
                    value = value.replace(real, f"{{{placeholder}}}")
        return value

    def _token(self, kind: str) -> str:
        """The Authorization header."""
        key, secret, expires, prefix = self.server.key, self.server.secret, time.time() + 600, "Bearer "
        grants = self._filled(GRANTS.get(kind, GRANTS["list"]))
        match kind:
            case "none":
                return ""
            case "garbage":
                return "Bearer not.a.token"
            case "no bearer":
                prefix = ""
            case "expired":
                expires -= 7200
            case "another secret":
                secret = "x" * 40
            case "unknown key":
                key = "APIunknown"
            case "unsigned":
                claims = {"iss": key, "sub": "golden", "exp": int(expires), "video": grants}
                return f"Bearer {jwt.encode(claims, '', algorithm='none')}"
        claims = {"iss": key, "sub": "golden", "nbf": 0, "exp": int(expires), "video": grants}
        return prefix + jwt.encode(claims, secret, algorithm="HS256")


class _Ann:
    """The participant of the scenario; publishes silence."""

    def __init__(self, server: MediaServer, room_name: str) -> None:
        self._server = server
        self._room_name = room_name
        self._room = rtc.Room()
        self._source = rtc.AudioSource(48_000, 1)

    async def join(self, client: httpx.AsyncClient) -> str:
        """Until the server shows the track; returns its sid."""
        await self._room.connect(self._server.url, self._server.token(self._room_name, "ann"))
        track = rtc.LocalAudioTrack.create_audio_track("tone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self._room.local_participant.publish_track(track, options)
        grants = {"roomAdmin": True, "room": self._room_name}
        claims = {"iss": self._server.key, "sub": "golden", "exp": int(time.time() + 600), "video": grants}
        headers = {"Authorization": f"Bearer {jwt.encode(claims, self._server.secret, algorithm='HS256')}"}
        body = {"room": self._room_name, "identity": "ann"}
        frame = rtc.AudioFrame.create(48_000, 1, 480)
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                await self._source.capture_frame(frame)
                answer = await client.post("/twirp/livekit.RoomService/GetParticipant", json=body, headers=headers)
                if answer.json().get("state") == "ACTIVE" and answer.json().get("tracks"):
                    return publication.sid

    async def leave(self) -> None:
        await self._room.disconnect()
        await self._source.aclose()


def _decoded(message: Message, content: bytes) -> Any:
    try:
        message.ParseFromString(content)
    except DecodeError:
        return {"undecodable": base64.b64encode(content).decode()}
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _order(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
