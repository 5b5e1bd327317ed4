"""Plant bugs in the mathematics, one at a time, and see that the tests catch every one.

``make mutants``.  Each of `planted.MUTANTS` is planted in a copy of the package, where the tests that are expected to fail
on it are run.  The same tests must pass on the package as it is.  Words behind the command select mutants by their names.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from planted import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 240
"""Seconds for the tests of one mutant."""


def run(selection: str, source: Path) -> tuple[bool, str]:
    """Whether the selected tests pass on a copy of the package, and the end of what they printed.

    They pass or fail: a package that cannot be imported, or tests that cannot be read, end everything.
    """
    file, *expression = selection.split(maxsplit=1)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{file}"]
    command += ["-k", expression[0]] if expression else []
    variables = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return False, "timed out"
    if done.returncode not in (0, 1):
        raise SystemExit(
            f"{selection!r}: expected tests that pass or fail, came {done.returncode}: {done.stdout[-2000:]}"
        )
    return done.returncode == 0, done.stdout[-2000:]


def try_mutant(mutant: Mutant) -> tuple[Mutant, bool, float]:
    """Plant a bug in a fresh copy and run its tests: (mutant, caught, seconds)."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        path = source / "fewlabels" / mutant.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.name}: its text occurs {text.count(mutant.old)} times in {mutant.file}")
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        passed, _ = run(mutant.tests, source)
    return mutant, not passed, time.monotonic() - started


def main(words: list[str]) -> int:
    """Try every mutant, or those whose names hold one of the words; the exit code is 0 where all are caught."""
    mutants = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        selections = sorted({mutant.tests for mutant in mutants})
        for selection, (passed, output) in zip(
            selections, pool.map(lambda s: run(s, ROOT / "src"), selections), strict=True
        ):
            if not passed:
                print(f"fails without a bug: {selection}\n{output}")
                return 1
        caught = 0
        for mutant, was_caught, seconds in pool.map(try_mutant, mutants):
            caught += was_caught
            print(f"{'caught' if was_caught else 'SURVIVED':9} {seconds:5.1f} s  {mutant.name}", flush=True)
    print(f"caught {caught}/{len(mutants)}")
    return int(caught < len(mutants))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
