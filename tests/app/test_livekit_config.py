"""LiveKit's config.yaml: each key is applied or said not to be; a slip is an error, a secret is not shown."""

import json
from pathlib import Path

import pytest

from auralink.app.livekit_config import BadLiveKitConfig, Reading, read

SECRET = "a secret of LiveKit's config that is long enough"
# LiveKit 1.13.5's sample, in its own order, everything it comments out set to some value.
WHOLE = f"""
port: 7880
bind_addresses: [""]
redis: {{address: "redis:6379", tls: {{enabled: true}}}}
rtc:
  port_range_start: 50000
  port_range_end: 60000
  tcp_port: 7881
  use_external_ip: false
  advertise_internal_ip: true
  skip_external_ip_validation: true
  node_ip: 203.0.113.9
  use_ice_lite: true
  stun_servers: [stun.example.org, "stun.example.net:19302"]
  turn_servers:
    - {{host: turn.example.org, port: 443, protocol: tls, secret: {SECRET}, ttl: 14400, username: "", credential: ""}}
  congestion_control: {{enabled: true, allow_pause: true, stream_allocator: {{probe_mode: padding}}}}
  allow_tcp_fallback: false
  force_tcp: true
  tcp_fallback_rtt_threshold: 0
  packet_buffer_size_video: 500
  pli_throttle: {{low_quality: 500ms}}
  enable_loopback_candidate: true
  interfaces: {{includes: [en0], excludes: [docker0]}}
  ips: {{includes: [10.0.0.0/16]}}
  use_mdns: true
  strict_acks: true
  batch_io: {{batch_size: 128}}
prometheus_port: 6789
debug_handler: {{port: 7070}}
keys: {{key1: {SECRET}, key2: {SECRET} 2}}
logging: {{level: warn, pion_level: error, json: true, sample: false}}
room:
  auto_create: false
  empty_timeout: 100
  departure_timeout: 0
  max_participants: 7
  enabled_codecs: [{{mime: audio/opus}}]
  enable_remote_unmute: true
  sync_streams: true
  playout_delay: {{enabled: true, min: 100}}
webhook: {{api_key: key2, urls: ["https://app.example.org/handler"]}}
signal_relay: {{retry_timeout: 30s}}
psrpc: {{max_attempts: 3}}
audio: {{active_level: 30, active_red_encoding: true}}
turn: {{enabled: true, domain: turn.example.org}}
ingress: {{rtmp_base_url: "rtmp://my.domain.com/live"}}
region: us-west-2
node_selector: {{kind: sysload}}
limit: {{num_tracks: -1, max_metadata_size: 1000, max_attributes_size: 0}}
"""


def reading_of(folder: Path, content: str, **environment: str) -> Reading:
    path = folder / "livekit.yaml"
    path.write_text(content)
    return read(path, environment)


def test_the_whole_sample_is_read_and_every_key_is_told(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, WHOLE)
    assert reading.settings == {
        "AURALINK_MEDIA_PORT": "7880",
        "AURALINK_MEDIA_HOST": "0.0.0.0",  # noqa: S104 (as LiveKit)
        "AURALINK_MEDIA_UDP_PORT": "50000",
        "AURALINK_MEDIA_TCP_PORT": "7881",
        "AURALINK_MEDIA_ADDRESSES": '["203.0.113.9"]',
        "AURALINK_MEDIA_TCP_FALLBACK": "false",
        "AURALINK_MEDIA_FORCE_TCP": "true",
        "AURALINK_MEDIA_STUN_SERVERS": '["stun.example.org:3478", "stun.example.net:19302"]',
        "AURALINK_MEDIA_TURN_SERVERS": json.dumps(
            [{"host": "turn.example.org", "port": 443, "protocol": "tls", "secret": SECRET, "ttl": 14400}]
        ),
        "AURALINK_LIVEKIT_API_KEY": "key2",
        "AURALINK_LIVEKIT_API_SECRET": f"{SECRET} 2",
        "AURALINK_MEDIA_KEYS": json.dumps({"key1": SECRET}),
        "AURALINK_LOG_LEVEL": "warning",
        "AURALINK_LOG_FORMAT": "json",
        "AURALINK_MEDIA_AUTO_CREATE": "false",
        "AURALINK_MEDIA_EMPTY_TIMEOUT": "100",
        "AURALINK_MEDIA_DEPARTURE_TIMEOUT": "1",
        "AURALINK_MEDIA_MAX_PARTICIPANTS": "7",
        "AURALINK_MEDIA_REMOTE_UNMUTE": "true",
        "AURALINK_MEDIA_ENABLED_CODECS": '["audio/opus"]',
        "AURALINK_MEDIA_SYNC_STREAMS": "true",
        "AURALINK_MEDIA_ACTIVE_RED_ENCODING": "true",
        "AURALINK_MEDIA_WEBHOOK_URLS": '["https://app.example.org/handler"]',
        "AURALINK_MEDIA_REGION": "us-west-2",
        "AURALINK_MEDIA_METADATA_BYTES": "1000",
    }
    told = {key for line in reading.lines for key in line.key.split(", ")}
    for key in (
        "redis",
        "turn",
        "audio.active_level",
        "rtc.use_mdns",
        "rtc.batch_io",
        "room.enabled_codecs",
        "limit.num_tracks",
    ):
        assert key in told, key
    not_applied = {line.key for line in reading.lines if not line.applied}
    assert {"redis", "turn", "rtc.use_mdns", "limit.max_attributes_size", "logging.sample"} <= not_applied
    assert all(line.text for line in reading.lines if not line.applied)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    assert SECRET not in " ".join(line.text for line in reading_of(tmp_path, WHOLE).lines)


