"""A pool of any size, written and read: how long it takes, how large it is, and how much memory it needs.

``.venv/bin/python benchmarks/pool_memory.py 30000000 [FOLDER]``.  The sentences are generated: 1 to 47 words, 24 in the
mean, drawn by Zipf's law from 200,000.  Memory is what the process holds of its own (RssAnon, on Linux): pages of mapped
files count as resident, too, but belong to the operating system, which drops them when anything else needs the room.
The pool is made inside FOLDER, the current one by default, and deleted at the end; it needs about 108 bytes a sentence.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from fewlabels.data.pool import Pool, write_pool

WORDS, LONGEST, DRAWN = 200_000, 47, 1 << 20
BATCHES, BATCH = 2000, 64


def sentences(count: int) -> Iterator[list[str]]:
    """Sentences cut at random from a ring of a million words drawn by Zipf's law."""
    generator = np.random.default_rng(0)
    shares = 1 / np.arange(1, WORDS + 1)
    ring = [f"w{i}" for i in generator.choice(WORDS, DRAWN + LONGEST, p=shares / shares.sum())]
    while count > 0:
        part = min(count, 100_000)
        starts = generator.integers(0, DRAWN, part).tolist()
        lengths = generator.integers(1, LONGEST + 1, part).tolist()
        yield from (ring[start : start + length] for start, length in zip(starts, lengths, strict=True))
        count -= part


def own_memory() -> float:
    """Megabytes of the process's own memory, without the pages of mapped files; NaN where this is not told."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), float("nan"))


def read(pool: Pool, peak: list[float]) -> int:
    """Read random batches of the pool; return how many words they had."""
    rows = pool.translated(np.arange(len(pool.words), dtype=np.int32))
    generator = torch.Generator().manual_seed(0)
    words = 0
    for _ in range(BATCHES):
        words += int(rows[torch.randint(len(rows), (BATCH,), generator=generator)].lengths.sum())
        peak[0] = max(peak[0], own_memory())
    return words


def main(count: int, parent: str) -> None:
    """Write and read a pool, and print the figures as JSON."""
    peak = [own_memory()]
    before = peak[0]
    with tempfile.TemporaryDirectory(dir=parent) as temporary:
        folder = Path(temporary) / "pool"
        started = time.perf_counter()
        write_pool(sentences(count), folder, lambda _: peak.__setitem__(0, max(peak[0], own_memory())))
        written = time.perf_counter()
        writing, peak[0] = peak[0], own_memory()
        pool = Pool(folder)
        counted = int(pool.counts().sum())
        opened = time.perf_counter()
        words = read(pool, peak)
        done = time.perf_counter()
        size = sum(file.stat().st_size for file in folder.iterdir())
    figures = {
        "sentences": count,
        "words": counted,
        "bytes": size,
        "write_seconds": round(written - started, 1),
        "open_and_count_seconds": round(opened - written, 2),
        "read_batches": f"{BATCHES} of {BATCH}, {words} words, {done - opened:.2f} s",
        "memory_before_mb": round(before, 1),
        "peak_memory_writing_mb": round(writing, 1),
        "peak_memory_reading_mb": round(peak[0], 1),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ".")
