"""Who gets which data packet, as whose, and what a resumed client gets again; the engine is scripted."""

import uuid
from typing import Any

from livekit.protocol.metrics import MetricsBatch
from livekit.protocol.models import (
    ActiveSpeakerUpdate,
    ChatMessage,
    DataPacket,
    DataStream,
    DisconnectReason,
    EncryptedPacket,
    Encryption,
    Transcription,
    UserPacket,
)
from livekit.protocol.rtc import DataChannelReceiveState, JoinRequest, LeaveRequest, SignalRequest, SyncState
from tests.media.scripted import Client, Server

from auralink.media import data, membership
from auralink.media.data_out import MAX_WAITING_BYTES, RETRY_S
from auralink.media.keys import PLATFORM
from auralink.media.replay import Destinations, ReliableHistory, ReplayBudget, ReplayLimits
from auralink.media.session import Session


class Sent:
    """What left the engine since it was last asked: (identities, channel, packet)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._count = 0

    def take(self) -> list[tuple[list[str], str, DataPacket]]:
        sent = self._server.engine.named("send_data")
        new, self._count = sent[self._count :], len(sent)
        room = self._server.rooms.find("lobby", tenant=PLATFORM)
        assert room is not None
        return [
            (sorted(room.by_peer[peer].identity for peer in peers), channel, DataPacket.FromString(payload))
            for (peers, channel, payload), _ in new
        ]


def say(server: Server, session: Session, packet: DataPacket | bytes, channel: str = "_reliable") -> None:
    payload = packet if isinstance(packet, bytes) else packet.SerializeToString()
    server.reports.handle(("data", session.me.peer, channel, payload))  # type: ignore[arg-type]


def user(payload: bytes = b"hi", **fields: Any) -> DataPacket:
    return DataPacket(user=UserPacket(payload=payload), **fields)


def test_the_sender_is_stamped_over_whatever_the_client_wrote() -> None:
    server = Server()
    ann, _ = server.join("ann")
    server.join("bob")
    forged = DataPacket(
        participant_identity="bob", participant_sid="PA_bob", user=UserPacket(participant_identity="bob")
    )
    say(server, ann, forged)
    ((to, channel, packet),) = Sent(server).take()
    assert (to, channel) == (["bob"], "_reliable")
    assert (packet.participant_identity, packet.participant_sid) == ("ann", ann.me.sid)
    assert (packet.user.participant_identity, packet.user.participant_sid) == ("ann", ann.me.sid)


def test_bytes_without_the_envelope_reach_the_others_as_a_user_packet() -> None:
    server = Server()
    ann, _ = server.join("ann")
    mute, _ = server.join("mute", video={"canPublishData": False})
    server.join("bob")
    sent = Sent(server)
    for session in (ann, mute):
        server.reports.handle(("unlabeled_data", session.me.peer, b"21.5"))
    [(reached, channel, packet)] = sent.take()
    assert (reached, channel) == (["bob", "mute"], "_reliable")
    assert (packet.user.payload, packet.participant_identity) == (b"21.5", "ann")


def test_the_channel_decides_what_kind_a_packet_is() -> None:
    server = Server()
    ann, _ = server.join("ann")
    server.join("bob")
    sent = Sent(server)
    say(server, ann, user(kind=DataPacket.RELIABLE), "_lossy")
    say(server, ann, user(kind=DataPacket.LOSSY), "_reliable")
    assert [(channel, packet.kind) for _, channel, packet in sent.take()] == [
        ("_lossy", DataPacket.LOSSY),
        ("_reliable", DataPacket.RELIABLE),
    ]


def test_the_hidden_speak_without_a_name() -> None:
    server = Server()
    ghost, _ = server.join("ghost", video={"hidden": True})
    server.join("bob")
    say(server, ghost, user())
    ((_, _, packet),) = Sent(server).take()
    assert packet.participant_identity == packet.user.participant_identity == packet.user.participant_sid == ""


def test_destinations_are_kept_in_new_and_old_form_and_never_reach_the_sender() -> None:
    server = Server()
    ann, _ = server.join("ann")
    bob, _ = server.join("bob")
    server.join("cyd")
    sent = Sent(server)
    say(server, ann, user(destination_identities=["bob", "ann"]))
    say(server, ann, DataPacket(user=UserPacket(payload=b"old", destination_identities=["bob"])))
    say(server, ann, DataPacket(user=UserPacket(payload=b"older", destination_sids=[bob.me.sid])))
    got = sent.take()
    assert [to for to, _, _ in got] == [["bob"]] * 3
    assert list(got[0][2].user.destination_identities) == ["bob", "ann"]
    assert list(got[1][2].destination_identities) == ["bob"]
    say(server, ann, user(destination_identities=["nobody"]))
    assert not sent.take()


def test_who_may_not_publish_data_is_silent_and_nobody_claims_who_speaks() -> None:
    server = Server()
    mute, _ = server.join("mute", video={"canPublishData": False})
    ann, _ = server.join("ann")
    say(server, mute, user())
    say(server, ann, DataPacket(speaker=ActiveSpeakerUpdate()))
    assert not Sent(server).take()


def test_only_agents_transcribe_and_write_in_the_name_of_others() -> None:
    server = Server()
    ann, _ = server.join("ann")
    agent, _ = server.join("agent", kind="agent")
    sent = Sent(server)
    text = DataStream.Header(stream_id="s", text_header=DataStream.TextHeader())
    bytes_ = DataStream.Header(stream_id="s", byte_header=DataStream.ByteHeader(name="f"))
    for who in (ann, agent):
        say(server, who, DataPacket(transcription=Transcription(track_id="TR_x")))
        say(server, who, DataPacket(participant_identity="zoe", chat_message=ChatMessage(message="hm")))
        say(server, who, DataPacket(participant_identity="zoe", stream_header=text))
        say(server, who, DataPacket(participant_identity="zoe", stream_header=bytes_))
    assert [(p.WhichOneof("value"), p.participant_identity) for _, _, p in sent.take()] == [
        ("chat_message", "ann"),
        ("stream_header", "ann"),
        ("stream_header", "ann"),
        ("transcription", "agent"),
        ("chat_message", "zoe"),
        ("stream_header", "zoe"),
        ("stream_header", "agent"),
    ]


def test_what_an_agent_writes_for_somebody_is_marked_as_generated() -> None:
    server = Server()
    agent, _ = server.join("agent", kind="agent")
    server.join("ann")
    sent = Sent(server)
    say(server, agent, DataPacket(participant_identity="ann", chat_message=ChatMessage(message="hm")))
    say(server, agent, DataPacket(chat_message=ChatMessage(message="my own")))
    assert [p.chat_message.generated for _, _, p in sent.take()] == [True, False]


def test_metrics_go_to_those_who_may_see_them() -> None:
    server = Server()
    ann, _ = server.join("ann")
    watcher, _ = server.join("watcher", video={"canSubscribeMetrics": True})
    server.join("bob")
    sent = Sent(server)
    say(server, ann, DataPacket(metrics=MetricsBatch(timestamp_ms=1)))
    assert not sent.take(), "the watcher takes nothing of ann's"
    say(server, watcher, DataPacket(metrics=MetricsBatch(timestamp_ms=2)))
    assert [to for to, _, _ in sent.take()] == [["watcher"]]


def test_what_we_do_not_know_and_what_is_encrypted_passes_unchanged() -> None:
    server = Server()
    ann, _ = server.join("ann")
    server.join("bob")
    future = bytes([0xC2, 0x3E, 3]) + b"new"  # field 1000, a value of a later version
    say(server, ann, user().SerializeToString() + future)
    say(server, ann, future)
    secret = EncryptedPacket(encryption_type=Encryption.GCM, iv=b"iv", encrypted_value=b"secret", key_index=3)
    say(server, ann, DataPacket(encrypted_packet=secret))
    payloads = [arguments[2] for arguments, _ in server.engine.named("send_data")]
    assert future in payloads[0]
    assert future in payloads[1]
    assert DataPacket.FromString(payloads[2]).encrypted_packet == secret


def test_a_packet_that_cannot_be_read_or_is_too_large_costs_only_itself() -> None:
    server = Server()
    ann, _ = server.join("ann")
    server.join("bob")
    say(server, ann, b"\xff\xff\xff")
    say(server, ann, user(b"x" * 70_000))
    assert not Sent(server).take()
    say(server, ann, user())
    assert len(Sent(server).take()) == 1


def test_a_repeated_sequence_number_is_passed_on_once_and_told_on_resume() -> None:
    server = Server()
    ann, _ = server.join("ann")
    server.join("bob")
    for sequence in (1, 2, 2, 1, 3):
        say(server, ann, user(sequence=sequence))
    assert [p.sequence for _, _, p in Sent(server).take()] == [1, 2, 3]
    back = Client()
    claims = server.keys.verify(server.token("ann"))
    assert server.joining.resume(claims, JoinRequest(participant_sid=ann.me.sid), back.connection)
    assert back.received[0].reconnect.last_message_seq == 3


def test_who_is_still_connecting_gets_numbered_messages_only() -> None:
    server = Server()
    ann, _ = server.join("ann")
    server.join("bob", connect=False)
    sent = Sent(server)
    say(server, ann, user(b"numbered", sequence=1))
    say(server, ann, user(b"not numbered"))
    say(server, ann, user(b"lossy"), "_lossy")
    assert [(to, p.user.payload) for to, _, p in sent.take()] == [(["bob"], b"numbered")]


def test_a_resumed_client_gets_what_it_lacks_in_order_and_nothing_else() -> None:
    server = Server()
    ann, _ = server.join("ann")
    bob, _ = server.join("bob")
    cyd, _ = server.join("cyd")
    for sequence in range(1, 7):
        to = ["cyd"] if sequence == 5 else []
        say(server, ann, user(b"%d" % sequence, sequence=sequence, destination_identities=to))
    say(server, cyd, user(b"from cyd", sequence=1))
    sent = Sent(server)
    sent.take()
    reached = [DataChannelReceiveState(publisher_sid=ann.me.sid, last_seq=3)]
    bob.handle(SignalRequest(sync_state=SyncState(datachannel_receive_states=reached)))
    assert [(to, p.user.payload) for to, _, p in sent.take()] == [(["bob"], b"4"), (["bob"], b"6")]


def test_the_history_is_bounded_in_bytes_per_publisher_and_room_and_in_age() -> None:
    history = ReliableHistory(ReplayLimits(seconds=10, publisher_bytes=100, room_bytes=150))
    everybody, somebody = Destinations(), Server().join("bob")[0].me
    for sequence in range(1, 21):
        history.add("PA_ann", sequence, everybody, bytes(20), now=sequence)
    assert history.size_bytes == 100
    for sequence in range(1, 21):
        history.add("PA_cyd", sequence, everybody, bytes(20), now=20)
    assert history.size_bytes <= 150
    history.forget_before(now=30.5)
    assert not history.size_bytes
    assert history.beyond({"PA_ann": 0, "PA_cyd": 0}, somebody) == []


def test_all_histories_together_are_bounded_and_a_closed_room_keeps_nothing() -> None:
    budget = ReplayBudget(total=100)
    first, second = ReliableHistory(budget=budget), ReliableHistory(budget=budget)
    for sequence in range(1, 6):
        first.add("PA_ann", sequence, Destinations(), bytes(20), now=1)
    for sequence in range(1, 6):
        second.add("PA_bob", sequence, Destinations(), bytes(20), now=1)
    assert budget.used == first.size_bytes + second.size_bytes <= 100
    first.clear()
    second.add("PA_bob", 6, Destinations(), bytes(20), now=1)
    assert budget.used == second.size_bytes == 20
    second.forget_before(now=100)
    assert budget.used == 0
    assert not second.size_bytes


def test_a_packet_with_a_known_nonce_is_sent_once() -> None:
    server = Server()
    server.join("bob")
    room = server.rooms.find("lobby", tenant=PLATFORM)
    assert room is not None
    nonces = [uuid.uuid4().bytes for _ in range(150)]
    for nonce in (*nonces, nonces[-1], b"short", b"short"):
        data.send(room, DataPacket(user=UserPacket(payload=b"hi", nonce=nonce)))
    assert len(Sent(server).take()) == len(nonces) + 2


def test_a_slow_reader_may_come_back() -> None:
    server = Server()
    ann, client = server.join("ann")
    server.reports.handle(("peer_closed", ann.me.peer, "slow_reader", "reads too slowly"))
    assert client.of("leave")[0].action == LeaveRequest.Action.RECONNECT
    assert client.closed


def crowded() -> tuple[Server, Session, Session, Client]:
    """The engine takes no more data for now."""
    server = Server()
    ann, _ = server.join("ann")
    bob, client = server.join("bob")
    server.engine.full = True
    return server, ann, bob, client


def test_reliable_messages_wait_in_order_while_the_engine_takes_none() -> None:
    server, ann, _, _ = crowded()
    sent = Sent(server)
    for number in range(3):
        say(server, ann, user(b"%d" % number))
    server.clock.advance(1)
    assert not sent.take()
    server.engine.full = False
    say(server, ann, user(b"3"))
    assert not sent.take(), "not before those that wait"
    server.clock.advance(RETRY_S)
    assert [packet.user.payload for _, _, packet in sent.take()] == [b"0", b"1", b"2", b"3"]
    say(server, ann, user(b"4"))
    assert [packet.user.payload for _, _, packet in sent.take()] == [b"4"]


def test_lossy_messages_do_not_wait() -> None:
    server, ann, _, _ = crowded()
    sent = Sent(server)
    say(server, ann, user(b"old"), "_lossy")
    server.engine.full = False
    server.clock.advance(RETRY_S)
    assert not sent.take()


def test_who_would_miss_a_reliable_message_has_to_connect_anew() -> None:
    server, ann, bob, client = crowded()
    for _ in range(MAX_WAITING_BYTES // 60_000 + 1):
        say(server, ann, user(bytes(60_000)))
    (leave,) = client.of("leave")
    assert leave.action == LeaveRequest.Action.RECONNECT
    assert client.closed
    assert bob.me.identity not in ann.room.participants


def test_what_waits_ends_with_its_room() -> None:
    server, ann, _, _ = crowded()
    sent = len(server.engine.named("send_data"))
    say(server, ann, user())
    membership.close(ann.room, DisconnectReason.ROOM_DELETED)
    server.engine.full = False
    server.clock.advance(RETRY_S)
    assert len(server.engine.named("send_data")) == sent
