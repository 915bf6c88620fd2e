"""The STUN and TURN servers clients are told, and credentials for an external TURN server.

Credentials follow the TURN REST scheme (draft-uberti-behave-turn-rest-00), which coturn knows as `use-auth-secret`: the
user name is `expiry:participant`, the password its HMAC-SHA1 under a secret both sides know. Nothing is kept.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from livekit.protocol.models import ClientConfigSetting, ClientConfiguration
from livekit.protocol.rtc import ICEServer
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from auralink.media.fallback import Preference

DEFAULT_LIFE_S = 4 * 3600


class TurnServer(BaseModel):
    """As an entry of LiveKit's `rtc.turn_servers`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(min_length=1, max_length=255)
    port: int = Field(default=3478, ge=1, le=65535)
    protocol: Literal["udp", "tcp", "tls"] = "udp"
    secret: SecretStr = SecretStr("")
    """coturn's `static-auth-secret`; makes credentials that end after `ttl`."""
    ttl: int = Field(default=DEFAULT_LIFE_S, ge=60)
    """Seconds. A call that lasts longer keeps its relay, as coturn asks for credentials of old ones no more; a client
    that reconnects is given new ones."""
    username: str = ""
    credential: SecretStr = SecretStr("")
    """With `username`: the same credentials for everybody, which each participant can read and use elsewhere."""

    @model_validator(mode="after")
    def _can_be_used(self) -> "TurnServer":
        if not self.secret.get_secret_value() and not self.username:
            raise ValueError("a TURN server needs a secret, or a username and a credential")
        return self

    @property
    def url(self) -> str:
        scheme = "turns" if self.protocol == "tls" else "turn"
        transport = "udp" if self.protocol == "udp" else "tcp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}:{host}:{self.port}?transport={transport}"

    def credentials(self, participant: str, now: float) -> tuple[str, str]:
        """User name and password. `now` in seconds since 1970."""
        secret = self.secret.get_secret_value()
        if not secret:
            return self.username, self.credential.get_secret_value()
        username = f"{int(now) + self.ttl}:{participant}"
        digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
        return username, base64.b64encode(digest).decode()


@dataclass(frozen=True)
class IceServers:
    """What a participant is told at a join and at each resume."""

    clock: Callable[[], float]
    """Seconds since 1970."""
    stun: Sequence[str] = ()
    """host:port."""
    turn: Sequence[TurnServer] = ()
    force_relay: bool = field(default=False)
    """Clients use the TURN servers only, never a direct path."""

    def of(self, participant: str, preference: Preference = Preference.ALL) -> list[ICEServer]:
        servers = []
        over_tls = preference is Preference.TLS
        for turn in self.turn:
            if over_tls and turn.protocol != "tls":
                continue
            username, credential = turn.credentials(participant, self.clock())
            servers.append(ICEServer(urls=[turn.url], username=username, credential=credential))
        if self.stun:
            servers.append(ICEServer(urls=[f"stun:{server}" for server in self.stun]))
        return servers

    def configuration(self, preference: Preference = Preference.ALL) -> ClientConfiguration | None:
        """None: as clients do by themselves."""
        if not self.force_relay and preference is not Preference.TLS:
            return None
        return ClientConfiguration(force_relay=ClientConfigSetting.ENABLED)
