"""What the media role's settings mean for its objects, and which of them cannot be."""

import time
import warnings

import structlog
from jwt.warnings import InsecureKeyLengthWarning

from auralink.kit.assembly import Assembly
from auralink.kit.settings import SettingsError, is_loopback, weakness
from auralink.media import codecs
from auralink.media.external_address import DEFAULT_SERVERS, NoExternalAddress, discover
from auralink.media.fallback import Policy
from auralink.media.ice_servers import IceServers
from auralink.media.limits import Limits
from auralink.media.rooms import RoomDefaults
from auralink.media.settings import MediaSettings

log = structlog.get_logger(__name__)

DEVELOPMENT_PAIR = {"devkey": "secret"}
"""What `livekit-server --dev` accepts, and every project's examples use."""


def limits(settings: MediaSettings) -> Limits:
    return Limits(
        name_bytes=settings.media_name_bytes,
        metadata_bytes=settings.media_metadata_bytes,
        attributes_bytes=settings.media_attributes_bytes,
        data_blobs=settings.media_data_blobs,
    )


def room_defaults(settings: MediaSettings) -> RoomDefaults:
    return RoomDefaults(
        settings.media_empty_timeout,
        settings.media_departure_timeout,
        settings.media_auto_create,
        settings.media_max_participants,
        settings.media_remote_unmute,
        settings.media_region,
        settings.media_sync_streams,
        codecs.enabled(settings.media_enabled_codecs),
        settings.media_active_red_encoding,
        fallback_policy(settings),
    )


def fallback_policy(settings: MediaSettings) -> Policy:
    """Raises SettingsError."""
    if settings.media_force_tcp and not settings.media_tcp_port:
        raise SettingsError("AURALINK_MEDIA_FORCE_TCP needs AURALINK_MEDIA_TCP_PORT.")
    return Policy(
        allowed=settings.media_tcp_fallback,
        # Relays reach us over UDP.
        tcp=settings.media_tcp_port != 0 and not settings.media_force_relay,
        tls=any(turn.protocol == "tls" for turn in settings.media_turn_servers),
        force_tcp=settings.media_force_tcp,
    )


def ice_servers(settings: MediaSettings) -> IceServers:
    if settings.media_force_relay and not settings.media_turn_servers:
        raise SettingsError("AURALINK_MEDIA_FORCE_RELAY needs AURALINK_MEDIA_TURN_SERVERS.")
    return IceServers(
        time.time, settings.media_stun_servers, settings.media_turn_servers, force_relay=settings.media_force_relay
    )


def further_pairs(assembly: Assembly, settings: MediaSettings) -> dict[str, str]:
    """Beside the pair we share with our gateway. Raises SettingsError."""
    pairs = {key: secret.get_secret_value() for key, secret in settings.media_keys.items()}
    if assembly.core.production:
        for key, secret in pairs.items():
            if reason := weakness(secret):
                raise SettingsError(f"Too weak for production: the secret of {key} in AURALINK_MEDIA_KEYS ({reason}).")
    if settings.media_dev_keys:
        if assembly.core.production:
            raise SettingsError(
                "LiveKit's development pair (devkey) is for development: turn off AURALINK_MEDIA_DEV_KEYS or --dev, "
                "or do not set AURALINK_ENV=production."
            )
        if not is_loopback(settings.media_host):
            raise SettingsError(
                f"LiveKit's development pair (devkey) is known to everybody, so it is accepted on loopback only, and "
                f"AURALINK_MEDIA_HOST is {settings.media_host}: set it to 127.0.0.1, or turn off "
                "AURALINK_MEDIA_DEV_KEYS or --dev."
            )
        pairs |= DEVELOPMENT_PAIR
        assembly.facts.append(("Development pair", " / ".join(*DEVELOPMENT_PAIR.items()) + " (this machine only)"))
        log.warning("media.development_pair_accepted", key=next(iter(DEVELOPMENT_PAIR)))
        # Said once, above; the library would say it of every token again, in words that help nobody.
        warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)
    return pairs


def advertised_addresses(assembly: Assembly, settings: MediaSettings) -> list[str]:
    """What clients are told to reach us at; empty: where we listen. Raises SettingsError."""
    if not settings.media_external_ip:
        return settings.media_addresses
    try:
        address = discover(settings.media_stun_servers or DEFAULT_SERVERS)
    except NoExternalAddress as error:
        raise SettingsError(f"{error}. Name the address in AURALINK_MEDIA_ADDRESSES instead.") from error
    assembly.facts.append(("External address", address))
    return [address]
