import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fewlabels.results import read_runs, write_runs

torch.set_num_threads(1)

UNPACK = Path(__file__).resolve().parents[2] / "shared" / "data" / "unpack.py"
"""A script that lays packed corpora out, beside the repository on machines that have it."""


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def serially():
    """In place of `run_jobs`: what is not stored yet is run in this process, where stand-ins can be seen."""

    def run_jobs(jobs, path, report, workers=None):
        for job in jobs:
            if job.key not in {one.key() for one in read_runs(path)}:
                write_runs(path, [*read_runs(path), *job.work()])

    return run_jobs


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The folder of data, for a test that names the corpus it needs; skips where there is none.

    It is the folder in FEWLABELS_DATA; without one, the corpus is unpacked into a temporary folder.
    """
    given = os.environ.get("FEWLABELS_DATA")
    folder = Path(given) if given else tmp_path_factory.mktemp("data")

    def find(name):
        if not given and UNPACK.exists():
            subprocess.run([sys.executable, UNPACK, folder, name], check=True, stdout=subprocess.DEVNULL)
        if not (folder / name).exists():
            pytest.skip(f"no corpus {name}: set FEWLABELS_DATA to the folder that holds {name}/")
        return folder

    return find
