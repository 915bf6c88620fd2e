"""Moving clients whose connection fails: to TCP, then to a relay over TLS; and back to everything."""

import json

import pytest
from livekit.protocol.models import ClientConfigSetting, ClientInfo, ReconnectReason
from livekit.protocol.rtc import JoinRequest, LeaveRequest, SignalRequest, TrickleRequest
from tests.media.scripted import SDP, Client, Server

from auralink.media.candidates import tcp_only
from auralink.media.devices import takes_ice_tcp
from auralink.media.fallback import (
    KEPT_S,
    SHORT_S,
    TWICE_WITHIN_S,
    Failure,
    Fallbacks,
    Policy,
    Preference,
    Way,
    Who,
    next_preference,
)
from auralink.media.ice_servers import IceServers, TurnServer
from auralink.media.rooms import RoomDefaults
from auralink.media.session import Session

ALL, TCP, TLS = Preference.ALL, Preference.TCP, Preference.TLS
ANN = Who("", "lobby", "ann")


@pytest.mark.parametrize(
    ("now", "lost", "after", "after_without_tls"),
    [
        (ALL, "udp", TCP, TCP),
        (ALL, "tcp", TLS, ALL),
        (ALL, "relay", ALL, ALL),
        (ALL, None, ALL, ALL),
        (TCP, "udp", ALL, ALL),
        (TCP, "tcp", TLS, TCP),
        (TCP, None, ALL, ALL),
        (TLS, "relay", TLS, TLS),
        (TLS, None, ALL, ALL),
    ],
)
def test_what_comes_after_a_way_that_failed(
    now: Preference, lost: Way | None, after: Preference, after_without_tls: Preference
) -> None:
    failure = Failure(lost, short=True, takes_tcp=True)
    assert next_preference(now, failure, Policy(tls=True)) is after
    assert next_preference(now, failure, Policy(tls=False)) is after_without_tls


def test_who_cannot_take_tcp_goes_from_udp_to_tls() -> None:
    unable, able = Failure("udp", short=True, takes_tcp=False), Failure("udp", short=True, takes_tcp=True)
    assert next_preference(ALL, unable, Policy(tls=True)) is TLS
    assert next_preference(ALL, able, Policy(tcp=False, tls=True)) is TLS
    assert next_preference(ALL, unable, Policy()) is ALL


@pytest.mark.parametrize(
    ("client", "takes"),
    [
        (ClientInfo(sdk=ClientInfo.JS), True),
        (ClientInfo(sdk=ClientInfo.GO), False),
        (ClientInfo(sdk=ClientInfo.SWIFT, version="1.0.4"), False),
        (ClientInfo(sdk=ClientInfo.SWIFT, version="1.0.5"), True),
        (ClientInfo(sdk=ClientInfo.SWIFT, version="2.6"), True),
    ],
)
def test_which_clients_take_tcp(client: ClientInfo, takes: bool) -> None:
    assert takes_ice_tcp(client) is takes


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0


def fallbacks(**policy: bool) -> tuple[Fallbacks, Time]:
    time = Time()
    return Fallbacks(Policy(**policy), lambda: time.now), time


def test_a_way_that_lasted_has_to_fail_twice_within_a_minute() -> None:
    known, time = fallbacks()
    lasted = Failure("udp", short=False, takes_tcp=True)
    assert not known.failed(ANN, lasted)
    time.now += TWICE_WITHIN_S + 1
    assert not known.failed(ANN, lasted)
    time.now += TWICE_WITHIN_S - 1
    assert known.failed(ANN, lasted)
    assert known.preference(ANN) is TCP


def test_what_was_learned_is_forgotten_after_a_while_and_concerns_nobody_else() -> None:
    known, time = fallbacks()
    assert known.failed(ANN, Failure("udp", short=True, takes_tcp=True))
    time.now += KEPT_S - 1
    assert known.preference(ANN) is TCP
    assert {known.preference(ANN._replace(**{part: "other"})) for part in ANN._fields} == {ALL}
    time.now += 1
    assert known.preference(ANN) is ALL


