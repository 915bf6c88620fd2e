"""Builds and connects the objects of a process, once."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import URL
from starlette.types import ASGIApp

from auralink.app.console import Console
from auralink.app.domains import install
from auralink.app.roles import Role
from auralink.app.settings import AppSettings
from auralink.kit.assembly import Assembly
from auralink.kit.db import Database, DatabaseSettings
from auralink.kit.http.shell import build_server
from auralink.kit.livekit import LiveKitSettings
from auralink.kit.outbox import Notifier, write_events
from auralink.kit.settings import CoreSettings, SecretStore, load_settings


@dataclass(frozen=True, slots=True)
class Listener:
    """One server and the setting that moves it."""

    name: str
    host: str
    port: int
    variable: str
    app: ASGIApp


def assemble(
    roles: Iterable[Role], core: CoreSettings, secrets: SecretStore, database_url: URL | str | None
) -> tuple[Assembly, list[Listener]]:
    """Raises SettingsError for settings that are missing, wrong or (in production) weak."""
    wanted = frozenset(roles)
    settings = load_settings(AppSettings, store=secrets, production=core.production)
    database = notifier = None
    if database_url:
        limits = load_settings(DatabaseSettings, store=secrets, production=core.production)
        database = Database(database_url, limits, write_events)
        notifier = Notifier(database)
    assembly = Assembly(core, secrets=secrets, database=database, notifier=notifier)
    install(wanted, assembly)
    return assembly, list(_listeners(wanted, assembly, settings))


def _listeners(roles: frozenset[Role], assembly: Assembly, settings: AppSettings) -> Iterable[Listener]:
    if Role.GATEWAY in roles:
        gateway = assembly.server("gateway")
        gateway.publishes_api = True
        gateway.mount("/", _console(assembly, settings))
        app = build_server(assembly, gateway)
        yield Listener("gateway", settings.gateway_host, settings.gateway_port, "AURALINK_GATEWAY_PORT", app)
    if Role.MEDIA in roles:
        app = build_server(assembly, assembly.server("media"))
        yield Listener("media", settings.media_host, settings.media_port, "AURALINK_MEDIA_PORT", app)


def _console(assembly: Assembly, settings: AppSettings) -> Console:
    livekit = assembly.settings(LiveKitSettings)
    fixed = livekit.media_public_url or livekit.livekit_url

    def media_urls(host: str) -> tuple[str, ...]:
        if fixed:
            address = fixed.rstrip("/")
            return address, address.replace("ws", "http", 1)
        authority = f"{host}:{settings.media_port}"
        return f"ws://{authority}", f"http://{authority}"

    return Console(settings.console_directory, media_urls)