def test_an_empty_file_is_livekits_defaults(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, "")
    assert reading.settings == {
        "AURALINK_MEDIA_HOST": "0.0.0.0",  # noqa: S104 (as LiveKit)
        "AURALINK_MEDIA_UDP_PORT": "50000",
    }
    assert "keys" in {line.key for line in reading.lines}


def test_the_environment_goes_before_the_file_and_it_is_said(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, "port: 7000", AURALINK_MEDIA_PORT="7001")
    assert "AURALINK_MEDIA_PORT" not in reading.settings
    (line,) = [line for line in reading.lines if line.key == "port"]
    assert "AURALINK_MEDIA_PORT of the environment" in line.text


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("prot: 7880", "prot"),
        ("rtc: {udp_prot: 7882}", "rtc.udp_prot"),
        ("room: {auto_craete: false}", "room.auto_craete"),
        ("limit: {num_trakcs: 4}", "limit.num_trakcs"),
        ("logging: {colour: true}", "logging.colour"),
        ("rtc: {congestion_control: {enbaled: true}}", "rtc.congestion_control.enbaled"),
        ("port: {a: 1}", "port"),
        ("port: 70000", "port"),
        ("port: true", "port"),
        ("room: {auto_create: 1}", "room.auto_create"),
        ("rtc: {udp_port: 9000-8000}", "rtc.udp_port"),
        ("rtc: {udp_port: many}", "rtc.udp_port"),
        ("rtc: {turn_servers: [{host: t}]}", "rtc.turn_servers"),
        ("rtc: {turn_servers: [{host: t, secret: s, relay: 1}]}", "rtc.turn_servers"),
        ("keys: {key1: 5}", "keys"),
        ("keys: {key1: s}\nwebhook: {api_key: key9}", "keys, webhook.api_key"),
        ("key_file: nowhere.yaml", "key_file"),
        ("webhook: {urls: https://example.org}", "webhook.urls"),
        ("logging: {level: loud}", "logging.level"),
    ],
)
def test_a_slip_is_an_error_that_names_its_key(tmp_path: Path, content: str, key: str) -> None:
    with pytest.raises(BadLiveKitConfig) as refused:
        reading_of(tmp_path, content)
    assert str(refused.value).startswith(f"{key} ")


@pytest.mark.parametrize("content", ["- a list", "{", "a: !!python/object:os.system x", "\x00", "just text"])
def test_what_is_no_config_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadLiveKitConfig):
        reading_of(tmp_path, content)


@pytest.mark.parametrize(
    ("written", "first"), [("7882", "7882"), ("7882-7883", "7882"), ("{start: 7882, end: 7883}", "7882")]
)
def test_udp_ports_as_livekit_writes_them(tmp_path: Path, written: str, first: str) -> None:
    settings = reading_of(tmp_path, f"rtc: {{udp_port: {written}}}").settings
    assert settings["AURALINK_MEDIA_UDP_PORT"] == first
    assert int(settings["AURALINK_MEDIA_SHARDS"]) in (1, 2)


def test_an_external_address_goes_before_node_ip(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, "rtc: {use_external_ip: true, node_ip: 203.0.113.9}")
    assert reading.settings["AURALINK_MEDIA_EXTERNAL_IP"] == "true"
    assert "AURALINK_MEDIA_ADDRESSES" not in reading.settings
    both = reading_of(tmp_path, "rtc: {node_ip: {ipv4: 203.0.113.9, ipv6: '2001:db8::1'}}")
    assert json.loads(both.settings["AURALINK_MEDIA_ADDRESSES"]) == ["203.0.113.9", "2001:db8::1"]


def test_a_key_file_must_be_closed_to_others(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"key1: {SECRET}\n")
    keys.chmod(0o644)
    with pytest.raises(BadLiveKitConfig, match="chmod 600"):
        reading_of(tmp_path, "key_file: keys.yaml")
    keys.chmod(0o600)
    assert reading_of(tmp_path, "key_file: keys.yaml").settings["AURALINK_LIVEKIT_API_SECRET"] == SECRET


def test_a_turn_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "turn").write_text("the shared secret\n")
    settings = reading_of(tmp_path, "rtc: {turn_servers: [{host: t, secret_file: turn, protocol: udp}]}").settings
    (server,) = json.loads(settings["AURALINK_MEDIA_TURN_SERVERS"])
    assert server["secret"] == "the shared secret"


def test_filters_of_webhooks_are_applied(tmp_path: Path) -> None:
    content = f"keys: {{key1: {SECRET}}}\nwebhook: {{filter_params: {{exclude_events: [track_published]}}}}"
    assert reading_of(tmp_path, content).settings["AURALINK_MEDIA_WEBHOOK_EXCLUDE"] == '["track_published"]'
