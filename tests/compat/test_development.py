"""`auralink serve media` alone: LiveKit's development pair on loopback, and LiveKit's config.yaml."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from livekit import api
from tests.compat.clients import joined
from tests.compat.conftest import MediaServer
from tests.media.test_external_address import answer, stun_server
from tests.platform import free_ports, serving_media

CONFIG = """
port: {port}
bind_addresses: [127.0.0.1]
redis: {{address: "redis:6379"}}
rtc: {{udp_port: {udp}, tcp_port: {tcp}, node_ip: 127.0.0.1}}
keys:
  key-one: a secret of the first key that is long enough
  key-two: a secret of the second key that is long enough
room: {{auto_create: false, enable_remote_unmute: true}}
region: here
"""


async def test_the_development_pair_is_accepted_and_it_is_said(tmp_path: Path) -> None:
    async with serving_media(tmp_path / "state", "--dev") as media:
        server = MediaServer(media.media_url, "devkey", "secret")
        async with joined(server, "lobby", "ann"), server.api() as client:
            assert [room.name for room in (await client.room.list_rooms(api.ListRoomsRequest())).rooms] == ["lobby"]
        words = media.last_words()
        assert "devkey / secret" in words
        assert "KeyLength" not in words, "what is meant is said once, in our words"


async def test_without_being_asked_for_it_is_refused(tmp_path: Path) -> None:
    async with serving_media(tmp_path / "state") as media:
        async with MediaServer(media.media_url, "devkey", "secret").api() as client:
            with pytest.raises(api.TwirpError) as refused:
                await client.room.list_rooms(api.ListRoomsRequest())
        assert refused.value.status == 401


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("AURALINK_MEDIA_HOST", "0.0.0.0", "accepted on loopback only"),  # noqa: S104
        ("AURALINK_ENV", "production", "for development"),
    ],
)
def test_the_development_pair_is_refused_where_it_would_be_dangerous(
    tmp_path: Path, variable: str, value: str, reason: str
) -> None:
    secrets = {
        "AURALINK_LIVEKIT_API_KEY": "APIproduction",
        "AURALINK_LIVEKIT_API_SECRET": "x7Kq2mWc9ZtR4vBn8LpY3sDf6GhJ1aQe",
    }
    ended = run(tmp_path, "--dev", **{variable: value, **secrets})
    assert ended.returncode == 1
    assert reason in " ".join(ended.stdout.split())


def run(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`auralink serve media` that is to end by itself."""
    ports = dict(zip(("MEDIA_PORT", "MEDIA_UDP_PORT", "MEDIA_TCP_PORT"), map(str, free_ports(3)), strict=True))
    settings = {f"AURALINK_{name}": port for name, port in ports.items()} | {
        "AURALINK_STATE_DIR": str(folder / "state")
    }
    return subprocess.run(
        [sys.executable, "-m", "auralink.cli", "serve", "media", *arguments],
        env=os.environ | settings | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_config_of_livekits_is_applied_and_told(tmp_path: Path) -> None:
    config = tmp_path / "livekit.yaml"
    port, udp, tcp = free_ports(3)
    config.write_text(CONFIG.format(port=port, udp=udp, tcp=tcp))
    async with serving_media(tmp_path / "state", "--livekit-config", str(config)) as media:
        first, second = (
            MediaServer(media.media_url, f"key-{n}", f"a secret of the {nth} key that is long enough")
            for n, nth in (("one", "first"), ("two", "second"))
        )
        async with first.api() as client:
            await client.room.create_room(api.CreateRoomRequest(name="lobby"))
        async with joined(second, "lobby", "ann"), first.api() as client:
            (room,) = (await client.room.list_rooms(api.ListRoomsRequest())).rooms
            assert room.num_participants == 1  # LiveKit's keys all see the same rooms
        async with httpx.AsyncClient(base_url=media.media_url.replace("ws", "http", 1)) as http:
            token = second.token("nowhere", "bob")
            missing = await http.get("/rtc/v1/validate", params={"access_token": token})
            assert (missing.status_code, missing.text) == (404, "requested room does not exist")
            regions = await http.get("/settings/regions", headers={"Authorization": f"Bearer {token}"})
            assert regions.json() == {"regions": [{"region": "here", "url": media.media_url, "distance": "0"}]}
            assert (await http.get("/settings/regions")).status_code == 401
        said = " ".join(media.last_words().split())
        assert "not applied redis rooms are of this process alone" in said
        assert "first key that" not in said


async def test_the_external_address_is_asked_for_and_told_to_clients(tmp_path: Path) -> None:
    async with stun_server(lambda transaction: answer("127.0.0.1", transaction)) as stun:
        environment = {"AURALINK_MEDIA_EXTERNAL_IP": "true", "AURALINK_MEDIA_STUN_SERVERS": json.dumps([stun])}
        async with serving_media(tmp_path / "state", "--dev", **environment) as media:
            assert "External address 127.0.0.1" in " ".join(media.last_words().split())
            async with joined(MediaServer(media.media_url, "devkey", "secret"), "lobby", "ann"):
                pass


def test_a_slip_in_the_config_ends_the_start(tmp_path: Path) -> None:
    config = tmp_path / "livekit.yaml"
    config.write_text("prot: 7880\n")
    ended = run(tmp_path, "--livekit-config", str(config))
    assert ended.returncode == 1
    assert "prot is not a key of LiveKit's config" in " ".join(ended.stdout.split())
