import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

UNPACK = Path(__file__).resolve().parents[2] / "shared" / "data" / "unpack.py"
"""A script that lays packed corpora out, beside the repository on machines that have it."""


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


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
