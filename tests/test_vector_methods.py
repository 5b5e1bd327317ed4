"""Every method for tables and images through the one training loop: vectors and images, few rows, resumption."""

import pytest
import torch

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.errors import InputError
from fewlabels.methods import PRETRAINING, Setting
from fewlabels.train import fit
from fewlabels.vector_methods import ADDED, NAMES, TERMS, vector_stages
from fewlabels.vectors import INITIAL, PRESETS, build_players, build_potential

SUMS = ["best", "pretrain+mean_teacher", "joint+pi+self_training", "pretrain+sobolev_gan", "pretrain+gamma_ladder"]
METHODS = [*NAMES.whole, *SUMS]


def stages(method, preset="dense", shape=(5,), labelled=1, effort=0.005):
    """A method's network, stages and batches for three classes with two labels each; parts differ in their mean."""
    torch.manual_seed(4)
    y = torch.arange(24) % 3
    data = torch.randn(24, *shape) + y.view(-1, *[1] * len(shape))
    rows = torch.arange(6)
    potential = build_potential(None, PRESETS[preset], data, 3)
    players = build_players(None, PRESETS[preset], potential, data, rows, y[rows], effort)
    batches = Batches(data[rows], y[rows], data, labelled=labelled, unlabelled=8, seed=0)
    return potential, vector_stages(method, players, Setting()), batches


def weights(potential):
    return torch.cat([parameter.detach().flatten() for parameter in potential.parameters()])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("preset", "shape"), [("dense", (5,)), ("small", (1, 12, 12))])
def test_one_labelled_row_a_batch_on_vectors_and_on_images(method, preset, shape):
    potential, plan, batches = stages(method, preset, shape, effort=0.002)
    before = weights(potential)
    records = fit(potential, plan, batches)
    assert all(torch.tensor(list(record.values.values())).isfinite().all() for record in records)
    assert weights(potential).isfinite().all() and not torch.equal(weights(potential), before)


class Killed(Exception):
    """The end of a run without warning."""


@pytest.mark.parametrize("method", METHODS)
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


def test_terms_beside_log_p_of_x_weigh_a_part_of_what_labels_do_and_after_it_as_much():
    _, phases, _ = stages("joint+vat+entropy")
    assert len(phases) == len(PRESETS["dense"].recipe.joint)
    for phase in phases:
        labels, _, vat, entropy = phase.objective.parts
        assert vat.weight == entropy.part.weight == pytest.approx(ADDED * labels.weight)
    _, (first, second), _ = stages("pretrain+vat")
    assert first.name == PRETRAINING and second.reset == ("head",)
    labels, added = second.objective.parts
    assert added.parts[0].weight == labels.weight == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_who_is_normalised_while_it_learns_and_that_no_field_is(method):
    """u(x) of one input would depend on the others of its batch."""
    _, plan, _ = stages(method)
    are = method in (*TERMS, "ladder", "gamma_ladder", "supervised_normalised", "pretrain+gamma_ladder")
    assert plan[-1].normalised == are and not any(stage.normalised for stage in plan[:-1])


def test_labels_alone_normalised_are_a_normalised_term_of_weight_zero():
    potential, plan, batches = stages("supervised_normalised")
    fit(potential, plan, batches)
    other, (stage,), batches = stages("entropy")
    stage.objective.parts[1].part.weight = 0.0
    fit(other, [stage], batches)
    assert torch.equal(weights(potential), weights(other))


@pytest.mark.parametrize("method", ["joint+vat", "vat", "best", "pretrain"])
def test_weight_zero_is_supervised_training_whatever_the_method(method):
    data, rows = torch.randn(24, 5), torch.arange(6)
    potential = build_potential(None, PRESETS["dense"], data, 3)
    players = build_players(None, PRESETS["dense"], potential, data, rows, rows % 3, 1.0)
    assert [stage.name for stage in vector_stages(method, players, Setting(0.0))] == ["supervised"]


@pytest.mark.parametrize(
    "method",
    [
        "vat+pi",
        "joint+joint",
        "joint+vat+vat",
        "joint+cat_gan",
        "pretrain+ladder+vat",
        "pretrain+simclr",
        "joint+",
        "+vat",
        "bset",
        None,
    ],
)
def test_what_is_no_method_is_refused(method):
    with pytest.raises(InputError, match=r"Expected method to be one of .*joint.*best.*got"):
        NAMES.parts(method)


def test_layers_are_initialised_from_rows_of_all_the_data_not_the_first():
    torch.manual_seed(0)
    data = torch.cat([0.01 * torch.randn(INITIAL, 6), torch.randn(3 * INITIAL, 6)])  # sorted, the narrow class first
    potential = build_potential(None, PRESETS["dense"], data, 3)
    assert potential.body[0](data).std(0).mean().item() == pytest.approx(1.0, abs=0.1)
    first = build_potential(None, PRESETS["dense"], data[:INITIAL], 3)  # the control: what the first rows alone say
    assert first.body[0](data).std(0).mean() > 10


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "dense"])
def test_all_methods_learn_from_images_for_as_many_steps(name):
    recipe = PRESETS[name].recipe
    assert recipe.rival.steps == recipe.supervised.steps == sum(phase.plan.steps for phase in recipe.joint)
    assert recipe.rival.average  # which Mean Teacher's teacher is read from
