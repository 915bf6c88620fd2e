"""What is asked of a server to learn how it answers: steps in order, in JSON and in protobuf.

`{room}` and `{other}` are names no other run uses, `{track}` is the sid of the track that the participant `ann`
publishes in `{room}`, `{dispatch}` the id that the last CreateDispatch gave.
"""

from dataclasses import dataclass, field
from typing import Any

LONG = 600 * 1024
"""Bytes: more than the metadata a server takes."""

GRANTS: dict[str, dict[str, Any]] = {
    "create": {"roomCreate": True},
    "list": {"roomList": True},
    "admin": {"roomAdmin": True, "room": "{room}"},
    "admin of another": {"roomAdmin": True, "room": "{other}"},
    "admin of a missing room": {"roomAdmin": True, "room": "{room} missing"},
    "admin of both": {"roomAdmin": True, "room": "{room}", "destinationRoom": "{other}"},
    "join": {"roomJoin": True, "room": "{room}"},
    "record": {"roomRecord": True},
    "ingress": {"ingressAdmin": True},
}
"""Tokens by what they grant; further ones in `tokens.py` are bad in themselves."""


@dataclass(frozen=True)
class Step:
    name: str
    method: str
    """Service/Method, without the package."""
    token: str
    body: dict[str, Any] = field(default_factory=dict)
    raw: str | None = None
    """Sent instead of the body, whatever the encoding."""
    verb: str = "POST"
    content_type: str | None = None
    """Instead of the encoding's own."""


def steps() -> list[Step]:
    return [*_creating(), *_participants(), *_tracks(), *_room(), *_dispatch(), *_transport(), *_refused(), *_ending()]


def _creating() -> list[Step]:
    create = "RoomService/CreateRoom"
    full = {
        "name": "{room}",
        "empty_timeout": 120,
        "departure_timeout": 7,
        "max_participants": 9,
        "metadata": "about",
        "min_playout_delay": 50,
        "max_playout_delay": 500,
        "sync_streams": True,
        "tags": {"a": "b"},
        "agents": [{"agent_name": "golden-none", "metadata": "for the agent", "attributes": {"k": "v"}}],
    }
    return [
        Step("a room is created", create, "create", full),
        Step("creating it again gives it", create, "create", {"name": "{room}"}),
        Step("creating it again changes what is given", create, "create", {"name": "{room}", "max_participants": 5}),
        Step("another room of defaults", create, "create", {"name": "{other}"}),
        Step("camelCase is read", create, "create", {"name": "{other}", "emptyTimeout": 77, "metadata": "x"}),
        Step("unknown fields are ignored", create, "create", {"name": "{other}"}, raw='{"name":"{other}","zzz":1}'),
        Step("no name", create, "create", {}),
        Step("a name too long", create, "create", {"name": "n" * 300}),
        Step("metadata too large", create, "create", {"name": "{room}", "metadata": "m" * LONG}),
        Step("a preset nobody defined", create, "create", {"name": "{room} preset", "room_preset": "nobody's"}),
        Step("with egress", create, "create", {"name": "{room} egress", "egress": {"tracks": {"filepath": "x"}}}),
        Step("rooms are listed by name", "RoomService/ListRooms", "list", {"names": ["{room}", "{room} missing"]}),
    ]


def _participants() -> list[Step]:
    room, ann = {"room": "{room}"}, {"room": "{room}", "identity": "ann"}
    update = "RoomService/UpdateParticipant"
    permission = {"can_subscribe": True, "can_publish": True, "can_publish_data": True}
    return [
        Step("participants are listed", "RoomService/ListParticipants", "admin", room),
        Step("a participant is found", "RoomService/GetParticipant", "admin", ann),
        Step("nobody is found", "RoomService/GetParticipant", "admin", {**room, "identity": "nobody"}),
        Step("name and metadata change", update, "admin", {**ann, "name": "Ann B", "metadata": "new"}),
        Step("an attribute is added", update, "admin", {**ann, "attributes": {"mood": "calm", "hat": "red"}}),
        Step("an empty attribute is removed", update, "admin", {**ann, "attributes": {"hat": ""}}),
        Step("nothing given changes nothing", update, "admin", ann),
        Step("permissions change", update, "admin", {**ann, "permission": {**permission, "can_update_metadata": True}}),
        Step(
            "permissions name sources",
            update,
            "admin",
            {**ann, "permission": {**permission, "can_publish_sources": ["MICROPHONE"]}},
        ),
        Step("nobody is updated", update, "admin", {**room, "identity": "nobody", "name": "x"}),
        Step("a name of anybody too long", update, "admin", {**ann, "name": "n" * 300}),
        Step("metadata of anybody too large", update, "admin", {**ann, "metadata": "m" * LONG}),
        Step("attributes too large", update, "admin", {**ann, "attributes": {"a": "m" * LONG}}),
        Step("nobody is removed", "RoomService/RemoveParticipant", "admin", {**room, "identity": "nobody"}),
    ]


