"""Settings of rooms; times in seconds. The media server's address and key pair: kit.livekit."""

from datetime import timedelta

from pydantic import Field

from auralink.kit.livekit import LiveKitSettings
from auralink.kit.settings import Settings

_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)


class RoomsSettings(Settings):
    media_host: str = "127.0.0.1"
    media_port: int = 7880
    """Where our own media role listens, when the media server is ours."""
    join_token_seconds: int = Field(default=3600, ge=60, le=24 * 3600)
    """How long a join token can be used to connect."""
    guest_limit_per_address: str = "120/minute"
    """Guests' requests from one address."""
    media_timeout: float = Field(default=5.0, gt=0, le=30)
    """Seconds that the media server may take to answer the gateway."""

    @property
    def join_token_life(self) -> timedelta:
        return timedelta(seconds=self.join_token_seconds)


class MediaAddresses:
    """Where the media server is, for us and for clients."""

    def __init__(self, settings: RoomsSettings, livekit: LiveKitSettings) -> None:
        self._port = settings.media_port
        host = "127.0.0.1" if settings.media_host in _EVERYWHERE else settings.media_host
        self.for_us = livekit.livekit_url or f"http://{_bracketed(host)}:{self._port}"
        self._fixed = _web_socket(livekit.media_public_url or livekit.livekit_url)

    def for_client(self, scheme: str, host: str) -> str:
        """For a client that reached us at `host` by `scheme` (http or https)."""
        return self._fixed or f"{'wss' if scheme == 'https' else 'ws'}://{_bracketed(host)}:{self._port}"


def _web_socket(url: str) -> str:
    return url.replace("http", "ws", 1) if url.startswith("http") else url


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
