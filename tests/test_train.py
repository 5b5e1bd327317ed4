"""The training loop: exact resumption, going back when it diverges, streams that need no history."""

import numpy as np
import pytest
import torch
from torch import nn

from fewlabels.batches import Batches, OfLikeLength, Shuffled, cut_by_number, cut_by_tokens
from fewlabels.checkpoint import Checkpoint
from fewlabels.divergence import divergence
from fewlabels.errors import DivergenceError, InputError
from fewlabels.fit import fit
from fewlabels.labels import Categorical
from fewlabels.objective import Objective, Sum, Terms
from fewlabels.objectives.nrf import InclusiveNRF
from fewlabels.objectives.persistent_cd import PersistentCD
from fewlabels.objectives.supervised import Supervised
from fewlabels.optimizers import adam, cosine, groups, hold, rmsprop
from fewlabels.stage import Stage, halvings
from fewlabels.tabular import MLP, MLPGenerator
from fewlabels.vectors import Scores


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.3))
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return Categorical(self.head(self.body(x)))


def problem(seed=0):
    torch.manual_seed(seed)
    x = torch.randn(60, 3)
    batches = Batches(x[:12], torch.arange(12) % 2, x, labelled=5, unlabelled=8, seed=seed)
    pcd = PersistentCD(torch.randn(30, 3))
    stages = [
        Stage("pre-train", pcd, 130, adam(0.01), average=0.9),
        Stage("joint", Sum(Supervised(), pcd), 170, adam(0.01, 0.02), schedule=cosine, reset=("head",), continues=True),
    ]
    return Net(), stages, batches


def flat(module):
    return torch.cat([value.detach().flatten().float() for value in module.state_dict().values()])


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_at", [37, 129, 131, 233])
def test_a_run_that_is_killed_resumes_to_the_identical_result(tmp_path, stop_at):
    potential, stages, batches = problem()
    records = fit(potential, stages, batches, seed=4)
    whole = flat(potential)

    def kill(name, done, total):
        if done == stop_at:
            raise Stop

    path = tmp_path / "checkpoint.pt"
    potential, stages, batches = problem()
    with pytest.raises(Stop):
        fit(potential, stages, batches, seed=4, checkpoint=Checkpoint(path, seconds=0.0), report=kill)
    torch.manual_seed(99)  # nothing may depend on the caller's generator
    potential, stages, batches = problem()
    resumed = fit(potential, stages, batches, seed=4, checkpoint=Checkpoint(path, seconds=0.0))
    assert torch.equal(flat(potential), whole)
    assert resumed == records


def test_an_interrupt_saves_and_the_run_resumes_to_the_identical_result(tmp_path):
    potential, stages, batches = problem()
    fit(potential, stages, batches, seed=4)
    whole = flat(potential)

    def interrupt(name, done, total):
        if done == 217:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", seconds=1e9)
    potential, stages, batches = problem()
    with pytest.raises(KeyboardInterrupt):
        fit(potential, stages, batches, seed=4, checkpoint=checkpoint, report=interrupt)
    potential, stages, batches = problem()
    steps = []
    fit(potential, stages, batches, seed=4, checkpoint=checkpoint, report=lambda name, done, total: steps.append(done))
    assert min(steps) > 130
    assert torch.equal(flat(potential), whole)


def test_an_interrupt_does_not_put_an_older_state_in_place_of_a_newer_one(tmp_path):
    def interrupt(name, done, total):
        if done == 90:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", seconds=0.0)
    potential, stages, batches = problem()
    with pytest.raises(KeyboardInterrupt):
        fit(potential, stages, batches, checkpoint=checkpoint, report=interrupt)
    assert checkpoint.load()["done"] == 89


class Whole(nn.Module):
    """A module that sets its part's parameters itself."""

    def __init__(self):
        super().__init__()
        self.part = nn.Linear(8, 2)

    def reset_parameters(self):
        nn.init.constant_(self.part.weight, 7.0)
        nn.init.zeros_(self.part.bias)

    def forward(self, x):
        return self.part(x)


def test_a_module_that_is_reset_has_the_last_word_on_its_parts():
    potential, _, batches = problem()
    potential.head = Whole()
    fit(potential, [Stage("only", Supervised(), 1, adam(0.0), reset=("head",))], batches)
    assert (potential.head.part.weight == 7).all() and (potential.head.part.bias == 0).all()


