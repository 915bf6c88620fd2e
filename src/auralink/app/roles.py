"""A role is a set of domains mounted in a process. `up` runs all of them in one."""

from collections.abc import Iterable
from enum import StrEnum

from auralink.app.settings import AppSettings
from auralink.identity.wiring import install as install_identity
from auralink.kit.assembly import Assembly
from auralink.media.wiring import install as install_media
from auralink.orgs.wiring import install as install_orgs
from auralink.rooms.wiring import install as install_rooms


class Role(StrEnum):
    GATEWAY = "gateway"
    MEDIA = "media"
    WORKER = "worker"


NEEDS_DATABASE = frozenset({Role.GATEWAY, Role.WORKER})
"""The media role keeps no rows: calls go on, and start, while the database is away."""


def install(roles: Iterable[Role], assembly: Assembly) -> None:
    wanted = frozenset(roles)
    if wanted & NEEDS_DATABASE:
        _install_control_plane(assembly)
    if Role.MEDIA in wanted:
        _install_media(assembly, gateway_here=Role.GATEWAY in wanted)


def _install_control_plane(assembly: Assembly) -> None:
    database = assembly.database
    assembly.task("outbox-notifications", assembly.notifier.run)
    assembly.server("gateway").health.add("database", database.check)
    organizations = install_orgs(assembly)
    only_loopback = assembly.settings(AppSettings).only_loopback
    people = install_identity(assembly, tenancy=organizations, only_loopback=only_loopback)
    install_rooms(assembly, organizations=organizations, people=people)


def _install_media(assembly: Assembly, *, gateway_here: bool) -> None:
    settings = assembly.settings(AppSettings)
    install_media(assembly, own_webhook=lambda: _gateway_webhook(settings) if gateway_here else None)


def _gateway_webhook(settings: AppSettings) -> str:
    host = "127.0.0.1" if settings.gateway_host in ("0.0.0.0", "::", "") else settings.gateway_host  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.gateway_port}/api/v1/livekit/webhook"
