"""Every method for tables and images through the one training loop: vectors and images, few rows, resumption."""

import pytest
import torch

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.methods import Setting
from fewlabels.train import fit
from fewlabels.vector_methods import VECTORS
from fewlabels.vectors import PRESETS, build_players, build_potential


def stages(method, preset="dense", shape=(5,), labelled=1, effort=0.005):
    """A method's network, stages and batches for three classes with two labels each; parts differ in their mean."""
    torch.manual_seed(4)
    y = torch.arange(24) % 3
    data = torch.randn(24, *shape) + y.view(-1, *[1] * len(shape))
    rows = torch.arange(6)
    potential = build_potential(None, PRESETS[preset], data, 3)
    players = build_players(None, PRESETS[preset], potential, data, rows, y[rows], effort)
    batches = Batches(data[rows], y[rows], data, labelled=labelled, unlabelled=8, seed=0)
    return potential, VECTORS[method](players, Setting()), batches


def weights(potential):
    return torch.cat([parameter.detach().flatten() for parameter in potential.parameters()])


@pytest.mark.parametrize("method", VECTORS)
@pytest.mark.parametrize(("preset", "shape"), [("dense", (5,)), ("small", (1, 12, 12))])
def test_one_labelled_row_a_batch_on_vectors_and_on_images(method, preset, shape):
    potential, plan, batches = stages(method, preset, shape, effort=0.002)
    before = weights(potential)
    records = fit(potential, plan, batches)
    assert all(torch.tensor(list(record.values.values())).isfinite().all() for record in records)
    assert weights(potential).isfinite().all() and not torch.equal(weights(potential), before)


class Killed(Exception):
    """The end of a run without warning."""


@pytest.mark.parametrize("method", VECTORS)
def test_a_run_that_is_killed_resumes_to_the_identical_weights(method, tmp_path, monkeypatch):
    monkeypatch.setattr("fewlabels.train.GUARD_EVERY", 1)  # every step is saved
    whole, plan, batches = stages(method)
    fit(whole, plan, batches)

    def kill(name, done, steps):
        if done == steps - 2:
            raise Killed

    checkpoint = Checkpoint(tmp_path / "training.pt", seconds=0.0)
    potential, plan, batches = stages(method)
    with pytest.raises(Killed):
        fit(potential, plan, batches, checkpoint=checkpoint, report=kill)
    potential, plan, batches = stages(method)
    fit(potential, plan, batches, checkpoint=checkpoint)
    assert torch.equal(weights(potential), weights(whole))