def test_what_was_learned_is_not_kept_without_end() -> None:
    known, _ = fallbacks()
    for number in range(20_000):
        known.prefer(Who("", "lobby", f"guest {number}"), TCP)
    assert known.preference(Who("", "lobby", "guest 19999")) is TCP
    assert known.preference(Who("", "lobby", "guest 0")) is ALL


def test_where_it_is_not_allowed_nobody_is_moved() -> None:
    known, _ = fallbacks(allowed=False, tls=True)
    assert not known.failed(ANN, Failure("udp", short=True, takes_tcp=True))
    assert known.preference(ANN) is ALL


def test_where_tcp_is_forced_there_is_nothing_wider() -> None:
    known, _ = fallbacks(force_tcp=True, tls=True)
    assert known.preference(ANN) is TCP
    assert known.failed(ANN, Failure("tcp", short=True, takes_tcp=True))
    assert known.preference(ANN) is TLS
    assert known.failed(ANN, Failure(None, short=True, takes_tcp=True))
    assert known.preference(ANN) is TCP


def test_where_there_is_no_other_candidate_all_stay() -> None:
    lines = SDP.split("\r\n")
    only_udp = "\r\n".join(line for line in lines if "TCP" not in line)
    assert " udp " not in tcp_only(SDP)
    assert tcp_only(only_udp) == only_udp


# --- participants ----------------------------------------------------------------------------------------------------


class Network(Server):
    """A server, and what becomes of the connections of one participant."""

    def __init__(self, *turn: TurnServer, **policy: bool) -> None:
        super().__init__()
        defaults = RoomDefaults(300, 20, True, fallback=Policy(**policy))
        self.host(self.events, defaults, self.rooms.limits, IceServers(self.clock.now, (), turn))

    def comes(self, *, way: str = "udp", address: str = "192.0.2.7", dual: bool = False) -> tuple[Session, Client]:
        session, client = self.join("ann", connect=False, dual=dual)
        for peer in session.me.peers:
            self.reports.handle(("route", peer, way, address, 40_000))
            self.reports.handle(("connected", peer))
        return session, client

    def falls_silent(self, session: Session, peer: int | None = None) -> None:
        self.reports.handle(("peer_closed", peer or session.me.peer, "ice_timeout", ""))

    def resumes(self, session: Session, reason: "ReconnectReason") -> Client:
        back = Client()
        claims = self.keys.verify(self.token("ann"))
        request = JoinRequest(participant_sid=session.me.sid, reconnect_reason=reason)
        assert self.joining.resume(claims, request, back.connection)
        return back

    def told(self, session: Session, client: Client) -> str:
        """Which ways the newest session of hers is told of."""
        self.reports.handle(("answer", session.me.peer, 1, SDP, {}, []))
        return "tcp" if " udp " not in client.of("answer")[-1].sdp else "all"


def test_who_falls_silent_over_udp_has_to_join_again_and_is_told_of_tcp_only() -> None:
    server = Network()
    session, client = server.comes()
    assert server.told(session, client) == "all"
    server.falls_silent(session)
    assert client.of("leave")[0].action == LeaveRequest.Action.RECONNECT
    again, new = server.comes(way="tcp")
    assert server.told(again, new) == "tcp"
    assert not new.of("join")[0].fast_publish


def test_nobody_is_moved_whose_signalling_was_away_too() -> None:
    server = Network()
    session, client = server.comes()
    client.silent_s = 14
    server.falls_silent(session)
    assert server.told(*server.comes()) == "all"


def test_nobody_is_moved_whose_way_lasted() -> None:
    server = Network()
    session, _ = server.comes()
    server.clock.advance(SHORT_S)
    server.falls_silent(session)
    assert server.told(*server.comes()) == "all"


