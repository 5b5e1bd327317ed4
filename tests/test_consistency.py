"""Agreement of views, teachers and memories: losses by hand, and what is remembered."""

import copy

import pytest
import torch
from torch import nn

from fewlabels.augmentation import add_noise, flip, shift
from fewlabels.labels import Categorical
from fewlabels.objective import Batch, Objective, Terms
from fewlabels.objectives.fixmatch import FixMatch
from fewlabels.objectives.mean_teacher import MeanTeacher
from fewlabels.objectives.pi_model import PiModel
from fewlabels.objectives.ramp import Ramped
from fewlabels.objectives.teacher_labels import TeacherLabels
from fewlabels.objectives.temporal_ensembling import TemporalEnsembling
from fewlabels.teacher import Teacher


class Scores(nn.Module):
    """Scores that are a factor times the input, behind dropout."""

    def __init__(self, factor=1.0, drop=0.0):
        super().__init__()
        self.factor, self.drop = nn.Parameter(torch.tensor(factor)), nn.Dropout(drop)

    def forward(self, x):
        return Categorical(self.drop(self.factor * x.flatten(1)))


def batch(x):
    return Batch(x, torch.zeros(len(x), dtype=torch.long), x, torch.arange(len(x)))


def doubling():
    """A view that gives x, 2 x, 3 x, ... in turn."""
    calls = iter(range(1, 100))
    return lambda x: next(calls) * x


X = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]])


def squared(one, other):
    return (one.softmax(1) - other.softmax(1)).square().mean()


