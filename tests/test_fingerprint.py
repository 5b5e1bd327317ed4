"""What a piece of unfinished work is known by: the same in another process, another for whatever trains otherwise."""

import os
import subprocess
import sys
from functools import partial
from threading import Lock

import numpy as np
import pytest
import torch
from torch import nn

from fewlabels.augmentation import add_noise
from fewlabels.classifier import SemiSupervisedClassifier
from fewlabels.errors import InputError
from fewlabels.estimation import Resumable
from fewlabels.fingerprint import fingerprint
from fewlabels.optimizers import rmsprop
from fewlabels.recipes import DENSE

PRINTED = """
import numpy as np, torch
from fewlabels.fingerprint import fingerprint
from fewlabels.recipes import DENSE
torch.manual_seed(0)
class Holder:
    def __init__(self):
        self.values, self.me = torch.ones(3), self
print(fingerprint(
    torch.nn.Linear(2, 3), DENSE, lambda x: x + 0.3, {"a": np.arange(3), "b": {"one", "two", "three"}},
    ["word"] * 2, Holder(), None, 1.5,
))
"""


def test_another_process_comes_to_the_same():
    once, again = (
        subprocess.run(
            [sys.executable, "-c", PRINTED],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in "12"
    )
    assert len(once.strip()) == 32 and once == again


def network(weight=0.5):
    made = nn.Linear(1, 2)
    nn.init.constant_(made.weight, weight)
    nn.init.zeros_(made.bias)
    return made


def shifted(by):
    return lambda x: x + by


class Wrapped(nn.Linear):
    """Another class of network."""


class Named:
    """Any object of the user's own."""

    def __init__(self, value):
        self.value, self.itself = value, self


def differing():
    other = Wrapped(1, 2)
    other.load_state_dict(network().state_dict())
    return {
        "weights": (network(), network(0.6)),
        "class": (network(), other),
        "recipe": (DENSE, DENSE._replace(noise=0.5)),
        "rate of an optimiser": (DENSE, DENSE._replace(supervised=DENSE.supervised._replace(optimizer=rmsprop(2e-3)))),
        "what a function was made with": (shifted(1), shifted(2)),
        "numbers in a function": (lambda x: x + 1, lambda x: x + 2),
        "what a function calls": (lambda x: x.sin(), lambda x: x.cos()),
        "arguments": (partial(add_noise, deviation=0.1), partial(add_noise, deviation=0.2)),
        "arrays": (np.arange(3), np.arange(4)),
        "types": (torch.zeros(2), torch.zeros(2, dtype=torch.int64)),
        "attributes": (Named(1), Named([1])),
        "words": (["a", "b"], ["ab"]),
        "nothing": (None, ""),
    }


@pytest.mark.parametrize("what", differing())
def test_what_differs_is_told_apart(what):
    one, other = differing()[what]
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(differing()[what][0])


def test_what_cannot_be_read_is_known_by_its_class():
    assert fingerprint(Lock()) == fingerprint(Lock())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recipe", DENSE._replace(noise=0.5)),
        ("potential", network(0.6)),
        ("generator", network(0.6)),
        ("augmentation", partial(add_noise, deviation=0.2)),
        ("method", "vat"),
    ],
)
def test_the_state_of_a_fit_of_anything_else_is_refused(tmp_path, name, value):
    def state(data=(0.0, 0.0), **changed):
        given = dict(recipe=DENSE, potential=network(), generator=network(), augmentation=add_noise) | changed
        given = dict(random_state=None, checkpoint=tmp_path, verbose=True) | given
        return Resumable(SemiSupervisedClassifier(**given), np.array(data))

    seed = state().seed
    assert state().seed == seed  # of a fit without one, too
    for changed in ({name: value}, {"data": (0.0, 1.0)}):
        with pytest.raises(InputError, match="that of other data or parameters"):
            state(**changed)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fingerprint": 1'])
def test_a_state_that_is_damaged_is_told(tmp_path, text):
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(InputError, match=r"fit\.json, got a file that cannot be read .*: delete its folder"):
        Resumable(SemiSupervisedClassifier(checkpoint=tmp_path), np.zeros((4, 1)))


def test_the_state_of_another_seed_is_refused(tmp_path):
    def state(seed):
        return Resumable(SemiSupervisedClassifier(random_state=seed, checkpoint=tmp_path), np.zeros((4, 1)))

    assert state(1).seed == state(1).seed == state(None).seed
    with pytest.raises(InputError, match="that of other data or parameters"):
        state(2)


def test_a_state_wants_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder that can be made"):
        Resumable(SemiSupervisedClassifier(checkpoint=tmp_path / "file"), np.zeros((4, 1)))
