"""Which publishers are asked for RED (redundant Opus), and of which sound the engine may make it; the engine is
scripted."""

from collections.abc import Sequence
from typing import Any

import pytest
from livekit.protocol.models import TrackSource, TrackType
from livekit.protocol.rtc import AddTrackRequest, SignalRequest, SimulcastCodec
from tests.media.scripted import Server

from auralink.media.participant import Participant


def publish(server: Server, offered: Sequence[str] = ("audio/opus",), **options: Any) -> Participant:
    """Announces a microphone and offers it."""
    session, _ = server.join("ann")
    request = AddTrackRequest(cid="mic", type=TrackType.AUDIO, source=TrackSource.MICROPHONE, **options)
    session.handle(SignalRequest(add_track=request))
    section = {"mid": "0", "kind": "audio", "cid": "mic", "codecs": list(offered), "rids": []}
    server.reports.handle(("answer", session.me.peer, 1, "v=0", {}, [section]))
    return session.me


def made(server: Server) -> bool:
    """May the engine make RED of what was published?"""
    return bool(server.engine.named("publish")[-1][1]["make_red"])


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, True),
        ({"disable_red": True}, False),
        ({"simulcast_codecs": [SimulcastCodec(codec="red")]}, True),
        ({"simulcast_codecs": [SimulcastCodec(codec="opus")]}, False),
        ({"simulcast_codecs": [SimulcastCodec(codec="red"), SimulcastCodec(codec="opus", cid="two")]}, False),
    ],
)
def test_red_is_made_of_sound_whose_publisher_does_not_object(options: dict[str, Any], wanted: bool) -> None:
    server = Server(makes_red=True)
    publish(server, **options)
    assert made(server) is wanted


def test_red_is_made_only_where_the_server_may() -> None:
    server = Server(makes_red=False)
    publish(server)
    assert not made(server)


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, "audio/red"),
        ({"disable_red": True}, None),
        ({"simulcast_codecs": [SimulcastCodec(codec="red")]}, "audio/red"),
        ({"simulcast_codecs": [SimulcastCodec(codec="opus")]}, "audio/opus"),
    ],
)
def test_a_publisher_is_asked_for_what_it_named_else_for_red_unless_it_wants_none(
    options: dict[str, Any], asked: str | None
) -> None:
    server = Server()
    publish(server, **options)
    assert server.engine.named("expect")[-1][1]["mime"] == asked


@pytest.mark.parametrize(
    ("offered", "expected"), [(("audio/opus", "audio/red"), "audio/red"), (("audio/opus",), "audio/opus")]
)
def test_others_are_told_of_red_where_its_publisher_offers_it(offered: tuple[str, ...], expected: str) -> None:
    (track,) = publish(Server(), offered).tracks.values()
    assert (track.info.mime_type, track.info.codecs[0].mime_type) == (expected, expected)
