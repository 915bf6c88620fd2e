"""Of which sound the engine may make RED (redundant Opus); the engine is scripted."""

from typing import Any

import pytest
from livekit.protocol.models import TrackSource, TrackType
from livekit.protocol.rtc import AddTrackRequest, SignalRequest, SimulcastCodec
from tests.media.scripted import Server


def publish(server: Server, **options: Any) -> bool:
    """Announces a microphone and offers it. May the engine make RED of it?"""
    session, _ = server.join("ann")
    request = AddTrackRequest(cid="mic", type=TrackType.AUDIO, source=TrackSource.MICROPHONE, **options)
    session.handle(SignalRequest(add_track=request))
    section = {"mid": "0", "kind": "audio", "cid": "mic", "codecs": ["audio/opus"], "rids": []}
    server.reports.handle(("answer", session.me.peer, 1, "v=0", {}, [section]))
    return bool(server.engine.named("publish")[-1][1]["make_red"])


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({}, True),
        ({"disable_red": True}, False),
        ({"simulcast_codecs": [SimulcastCodec(codec="red")]}, True),
        ({"simulcast_codecs": [SimulcastCodec(codec="opus")]}, False),
        ({"simulcast_codecs": [SimulcastCodec(codec="red"), SimulcastCodec(codec="opus", cid="two")]}, False),
    ],
)
def test_red_is_made_of_sound_whose_publisher_does_not_object(options: dict[str, Any], made: bool) -> None:
    server = Server()
    assert publish(server, **options) is made


def test_red_is_made_only_where_the_server_may() -> None:
    server = Server(makes_red=False)
    assert not publish(server)
