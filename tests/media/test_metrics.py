"""What Prometheus is told about the media role."""

from prometheus_client import CollectorRegistry, generate_latest
from tests.media.scripted import ScriptedEngine, Server

from auralink.media.metrics import MediaMetrics


class CountingEngine(ScriptedEngine):
    def stats(self) -> dict[str, int]:
        return {"rtp_forwarded": 7, "peers": 2}


def test_rooms_people_waiting_events_and_the_engine_are_counted() -> None:
    server = Server()
    server.join("ann")
    registry = CollectorRegistry()
    forget = MediaMetrics(CountingEngine(), server.rooms, lambda: 3).register(registry)
    text = generate_latest(registry).decode()
    for line in (
        "auralink_media_rooms 1.0",
        "auralink_media_participants 1.0",
        "auralink_media_webhooks_waiting 3.0",
        "auralink_media_engine_rtp_forwarded_total 7.0",
        "auralink_media_engine_peers 2.0",
    ):
        assert line in text.splitlines()
    forget()
    assert "auralink_media" not in generate_latest(registry).decode()
