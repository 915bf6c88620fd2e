"""Who is told who speaks, and how often a message to all is encoded."""

from typing import Any

from livekit.protocol.models import TrackSource, TrackType
from livekit.protocol.rtc import AddTrackRequest, SignalRequest, SignalResponse
from tests.media.scripted import Client, Server

from auralink.media.encoding import Encoder
from auralink.media.session import Session


def speak(server: Server, session: Session, level: float, *, active: bool) -> None:
    server.reports.handle(("speakers", session.room.id, [(session.me.peer, level, active)]))


def publish(server: Server, session: Session) -> str:
    track = AddTrackRequest(cid="mic", type=TrackType.AUDIO, source=TrackSource.MICROPHONE)
    session.handle(SignalRequest(add_track=track))
    section = {"mid": "0", "kind": "audio", "cid": "mic", "codecs": ["audio/opus"], "rids": []}
    server.reports.handle(("answer", session.me.peer, 1, "v=0", {}, [section]))
    return next(iter(session.me.tracks))


def told(client: Client) -> list[tuple[str, float, bool]]:
    return [(s.sid, s.level, s.active) for m in client.of("speakers_changed") for s in m.speakers]


def take(session: Session, sid: str, *, subscribe: bool) -> None:
    wanted: Any = {"track_sids": [sid], "subscribe": subscribe}
    session.handle(SignalRequest(subscription=wanted))


def test_a_speaker_is_told_to_itself_and_to_who_takes_something_of_it() -> None:
    server = Server()
    ann, ann_client = server.join("ann")
    _, bob = server.join("bob")
    _, deaf = server.join("deaf", video={"canSubscribe": False})
    publish(server, ann)
    speak(server, ann, 0.5, active=True)
    assert told(ann_client) == told(bob) == [(ann.me.sid, 0.5, True)]
    assert not told(deaf)


def test_only_changes_are_told() -> None:
    server = Server()
    ann, client = server.join("ann")
    for level in (0.5, 0.51, 0.75):
        speak(server, ann, level, active=True)
    for _ in range(2):
        speak(server, ann, 0, active=False)
    assert [(level, active) for _, level, active in told(client)] == [(0.5, True), (0.75, True), (0, False)]


def test_who_takes_a_track_later_learns_that_its_publisher_speaks_and_who_gives_it_up_that_it_hears_nobody() -> None:
    server = Server()
    ann, _ = server.join("ann")
    bob, client = server.join("bob")
    sid = publish(server, ann)
    take(bob, sid, subscribe=False)
    speak(server, ann, 0.5, active=True)
    assert not told(client)
    take(bob, sid, subscribe=True)
    assert told(client) == [(ann.me.sid, 0.5, True)]
    take(bob, sid, subscribe=False)
    assert told(client)[1:] == [(ann.me.sid, 0, False)]
    speak(server, ann, 0, active=False)
    assert len(told(client)) == 2


def test_a_speaker_whose_track_ends_falls_silent_for_who_took_it() -> None:
    server = Server()
    ann, _ = server.join("ann")
    _, bob = server.join("bob")
    sid = publish(server, ann)
    speak(server, ann, 0.5, active=True)
    server.reports.handle(("track_ended", ann.me.tracks[sid].id))
    assert told(bob) == [(ann.me.sid, 0.5, True), (ann.me.sid, 0, False)]


def test_a_late_subscriber_learns_the_publishers_quality() -> None:
    server = Server()
    ann, _ = server.join("ann")
    bob, client = server.join("bob")
    sid = publish(server, ann)
    take(bob, sid, subscribe=False)
    for session in (ann, bob):
        server.reports.handle(("quality", session.me.peer, 4.9))
    known = [u.participant_sid for m in client.of("connection_quality") for u in m.updates]
    assert known == [bob.me.sid]
    take(bob, sid, subscribe=True)
    assert [u.participant_sid for m in client.of("connection_quality") for u in m.updates][1:] == [ann.me.sid]


def test_an_event_of_a_track_finds_its_room_until_the_track_ends() -> None:
    server = Server()
    server.join("zoe", room="another")
    ann, client = server.join("ann")
    track = ann.me.tracks[publish(server, ann)]
    server.reports.handle(("track_started", track.id, "audio/red"))
    assert track.info.mime_type == "audio/red"
    for _ in range(2):
        server.reports.handle(("track_ended", track.id))
    assert len(client.of("track_unpublished")) == 1
    assert not ann.room.by_track


def test_a_message_to_all_is_one_message_and_encoded_once() -> None:
    server = Server()
    ann, _ = server.join("ann")
    clients = [server.join(name)[1] for name in ("bob", "cyd", "dan")]
    publish(server, ann)
    speak(server, ann, 0.5, active=True)
    last = [client.received[-1] for client in clients]
    assert all(message is last[0] for message in last)
    encoder = Encoder()
    encoded = [encoder.encode(message) for message in last]
    assert encoded[0] == last[0].SerializeToString()
    assert all(each is encoded[0] for each in encoded)


def test_another_message_is_encoded_anew() -> None:
    encoder = Encoder()
    for sid in ("TR_1", "TR_2", "TR_1"):
        message = SignalResponse()
        message.track_unpublished.track_sid = sid
        assert SignalResponse.FromString(encoder.encode(message)).track_unpublished.track_sid == sid