def test_training_leaves_the_callers_generator_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    potential, stages, batches = problem(seed=5)
    torch.set_rng_state(state)
    fit(potential, stages, batches)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_step_draws_new_noise():
    potential, _, batches = problem()
    masks = []
    potential.body[2].register_forward_hook(lambda module, inputs, output: masks.append(output == 0))
    fit(potential, [Stage("only", Supervised(), 3, adam(0.0))], batches)
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[1], masks[2])


class Watched(Objective):
    """One weight θ with the loss 100 θ; keeps what it draws, and counts its updates."""

    def __init__(self):
        super().__init__()
        self.draws, self.updates = [], 0

    def forward(self, potential, batch):
        self.draws.append(torch.rand(()).item())
        return Terms({"slope": 100 * potential.weight.sum()}, {})

    def update(self, potential):
        self.updates += 1


@pytest.mark.parametrize(("clip", "slope"), [(None, 100.0), (0.5, 0.5)])
def test_steps_by_hand(clip, slope):
    _, _, batches = problem()
    potential, objective = nn.Linear(1, 1, bias=False), Watched()
    start = potential.weight.item()
    stage = Stage("only", objective, 4, lambda p, o: torch.optim.SGD(p.parameters(), lr=0.1), clip=clip)
    fit(potential, [stage._replace(schedule=lambda progress: 1 - progress)], batches)
    assert potential.weight.item() == pytest.approx(start - 0.1 * slope * (1 + 0.75 + 0.5 + 0.25), rel=1e-4)
    assert objective.updates == 4


def test_every_step_of_every_stage_draws_new_numbers_and_the_same_ones_again():
    _, _, batches = problem()
    drawn = []
    for _ in range(2):
        objective = Watched()
        fit(nn.Linear(1, 1, bias=False), [Stage(name, objective, 5, adam(0.0)) for name in "ab"], batches)
        drawn.append(objective.draws)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 10


def test_the_seed_decides():
    ends = []
    for seed in (1, 1, 2):
        potential, stages, batches = problem()
        fit(potential, stages, batches, seed=seed)
        ends.append(flat(potential))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"not a checkpoint")
    potential, stages, batches = problem()
    with pytest.raises(InputError, match=r"checkpoint\.pt"):
        fit(potential, stages, batches, checkpoint=Checkpoint(path))


class Explosive(Objective):
    """Runs away for any step size above a bound."""

    def __init__(self, bound, kind):
        super().__init__()
        self.step_size, self.bound, self.kind = 1.0, bound, kind
        self.seen = 0

    def forward(self, potential, batch):
        self.seen += 1
        loss = potential(batch.x).log_partition.square().mean()
        wild = self.step_size > self.bound and self.seen > 120
        if self.kind == "nan":
            return Terms({"explosive": loss * float("nan") if wild else loss}, {})
        gap = torch.tensor(1e6 if wild else 0.5)
        return Terms({"explosive": loss}, {"u_data": gap, "u_samples": torch.tensor(0.0)})

    def calm(self):
        self.step_size /= 2


@pytest.mark.parametrize("kind", ["nan", "runaway"])
def test_divergence_is_noticed_and_mended(kind):
    potential, _, batches = problem()
    objective = Explosive(bound=0.3, kind=kind)
    made = []

    def make(potential, objective):
        made.append(adam(0.01)(potential, objective))
        return made[0]

    records = fit(potential, [Stage("only", objective, 300, make)], batches)
    assert objective.step_size == 0.25  # two halvings
    assert {group["lr"] for group in made[0].param_groups} == {0.0025}
    assert flat(potential).isfinite().all()
    assert [record.step for record in records] == sorted({record.step for record in records})
    assert halvings(records) == 2


