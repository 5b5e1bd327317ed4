"""Every method for tables and images through the one training loop: vectors and images, few rows, resumption."""

from contextlib import nullcontext

import pytest
import torch

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.errors import InputError
from fewlabels.fit import fit
from fewlabels.methods import PRETRAINING, Setting
from fewlabels.recipes import Field
from fewlabels.rmsprop import RMSprop
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


@pytest.mark.parametrize("method", METHODS)
def test_unlabelled_inputs_change_the_weights_unless_there_is_nothing_to_learn_from_them(method):
    """The labelled rows, initial weights and players are the same; only the unlabelled half of the batches is not.

    Nothing is normalised, since that alone would tell, but for the ladders, which are no methods without.
    """

    def trained(other):
        potential, plan, batches = stages(method)
        with torch.no_grad():
            potential.head.g.mul_(100)  # sure of itself, as some methods want it
            batches.x_unlabelled = batches.x_unlabelled + other * torch.randn(24, 5)
        for stage in plan:
            fit(potential, [stage._replace(reset=(), normalised=stage.normalised and "ladder" in method)], batches)
        return weights(potential)

    assert torch.equal(trained(0.0), trained(1.0)) == method.startswith("supervised")


class Killed(Exception):
    """The end of a run without warning."""


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_is_killed_resumes_to_the_identical_weights(method, tmp_path, monkeypatch):
    monkeypatch.setattr("fewlabels.stage_run.GUARD_EVERY", 1)  # every step is saved
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


@pytest.mark.parametrize("method", METHODS)
def test_weights_held_through_a_step_learn_as_weights_computed_at_every_use(method, monkeypatch):
    def trained():
        potential, plan, batches = stages(method, effort=0.002)
        fit(potential, plan, batches)
        return weights(potential)

    held = trained()
    monkeypatch.setattr("fewlabels.train.holding_weights", lambda potential: nullcontext())
    torch.testing.assert_close(held, trained(), atol=1e-4, rtol=1e-3)


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


@pytest.mark.parametrize(("labelled", "share"), [(6, 1.0), (12, 1.0), (16, 0.5), (24, 0.0)])
def test_confidence_is_asked_of_as_many_inputs_as_have_no_label_up_to_as_many_as_have_one(labelled, share):
    data, y = torch.randn(24, 5), torch.arange(24) % 3
    potential = build_potential(None, PRESETS["dense"], data, 3)
    players = build_players(None, PRESETS["dense"], potential, data, torch.arange(labelled), y[:labelled], 1.0)
    *_, last = vector_stages("joint", players, Setting())
    assert last.objective.parts[1].entropy == pytest.approx(share * PRESETS["dense"].recipe.joint[-1].entropy)
    assert last.name == ("joint, confident" if share else "joint")


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


PAPER = {
    "mnist": dict(
        passes=600, joint=[(39, 1e-3, 3e-3, 0), (21, 1e-3, 3e-3, 10), (140, 1e-4, 1e-3, 10)],
        labels=10, weight=1.0, control=0.0, step_size=0.003, steps=20,
    ),
    "svhn": dict(
        passes=732, joint=[(100, 1e-3, 1e-3, 0), (100, 1e-3, 1e-3, 10), (200, 1e-4, 1e-3 / 3, 10)],
        labels=10, weight=1.0, control=0.0, step_size=0.01, steps=10,
    ),
    "cifar10": dict(
        passes=500, joint=[(600, 1e-3, 1e-3, 0)], labels=1, weight=0.01, control=0.001, step_size=0.003, steps=10,
    ),
}  # fmt: skip
"""As published: steps a pass; in each phase passes, rates of potential and generator, entropy; the losses' weights."""


@pytest.mark.parametrize("name", PAPER)
def test_joint_training_by_the_papers_presets_is_as_published(name):
    published, preset, shape = PAPER[name], PRESETS[name], (1, 28, 28) if name == "mnist" else (3, 32, 32)
    data, rows = torch.rand(4, *shape), torch.arange(2)
    potential = preset.potential(shape, 2)
    players = build_players(None, preset, potential, data, rows, rows, 1.0)
    plan = vector_stages("joint", players, Setting())
    assert preset.recipe.labelled == preset.recipe.unlabelled == 100
    assert all(stage.average == 0.0 for stage in plan)
    steps = [round(passes * published["passes"]) for passes, *_ in published["joint"]]
    assert [stage.steps for stage in plan] == steps
    for stage, (_, rate, generator_rate, entropy) in zip(plan, published["joint"], strict=True):
        labels, field = stage.objective.parts
        assert {stage.schedule(progress) for progress in (0.0, 0.5, 0.99)} == {1.0}
        optimizer = stage.optimizer(potential, stage.objective)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        assert type(optimizer) is RMSprop
        assert {rates[id(p)] for p in potential.parameters()} == {rate}
        assert {rates[id(p)] for p in field.generator.parameters()} == {generator_rate}
        assert (labels.weight, labels.noise, field.entropy) == (published["labels"], 0.0, entropy)
        assert (field.weight, field.control, field.sample_control) == (published["weight"], published["control"], 0.0)
        assert (field.step_size, field.steps) == (published["step_size"], published["steps"])
        assert (field.momentum, field.noise, field.clip, field.noisy, field.scalar) == (0.5, 0.0, None, True, False)
    (first, _) = vector_stages("pretrain", players, Setting())
    alone = first.objective
    assert (alone.weight, alone.control, alone.entropy) == (published["weight"], published["control"], 0.0)
    assert (alone.step_size, alone.steps, alone.noisy, alone.scalar) == (field.step_size, field.steps, True, True)


