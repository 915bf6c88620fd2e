"""The parameters of `/rtc`."""

import base64
import json

import pytest
from livekit.protocol.models import ClientInfo, ReconnectReason

from auralink.media.join import JoinRequestRefused
from auralink.media.join_query import join_request_of


def test_what_a_phone_says_of_itself_is_kept() -> None:
    query = {
        "sdk": "android",
        "version": "2.20.0",
        "protocol": "13",
        "client_protocol": "1",
        "os": "Android",
        "os_version": "15",
        "device_model": "Pixel 9",
        "network": "wifi",
        "capabilities": "CAP_PACKET_TRAILER, CAP_COMPRESSION_DEFLATE_RAW,CAP_OF_TOMORROW,",
        "auto_subscribe": "1",
        "adaptive_stream": "true",
        "of_tomorrow": "1",
    }
    request = join_request_of(query, strict=True)
    client = request.client_info
    assert (client.sdk, client.version, client.protocol, client.client_protocol) == (
        ClientInfo.ANDROID,
        "2.20.0",
        13,
        1,
    )
    assert (client.os, client.os_version, client.device_model, client.network) == ("Android", "15", "Pixel 9", "wifi")
    assert sorted(client.capabilities) == [
        ClientInfo.Capability.CAP_PACKET_TRAILER,
        ClientInfo.Capability.CAP_COMPRESSION_DEFLATE_RAW,
    ]
    assert request.connection_settings.auto_subscribe
    assert request.connection_settings.adaptive_stream
    assert not request.reconnect


def test_tracks_are_subscribed_unless_the_client_says_otherwise() -> None:
    assert join_request_of({}, strict=True).connection_settings.auto_subscribe
    assert join_request_of({"auto_subscribe": ""}, strict=True).connection_settings.auto_subscribe
    assert not join_request_of({"auto_subscribe": "0"}, strict=True).connection_settings.auto_subscribe


def test_whether_video_may_be_paused_is_said_or_left_open() -> None:
    assert not join_request_of({}, strict=True).connection_settings.HasField("subscriber_allow_pause")
    said = join_request_of({"subscriber_allow_pause": "1"}, strict=True)
    assert said.connection_settings.subscriber_allow_pause


def test_a_resume_names_who_resumes_and_why() -> None:
    request = join_request_of({"reconnect": "1", "sid": "PA_x", "reconnect_reason": "1"}, strict=True)
    assert (request.reconnect, request.participant_sid) == (True, "PA_x")
    assert request.reconnect_reason == ReconnectReason.RR_SIGNAL_DISCONNECTED


@pytest.mark.parametrize("number", ["", "x", "-1", "1e9", "9" * 500, "²"])
def test_numbers_that_are_none_do_no_harm(number: str) -> None:
    request = join_request_of({"protocol": number, "client_protocol": number, "reconnect_reason": number}, strict=True)
    assert request.client_info.protocol == 0
    assert request.reconnect_reason == ReconnectReason.RR_UNKNOWN


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def test_attributes_come_with_and_without_padding() -> None:
    text = _encoded({"hand": "raised?"})
    assert text.endswith("=")
    for spelling in (text, text.rstrip("=")):
        assert dict(join_request_of({"attributes": spelling}, strict=True).participant_attributes) == {
            "hand": "raised?"
        }


@pytest.mark.parametrize("text", ["!", "AAAA", _encoded(["a"]), _encoded({"a": 1}), _encoded(None)])
def test_attributes_that_cannot_be_read_are_refused_where_a_client_asks_why(text: str) -> None:
    with pytest.raises(JoinRequestRefused, match="attributes"):
        join_request_of({"attributes": text}, strict=True)
    assert not join_request_of({"attributes": text}, strict=False).participant_attributes
