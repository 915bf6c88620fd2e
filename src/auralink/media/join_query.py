"""What a client of the dual path asks for when it connects to `/rtc`: one parameter each. Unknown ones are ignored."""

import base64
import binascii
import json
from collections.abc import Mapping

from livekit.protocol.models import ClientInfo, ReconnectReason
from livekit.protocol.rtc import ConnectionSettings, JoinRequest

from auralink.media.join import JoinRequestRefused

_SDKS = {
    "js": ClientInfo.JS,
    "ios": ClientInfo.SWIFT,
    "swift": ClientInfo.SWIFT,
    "android": ClientInfo.ANDROID,
    "flutter": ClientInfo.FLUTTER,
    "go": ClientInfo.GO,
    "unity": ClientInfo.UNITY,
    "reactnative": ClientInfo.REACT_NATIVE,
    "rust": ClientInfo.RUST,
    "python": ClientInfo.PYTHON,
    "cpp": ClientInfo.CPP,
    "unityweb": ClientInfo.UNITY_WEB,
    "node": ClientInfo.NODE,
    "unreal": ClientInfo.UNREAL,
    "esp32": ClientInfo.ESP32,
}
_CAPABILITIES = frozenset(ClientInfo.Capability.keys())
_INT32 = 2**31 - 1


def join_request_of(query: Mapping[str, str], *, strict: bool) -> JoinRequest:
    """The parameters as a join request. `strict`: attributes that cannot be read are an error, not left out.

    Raises JoinRequestRefused.
    """
    settings = ConnectionSettings(
        auto_subscribe=_flag(query.get("auto_subscribe") or "1"),
        adaptive_stream=_flag(query.get("adaptive_stream", "")),
        disable_ice_lite=_flag(query.get("disable_ice_lite", "")),
    )
    if pause := query.get("subscriber_allow_pause"):
        settings.subscriber_allow_pause = _flag(pause)
    if data_tracks := query.get("auto_subscribe_data_track"):
        settings.auto_subscribe_data_track = _flag(data_tracks)
    reason = _number(query.get("reconnect_reason", ""))
    return JoinRequest(
        client_info=_client_info(query),
        connection_settings=settings,
        participant_attributes=_attributes(query.get("attributes", ""), strict=strict),
        reconnect=_flag(query.get("reconnect", "")),
        reconnect_reason=ReconnectReason.Name(reason) if reason in ReconnectReason.values() else None,
        participant_sid=query.get("sid", ""),
    )


def _client_info(query: Mapping[str, str]) -> ClientInfo:
    names = (name.strip() for name in query.get("capabilities", "").split(","))
    return ClientInfo(
        sdk=_SDKS.get(query.get("sdk", ""), ClientInfo.UNKNOWN),
        version=query.get("version", ""),
        protocol=_number(query.get("protocol", "")),
        client_protocol=_number(query.get("client_protocol", "")),
        os=query.get("os", ""),
        os_version=query.get("os_version", ""),
        device_model=query.get("device_model", ""),
        browser=query.get("browser", ""),
        browser_version=query.get("browser_version", ""),
        network=query.get("network", ""),
        capabilities=sorted({name for name in names if name in _CAPABILITIES}),
    )


def _attributes(text: str, *, strict: bool) -> dict[str, str]:
    """base64url of a JSON object of texts."""
    if not text:
        return {}
    try:
        read = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        read = None
    if isinstance(read, dict) and all(isinstance(value, str) for value in read.values()):
        return read
    if strict:
        raise JoinRequestRefused("cannot decode attributes")
    return {}


def _flag(text: str) -> bool:
    return text in ("1", "true")


def _number(text: str) -> int:
    """0 for what is none."""
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(_INT32)):
        return 0
    return min(int(text), _INT32)
