"""The `auralink` command. Each subcommand is a few lines here; the work is in `auralink.app`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from auralink.app.progress import Progress
from auralink.app.roles import Role
from auralink.kit.settings import CoreSettings, SecretStore, SettingsError, default_state_directory, load_settings
from auralink.kit.telemetry import configure_logging

app = typer.Typer(
    name="auralink",
    help="Self-hosted real-time communications, compatible with the LiveKit protocol.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
console = Console(stderr=False)


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


@app.command()
def up() -> None:
    """Run the whole platform on this machine: database, API, console and media server."""
    from auralink.app.up import Plan, run

    core = _checked_core()
    configure_logging(
        core.log_level,
        json=_json_logs(core),
        file=core.state_directory / "logs" / "auralink.log",
        terminal_level="warning",
    )
    _run(lambda: run(Plan(tuple(Role), whole=True), core, Progress(console)))


@app.command()
def serve(roles: Annotated[list[Role], typer.Argument(help="The roles to run in this process.")]) -> None:
    """Run some roles in this process; logs go to the terminal."""
    from auralink.app.up import Plan, run

    core = _checked_core()
    configure_logging(core.log_level, json=_json_logs(core))
    _run(lambda: run(Plan(tuple(dict.fromkeys(roles)), whole=False), core, Progress(console)))


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
