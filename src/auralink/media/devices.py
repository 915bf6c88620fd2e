"""Clients with codecs that are better not used, whatever their offers say. The rules are LiveKit's
(`pkg/clientconfiguration` of its server)."""

from typing import NamedTuple

from livekit.protocol.models import ClientInfo


class Refused(NamedTuple):
    """Mime types."""

    codecs: frozenset[str] = frozenset()
    """In both directions."""
    publish: frozenset[str] = frozenset()
    """Where the client sends."""


_SAFARI_VP9 = (18, 3)
"""Later versions do not send VP9."""


_SWIFT_TCP = (1, 0, 5)


def refused(client: ClientInfo) -> Refused:
    browser, system = client.browser.lower(), client.os.lower()
    if browser == "safari":
        vp9 = frozenset({"video/VP9"}) if _version(client.browser_version) > _SAFARI_VP9 else frozenset[str]()
        return Refused(frozenset({"video/AV1"}), vp9)
    phone = client.device_model.lower() == "xiaomi 2201117ti" and system == "android"
    firefox = browser in ("firefox", "firefox mobile") and system in ("linux", "android")
    return Refused(publish=frozenset({"video/H264"})) if phone or firefox else Refused()


def takes_red(client: ClientInfo) -> bool:
    """LiveKit sends these no RED, although Safari's answers accept it. They are not told: nothing is lost to them."""
    return client.browser.lower() not in ("safari", "firefox", "firefox mobile")


def takes_ice_tcp(client: ClientInfo) -> bool:
    """Whether it connects to candidates of ours over TCP."""
    if client.sdk == ClientInfo.SWIFT:
        return _version(client.version) >= _SWIFT_TCP
    return client.sdk != ClientInfo.GO


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in text.split("."))
