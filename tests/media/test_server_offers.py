"""The dual path: the server offers what a client receives; the engine and the clock are scripted."""

from livekit.protocol.models import DataPacket, DisconnectReason, ParticipantInfo, ParticipantPermission
from livekit.protocol.rtc import JoinRequest, LeaveRequest, SignalRequest, SignalTarget
from tests.media.scripted import Client, Server
from tests.media.test_rooms import publish

from auralink.media import membership
from auralink.media.session import Session

SDP = "\r\n".join(
    [
        "v=0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:data",
        "a=ice-ufrag:{ufrag}",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host",
        "a=candidate:2 1 tcp 1671430143 127.0.0.1 7881 typ host tcptype passive",
        "",
    ]
)


def offered(server: Server, session: Session, number: int, ufrag: str = "abcd") -> None:
    """The engine made an offer."""
    server.reports.handle(("offer", session.me.receiver, number, SDP.format(ufrag=ufrag), {}))


def answer(session: Session, number: int) -> None:
    session.handle(SignalRequest(answer={"type": "answer", "sdp": "v=0", "id": number}))


def offers_made(server: Server, session: Session) -> list[bool]:
    """Whether each was an ICE restart."""
    made = server.engine.named("make_offer")
    return [options["ice_restart"] for (peer,), options in made if peer == session.me.receiver]


def test_two_connections_and_the_one_that_receives_makes_the_participant_active() -> None:
    server = Server()
    session, client = server.join("ann", dual=True, connect=False)
    me = session.me
    assert [(a[0], a[2]) for a, _ in server.engine.named("create_peer")] == [
        (me.peer, "publisher"),
        (me.receiver, "subscriber"),
    ]
    assert client.of("join")[0].subscriber_primary
    server.reports.handle(("connected", me.peer))
    assert not me.active
    server.reports.handle(("connected", me.receiver))
    assert me.active


def test_a_room_s_playout_delay_is_for_the_connection_that_receives() -> None:
    server = Server()
    delayed = {"roomConfig": {"minPlayoutDelay": 100, "maxPlayoutDelay": 2000}}
    server.join("ann", dual=True, **delayed)
    server.join("bob")
    told = [options.get("playout_delay_ms") for _, options in server.engine.named("create_peer")]
    assert told == [None, (100, 2000), (100, 2000)], "of the room, whoever asked for it"


def test_who_may_not_subscribe_is_active_with_the_connection_it_publishes_on() -> None:
    server = Server()
    session, client = server.join("ann", dual=True, connect=False, video={"canSubscribe": False})
    assert not client.of("join")[0].subscriber_primary
    server.reports.handle(("connected", session.me.peer))
    assert session.me.active
    assert not offers_made(server, session), "there is nothing to send"
    membership.change_permission(session.room, session.me, ParticipantPermission(can_subscribe=True))
    ann, _ = server.join("bob")
    publish(server, ann)
    server.reports.handle(("offer_needed", session.me.receiver))
    server.clock.advance(1)
    assert offers_made(server, session) == [False]


def test_the_first_offer_follows_the_join_and_holds_what_is_there() -> None:
    server = Server()
    ann, _ = server.join("ann")
    publish(server, ann)
    bob, client = server.join("bob", dual=True)
    names = [name for name, arguments, _ in server.engine.commands if arguments and arguments[0] == bob.me.receiver]
    assert names == ["create_peer", "subscribe", "make_offer"]
    offered(server, bob, 1)
    assert [m.WhichOneof("message") for m in client.received[-3:]] == ["offer", "trickle", "trickle"]
    assert client.of("offer")[0].id == 1


def test_candidates_are_told_once_and_again_after_an_ice_restart() -> None:
    server = Server()
    session, client = server.join("ann", dual=True)
    offered(server, session, 1)
    answer(session, 1)
    offered(server, session, 2)
    told = client.of("trickle")
    assert [(t.final, t.target) for t in told] == [(False, SignalTarget.SUBSCRIBER), (True, SignalTarget.SUBSCRIBER)]
    offered(server, session, 3, ufrag="wxyz")
    assert len(client.of("trickle")) == 4
    server.reports.handle(("answer", session.me.peer, 1, SDP.format(ufrag="mine"), {}, []))
    assert client.of("trickle")[-1].target == SignalTarget.PUBLISHER


