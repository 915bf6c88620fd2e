"""Which codecs a client is offered: what the server's settings enable, less what its kind of client does badly."""

import pytest
from livekit.protocol.models import ClientInfo
from pydantic import ValidationError
from tests.media.scripted import Server

from auralink.media import codecs, devices
from auralink.media.devices import Refused
from auralink.media.settings import MediaSettings


@pytest.mark.parametrize(
    ("client", "refused"),
    [
        (ClientInfo(browser="Chrome", os="linux"), Refused()),
        (ClientInfo(browser="Firefox", os="mac"), Refused()),
        (ClientInfo(browser="Firefox", os="Linux"), Refused(publish=frozenset({"video/H264"}))),
        (ClientInfo(browser="Firefox Mobile", os="Android"), Refused(publish=frozenset({"video/H264"}))),
        (ClientInfo(device_model="Xiaomi 2201117TI", os="android"), Refused(publish=frozenset({"video/H264"}))),
        (ClientInfo(browser="Safari", browser_version="17.6"), Refused(frozenset({"video/AV1"}))),
        (ClientInfo(browser="Safari", browser_version="18.3"), Refused(frozenset({"video/AV1"}))),
        (
            ClientInfo(browser="safari", browser_version="26.0"),
            Refused(frozenset({"video/AV1"}), frozenset({"video/VP9"})),
        ),
        (ClientInfo(browser="safari", browser_version="x"), Refused(frozenset({"video/AV1"}))),
    ],
)
def test_some_clients_do_not_use_what_they_do_badly(client: ClientInfo, refused: Refused) -> None:
    assert devices.refused(client) == refused


def test_a_client_is_told_and_the_engine_leaves_out_what_is_refused() -> None:
    server = Server()
    _, client = server.join("ann", dual=True, about=ClientInfo(browser="Safari", browser_version="26.0"))
    join = client.of("join")[0]
    publishable = {codec.mime for codec in join.enabled_publish_codecs}
    assert {"video/VP8", "video/H264"} <= publishable
    assert not {"video/AV1", "video/VP9"} & publishable
    assert [codec.mime for codec in join.client_configuration.disabled_codecs.codecs] == ["video/AV1"]
    assert [codec.mime for codec in join.client_configuration.disabled_codecs.publish] == ["video/VP9"]
    for _, options in server.engine.named("create_peer"):
        assert options["refused_codecs"] == ["audio/red", "video/AV1"], "RED it is not told of"
        assert options["refused_publish_codecs"] == ["video/VP9"]


@pytest.mark.parametrize(("browser", "red"), [("Chrome", True), ("", True), ("Safari", False), ("Firefox", False)])
def test_red_goes_to_those_who_play_it_well(browser: str, red: bool) -> None:
    server = Server()
    server.join("ann", about=ClientInfo(browser=browser))
    (_, options), *_ = server.engine.named("create_peer")
    assert ("audio/red" not in options["refused_codecs"]) is red


def test_a_server_with_few_codecs_negotiates_no_others() -> None:
    server = Server(codecs=codecs.enabled(["VIDEO/vp8", "audio/opus"]))
    _, client = server.join("ann")
    join = client.of("join")[0]
    assert [codec.mime for codec in join.room.enabled_codecs] == ["video/VP8", "audio/opus", "video/rtx"]
    assert [codec.mime for codec in join.enabled_publish_codecs] == ["video/VP8", "audio/opus"]
    (_, options), *_ = server.engine.named("create_peer")
    assert "video/H264" in options["refused_codecs"]
    assert not {"video/VP8", "audio/opus"} & set(options["refused_codecs"])


def test_a_codec_that_cannot_be_forwarded_is_refused_as_a_setting() -> None:
    with pytest.raises(ValidationError, match="video/theora"):
        MediaSettings(media_enabled_codecs=["video/theora"])
    assert MediaSettings(media_enabled_codecs=["video/h264"]).media_enabled_codecs == ["video/h264"]
