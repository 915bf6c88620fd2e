"""Every key of LiveKit 1.13.5's config.yaml, and what becomes of it here.

Keys that take several others into account (ports, addresses, key pairs) are in `together.py`.
"""

import json
from collections.abc import Callable, Mapping

from auralink.app.livekit_config.outcomes import Applied, BadValue, NotApplied, Outcome, boolean, integer, text, texts

Rule = Callable[[object], Outcome]


def _port(variable: str) -> Rule:
    return lambda value: Applied({variable: str(integer(value, 0, 65535))})


def _number(variable: str, *, none: str = "", least: int = 0) -> Rule:
    """`none`: what LiveKit's 0, no limit, means here; empty: 0 is a number like others."""

    def rule(value: object) -> Outcome:
        number = integer(value)
        if number == 0 and none:
            return NotApplied(none)
        return Applied({variable: str(max(number, least))})

    return rule


def _flag(variable: str) -> Rule:
    return lambda value: Applied({variable: json.dumps(boolean(value))})


def _texts(variable: str) -> Rule:
    return lambda value: Applied({variable: json.dumps(texts(value))})


def _log_level(value: object) -> Outcome:
    levels = {"debug": "debug", "info": "info", "warn": "warning", "error": "error"}
    if text(value) not in levels:
        raise BadValue("wants debug, info, warn or error")
    return Applied({"AURALINK_LOG_LEVEL": levels[text(value)]})


def _json_logs(value: object) -> Outcome:
    if boolean(value):
        return Applied({"AURALINK_LOG_FORMAT": "json"})
    return Applied(text="JSON unless a terminal reads along")


def _stun(value: object) -> Outcome:
    servers = [server if ":" in server else f"{server}:3478" for server in texts(value)]
    return Applied({"AURALINK_MEDIA_STUN_SERVERS": json.dumps(servers)})


def _codecs(value: object) -> Outcome:
    """A list of `{mime: ..., fmtp_line: ...}`; the parameters are the clients' own here."""
    if not isinstance(value, list) or not all(isinstance(codec, dict) and "mime" in codec for codec in value):
        raise BadValue("wants a list of codecs, each with its mime")
    return Applied({"AURALINK_MEDIA_ENABLED_CODECS": json.dumps([text(codec["mime"]) for codec in value])})


def _only(expected: object, otherwise: str) -> Rule:
    """A switch that stands here where LiveKit's default puts it."""
    return lambda value: Applied(text="as it is here") if value == expected else NotApplied(otherwise)


_BOUNDED = "there is a bound always: LiveKit's default"

RULES: Mapping[str, Rule] = {
    "port": _port("AURALINK_MEDIA_PORT"),
    "region": lambda value: Applied({"AURALINK_MEDIA_REGION": text(value)}),
    "log_level": _log_level,
    "rtc.tcp_port": _port("AURALINK_MEDIA_TCP_PORT"),
    "rtc.stun_servers": _stun,
    "rtc.use_ice_lite": _only(True, "the media core is an ICE-lite server always"),
    "rtc.use_mdns": _only(False, "mDNS names are never told"),
    "rtc.force_tcp": _flag("AURALINK_MEDIA_FORCE_TCP"),
    "rtc.allow_tcp_fallback": _flag("AURALINK_MEDIA_TCP_FALLBACK"),
    "rtc.congestion_control.enabled": _only(True, "congestion control is always on"),
    "room.auto_create": _flag("AURALINK_MEDIA_AUTO_CREATE"),
    "room.empty_timeout": _number("AURALINK_MEDIA_EMPTY_TIMEOUT", least=1),
    "room.departure_timeout": _number("AURALINK_MEDIA_DEPARTURE_TIMEOUT", least=1),
    "room.max_participants": _number("AURALINK_MEDIA_MAX_PARTICIPANTS"),
    "room.enable_remote_unmute": _flag("AURALINK_MEDIA_REMOTE_UNMUTE"),
    "room.enabled_codecs": _codecs,
    "room.sync_streams": _flag("AURALINK_MEDIA_SYNC_STREAMS"),
    "room.max_metadata_size": _number("AURALINK_MEDIA_METADATA_BYTES", none=_BOUNDED),
    "room.max_room_name_length": _number("AURALINK_MEDIA_NAME_BYTES", none=_BOUNDED),
    "room.max_participant_identity_length": _number("AURALINK_MEDIA_NAME_BYTES", none=_BOUNDED),
    "audio.active_red_encoding": _flag("AURALINK_MEDIA_ACTIVE_RED_ENCODING"),
    "webhook.urls": _texts("AURALINK_MEDIA_WEBHOOK_URLS"),
    "webhook.filter_params.include_events": _texts("AURALINK_MEDIA_WEBHOOK_INCLUDE"),
    "webhook.filter_params.exclude_events": _texts("AURALINK_MEDIA_WEBHOOK_EXCLUDE"),
    "limit.max_metadata_size": _number("AURALINK_MEDIA_METADATA_BYTES", none=_BOUNDED),
    "limit.max_attributes_size": _number("AURALINK_MEDIA_ATTRIBUTES_BYTES", none=_BOUNDED),
    "limit.max_room_name_length": _number("AURALINK_MEDIA_NAME_BYTES", none=_BOUNDED),
    "limit.max_participant_identity_length": _number("AURALINK_MEDIA_NAME_BYTES", none=_BOUNDED),
    "limit.max_participant_name_length": _number("AURALINK_MEDIA_NAME_BYTES", none=_BOUNDED),
    "logging.level": _log_level,
    "logging.json": _json_logs,
    "enable_participant_data_blob": _flag("AURALINK_MEDIA_DATA_BLOBS"),
    "enable_data_tracks": _only(True, "data tracks are always on"),
}

