"""Speed as ratios of one run on one thread, and how exact the fast recursion is.

``make bench``.  Variants take turns, so that a busy machine slows all of them alike; times are processor time.  What
has a bound is judged at the end: a bound that is missed ends the run with code 1.
"""

import json
import sys
from pathlib import Path

import bench_chain
import bench_encoder
import bench_images
import bench_sampling
import bench_steps
import torch
from race import Section
from rich.console import Console
from rich.table import Table

from fewlabels.files import write_atomically
from fewlabels.results import code_version, environment

RESULTS = Path("results/bench.json")
PARTS = {
    "chain": bench_chain,
    "encoder": bench_encoder,
    "sampling": bench_sampling,
    "steps": bench_steps,
    "images": bench_images,
}


def show(section: Section) -> None:
    """Print a table."""
    table = Table(*section.headings, title=section.title, title_justify="left")
    for row in section.rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def main() -> int:
    """Run everything, store and print it; 1 where a bound is missed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    figures, verdicts = {}, []
    for name, part in PARTS.items():
        sections = part.sections()
        for section in sections:
            show(section)
            verdicts += section.verdicts
        figures[name] = [section.figures for section in sections]
    for verdict in verdicts:
        print(f"{verdict.text}: {'met' if verdict.met else 'missed'}")
    results = {"version": code_version(), "environment": environment(), **figures}
    results["verdicts"] = [verdict._asdict() for verdict in verdicts]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULTS, (json.dumps(results, indent=1) + "\n").encode())
    return 0 if all(verdict.met for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