@pytest.mark.parametrize("dual", [False, True])
def test_a_client_that_says_what_failed_is_moved_as_it_resumes(dual: bool) -> None:
    server = Network()
    session, _ = server.comes(dual=dual)
    reason = ReconnectReason.RR_SUBSCRIBER_FAILED if dual else ReconnectReason.RR_PUBLISHER_FAILED
    back = server.resumes(session, reason)
    assert server.told(session, back) == "tcp"
    assert not back.of("leave")
    # The engine notices the old way's end later than the client.
    server.falls_silent(session)
    assert server.told(*server.comes(way="tcp")) == "tcp"


@pytest.mark.parametrize("reason", [ReconnectReason.RR_SIGNAL_DISCONNECTED, ReconnectReason.RR_UNKNOWN])
def test_a_resume_for_another_reason_changes_nothing(reason: "ReconnectReason") -> None:
    server = Network()
    session, _ = server.comes()
    assert server.told(session, server.resumes(session, reason)) == "all"


def test_a_resume_long_after_the_last_failure_is_told_of_everything_again() -> None:
    server = Network()
    session, _ = server.comes()
    server.resumes(session, ReconnectReason.RR_PUBLISHER_FAILED)
    server.clock.advance(KEPT_S)
    assert server.told(session, server.resumes(session, ReconnectReason.RR_SIGNAL_DISCONNECTED)) == "all"


def test_who_does_not_get_through_by_tcp_is_told_of_everything_again() -> None:
    server = Network()
    session, _ = server.comes()
    server.falls_silent(session)
    again, new = server.join("ann", connect=False)
    assert server.told(again, new) == "tcp"
    server.clock.advance(9)
    server.rooms.move_stuck()
    assert not new.closed
    server.clock.advance(2)
    server.rooms.move_stuck()
    assert new.of("leave")[0].action == LeaveRequest.Action.RECONNECT
    assert server.told(*server.comes()) == "all"


def test_after_tcp_comes_a_relay_over_tls_alone() -> None:
    relays = [TurnServer(host="turn.example.org", secret="known to both", protocol=p) for p in ("udp", "tls")]
    server = Network(*relays, tls=True)
    session, client = server.comes(way="tcp")
    assert len(client.of("join")[0].ice_servers) == 2
    server.falls_silent(session)
    again, new = server.comes(way="udp")
    (join,) = new.of("join")
    assert join.client_configuration.force_relay == ClientConfigSetting.ENABLED
    assert [url for ice in join.ice_servers for url in ice.urls] == ["turns:turn.example.org:3478?transport=tcp"]
    (reconnect,) = server.resumes(again, ReconnectReason.RR_SIGNAL_DISCONNECTED).of("reconnect")
    assert reconnect.client_configuration.force_relay == ClientConfigSetting.ENABLED


def test_a_relay_that_the_client_chose_is_no_plain_udp() -> None:
    server = Network()
    session, _ = server.join("ann")
    candidate = "candidate:1 1 udp 2130706431 198.51.100.2 50000 typ relay raddr 0.0.0.0 rport 0"
    trickle = TrickleRequest(candidateInit=json.dumps({"candidate": candidate}))
    session.handle(SignalRequest(trickle=trickle))
    server.reports.handle(("route", session.me.peer, "udp", "198.51.100.2", 50_000))
    server.falls_silent(session)
    assert server.told(*server.comes()) == "all"


@pytest.mark.parametrize(
    "init", ["", "[]", "{", '{"candidate": 7}', '{"candidate": "a b c d e f typ relay"}', "[" * 9_000]
)
def test_a_candidate_that_cannot_be_read_says_nothing(init: str) -> None:
    server = Network()
    session, _ = server.comes()
    session.handle(SignalRequest(trickle=TrickleRequest(candidateInit=init)))
    assert session.me.ways.neediest == "udp"
