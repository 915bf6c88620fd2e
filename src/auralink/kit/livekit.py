"""Which media server the control plane speaks to, and the key pair both sides share. LiveKit's own APIs are the seam,
so these settings can as well point at a LiveKit server.

`rooms` signs join tokens and calls with the pair; `media` checks them with it and signs webhooks.
"""

import secrets
from typing import Annotated

from pydantic import SecretStr

from auralink.kit.settings import Generated, Secret, Settings

_KEY_MINIMUM = 6  # a LiveKit API key is a name, not a secret; its secret is what must be strong


def new_api_key() -> str:
    return f"API{secrets.token_hex(6)}"


class LiveKitSettings(Settings):
    livekit_url: str = ""
    """The media server's address, ws:// or wss://. Empty: our own media role."""
    livekit_api_key: Annotated[SecretStr, Generated(new_api_key, minimum=_KEY_MINIMUM)] = SecretStr("")
    """The platform's own key pair, or the one of the LiveKit server that is used instead of our media role."""
    livekit_api_secret: Secret = SecretStr("")
    """Its secret."""
    media_public_url: str = ""
    """What clients connect to when it differs from the address the control plane calls. Empty: `livekit_url`, and for
    our own media role the host the client itself called, with the media port."""
