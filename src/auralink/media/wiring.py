"""What the media role installs: the engine, signalling, the server API, webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from auralink.kit.assembly import Assembly
from auralink.kit.errors import Unavailable
from auralink.kit.livekit import LiveKitSettings
from auralink.media.agent_events import AgentEvents
from auralink.media.agent_jobs import AgentJobs
from auralink.media.agent_socket import agent_router
from auralink.media.agent_workers import WorkerPool
from auralink.media.configuring import advertised_addresses, further_pairs, ice_servers, limits, room_defaults
from auralink.media.engine import Engine, EngineEvents
from auralink.media.engine_reports import EngineReports
from auralink.media.joining import Joining
from auralink.media.key_sync import KeySync
from auralink.media.metrics import MediaMetrics
from auralink.media.native_build import require_current_build
from auralink.media.regions import regions_router
from auralink.media.rooms import Rooms
from auralink.media.server_info import server_info
from auralink.media.services import livekit_services
from auralink.media.settings import MediaSettings
from auralink.media.signal import signal_router
from auralink.media.signal_sockets import SignalSockets, native_hub
from auralink.media.token_refresh import keep_tokens_fresh
from auralink.media.tokens import KeyRing
from auralink.media.webhook_replay import replay_router
from auralink.media.webhooks import EventFilter, Webhooks
from auralink.media.whip import whep_router, whip_router

log = structlog.get_logger(__name__)

_CLOSE_S = 5.0
WEBHOOK_PATH = "/api/v1/livekit/webhook"
"""Of our gateway."""


def install(assembly: Assembly, *, gateway: str | None) -> None:
    """`gateway` is the address of ours when it runs in this process."""
    settings = assembly.settings(MediaSettings)
    gateway = gateway or settings.media_gateway_url.rstrip("/")
    pair = assembly.settings(LiveKitSettings)
    key, secret = pair.livekit_api_key.get_secret_value(), pair.livekit_api_secret.get_secret_value()
    keys = KeyRing({key: secret, **further_pairs(assembly, settings)})

    state = assembly.core.state_directory / "media"
    own_webhook = f"{gateway}{WEBHOOK_PATH}" if gateway else None
    private = settings.private_webhooks
    wanted = EventFilter(settings.media_webhook_include, settings.media_webhook_exclude)
    webhooks = Webhooks(own_webhook, settings.media_webhook_urls, keys, state, private=private, filter_=wanted)
    key_sync = KeySync(
        gateway or None, key, secret, state / "key-pairs.sealed", [keys.set_tenants, webhooks.set_tenants]
    )
    key_sync.load()
    engine = _start(assembly, settings)
    agents = AgentJobs(WorkerPool(), keys)
    events = AgentEvents(webhooks, agents, lambda key: rooms.find(key.name, tenant=key.tenant))
    rooms = Rooms(engine, events, room_defaults(settings), limits(settings))
    about = server_info(settings.media_region)
    joining = Joining(rooms, keys, ice_servers(settings), about)
    reports = EngineReports(rooms)
    sockets = SignalSockets(native_hub(rooms.limits))

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with webhooks.running():
            engine_events = EngineEvents(engine, reports.handle)
            engine_events.start()
            sockets.start()
            forget_metrics = MediaMetrics(engine, rooms, lambda: webhooks.waiting).register()
            try:
                yield
            finally:
                forget_metrics()
                rooms.close()
                sockets.stop()
                engine_events.stop()
                engine.close(_CLOSE_S)

    async def goodbye() -> None:
        rooms.shut_down()
        sockets.go_away()
        await agents.drain()

    async def healthy() -> None:
        try:
            stuck = engine.stats().get("net_shards_stuck", 0)
        except RuntimeError as error:
            raise Unavailable("The media engine has stopped.") from error
        if stuck:
            raise Unavailable(f"{stuck} of the media engine's shards do not come round.")

    server = assembly.server("media")
    server.open_to_any_origin = True
    server.add_router(signal_router(joining, keys, sockets))
    server.add_router(whip_router(joining, keys))
    server.add_router(whep_router(joining, keys))
    server.add_router(livekit_services(rooms, agents, keys))
    server.add_router(agent_router(agents, keys, rooms.limits, about))
    server.add_router(replay_router(webhooks, keys))
    server.add_router(regions_router(keys, settings.media_region, pair.media_public_url))
    server.health.add("engine", healthy)
    server.health.add("webhook journal", webhooks.check)
    assembly.resource("media", running)
    assembly.task("media-rooms", rooms.watch)
    assembly.task("media-tokens", lambda: keep_tokens_fresh(rooms, keys))
    assembly.task("media-keys", key_sync.run)
    assembly.drain("media-rooms", goodbye)


def _start(assembly: Assembly, settings: MediaSettings) -> Engine:
    """Raises OSError for a port that is taken, StaleNativeBuildError."""
    require_current_build()
    from auralink._native import Engine as NativeEngine

    engine = NativeEngine(
        bind_addresses=[settings.media_host],
        advertised_addresses=advertised_addresses(assembly, settings),
        udp_port=settings.media_udp_port,
        tcp_port=settings.media_tcp_port,
        shards=settings.media_shards,
    )
    tcp = f"TCP {engine.tcp_port}" if engine.tcp_port else "no TCP"
    assembly.facts.append(("Media", f"UDP {', '.join(map(str, engine.udp_ports))}, {tcp}"))
    for warning in engine.warnings:
        log.warning("media.engine", warning=warning)
    return engine
