"""Failures that a client asks for, and what is left of the call afterwards."""

import pytest
from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import JoinRequest, LeaveRequest, SignalRequest
from tests.media.scripted import SDP, Client, Server

from auralink.media.session import Session


def simulate(session: Session, **scenario: object) -> None:
    session.handle(SignalRequest(simulate=scenario))


def resume(server: Server, session: Session) -> tuple[Session | None, Client]:
    back = Client()
    claims = server.keys.verify(server.token(session.me.identity))
    return server.joining.resume(claims, JoinRequest(participant_sid=session.me.sid), back.connection), back


def test_everybody_hears_the_simulated_speaker_for_its_time() -> None:
    server = Server()
    ann, _ = server.join("ann")
    _, bob = server.join("bob")
    simulate(ann, speaker_update=3)
    server.clock.advance(2.9)
    assert [s.speakers[0].active for s in bob.of("speakers_changed")] == [True]
    server.clock.advance(0.2)
    assert [s.speakers[0].active for s in bob.of("speakers_changed")] == [True, False]


@pytest.mark.parametrize("scenario", ["node_failure", "migration"])
def test_a_failed_node_says_nothing_and_knows_nobody_afterwards(scenario: str) -> None:
    server = Server()
    ann, client = server.join("ann")
    simulate(ann, **{scenario: True})
    assert client.closed
    assert not client.of("leave")
    session, back = resume(server, ann)
    assert session is None
    assert not back.received, "the signal connection tells it to join anew"


def test_a_server_that_leaves_says_so() -> None:
    server = Server()
    ann, client = server.join("ann")
    simulate(ann, server_leave=True)
    assert client.of("leave")[0].reason == DisconnectReason.SERVER_SHUTDOWN
    assert client.of("leave")[0].action == LeaveRequest.Action.DISCONNECT
    assert client.closed


def test_a_full_reconnect_is_ordered() -> None:
    server = Server()
    ann, client = server.join("ann")
    simulate(ann, leave_request_full_reconnect=True)
    assert client.of("leave")[0].action == LeaveRequest.Action.RECONNECT
    assert not ann.room.participants


def test_the_signal_connection_breaks_once_after_the_resume() -> None:
    server = Server()
    ann, client = server.join("ann")
    simulate(ann, disconnect_signal_on_resume=True)
    assert not client.closed
    _, first = resume(server, ann)
    assert first.received[0].HasField("reconnect")
    assert first.closed
    _, second = resume(server, ann)
    assert not second.closed
    assert list(ann.room.participants) == ["ann"]


def test_resumes_break_three_times_before_a_word() -> None:
    server = Server()
    ann, _ = server.join("ann")
    simulate(ann, disconnect_signal_on_resume_no_messages=True)
    for _ in range(3):
        session, back = resume(server, ann)
        assert session
        assert (back.closed, back.received) == (True, [])
    _, last = resume(server, ann)
    assert last.received[0].HasField("reconnect")
    assert not last.closed


def test_another_protocol_restarts_ice_and_holds_for_the_next_session() -> None:
    server = Server()
    ann, client = server.join("ann", dual=True)
    simulate(ann, switch_candidate_protocol="TCP")
    assert server.engine.named("make_offer")[-1][1] == {"ice_restart": True}
    server.reports.handle(("offer", ann.me.receiver, 2, SDP, {}))
    assert " udp " not in client.of("offer")[-1].sdp
    assert [t.final for t in client.of("trickle")] == [True]
    again, new = server.join("ann")
    server.reports.handle(("answer", again.me.peer, 1, SDP, {}, []))
    assert " udp " not in new.of("answer")[0].sdp
    assert not new.of("join")[0].fast_publish
    simulate(again, switch_candidate_protocol="UDP")
    server.reports.handle(("answer", again.me.peer, 2, SDP, {}, []))
    assert new.of("answer")[1].sdp == SDP


def test_tls_without_a_relay_over_tls_means_all() -> None:
    server = Server()
    ann, client = server.join("ann")
    simulate(ann, switch_candidate_protocol="TLS")
    server.reports.handle(("answer", ann.me.peer, 1, SDP, {}, []))
    assert client.of("answer")[0].sdp == SDP


def test_a_narrow_line_is_told_to_the_engine() -> None:
    server = Server()
    ann, _ = server.join("ann", dual=True)
    simulate(ann, subscriber_bandwidth=100_000)
    simulate(ann, subscriber_bandwidth=0)
    limits = [arguments for arguments, _ in server.engine.named("limit_bandwidth")]
    assert limits == [(ann.me.receiver, 100_000), (ann.me.receiver, 0)]