@pytest.mark.parametrize("stop_at", [110, 124, 130])
def test_a_killed_run_that_diverges_goes_back_to_where_it_would_have_gone(tmp_path, stop_at):
    class Counted(Explosive):
        """Runs away from a step on, whatever was killed before."""

        def __init__(self):
            super().__init__(bound=0.3, kind="nan")
            self.register_buffer("steps", torch.zeros(()))

        def forward(self, potential, batch):
            self.seen = int(self.steps)
            return super().forward(potential, batch)

        def update(self, potential):
            self.steps += 1

    def kill(name, done, total):
        kill.calls += 1
        if kill.calls == stop_at:
            raise Stop

    def run(checkpoint, report):
        potential, _, batches = problem()
        stage = Stage("only", Counted(), 300, adam(0.01))
        return fit(potential, [stage], batches, checkpoint=checkpoint, report=report), flat(potential)

    kill.calls, path = 0, tmp_path / "checkpoint.pt"
    records, whole = run(None, None)
    assert halvings(records) == 2
    with pytest.raises(Stop):
        run(Checkpoint(path, seconds=0.0), kill)
    resumed, same = run(Checkpoint(path, seconds=0.0), None)
    assert torch.equal(same, whole) and resumed == records


def test_divergence_at_the_end_is_told_of():
    class Late(Explosive):
        def forward(self, potential, batch):
            self.seen += 1
            loss = potential(batch.x).log_partition.square().mean()
            return Terms({"late": loss * float("nan") if self.seen == 2000 else loss}, {})

    potential, _, batches = problem()
    records = fit(potential, [Stage("only", Late(bound=0.0, kind="nan"), 2000, adam(0.01))], batches)
    assert halvings(records) == 1 and records[-1].step == 1999


def test_a_schedule_is_asked_for_progress_below_1():
    potential, _, batches = problem()
    asked = []

    def schedule(progress):
        asked.append(progress)
        return hold(1.0)(progress)

    fit(potential, [Stage("only", Supervised(), 5, adam(0.01), schedule)], batches)
    np.testing.assert_allclose(asked, [0, 0.2, 0.4, 0.6, 0.8])


def test_divergence_that_cannot_be_mended_is_an_error_that_says_what_to_do():
    potential, _, batches = problem()
    with pytest.raises(DivergenceError, match="lower the weight"):
        fit(potential, [Stage("only", Explosive(bound=0.0, kind="nan"), 300, adam(0.01))], batches)


def test_divergence_names_what_is_wrong():
    one = torch.tensor(1.0)
    assert divergence(Terms({"a": one}, {})) is None
    assert "a is nan" in divergence(Terms({"a": one * float("nan")}, {}))
    assert "u(samples)" in divergence(Terms({}, {"u_data": one * 2e3, "u_samples": one}))
    assert "u(data) is" in divergence(Terms({}, {"u_data": one * -1e5, "u_samples": one * -1e5}))
    assert divergence(Terms({}, {"u_data": one * 3e3, "u_samples": one * 2.5e3})) is None


@pytest.mark.parametrize("continues", [False, True])
def test_the_optimizer_goes_on_from_the_stage_before_where_it_is_asked_to(continues):
    potential, _, batches = problem()
    made = []

    def still(potential, objective):
        made.append(rmsprop(0.0)(potential, objective))  # weights, and so gradients of all labelled rows, stay
        return made[-1]

    potential.body[2].p = 0.0
    batches = Batches(batches.x, batches.y, batches.x, labelled=12, unlabelled=1, seed=0)
    stage = Stage("first", Supervised(), 3, still)
    fit(potential, [stage, Stage("second", Supervised(), 2, still, continues=continues)], batches)
    # the running mean of g² after n steps from 0 is (1 - 0.9^n) g²
    expected = (1 - 0.9**5 if continues else 1 - 0.9**2) / (1 - 0.9**3)
    before, after = (torch.cat([state["square"].flatten() for state in one.state.values()]) for one in made)
    torch.testing.assert_close(after, before * expected, rtol=1e-4, atol=1e-9)


def test_the_average_replaces_the_weights_at_the_end_of_a_stage():
    """By hand on the recorded path of one weight: an exponential average that forgets faster at first."""
    potential, stages, batches = problem()
    path = []
    watch = lambda name, done, total: path.append(potential.head.bias.detach().clone())  # noqa: E731
    fit(potential, [stages[0]._replace(average=0.9)], batches, report=watch)
    average = path[0]
    for t, value in enumerate(path[1:], start=1):
        decay = min(0.9, (t + 1) / (t + 10))
        average = decay * average + (1 - decay) * value
    torch.testing.assert_close(potential.head.bias.detach(), average)
    assert not torch.allclose(average, path[-1])


