"""Tells a person what start-up is doing, how long each step took, and what to do when one fails."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

Tell = Callable[[str], None]


class Progress:
    """Lines on a terminal: a spinner while a step runs, then its time. Plain lines where nobody watches."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def heading(self, title: str, *details: str) -> None:
        self._console.print()
        self._console.print(f"[bold]{title}[/bold]  [dim]{'  '.join(details)}[/dim]", highlight=False)
        self._console.print()

    @contextmanager
    def step(self, name: str) -> Iterator[Tell]:
        """Runs a step; what it is given tells more about it: shown now, and kept beside the step's name."""
        note = ""

        def tell(text: str) -> None:
            nonlocal note
            note = text
            if self._console.is_terminal:
                status.update(f"{name} [dim]{_plain(text)}[/dim]")
            elif text:
                self._console.print(f"    {name}: {_plain(text)}", highlight=False)

        started = time.monotonic()
        with self._console.status(name, spinner_style="cyan") as status:
            try:
                yield tell
            except BaseException:
                self._line("[red]x[/red]", name, started, note)
                raise
        self._line("[green]✓[/green]", name, started, note)

    def ready(self, title: str, facts: list[tuple[str, str]], footer: str) -> None:
        table = Table.grid(padding=(0, 3))
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in facts:
            table.add_row(name, value)
        table.add_row("", "")
        table.add_row("", f"[dim]{footer}[/dim]")
        self._console.print()
        self._console.print(
            Panel(table, title=f"[bold green]{title}[/bold green]", title_align="left", expand=False, padding=(1, 2))
        )

    def failed(self, reason: str) -> None:
        self._console.print()
        self._console.print(f"[bold red]AuraLink cannot run.[/bold red] {_plain(reason)}", highlight=False)

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False)

    def _line(self, mark: str, name: str, started: float, note: str) -> None:
        seconds = time.monotonic() - started
        self._console.print(f"  {mark} {name:<28}[dim]{seconds:6.1f} s   {_plain(note)}[/dim]", highlight=False)


def _plain(text: str) -> str:
    """Text that may hold brackets of its own."""
    return text.replace("[", r"\[")