def test_two_views_agree_by_hand_and_both_sides_learn():
    potential = Scores()
    loss = PiModel(doubling(), weight=0.4)(potential, batch(X)).loss["pi"]
    by_hand = 0.4 * squared(potential.factor * X, potential.factor * 2 * X)
    torch.testing.assert_close(loss, by_hand)
    for found, expected in zip(
        torch.autograd.grad(loss, potential.factor), torch.autograd.grad(by_hand, potential.factor), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_without_views_dropout_keeps_the_disagreement_alive():
    x = torch.randn(50, 3)
    assert PiModel(lambda x: x)(Scores(drop=0.5), batch(x)).loss["pi"] > 0.01
    assert PiModel(lambda x: x)(Scores(), batch(x)).loss["pi"] == 0


def test_the_teacher_speaks_without_dropout_of_a_view_of_its_own_by_hand():
    student, teacher = Scores(1.0), Scores(0.5, drop=0.5)
    objective = MeanTeacher(teacher.train(), doubling(), weight=0.4).train()
    objective.done += 1
    torch.testing.assert_close(objective(student, batch(X)).loss["mean_teacher"], 0.4 * squared(0.5 * X, 2 * X))


def test_the_teacher_begins_as_the_student_is_at_the_first_step():
    student, objective = Scores(1.0), MeanTeacher(Scores(0.5), doubling(), weight=0.4)
    torch.testing.assert_close(objective(student, batch(X)).loss["mean_teacher"], 0.4 * squared(X, 2 * X))
    with torch.no_grad():
        student.factor.fill_(3.0)
    objective.update(student)
    objective(student, batch(X))
    assert objective.teacher.network.factor.item() == pytest.approx(2.0)  # half of 1 and half of 3


def test_the_teacher_follows_the_student_as_its_equation_says():
    student, objective = Scores(0.0), MeanTeacher(Scores(0.0), add_noise, decay=0.9)
    expected = 0.0
    for t in range(1, 30):
        with torch.no_grad():
            student.factor.fill_(float(t))
        objective.update(student)
        alpha = min(0.9, 1 - 1 / (t + 1))
        expected = alpha * expected + (1 - alpha) * t
        assert objective.teacher.network.factor.item() == pytest.approx(expected)


def test_a_teacher_is_a_copy_that_gives_no_gradient():
    potential = Scores(1.0)
    teacher = Teacher(potential)
    with torch.no_grad():
        potential.factor.fill_(5.0)
    assert teacher(X).scores.allclose(X) and not teacher(X).scores.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    teacher.follow(potential, 0.0)
    assert teacher(X).scores.allclose(5 * X)


def test_a_teacher_has_the_statistics_of_the_students_batch_norm():
    norm = nn.BatchNorm1d(3)
    teacher = Teacher(norm)
    norm(5 + 2 * torch.randn(50, 3))
    teacher.follow(norm, 0.9)
    assert torch.equal(teacher.network.running_mean, norm.running_mean)
    assert norm.running_mean.min() > 0.1


def test_the_memory_is_a_weighted_mean_of_what_was_said_by_hand():
    objective, potential = TemporalEnsembling(4, 3, lambda x: x, weight=0.4, decay=0.6), Scores()
    said = [torch.randn(2, 3) for _ in range(4)]
    rows = torch.tensor([3, 1])
    for t, x in enumerate(said):
        loss = objective(potential, Batch(None, torch.zeros(0), x, rows)).loss["temporal_ensembling"]
        weights = torch.tensor([0.6 ** (t - 1 - s) for s in range(t)])
        if t == 0:
            assert loss == 0
        else:
            mean = sum(w * s.softmax(1) for w, s in zip(weights, said, strict=False)) / weights.sum()
            torch.testing.assert_close(loss, 0.4 * (x.softmax(1) - mean).square().mean())
        objective.update(potential)
    assert objective.met.flatten().tolist() == [0, 4, 0, 4]
    assert not objective.mean[[0, 2]].any()


def test_what_is_sure_of_x_is_taught_on_a_view_by_hand():
    sure = torch.tensor([[4.0, 0.0, 0.0], [0.0, 1.0, 1.2]])  # 0.96 and 0.46
    loss = FixMatch(lambda x: 0.5 * x, weight=0.4)(Scores(), batch(sure)).loss["fixmatch"]
    torch.testing.assert_close(loss, -0.4 * (0.5 * sure).log_softmax(1)[0, 0] / 2)
    everything = FixMatch(lambda x: 0.5 * x, threshold=0.0)(Scores(), batch(sure)).loss["fixmatch"]
    by_hand = -((0.5 * sure).log_softmax(1)[0, 0] + (0.5 * sure).log_softmax(1)[1, 2]) / 2
    torch.testing.assert_close(everything, by_hand)


def test_views_are_learnt_with_dropout_and_their_labels_made_without():
    modes = []
    potential = Scores(drop=0.5).train()
    potential.register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    FixMatch(add_noise)(potential, batch(X))
    assert modes == [False, True] and potential.training


def test_labels_are_renewed_at_the_end_of_each_round_by_hand():
    potential, objective = Scores(1.0), TeacherLabels(Scores(-1.0), steps=2, weight=0.4, threshold=0.6)
    x = torch.tensor([[2.0, -2.0, 0.0], [0.0, 0.1, 0.0]])  # sure of the first alone
    log_p = x.log_softmax(1)[0]
    for factor, expected in [
        (7.0, 0 * log_p[0]),
        (1.0, 0 * log_p[0]),
        (7.0, -log_p[0]),
        (-1.0, -log_p[0]),
        (7.0, -log_p[1]),
    ]:
        loss = objective(Scores(1.0), batch(x)).loss["teacher_labels"]
        torch.testing.assert_close(loss, 0.4 * expected / 2)
        with torch.no_grad():
            potential.factor.fill_(factor)
        objective.update(potential)


class Constant(Objective):
    """A loss of 2 that counts its updates."""

    updates = calms = 0

    def forward(self, potential, batch):
        return Terms({"two": torch.tensor(2.0)}, {"seen": torch.tensor(1.0)})

    def update(self, potential):
        self.updates += 1

    def calm(self):
        self.calms += 1


def test_a_ramp_rises_as_its_equation_says_and_goes_on_from_its_state():
    part = Constant()
    ramp = Ramped(part, steps=10)
    found = []
    for step in range(13):
        if step == 6:  # as if resumed
            state = copy.deepcopy(ramp.state_dict())
            ramp = Ramped(part, steps=10)
            ramp.load_state_dict(state)
        found.append(ramp(Scores(), batch(X)).loss["two"].item())
        ramp.update(Scores())
    expected = [2 * torch.tensor(-5 * (1 - t / 10) ** 2).exp().item() for t in range(10)] + [2.0] * 3
    assert found == pytest.approx(expected)
    ramp.calm()
    assert (part.updates, part.calms) == (13, 1)


def test_a_ramp_of_no_length_changes_nothing():
    assert Ramped(Constant(), steps=0).factor() == 1.0


def test_shifts_move_each_image_by_whole_pixels_and_repeat_the_edge():
    x = torch.rand(200, 2, 6, 5)
    moved = shift(x, pixels=1)
    seen = set()
    for image, other in zip(x, moved, strict=True):
        padded = nn.functional.pad(image[None], [1] * 4, mode="replicate")[0]
        fits = [(i, j) for i in range(3) for j in range(3) if torch.equal(padded[:, i : i + 6, j : j + 5], other)]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) == 9


def test_flips_mirror_about_half_of_the_images():
    x = torch.rand(400, 1, 3, 4)
    flipped = flip(x)
    mirrored = torch.tensor([torch.equal(a.flip(2), b) for a, b in zip(x, flipped, strict=True)])
    same = torch.tensor([torch.equal(a, b) for a, b in zip(x, flipped, strict=True)])
    assert (mirrored ^ same).all()
    assert 150 < mirrored.sum() < 250


def test_noise_has_the_deviation_asked_for():
    assert (add_noise(torch.zeros(10_000), 0.2)).std().item() == pytest.approx(0.2, rel=0.05)
