"""The media role's figures for Prometheus, read when they are asked for."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from auralink.media.engine import Engine
from auralink.media.rooms import Rooms

_GAUGES = frozenset(
    {
        "peers",
        "tracks",
        "subscriptions",
        "data_tracks",
        "events_queued",
        "commands_queued",
        "net_shards_stuck",
        "net_shed_level",
    }
)
"""Names of the engine's statistics that go down as well; all others only count up."""


class MediaMetrics(Collector):
    """`waiting` is the number of webhook events not yet accepted by their receivers."""

    def __init__(self, engine: Engine, rooms: Rooms, waiting: Callable[[], int]) -> None:
        self._engine = engine
        self._rooms = rooms
        self._waiting = waiting

    def register(self, registry: CollectorRegistry = REGISTRY) -> Callable[[], None]:
        """Returns what takes it out again."""
        registry.register(self)
        return lambda: registry.unregister(self)

    def describe(self) -> Iterable[Metric]:
        return ()  # Asked at registration, when the engine need not run yet.

    def collect(self) -> Iterator[Metric]:
        rooms = self._rooms.all()
        yield _gauge("auralink_media_rooms", "Open rooms", len(rooms))
        yield _gauge("auralink_media_participants", "Participants", sum(len(r.participants) for r in rooms))
        yield _gauge("auralink_media_webhooks_waiting", "Webhook events not yet accepted", self._waiting())
        try:
            statistics = self._engine.stats()
        except RuntimeError:
            return  # The engine has stopped; readiness says so.
        for name, value in statistics.items():
            if name in _GAUGES:
                yield _gauge(f"auralink_media_engine_{name}", f"Media engine: {name}", value)
            else:
                counter = CounterMetricFamily(f"auralink_media_engine_{name}", f"Media engine: {name}")
                counter.add_metric((), value)
                yield counter


def _gauge(name: str, help_: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(name, help_)
    gauge.add_metric((), value)
    return gauge