def test_the_head_is_the_networks_own_and_not_that_of_a_part():
    net = Net()
    net.body.append(nn.ModuleDict({"head": nn.Linear(2, 2)}))
    wrapped = Scores(net)
    for potential in (net, wrapped):
        found = groups(potential, Supervised(), 1.0, None, 30.0)
        rates = {id(p): group["lr"] for group in found for p in group["params"]}
        fast = [name for name, p in net.named_parameters() if rates[id(p)] == 30.0]
        assert fast == ["head.weight", "head.bias"]


def test_reset_starts_the_head_afresh_and_nothing_else():
    potential, stages, batches = problem()
    before = {name: value.clone() for name, value in potential.state_dict().items()}
    fit(
        potential,
        [stages[1]._replace(steps=1, optimizer=lambda p, o: torch.optim.SGD(p.parameters(), lr=0.0))],
        batches,
    )
    after = potential.state_dict()
    assert not torch.equal(before["head.weight"], after["head.weight"])
    assert torch.equal(before["body.0.weight"], after["body.0.weight"])


def test_a_reset_head_with_weight_normalisation_is_initialised_from_labelled_data_and_the_body_is_kept():
    potential = MLP(3, 2, hidden=(6,))
    body = potential.body[0].v.clone()
    x = torch.randn(80, 3)
    batches = Batches(x[:60], torch.arange(60) % 2, x, labelled=8, unlabelled=8, seed=0)
    still = Stage("fine-tune", Supervised(), 1, lambda p, o: torch.optim.SGD(p.parameters(), lr=0.0), reset=("head",))
    fit(potential, [still], batches)
    scores = potential(x[:60]).scores
    torch.testing.assert_close(scores.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.std(0), torch.ones(2), atol=1e-3, rtol=1e-3)
    assert torch.equal(potential.body[0].v, body)


def test_a_reset_head_is_initialised_for_what_it_sees_in_training_noise_and_all():
    potential = MLP(3, 2, hidden=(6,), noise=3.0)
    x = torch.randn(400, 3)
    batches = Batches(x, torch.arange(400) % 2, x, labelled=8, unlabelled=8, seed=0)
    still = Stage("fine-tune", Supervised(), 1, lambda p, o: torch.optim.SGD(p.parameters(), lr=0.0), reset=("head",))
    fit(potential, [still], batches)
    torch.testing.assert_close(potential.train()(x).scores.std(0), torch.ones(2), atol=0.1, rtol=0.1)
    assert (potential.eval()(x).scores.std(0) < 0.7).all()


def test_bfloat16_rounds_the_products_and_neither_weights_nor_losses():
    def trained(bfloat16):
        torch.manual_seed(0)
        potential = MLP(3, 2, hidden=(32, 32))
        x = torch.randn(64, 3)
        batches = Batches(x, (x[:, 0] > 0).long(), x, labelled=16, unlabelled=16, seed=0)
        records = fit(potential, [Stage("supervised", Supervised(), 60, adam(0.01))], batches, bfloat16=bfloat16)
        assert all(p.dtype == torch.float32 for p in potential.parameters())
        return potential(x).scores.detach(), [record.values["supervised"] for record in records]

    exact, losses = trained(False)
    rough, rough_losses = trained(True)
    assert not torch.equal(exact, rough)
    assert losses[0] == pytest.approx(rough_losses[0], rel=0.02)
    assert losses[-1] < 0.2 * losses[0] and rough_losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("make", [
    lambda steps: InclusiveNRF(MLPGenerator(2, -torch.ones(3), torch.ones(3)), steps=steps),
    lambda steps: PersistentCD(torch.randn(20, 3), steps=steps),
], ids=["nrf", "persistent_cd"])  # fmt: skip
@pytest.mark.parametrize("steps", [1, 7])
def test_a_step_computes_each_weight_once_however_long_its_chain(make, steps, monkeypatch):
    calls, plain = [], torch._weight_norm
    monkeypatch.setattr(torch, "_weight_norm", lambda *of: calls.append(of[0]) or plain(*of))
    potential, batches = MLP(3, 2, hidden=(4,)), problem()[2]
    fit(potential, [Stage("joint", Sum(Supervised(), make(steps)), 5, adam(0.01))], batches)
    own = [sum(v is layer.v for v in calls) for layer in (*potential.body, potential.head)]
    assert own == [5, 5]


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 10), (4, 9), (1, 1)])
def test_every_pass_of_a_stream_sees_everything_once(n, size):
    stream = Shuffled(n, size, seed=(3,))
    seen = torch.cat([stream[t] for t in range(3 * n)])
    for epoch in range(3 * size):
        assert sorted(seen[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))
    if n > 3:
        assert seen[:n].tolist() != seen[n : 2 * n].tolist()


