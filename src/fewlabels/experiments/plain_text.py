"""Tables as plain text, for files and terminals alike."""

import io
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["plain_text", "titled"]


NARROWEST = 120
WIDEST = 1000


def plain_text(parts: Sequence[Table | str]) -> str:
    """Tables and lines one below the other, without trailing blanks.

    Nothing of a table is cut or broken; lines are broken where they are longer than the widest table and 120 columns.
    """
    stream = io.StringIO()
    console = Console(file=stream, width=WIDEST, markup=False, highlight=False)
    tables = [part for part in parts if isinstance(part, Table)]
    console.width = max([NARROWEST, *(console.measure(table).maximum for table in tables)])
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
