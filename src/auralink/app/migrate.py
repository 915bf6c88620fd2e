"""`auralink migrate`."""

from enum import StrEnum

from rich.console import Console

from auralink.app.data import open_data
from auralink.app.settings import AppSettings
from auralink.kit.migrations import Migrations
from auralink.kit.settings import CoreSettings, SecretStore, SettingsError, load_settings


class Step(StrEnum):
    UP = "up"
    DOWN = "down"
    STATUS = "status"


async def migrate(core: CoreSettings, step: Step, to: str | None, console: Console) -> None:
    """Raises SettingsError, PostgresFailed, or what the database says."""
    secrets = SecretStore(core.state_directory)
    settings = load_settings(AppSettings, store=secrets, production=core.production)
    if step is Step.DOWN and not to:
        raise SettingsError("Name the revision to go back to with --to; 'base' removes everything.")

    def tell(text: str) -> None:
        console.print(f"[dim]{text}[/dim]", highlight=False)

    async with open_data(core, settings, secrets, tell) as data:
        migrations = Migrations(data.owner_url)
        match step:
            case Step.UP:
                await migrations.up(to or "head")
            case Step.DOWN:
                await migrations.down(to or "base")
            case Step.STATUS:
                pass
        status = await migrations.status()
        console.print(
            f"{data.where}: schema {status.current or 'empty'}, this version's is {status.head}", highlight=False
        )
        if status.pending:
            console.print(f"to run: {', '.join(status.pending)}", highlight=False)
