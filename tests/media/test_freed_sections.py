"""The single path: what a client that offers itself is told when it gets less; engine and clock are scripted."""

from livekit.protocol.rtc import SignalRequest, UpdateSubscription
from tests.media.scripted import Client, Server
from tests.media.test_rooms import publish

from auralink.media.session import Session


def asked(client: Client) -> list[tuple[int, int]]:
    return [(need.num_audios, need.num_videos) for need in client.of("media_sections_requirement")]


def taking(server: Server, sids: int) -> tuple[Session, Session, Client]:
    """Ann publishes so many tracks and Bob has them all."""
    ann, _ = server.join("ann")
    for number in range(sids):
        publish(server, ann, f"cid-{number}")
    bob, client = server.join("bob")
    for track in ann.room.tracks:
        server.reports.handle(("subscribed", bob.me.peer, track))
    return ann, bob, client


def test_a_client_is_asked_for_one_offer_when_somebody_with_many_tracks_leaves() -> None:
    server = Server()
    ann, bob, client = taking(server, 3)
    ann.handle(SignalRequest(leave={}))
    server.clock.advance(1)
    assert asked(client) == [], "blank frames still clear its decoders"
    for _ in range(3):
        server.reports.handle(("section_freed", bob.me.peer))
    assert asked(client) == [], "what ends together is one negotiation"
    server.clock.advance(1)
    assert asked(client) == [(0, 0)]


def test_a_client_is_asked_for_an_offer_when_it_unsubscribes() -> None:
    server = Server()
    ann, bob, client = taking(server, 1)
    bob.handle(SignalRequest(subscription=UpdateSubscription(track_sids=list(ann.me.tracks), subscribe=False)))
    server.clock.advance(1)
    assert asked(client) == []
    server.reports.handle(("section_freed", bob.me.peer))
    server.clock.advance(1)
    assert asked(client) == [(0, 0)]


def test_a_client_without_the_codec_is_asked_for_an_offer_that_frees_the_section() -> None:
    server = Server()
    _, bob, client = taking(server, 1)
    server.reports.handle(("subscription_failed", bob.me.peer, next(iter(bob.room.tracks)), "no codec"))
    server.clock.advance(1)
    assert client.of("subscription_response")
    assert asked(client) == [(0, 0)]


def test_who_left_is_asked_for_nothing() -> None:
    server = Server()
    ann, bob, client = taking(server, 1)
    ann.handle(SignalRequest(leave={}))
    bob.handle(SignalRequest(leave={}))
    server.clock.advance(1)
    assert asked(client) == []