def _tracks() -> list[Step]:
    mute, subscribe = "RoomService/MutePublishedTrack", "RoomService/UpdateSubscriptions"
    track = {"room": "{room}", "identity": "ann", "track_sid": "{track}"}
    return [
        Step("a track is muted", mute, "admin", {**track, "muted": True}),
        Step("nothing is unmuted from afar", mute, "admin", {**track, "muted": False}),
        Step("a track nobody has", mute, "admin", {**track, "track_sid": "TR_none", "muted": True}),
        Step("a track of nobody", mute, "admin", {**track, "identity": "nobody", "muted": True}),
        Step("subscriptions change", subscribe, "admin", {"room": "{room}", "identity": "ann", "track_sids": ["TR_x"]}),
        Step("subscriptions of nobody", subscribe, "admin", {"room": "{room}", "identity": "nobody"}),
    ]


def _room() -> list[Step]:
    data, about = "RoomService/SendData", "RoomService/UpdateRoomMetadata"
    forward, move = "RoomService/ForwardParticipant", "RoomService/MoveParticipant"
    rpc = "RoomService/PerformRpc"
    nonce = "AAAAAAAAAAAAAAAAAAAAAA=="
    ann = {"room": "{room}", "identity": "ann", "destination_room": "{other}"}
    return [
        Step("data is sent", data, "admin", {"room": "{room}", "data": "aGk=", "topic": "t", "nonce": nonce}),
        Step("data to nobody", data, "admin", {"room": "{room}", "data": "aGk=", "destination_identities": ["nobody"]}),
        Step("a short nonce", data, "admin", {"room": "{room}", "data": "aGk=", "nonce": "AAAA"}),
        Step("a room's metadata changes", about, "admin", {"room": "{room}", "metadata": "told"}),
        Step("a room's metadata too large", about, "admin", {"room": "{room}", "metadata": "m" * LONG}),
        Step("a participant is forwarded", forward, "admin of both", ann),
        Step("forwarding needs the destination", forward, "admin", ann),
        Step("forwarding to the same room", forward, "admin of both", {**ann, "destination_room": "{room}"}),
        Step("a participant is moved", move, "admin of both", ann),
        Step("moving needs the destination", move, "admin", ann),
        Step("an RPC to no one named", rpc, "admin", {"room": "{room}", "method": "m"}),
        Step("an RPC to nobody", rpc, "admin", {"room": "{room}", "method": "m", "destination_identity": "nobody"}),
    ]


def _dispatch() -> list[Step]:
    create, delete, listed = (f"AgentDispatchService/{name}Dispatch" for name in ("Create", "Delete", "List"))
    wanted = {"room": "{room}", "agent_name": "golden-none", "metadata": "m", "attributes": {"a": "b"}}
    return [
        Step("the dispatches of CreateRoom", listed, "admin", {"room": "{room}"}),
        Step("an agent is dispatched", create, "admin", wanted),
        Step(
            "with a policy and a deployment",
            create,
            "admin",
            {**wanted, "restart_policy": "JRP_NEVER", "deployment": "blue"},
        ),
        Step("a bad deployment", create, "admin", {**wanted, "deployment": "no_underscore"}),
        Step("a dispatch's metadata too large", create, "admin", {**wanted, "metadata": "m" * LONG}),
        Step("a dispatch's attributes too large", create, "admin", {**wanted, "attributes": {"a": "m" * LONG}}),
        Step("one dispatch", listed, "admin", {"room": "{room}", "dispatch_id": "{dispatch}"}),
        Step("a dispatch is deleted", delete, "admin", {"room": "{room}", "dispatch_id": "{dispatch}"}),
        Step("it is gone", listed, "admin", {"room": "{room}", "dispatch_id": "{dispatch}"}),
        Step("deleting it again", delete, "admin", {"room": "{room}", "dispatch_id": "{dispatch}"}),
        Step("deleting without an id", delete, "admin", {"room": "{room}"}),
        Step("dispatches of a missing room", listed, "admin of a missing room", {"room": "{room} missing"}),
    ]


