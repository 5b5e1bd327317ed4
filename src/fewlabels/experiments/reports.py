"""All tables and pages of a folder again, from its stored runs: ``python -m fewlabels.experiments.reports FOLDER``."""

import sys
from pathlib import Path

from fewlabels.experiments import beyond, every_method, no_harm
from fewlabels.experiments.image_tables import write_fig1, write_table2
from fewlabels.experiments.tables import write_tables

__all__ = ["WRITERS", "main"]

WRITERS = {
    "table2": write_table2,
    "fig1": write_fig1,
    "noharm": no_harm.write_table,
    "methods": every_method.write_table,
    "table3": write_tables,
    "beyond": beyond.write_table,
}
"""By experiment, which is how the name of a file of stored runs begins."""


def main(folder: Path) -> None:
    """Write them, and say which."""
    paths = [(write, path) for name, write in WRITERS.items() for path in sorted(folder.glob(f"{name}-*.jsonl"))]
    if not paths:
        raise SystemExit(f"expected stored runs, such as {folder}/table3-bench.jsonl, found none: reproduce them first")
    for write, path in paths:
        write(path)
        print(path.with_suffix(".txt"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
