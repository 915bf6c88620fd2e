"""The `auralink` command. Each subcommand is a few lines here; the work is in `auralink.app`."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from auralink.app.migrate import Step
from auralink.app.progress import Progress
from auralink.app.roles import Role
from auralink.kit.settings import CoreSettings, SecretStore, SettingsError, default_state_directory, load_settings
from auralink.kit.telemetry import configure_logging

if TYPE_CHECKING:
    from auralink.app.settings import AppSettings
    from auralink.kit.livekit import LiveKitSettings

app = typer.Typer(
    name="auralink",
    help="Self-hosted real-time communications, compatible with the LiveKit protocol.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

webhooks = typer.Typer(help="Webhooks that the media server sends.", no_args_is_help=True)
app.add_typer(webhooks, name="webhooks")
console = Console()


def _core() -> CoreSettings:
    return load_settings(CoreSettings, store=SecretStore(default_state_directory()), production=False)


def _run(work: Callable[[], Awaitable[None]]) -> None:
    """Runs `work` on the fast loop; expected failures become one sentence and exit code 1."""
    from auralink.app.up import EXPECTED

    async def quiet() -> None:
        await work()

    try:
        uvloop.run(quiet())
    except EXPECTED as error:
        Progress(console).failed(str(error))
        raise typer.Exit(1) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None


Dev = Annotated[
    bool, typer.Option("--dev", help="Accept LiveKit's development pair, devkey and secret; on this machine only.")
]


@app.command()
def up(dev: Dev = False) -> None:
    """Run the whole platform on this machine: database, API, console and media server."""
    from auralink.app.up import Plan, run

    _develop(dev)
    core = _checked_core()
    configure_logging(
        core.log_level,
        json=_json_logs(core),
        file=core.state_directory / "logs" / "auralink.log",
        terminal_level="warning",
    )
    _run(lambda: run(Plan(tuple(Role), whole=True), core, Progress(console)))


@app.command()
def serve(
    roles: Annotated[list[Role], typer.Argument(help="The roles to run in this process.")],
    dev: Dev = False,
    livekit_config: Annotated[
        Path | None, typer.Option(help="LiveKit's config.yaml, for the media role; what is not applied is said.")
    ] = None,
) -> None:
    """Run some roles in this process; logs go to the terminal."""
    from auralink.app.up import Plan, run

    _develop(dev)
    if livekit_config is not None:
        _apply_livekit_config(livekit_config)
    core = _checked_core()
    configure_logging(core.log_level, json=_json_logs(core))
    _run(lambda: run(Plan(tuple(dict.fromkeys(roles)), whole=False), core, Progress(console)))


@app.command()
def migrate(
    what: Annotated[Step, typer.Argument(help="up, down or status")] = Step.STATUS,
    to: Annotated[
        str | None, typer.Option(help="The revision to end at; down needs one ('base': nothing left).")
    ] = None,
) -> None:
    """Bring the database's schema to this version, or back."""
    from auralink.app.migrate import migrate as work

    core = _checked_core()
    configure_logging("warning", json=False)
    _run(lambda: work(core, what, to, console))


@app.command()
def doctor() -> None:
    """Look at this machine and this installation, and say what to do. Exit code 1 when something must be done."""
    from auralink.app.doctor import Verdict, examine

    core = _checked_core()
    configure_logging("error", json=False)
    marks = {Verdict.GOOD: "[green]✓[/green]", Verdict.WARNING: "[yellow]![/yellow]", Verdict.BAD: "[red]x[/red]"}
    verdicts = []

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    async def look() -> None:
        with console.status("Looking ..."):
            async for finding in examine(core):
                verdicts.append(finding.verdict)
                todo = f"\n[dim]->[/dim] {escape(finding.todo)}" if finding.todo else ""
                table.add_row(marks[finding.verdict], finding.name, f"{escape(finding.fact)}{todo}")
        console.print(table, highlight=False)

    _run(look)
    if Verdict.BAD in verdicts:
        raise typer.Exit(1)


@app.command()
def token(
    room: Annotated[str, typer.Option(help="The room's wire name; for rooms made over the API, their id.")],
    identity: Annotated[str, typer.Option(help="Who the bearer is, unique in the room.")],
    name: Annotated[str, typer.Option(help="What others see.")] = "",
    can_publish: Annotated[bool, typer.Option(help="May send audio, video and screen.")] = True,
    can_subscribe: Annotated[bool, typer.Option(help="May receive them.")] = True,
    can_publish_data: Annotated[bool, typer.Option(help="May send data and chat.")] = True,
    admin: Annotated[bool, typer.Option(help="May manage the room and its participants.")] = False,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 365, help="How long it can be used to connect.")] = 6.0,
) -> None:
    """Make a LiveKit join token by hand, with this installation's key pair."""
    from auralink.app.tokens import Wish, address, mint

    livekit, settings = _media_server()
    life = timedelta(hours=hours)
    wish = Wish(room, identity, name, can_publish, can_subscribe, can_publish_data, admin, life)
    typer.echo(f"url    {address(livekit, settings)}")
    typer.echo(f"token  {mint(wish, livekit)}")


@webhooks.command("replay")
def replay_webhooks(
    since: Annotated[
        datetime, typer.Option(formats=_TIMES, help="Events created then or later; local time without a zone.")
    ],
    until: Annotated[
        datetime | None, typer.Option(formats=_TIMES, help="And not later than this; unset: until now.")
    ] = None,
    room: Annotated[str, typer.Option(help="Only those of this room, by its wire name.")] = "",
) -> None:
    """Send webhooks again that a receiver had accepted and lost. They keep their ids."""
    from auralink.app.webhook_replay import ReplayFailed, replay

    livekit, settings = _media_server()
    try:
        count = replay(livekit, settings, since, until, room)
    except ReplayFailed as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{count} sent again, over all receivers, after what was waiting; older ones than kept are not among them"
    )


def _media_server() -> "tuple[LiveKitSettings, AppSettings]":
    """Where this installation's media server is, and the key pair for it."""
    from auralink.app.settings import AppSettings
    from auralink.kit.livekit import LiveKitSettings

    core = _checked_core()
    try:
        store = SecretStore(core.state_directory)
        livekit = load_settings(LiveKitSettings, store=store, production=core.production)
        settings = load_settings(AppSettings, store=store, production=core.production)
    except SettingsError as error:
        Progress(console).failed(str(error))
        raise typer.Exit(1) from None
    return livekit, settings


def _develop(dev: bool) -> None:
    if dev:
        os.environ["AURALINK_MEDIA_DEV_KEYS"] = "true"


def _apply_livekit_config(path: Path) -> None:
    """As if its settings stood in the environment, which goes before the file. Shows a table of every key."""
    from auralink.app.livekit_config import read

    try:
        reading = read(path)
    except SettingsError as error:
        Progress(console).failed(str(error))
        raise typer.Exit(1) from None
    os.environ.update(reading.settings)
    table = Table("", "key", "what happens", title=f"LiveKit's {path.name}", title_justify="left", box=None)
    for line in reading.lines:
        mark = "[green]applied[/green]" if line.applied else "[yellow]not applied[/yellow]"
        table.add_row(mark, escape(line.key), escape(line.text))
    console.print(table, highlight=False)


def _checked_core() -> CoreSettings:
    try:
        return _core()
    except SettingsError as error:
        Progress(console).failed(str(error))
        raise typer.Exit(1) from None


def _json_logs(core: CoreSettings) -> bool:
    return core.log_format != "console" if core.log_format else not sys.stderr.isatty()


def main() -> None:
    app()


if __name__ == "__main__":
    main()
