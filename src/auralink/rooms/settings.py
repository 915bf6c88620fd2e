"""Settings of rooms: the media server, seen from the control plane. Times in seconds."""

from datetime import timedelta

from pydantic import Field, SecretStr, model_validator

from auralink.kit.settings import Secret, Settings


class RoomsSettings(Settings):
    livekit_url: str = ""
    """AURALINK_LIVEKIT_URL: a LiveKit server instead of our own media role; with it come its key and secret."""
    livekit_public_url: str = ""
    """What clients connect to, when they reach the media server by another address than we do."""
    livekit_api_key: str = "auralink"
    livekit_api_secret: Secret = SecretStr("")
    media_host: str = "127.0.0.1"
    media_port: int = 7880

    join_token_seconds: int = Field(3600, ge=60, le=24 * 3600)
    """How long a join token can be used to connect."""
    guest_limit_per_address: str = "60/minute"
    media_timeout: float = Field(5.0, gt=0, le=30)

    @model_validator(mode="after")
    def _known_scheme(self) -> "RoomsSettings":
        for url in (self.livekit_url, self.livekit_public_url):
            if url and not url.startswith(("ws://", "wss://", "http://", "https://")):
                raise ValueError("AURALINK_LIVEKIT_URL is an address such as wss://livekit.example.org")
        return self

    @property
    def join_token_life(self) -> timedelta:
        return timedelta(seconds=self.join_token_seconds)

    @property
    def server_url(self) -> str:
        """Where the control plane reaches the media server."""
        host = "127.0.0.1" if self.media_host in ("0.0.0.0", "::", "") else self.media_host  # noqa: S104 (compared only)
        return self.livekit_url or f"http://{host}:{self.media_port}"

    def client_url(self, scheme: str, host: str) -> str:
        """Where a client that reached us at `host` by `scheme` reaches the media server."""
        if chosen := self.livekit_public_url or self.livekit_url:
            return chosen.replace("http://", "ws://", 1).replace("https://", "wss://", 1)
        name = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"{'wss' if scheme == 'https' else 'ws'}://{name}:{self.media_port}"