NOT_APPLIED: Mapping[str, str] = {
    "development": "use --dev for LiveKit's development pair",
    "prometheus_port": "/metrics is on the signalling port",
    "prometheus": "/metrics is on the signalling port; guard it there",
    "debug_handler": "there is no debugging port",
    "redis": "rooms are of this process alone; there is no cluster to join",
    "audio": "speaker detection uses LiveKit's defaults",
    "video": "dynacast and layer tracking have their own timing",
    "turn": "there is no embedded TURN server: run coturn and name it in rtc.turn_servers",
    "ingress": "there is no ingress service",
    "sip": "there is no SIP service",
    "node_selector": "there is one node",
    "signal_relay": "there is one node",
    "psrpc": "there is one node",
    "api": "there is one node",
    "agents": "agent workers are chosen by their own load",
    "metric": "client metrics are forwarded as they come",
    "trace": "traces go where AURALINK_TELEMETRY settings say",
    "node_stats": "there is one node",
    "logging": "only level and json have a meaning here",
    "webhook": "one ordered journal per URL",
    "limit": "no such limit here",
    "room.playout_delay": "rooms ask for it themselves (min_playout_delay)",
    "room.create_room_timeout": "rooms are made at once",
    "room.create_room_attempts": "rooms are made at once",
    "room.update_batch_target_size": "updates are sent as they happen",
    "room.room_configurations": "named configurations (roomPreset) are not known",
    "rtc.strict_acks": "deprecated in LiveKit too",
    "rtc.use_stun_port_as_ice": "the address is asked for from any port",
    "rtc.skip_external_ip_validation": "the external address is not called back",
    "rtc.advertise_internal_ip": "only the external address is told",
    "rtc.external_ip_only": "with use_external_ip only the external address is told anyway",
    "rtc.enable_loopback_candidate": "what is listened on is told",
    "rtc.interfaces": "bind_addresses says where media listens",
    "rtc.ips": "bind_addresses says where media listens",
    "rtc.batch_io": "datagrams are gathered per wake-up",
    "rtc.packet_buffer_size": "the core keeps what retransmission needs",
    "rtc.packet_buffer_size_video": "the core keeps what retransmission needs",
    "rtc.packet_buffer_size_audio": "the core keeps what retransmission needs",
    "rtc.pli_throttle": "keyframe requests are throttled as by LiveKit's default",
    "rtc.congestion_control": "the core has its own estimator; clients ask for pausing themselves",
    "rtc.tcp_fallback_rtt_threshold": "as LiveKit's default: TCP however far the client is",
    "rtc.allow_udp_unstable_fallback": "as LiveKit's default: UDP that fails is left, not UDP that loses packets",
    "rtc.reconnect_on_publication_error": "as LiveKit's default",
    "rtc.reconnect_on_subscription_error": "as LiveKit's default",
    "rtc.reconnect_on_data_channel_error": "as LiveKit's default",
    "rtc.data_channel_max_buffered_amount": "deprecated in LiveKit too; queues are bounded",
    "rtc.datachannel_slow_threshold": "queues are bounded per subscriber",
    "rtc.datachannel_lossy_target_latency": "queues are bounded per subscriber",
    "rtc.datachannel_data_track_target_latency": "queues are bounded per subscriber",
    "rtc.forward_stats": "see /metrics",
    "rtc.enable_rtp_stream_restart_detection": "restarts are always noticed",
    "rtc.sctp_min_cwnd": "the SCTP stack has its own",
    "rtc.sctp_fast_rtx_wnd": "the SCTP stack has its own",
    "rtc.sctp_cwnd_ca_step": "the SCTP stack has its own",
    "rtc.host_acceptance_min_wait": "ICE-lite answers, it does not choose",
    "rtc.srflx_acceptance_min_wait": "ICE-lite answers, it does not choose",
    "rtc.prflx_acceptance_min_wait": "ICE-lite answers, it does not choose",
    "rtc.relay_acceptance_min_wait": "ICE-lite answers, it does not choose",
}
"""A key stands for all below it that no rule names."""

KNOWN_BELOW: Mapping[str, frozenset[str]] = {
    "logging": frozenset(
        [
            "pion_level",
            "sample",
            "component_levels",
            "sample_initial",
            "sample_interval",
            "item_sample_seconds",
            "item_sample_initial",
            "item_sample_interval",
        ]
    ),
    "audio": frozenset(
        ["active_level", "min_percentile", "update_interval", "smooth_intervals", "enable_loss_proxying"]
    ),
    "webhook": frozenset(["url_notifier", "resource_url_notifier"]),
    "limit": frozenset(
        [
            "num_tracks",
            "bytes_per_sec",
            "subscription_limit_video",
            "subscription_limit_audio",
            "max_data_blob_key_length",
            "max_data_blobs_size",
            "max_data_track_custom_encoding_length",
        ]
    ),
    "rtc.congestion_control": frozenset(
        [
            "allow_pause",
            "stream_allocator",
            "remote_bwe",
            "use_send_side_bwe_interceptor",
            "use_send_side_bwe",
            "send_side_bwe_pacer",
            "send_side_bwe",
        ]
    ),
}
"""Sections some keys of which are applied: the others LiveKit knows. Anything else is a slip, as in LiveKit."""