def _transport() -> list[Step]:
    rooms, listing = "RoomService/ListRooms", {"names": ["{other}"]}
    return [
        Step("no token", rooms, "none", listing),
        Step("a token that is none", rooms, "garbage", listing),
        Step("a token without Bearer", rooms, "no bearer", listing),
        Step("an expired token", rooms, "expired", listing),
        Step("a token of another secret", rooms, "another secret", listing),
        Step("a token of an unknown key", rooms, "unknown key", listing),
        Step("a token of an unsigned kind", rooms, "unsigned", listing),
        Step("a malformed body", rooms, "list", raw='{"names": [1'),
        Step("a body of the wrong type", rooms, "list", raw='{"names": "no list"}'),
        Step("an empty body", rooms, "list", raw=""),
        Step("GET", rooms, "list", verb="GET"),
        Step("PUT", rooms, "list", verb="PUT"),
        Step("a wrong content type", rooms, "list", listing, content_type="text/plain"),
        Step("a content type with a charset", rooms, "list", raw="", content_type="application/json; charset=utf-8"),
        Step("no such method", "RoomService/NoSuchMethod", "list"),
        Step("no such service", "NoSuchService/ListRooms", "list"),
        Step("a method in small letters", "RoomService/listrooms", "list"),
        Step("an egress", "Egress/ListEgress", "record"),
        Step("an egress without the grant", "Egress/ListEgress", "join"),
        Step("an ingress", "Ingress/ListIngress", "ingress"),
        Step("no such method of egress", "Egress/NoSuchMethod", "record"),
    ]


_ADMIN = (
    "ListParticipants",
    "GetParticipant",
    "RemoveParticipant",
    "MutePublishedTrack",
    "UpdateParticipant",
    "UpdateSubscriptions",
    "SendData",
    "UpdateRoomMetadata",
    "ForwardParticipant",
    "MoveParticipant",
    "PerformRpc",
)


def _refused() -> list[Step]:
    """Every method without its grant, with the grant for another room, and for a room that is not there."""
    found = []
    for method in ("CreateRoom", "ListRooms", "DeleteRoom"):
        found.append(Step(f"{method} without the grant", f"RoomService/{method}", "join", {"name": "{room}"}))
    methods = [f"RoomService/{name}" for name in _ADMIN]
    methods += [f"AgentDispatchService/{name}Dispatch" for name in ("Create", "Delete", "List")]
    for method in methods:
        name = method.partition("/")[2]
        missing = {"room": "{room} missing", "identity": "ann", "destination_identity": "ann"}
        body = {"room": "{room}", "identity": "ann"}
        found.append(Step(f"{name} without the grant", method, "join", body))
        found.append(Step(f"{name} with a grant for another room", method, "admin of another", body))
        found.append(Step(f"{name} without a token", method, "none", body))
        if name not in ("CreateDispatch", "ListDispatch"):
            found.append(Step(f"{name} in a missing room", method, "admin of a missing room", missing))
    return found


def _ending() -> list[Step]:
    delete, missing = "RoomService/DeleteRoom", {"room": "{room} missing"}
    remove = "RoomService/RemoveParticipant"
    return [
        Step("a participant is removed", remove, "admin", {"room": "{room}", "identity": "ann"}),
        Step("a room is deleted", delete, "create", {"room": "{room}"}),
        Step("it is deleted once", delete, "create", {"room": "{room}"}),
        Step("a missing room is not deleted", delete, "create", missing),
        Step("the other one too", delete, "create", {"room": "{other}"}),
        Step("neither is listed", "RoomService/ListRooms", "list", {"names": ["{room}", "{other}"]}),
    ]