def test_one_offer_is_under_way_at_a_time() -> None:
    server = Server()
    session, _ = server.join("ann", dual=True)
    needed = ("offer_needed", session.me.receiver)
    server.reports.handle(needed)
    offered(server, session, 1)
    for _ in range(3):
        server.reports.handle(needed)
        server.clock.advance(1)
    assert len(offers_made(server, session)) == 1
    answer(session, 1)
    server.clock.advance(1)
    assert len(offers_made(server, session)) == 2
    offered(server, session, 2)
    answer(session, 1)
    assert [arguments[1] for arguments, _ in server.engine.named("answer")] == [1], "an answer to an old offer"


def test_what_changes_together_is_offered_together() -> None:
    server = Server()
    session, _ = server.join("ann", dual=True)
    offered(server, session, 1)
    answer(session, 1)
    for _ in range(5):
        server.reports.handle(("offer_needed", session.me.receiver))
        server.clock.advance(0.02)
    assert len(offers_made(server, session)) == 1
    server.clock.advance(0.15)
    assert len(offers_made(server, session)) == 2


def test_the_end_of_a_subscription_is_offered() -> None:
    server = Server()
    ann, _ = server.join("ann")
    publish(server, ann)
    bob, _ = server.join("bob", dual=True)
    offered(server, bob, 1)
    answer(bob, 1)
    ann.handle(SignalRequest(leave={}))
    server.clock.advance(1)
    assert len(offers_made(server, bob)) == 1, "blank frames still clear its decoder"
    server.reports.handle(("section_freed", bob.me.receiver))
    server.clock.advance(1)
    assert len(offers_made(server, bob)) == 2


def test_who_does_not_answer_has_to_connect_anew() -> None:
    server = Server()
    session, client = server.join("ann", dual=True)
    offered(server, session, 1)
    server.clock.advance(14.9)
    assert not client.of("leave")
    server.clock.advance(0.2)
    assert client.of("leave")[0].action == LeaveRequest.Action.RECONNECT
    assert not session.room.participants


def test_after_a_resume_there_is_an_ice_restart_in_place_of_what_was_not_answered() -> None:
    server = Server()
    session, client = server.join("ann", dual=True)
    offered(server, session, 1)
    server.joining.signal_lost(session, client.connection)
    server.clock.advance(20)
    assert session.room.participants, "it could not answer"
    back = Client()
    request = JoinRequest(participant_sid=session.me.sid)
    resumed = server.joining.resume(server.keys.verify(server.token("ann")), request, back.connection)
    assert resumed
    assert offers_made(server, session) == [False, True]
    offered(server, session, 2, ufrag="wxyz")
    kinds = [m.WhichOneof("message") for m in back.received]
    assert kinds[0] == "reconnect"
    assert kinds[-3:] == ["offer", "trickle", "trickle"]
    answer(resumed, 2)
    assert server.engine.named("answer")


def test_both_connections_end_with_the_participant() -> None:
    server = Server()
    session, client = server.join("ann", dual=True)
    offered(server, session, 1)
    session.handle(SignalRequest(leave={}))
    server.joining.signal_lost(session, client.connection)
    server.clock.advance(2)
    assert {a[0] for a, _ in server.engine.named("close_peer")} == {session.me.peer, session.me.receiver}
    assert not server.rooms.by_peer
    server.clock.advance(60)
    assert len(offers_made(server, session)) == 1


def test_either_connection_that_fails_sends_the_client_to_a_new_session() -> None:
    for which in ("peer", "receiver"):
        server = Server()
        session, client = server.join("ann", dual=True)
        server.reports.handle(("peer_closed", getattr(session.me, which), "ice_timeout", "gone"))
        assert client.of("leave")[0].action == LeaveRequest.Action.RECONNECT
        assert client.of("leave")[0].reason == DisconnectReason.CONNECTION_TIMEOUT
        assert session.me.state == ParticipantInfo.State.DISCONNECTED


def test_data_goes_out_on_the_connection_that_receives_and_comes_in_on_either() -> None:
    server = Server()
    ann, _ = server.join("ann", dual=True)
    bob, _ = server.join("bob", dual=True)
    packet = DataPacket(user={"payload": b"hi"}).SerializeToString()
    for sender in (ann.me.peer, ann.me.receiver):
        server.reports.handle(("data", sender, "_reliable", packet))
    assert [a[0] for a, _ in server.engine.named("send_data")] == [[bob.me.receiver]] * 2


def test_the_worse_connection_decides_the_quality() -> None:
    server = Server()
    session, client = server.join("ann", dual=True)
    server.reports.handle(("quality", session.me.peer, 2.0))
    server.reports.handle(("quality", session.me.receiver, 4.9))
    server.reports.handle(("quality", session.me.peer, 4.8))
    assert [round(u.updates[0].score, 1) for u in client.of("connection_quality")] == [2.0, 4.8]
