"""Tables and progress bars of the management commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

WIDTH_WITHOUT_TERMINAL = 160


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The rows under their headings as text, in the terminal's width; numbers are set to the right."""
    lines = [[("" if cell is None else str(cell)) for cell in row] for row in rows]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        numbers = bool(lines) and all(line[index].replace(".", "", 1).isdigit() for line in lines if line[index])
        drawn.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for line in lines:
        drawn.add_row(*line)
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDTH_WITHOUT_TERMINAL, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().rstrip("\n")


def progress_bar() -> Progress:
    """On standard error, so that what a command prints can be piped; invisible where that is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[found]} found"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
