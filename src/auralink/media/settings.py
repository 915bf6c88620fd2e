"""Settings of the media role; times in seconds."""

from pydantic import Field, SecretStr, field_validator

from auralink.kit.settings import Settings, is_loopback
from auralink.media import codecs
from auralink.media.ice_servers import TurnServer


class MediaSettings(Settings):
    media_host: str = "127.0.0.1"
    """Where media is received too, unless media_addresses says otherwise."""
    media_udp_port: int = Field(default=7882, ge=0, le=65535)
    """Of the first shard; the next shards take the following ports. 0 picks a free one."""
    media_tcp_port: int = Field(default=7881, ge=0, le=65535)
    """ICE over TCP, for networks that let no UDP out; 0 turns it off."""
    media_addresses: list[str] = Field(default_factory=list)
    """Addresses clients are told, such as the public one behind a NAT; empty: those we listen on."""
    media_shards: int = Field(default=1, ge=1, le=64)
    """Threads that move packets, each with a UDP port of its own. A room lives on one."""
    media_empty_timeout: int = Field(default=300, ge=1)
    """How long a room that nobody ever entered stays; a token's roomConfig may say otherwise."""
    media_departure_timeout: int = Field(default=20, ge=1)
    """How long a room stays after the last one left."""
    media_auto_create: bool = True
    """Whether a join makes its room. Off: only CreateRoom does, and tokens that may."""
    media_data_blobs: bool = True
    """Whether participants may store data blobs for others, such as schemas (LiveKit: enable_participant_data_blob)."""
    media_webhook_urls: list[str] = Field(default_factory=list)
    """Told about everything that happens in rooms, as LiveKit does it; our own gateway is added by itself."""
    media_webhook_include: list[str] = Field(default_factory=list)
    """Names of the only events that media_webhook_urls are told (LiveKit: filter_params.include_events)."""
    media_webhook_exclude: list[str] = Field(default_factory=list)
    """Names of events they are not told."""
    media_gateway_url: str = ""
    """Our gateway, where it runs in another process: it is told what happens in rooms, and asked for the key pairs of
    organisations."""
    media_private_webhooks: bool | None = None
    """Whether organisations' webhooks may go to private addresses. Unset: only where nobody outside this machine can
    reach the media server."""
    media_dev_keys: bool = False
    """Accepts LiveKit's development pair, devkey and secret, so that other projects' tests run unchanged. Refused in
    production and wherever others can reach the media server."""
    media_keys: dict[str, SecretStr] = Field(default_factory=dict)
    """Further key pairs of the platform itself, all of which see the same rooms, as with LiveKit's `keys`."""
    media_sync_streams: bool = False
    """Whether players get a participant's camera and microphone in one media stream, which browsers then play in step,
    in rooms that do not ask for it themselves."""
    media_enabled_codecs: list[str] = Field(default_factory=list)
    """Mime types of the only codecs that are negotiated, such as video/VP8; empty: all that can be forwarded."""
    media_active_red_encoding: bool = False
    """Whether who negotiated RED (redundant Opus, RFC 2198) gets it of a publisher who sends plain Opus, too: three
    times the bytes of sound, for lines that lose packets. Publishers who can send RED are asked for it anyway."""
    media_region: str = ""
    """The name of this server's region, told to clients."""
    media_max_participants: int = Field(default=0, ge=0)
    """Of a room that names no limit of its own; 0: none."""
    media_remote_unmute: bool = False
    """Whether the server API may unmute somebody."""
    media_metadata_bytes: int = Field(default=512 * 1024, ge=1)
    """Of a room's or a participant's metadata."""
    media_attributes_bytes: int = Field(default=64 * 1024, ge=1)
    """Of all attributes of a participant together."""
    media_name_bytes: int = Field(default=256, ge=1, le=1024)
    """Of identities, room names and display names."""
    media_external_ip: bool = False
    """Ask media_stun_servers (LiveKit's usual ones when none is named) for this machine's public address, and tell
    clients that one instead of media_addresses."""
    media_stun_servers: list[str] = Field(default_factory=list)
    """host:port, told to clients too. Ours has a public address or none, so clients rarely need any."""
    media_turn_servers: list[TurnServer] = Field(default_factory=list)
    """External TURN servers, such as coturn, as JSON: [{"host": "turn.example.org", "secret": "..."}]."""
    media_tcp_fallback: bool = True
    """Whether clients whose UDP fails are moved to TCP, and from there to a TURN server over TLS (LiveKit:
    allow_tcp_fallback)."""
    media_force_tcp: bool = False
    """Clients are told of TCP only."""
    media_force_relay: bool = False
    """Clients connect through the TURN servers only."""

    @field_validator("media_enabled_codecs")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        codecs.enabled(names)
        return names

    @property
    def private_webhooks(self) -> bool:
        return is_loopback(self.media_host) if self.media_private_webhooks is None else self.media_private_webhooks
