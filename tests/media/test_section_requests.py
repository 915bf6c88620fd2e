"""The single path: when a client that offers itself is asked for an offer; engine and clock are scripted."""

from livekit.protocol.rtc import SessionDescription, SignalRequest, UpdateSubscription
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


def test_one_request_is_under_way_at_a_time() -> None:
    server = Server()
    bob, client = server.join("bob")
    server.reports.handle(("sections_needed", bob.me.peer, 1, 0))
    server.reports.handle(("sections_needed", bob.me.peer, 0, 2))
    assert asked(client) == [(1, 0)], "its offer has to come and be answered first"
    bob.handle(SignalRequest(offer=SessionDescription(type="offer", sdp="v=0", id=1)))
    server.reports.handle(("answer", bob.me.peer, 1, "v=0", {}, []))
    assert asked(client) == [(1, 0)], "the engine says anew what is missing after an offer"
    server.reports.handle(("sections_needed", bob.me.peer, 0, 2))
    assert asked(client) == [(1, 0), (0, 2)]


def test_a_client_that_waits_for_its_answer_is_not_asked_for_another_offer() -> None:
    server = Server()
    bob, client = server.join("bob")
    bob.handle(SignalRequest(offer=SessionDescription(type="offer", sdp="v=0", id=1)))
    server.reports.handle(("section_freed", bob.me.peer))
    server.clock.advance(1)
    assert asked(client) == []
    server.reports.handle(("answer", bob.me.peer, 1, "v=0", {}, []))
    server.clock.advance(1)
    assert asked(client) == [], "the answer said it"
    server.reports.handle(("section_freed", bob.me.peer))
    server.clock.advance(1)
    assert asked(client) == [(0, 0)]


def test_a_client_that_does_not_offer_is_asked_again() -> None:
    server = Server()
    bob, client = server.join("bob")
    server.reports.handle(("sections_needed", bob.me.peer, 0, 0))
    server.reports.handle(("sections_needed", bob.me.peer, 1, 1))
    server.reports.handle(("sections_needed", bob.me.peer, 1, 0))
    assert asked(client) == [(0, 0)], "the m-lines there are would do"
    server.clock.advance(5)
    assert asked(client) == [(0, 0), (2, 1)]
