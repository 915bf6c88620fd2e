"""What clients are told of STUN and TURN servers, and the credentials they get."""

import base64
import hashlib
import hmac

import pytest
from livekit.protocol.models import ClientConfigSetting
from livekit.protocol.rtc import JoinRequest
from pydantic import ValidationError
from tests.media.scripted import Client, Server

from auralink.media.ice_servers import IceServers, TurnServer
from auralink.media.rooms import RoomDefaults

SECRET = "what coturn and we know"


class RelayedServer(Server):
    def __init__(self, *turn: TurnServer, force_relay: bool = False, stun: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.time = 1_800_000_000.0
        ice = IceServers(lambda: self.time, stun, turn, force_relay=force_relay)
        defaults = RoomDefaults(300, 20, True, region="here")
        self.host(self.events, defaults, self.rooms.limits, ice)


def turn(**options: object) -> TurnServer:
    return TurnServer.model_validate({"host": "turn.example.org", "secret": SECRET} | options)


def test_credentials_end_and_are_signed_as_coturn_checks_them() -> None:
    server = RelayedServer(turn(ttl=3600))
    session, client = server.join("ann")
    (ice,) = client.of("join")[0].ice_servers
    assert ice.username == f"{1_800_000_000 + 3600}:{session.me.sid}"
    digest = hmac.new(SECRET.encode(), ice.username.encode(), hashlib.sha1).digest()
    assert ice.credential == base64.b64encode(digest).decode()
    assert list(ice.urls) == ["turn:turn.example.org:3478?transport=udp"]


def test_a_resume_brings_new_credentials() -> None:
    server = RelayedServer(turn(ttl=3600))
    session, client = server.join("ann")
    server.time += 3000
    server.joining.signal_lost(session, client.connection)
    back = Client()
    claims = server.keys.verify(server.token("ann"))
    server.joining.resume(claims, JoinRequest(participant_sid=session.me.sid), back.connection)
    (ice,) = back.of("reconnect")[0].ice_servers
    assert ice.username.startswith(f"{1_800_000_000 + 3000 + 3600}:")


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"protocol": "tcp", "port": 80}, "turn:turn.example.org:80?transport=tcp"),
        ({"protocol": "tls", "port": 443}, "turns:turn.example.org:443?transport=tcp"),
        ({"host": "2001:db8::1"}, "turn:[2001:db8::1]:3478?transport=udp"),
    ],
)
def test_addresses_of_turn_servers(options: dict[str, object], url: str) -> None:
    assert turn(**options).url == url


def test_static_credentials_are_the_same_for_everybody() -> None:
    server = turn(secret="", username="all", credential="of us")
    assert server.credentials("PA_1", 0) == server.credentials("PA_2", 9e9) == ("all", "of us")


@pytest.mark.parametrize(
    "options", [{"secret": ""}, {"host": ""}, {"port": 0}, {"protocol": "sctp"}, {"ttl": 5}, {"x": 1}]
)
def test_a_turn_server_that_cannot_work_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        turn(**options)
    assert SECRET not in str(refused.value)


def test_relay_can_be_forced_and_the_region_is_told() -> None:
    server = RelayedServer(turn(), force_relay=True)
    _, client = server.join("ann")
    join = client.of("join")[0]
    assert join.client_configuration.force_relay == ClientConfigSetting.ENABLED
    assert not join.fast_publish
    assert join.server_info.region == join.server_region == "here"


def test_without_settings_no_server_is_named() -> None:
    _, client = Server().join("ann")
    join = client.of("join")[0]
    assert not join.ice_servers
    assert not join.HasField("client_configuration")
    assert join.fast_publish
    named = RelayedServer(stun=("stun.example.org:3478",))
    _, client = named.join("ann")
    assert [list(ice.urls) for ice in client.of("join")[0].ice_servers] == [["stun:stun.example.org:3478"]]
