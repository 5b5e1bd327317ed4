"""Tables as plain text, for files and terminals alike."""

import io
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["plain_text", "titled"]


def plain_text(parts: Iterable[Table | str], width: int) -> str:
    """Tables and lines one below the other, without trailing blanks.

    Parameters
    ----------
    parts
        What is shown.
    width
        Columns; longer lines are broken.
    """
    stream = io.StringIO()
    console = Console(file=stream, width=width, markup=False, highlight=False)
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))


def titled(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table of which the first column names the rows, and the others hold numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table
