"""A progress bar with the time left, on standard error, for those who ask."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

__all__ = ["Report", "progress_bar"]

Report = Callable[[str, int, int], None]
"""Called with what is being done, the steps done, and the steps there are in all."""


@contextmanager
def progress_bar(shown: bool) -> Iterator[Report]:
    """Give a `Report` that draws a bar; one that does nothing where ``shown`` is false."""
    if not shown:
        yield lambda name, done, total: None
        return
    columns = (
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=15), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4, expand=True) as bar:
        task = bar.add_task("", total=None)

        def report(name: str, done: int, total: int) -> None:
            bar.update(task, description=name, completed=done, total=total)

        yield report