def test_every_number_of_a_recipe_reaches_its_objective():
    """Numbers that are all different, so that none can stand for another."""
    recipe = PRESETS["dense"].recipe._replace(
        prior=Field(2.0, 0.03, 0.05, 7, 0.011, smoothing=0.73, cuts=3),
        field=Field(3.0, 0.013, 0.017, 11, 0.019, noisy=True, cuts=4),
        label_weight=23.0, chains=Field(5.0, 0.029, 0.031, 13, 0.037), chain_noise=0.041, noise=0.43, joint_noise=0.47,
        radius=0.053, consistency=59.0, view=0.61, far_view=0.67, corruption=0.71,
    )  # fmt: skip
    preset = PRESETS["dense"]._replace(recipe=recipe)
    torch.manual_seed(0)
    data, y = torch.randn(24, 5), torch.arange(24) % 3
    potential = build_potential(None, preset, data, 3)
    players = build_players(None, preset, potential, data, torch.arange(6), y[:6], 1.0)

    def parts(method):
        plan = vector_stages(method, players, Setting(2.0, 0.5))
        return [getattr(stage.objective, "parts", [stage.objective]) for stage in plan]

    (prior,), (fine_tuned,) = parts("pretrain")  # whose weight is no setting's
    assert (prior.weight, prior.control, prior.sample_control) == (2.0, 0.03, 0.011)
    assert (prior.step_size, prior.steps, prior.noisy, prior.smoothing, prior.cuts) == (0.025, 7, False, 0.73, 3)
    assert fine_tuned.noise == 0.43
    (labels, field), (_, later) = parts("joint")
    assert (labels.weight, labels.noise) == (23.0, 0.47)
    assert (field.weight, field.control, field.sample_control) == (6.0, 0.026, 0.038)
    assert (field.step_size, field.steps, field.noisy, field.smoothing, field.cuts) == (0.0085, 11, True, 0.0, 4)
    assert [field.entropy, later.entropy] == [2.0 * phase.entropy for phase in recipe.joint] and later.entropy > 0
    ((_, chains),) = parts("persistent_cd")
    assert (chains.weight, chains.control, chains.sample_control) == (10.0, 0.058, 0.074)
    assert (chains.step_size, chains.steps, chains.noise) == (0.0155, 13, pytest.approx(0.041 * 0.5**0.5))
    ((labels, vat),) = parts("vat")
    assert (labels.weight, labels.noise, vat.weight, vat.radius) == (1.0, 0.43, 2.0, 0.053)
    ((_, ramped),) = parts("pseudo_label")
    assert (ramped.part.weight, ramped.part.threshold) == (2.0, 0.95)
    views = {}
    for method in ("fixmatch", "pi", "temporal_ensembling", "mean_teacher"):
        ((_, term),) = parts(method)
        views[method] = getattr(term, "part", term)
        assert views[method].weight == (2.0 if method == "fixmatch" else 118.0)
        assert views[method].view(torch.zeros(4000)).std().item() == pytest.approx(0.61, rel=0.1)
    assert views["mean_teacher"].decay == recipe.rival.average
    (contrast,), _ = parts("simclr")
    assert contrast.view(torch.zeros(4000)).std().item() == pytest.approx(0.67, rel=0.1)
    of_x = 100.0 / data.square().mean().sub(data.mean().square()).item()
    for method, first in (("ladder", 2.0 * of_x), ("gamma_ladder", 2.0 * 3.0)):
        ((labels, ladder),) = parts(method)
        assert (ladder.weights[0], ladder.noise[0], labels.noise) == (pytest.approx(first), 0.71, 0.71)
        assert labels.layer_noise == ladder.noise[-1] == 0.3


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "dense"])
def test_all_methods_learn_from_images_for_as_many_steps(name):
    recipe = PRESETS[name].recipe
    assert recipe.rival.steps == recipe.supervised.steps == sum(phase.plan.steps for phase in recipe.joint)
    assert recipe.rival.average  # which Mean Teacher's teacher is read from