def test_a_batch_needs_no_history():
    forwards = Shuffled(17, 5, seed=(1, 2))
    order = [forwards[t].tolist() for t in range(20)]
    backwards = Shuffled(17, 5, seed=(1, 2))
    assert [backwards[t].tolist() for t in reversed(range(20))] == order[::-1]
    assert Shuffled(17, 5, seed=(1, 3))[0].tolist() != order[0]


@pytest.mark.parametrize(("n", "size"), [(1000, 10), (5000, 10), (3000, 1), (151, 1)])
def test_batches_of_one_length_hardly_pad_cost_about_the_same_and_lose_nothing(n, size):
    lengths = np.random.default_rng(0).integers(1, 60, n)
    stream = OfLikeLength(lengths, size, cut_by_tokens, (0,))
    batches = [stream[t] for t in range(2 * len(stream))]
    for part in (batches[: len(stream)], batches[len(stream) :]):
        assert sorted(torch.cat(part).tolist()) == list(range(n))
    assert batches[0].tolist() != batches[len(stream)].tolist()
    if size > 1:
        tokens = np.array([lengths[b.numpy()].sum() for b in batches])
        padded = np.array([len(b) * lengths[b.numpy()].max() for b in batches])
        assert padded.sum() / tokens.sum() < 1.05
        assert np.abs(tokens / (size * lengths.mean()) - 1).max() < 0.4


def test_one_huge_sentence_leaves_no_batch_empty():
    lengths = np.array([1] * 9 + [1000])
    assert [len(part) for part in np.split(np.sort(lengths), cut_by_tokens(np.sort(lengths), 5))] == [6, 1, 1, 1, 1]


def test_neighbours_stay_together_only_where_there_are_too_many_to_deal_out_singly(monkeypatch):
    lengths = np.full(1000, 7)
    assert OfLikeLength(lengths, 10, cut_by_number, (0,)).run == 1
    monkeypatch.setattr("fewlabels.batches.RUNS", 300)
    stream = OfLikeLength(lengths, 1, cut_by_number, (0,))
    assert stream.run == 4
    assert sorted(torch.cat([stream[t] for t in range(len(stream))]).tolist()) == list(range(1000))
    for epoch in range(2):
        for window in range(stream.windows):
            runs = np.unique(np.concatenate(stream._window(epoch, window)) // 4)
            assert len(runs) == len(np.concatenate(stream._window(epoch, window))) / 4


@pytest.mark.parametrize(("n", "size"), [(100, 16), (5, 16), (16, 16), (17, 16), (1, 1), (7436, 16)])
def test_batches_of_like_length_and_equal_number_lose_nothing_and_weigh_every_sentence_alike(n, size):
    lengths = np.random.default_rng(0).integers(1, 60, n)
    stream = OfLikeLength(lengths, size, cut_by_number, (0,))
    batches = [stream[t] for t in range(len(stream))]
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    numbers = [len(batch) for batch in batches]
    assert max(numbers) <= size
    assert max(numbers) - min(numbers) <= 1
    if n >= 100:
        assert sum(len(b) * lengths[b.numpy()].max() for b in batches) < 1.2 * lengths.sum()


def test_the_labelled_half_does_not_depend_on_the_unlabelled_half():
    x = torch.arange(30.0).unsqueeze(1)
    small = Batches(x[:6], torch.arange(6), x, labelled=4, unlabelled=3, seed=2)
    large = Batches(x[:6], torch.arange(6), x[6:], labelled=4, unlabelled=20, seed=2)
    for step in range(10):
        assert torch.equal(small[step].x, large[step].x)
        assert torch.equal(small[step].y.float(), small[step].x.squeeze(1))
