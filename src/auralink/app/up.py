"""`auralink up` and `auralink serve`: from nothing to a running platform, and back."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from auralink import __version__
from auralink.app.assembly import Listener, assemble
from auralink.app.data import Data, StateInUse, alone_in, open_data
from auralink.app.domains import MediaCoreUnusable
from auralink.app.platform import Platform, TaskEnded
from auralink.app.progress import Progress, Tell
from auralink.app.roles import NEEDS_DATABASE, Role
from auralink.app.serving import PortTaken
from auralink.app.settings import AppSettings
from auralink.kit.assembly import Assembly
from auralink.kit.db import Database, DatabaseSettings, DatabaseUnavailable
from auralink.kit.embedded_postgres import PostgresFailed
from auralink.kit.migrations import Migrations
from auralink.kit.outbox import write_events
from auralink.kit.settings import CoreSettings, SecretStore, Settings, SettingsError, load_settings
from auralink.kit.telemetry import TelemetrySettings, configure_tracing

log = structlog.get_logger(__name__)

EXPECTED = (PortTaken, PostgresFailed, SettingsError, StateInUse, DatabaseUnavailable, TaskEnded, MediaCoreUnusable)
"""What can keep a platform from starting and is told in a sentence; anything else is a bug and shows its traceback."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: `whole` is the one-command platform, which owns its state directory and migrates by itself."""

    roles: Sequence[Role]
    whole: bool


class _OtherMedia(Settings):
    livekit_url: str = ""


def _roles(plan: Plan) -> Sequence[Role]:
    """With a LiveKit server named by AURALINK_LIVEKIT_URL, the platform runs no media server of its own."""
    if plan.whole and _OtherMedia().livekit_url:
        return [role for role in plan.roles if role is not Role.MEDIA]
    return plan.roles


async def run(plan: Plan, core: CoreSettings, progress: Progress) -> None:
    """Runs until a signal. Raises one of EXPECTED, with words for the operator, when it cannot."""
    started = time.monotonic()
    state = core.state_directory
    roles = _roles(plan)
    progress.heading(f"AuraLink {__version__}", f"roles: {', '.join(roles)}", f"state: {state}")
    async with AsyncExitStack() as stack:
        if plan.whole:
            await stack.enter_async_context(alone_in(state))
        with progress.step("Settings and secrets") as tell:
            secrets = SecretStore(state)
            settings = load_settings(AppSettings, store=secrets, production=core.production)
            telemetry = load_settings(TelemetrySettings, store=secrets, production=core.production)
            provider = configure_tracing(telemetry, "-".join(roles))
            stack.callback(provider.shutdown)
            tell(f"kept in {secrets.path}" if secrets.path.exists() else "")
        data = None
        if NEEDS_DATABASE & frozenset(roles):
            with progress.step("PostgreSQL" if core.database_url else "PostgreSQL (embedded)") as tell:
                data = await stack.enter_async_context(open_data(core, settings, secrets, tell))
                await _answers(data, secrets, core, tell)
                tell(f"{data.application_url.host}:{data.application_url.port}")
            with progress.step("Database schema") as tell:
                await _schema(plan, data, tell)
        with progress.step("Services"):
            assembly, listeners = assemble(roles, core, secrets, data.application_url if data else None)
            _mind_the_database(assembly, data, stack)
        platform = Platform(assembly, listeners, settings)
        platform.stop_on_signals()
        await platform.run(lambda: _tell_ready(progress, platform, assembly, listeners, data, started))
        progress.say("\n  Drained. Stopping what was started ...")
    progress.say("  [green]✓[/green] Everything is stopped.")


async def _answers(data: Data, secrets: SecretStore, core: CoreSettings, tell: Tell) -> None:
    """Wait for the database, and see that row-level security will hold. Raises DatabaseUnavailable, SettingsError."""
    limits = load_settings(DatabaseSettings, store=secrets, production=core.production)
    database = Database(data.application_url, limits, write_events)
    try:
        await database.wait_until_ready(tell=tell)
        trouble = await database.privileges_trouble()
    finally:
        await database.close()
    if trouble and core.production:
        raise SettingsError(
            f"{trouble} Put the owner into AURALINK_DATABASE_OWNER_URL, a plain role into AURALINK_DATABASE_URL."
        )
    if trouble:
        log.warning("database.privileges", trouble=trouble)


async def _schema(plan: Plan, data: Data, tell: Tell) -> None:
    migrations = Migrations(data.owner_url)
    if plan.whole:
        ran = await migrations.up()
        tell(f"{len(ran)} migrations run" if ran else "up to date")
    else:
        await _require_current(migrations)


async def _require_current(migrations: Migrations) -> None:
    status = await migrations.status()
    if status.pending:
        raise SettingsError(
            f"The database is {len(status.pending)} migrations behind this version. Run: auralink migrate up"
        )


def _mind_the_database(assembly: Assembly, data: Data | None, stack: AsyncExitStack) -> None:
    if data is None:
        return
    stack.push_async_callback(assembly.database.close)
    if data.embedded:
        assembly.task("postgres", data.embedded.keep_running)


def _tell_ready(
    progress: Progress,
    platform: Platform,
    assembly: Assembly,
    listeners: Sequence[Listener],
    data: Data | None,
    started: float,
) -> None:
    facts: list[tuple[str, str]] = []
    for listener in listeners:
        host, port = platform.addresses[listener.name]
        shown = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host  # noqa: S104 (only compared)
        match listener.name:
            case "gateway":
                facts.append(("Console", f"http://{shown}:{port}"))
                facts.append(("API", f"http://{shown}:{port}/api/v1"))
            case "media":
                facts.append(("LiveKit SDKs", f"ws://{shown}:{port}"))
            case name:
                facts.append((name, f"http://{shown}:{port}"))
    facts += assembly.facts
    if other := _OtherMedia().livekit_url:
        facts.append(("LiveKit server", other))
    if data:
        facts.append(("Database", data.where))
    facts.append(("State, logs", str(assembly.core.state_directory)))
    title = f"AuraLink is running ({time.monotonic() - started:.1f} s)"
    progress.ready(title, facts, "Ctrl-C drains and stops everything.")
    log.info("platform.ready", addresses={name: port for name, (_, port) in platform.addresses.items()})
