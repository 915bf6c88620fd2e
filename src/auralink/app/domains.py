"""Which domains a role mounts, and how they are connected."""

from collections.abc import Iterable

from auralink.app.roles import NEEDS_DATABASE, Role
from auralink.app.serving import PortTaken
from auralink.app.settings import AppSettings
from auralink.identity.wiring import install as install_identity
from auralink.keys.wiring import install as install_keys
from auralink.kit.assembly import Assembly
from auralink.orgs.wiring import install as install_orgs
from auralink.rooms.wiring import install as install_rooms


class MediaCoreUnusable(Exception):
    """The Rust extension is not built, or not from these sources. The message says what to run."""


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
    install_keys(assembly, organizations=organizations)


def _install_media(assembly: Assembly, *, gateway_here: bool) -> None:
    try:
        from auralink.media.native_build import StaleNativeBuildError
        from auralink.media.wiring import install as install_media
    except ImportError as error:
        raise MediaCoreUnusable(f"The media core is not built ({error}). Run: make setup") from error
    settings = assembly.settings(AppSettings)
    try:
        install_media(assembly, gateway=_gateway(settings) if gateway_here else None)
    except StaleNativeBuildError as error:
        raise MediaCoreUnusable(f"{error} (make setup does it.)") from error
    except OSError as error:
        todo = "Stop what holds it, or set AURALINK_MEDIA_UDP_PORT and AURALINK_MEDIA_TCP_PORT."
        raise PortTaken(f"{error}. {todo}") from error


def _gateway(settings: AppSettings) -> str:
    host = "127.0.0.1" if settings.gateway_host in ("0.0.0.0", "::", "") else settings.gateway_host  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.gateway_port}"
