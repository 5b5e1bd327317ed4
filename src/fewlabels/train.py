"""The one training loop: stages through which the same potential passes.

Pre-training and fine-tuning is a list of two stages; joint training, noise-contrastive estimation and every
adversarial-looking method are one objective each.  There is no other loop.

Everything random in step t is drawn after seeding with (seed, stage, t), so that a run resumed from a checkpoint
continues to the identical result and needs no generator states.
"""

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.errors import DivergenceError
from fewlabels.layers import initialise_from_data
from fewlabels.normalisation import fold, over_batches
from fewlabels.objective import Objective, Terms
from fewlabels.optimizers import Maker, Schedule, constant
from fewlabels.teacher import teachers

__all__ = ["Record", "Stage", "divergence", "fit", "halvings", "total", "train"]

GUARD_EVERY = 25
SNAPSHOT_EVERY = 100
RECORDS = 200
CALMS = 6
INITIAL, FOLDED = 500, 2000
RUNAWAY, LEVEL = 1e3, 1e4
"""Of u(data) - u(samples), and of u(data), whose level may drift: more than this is divergence."""


class Stage(NamedTuple):
    """One objective for a number of steps.

    Attributes
    ----------
    name
        What progress and curves call it.
    objective
        What is minimised, with its auxiliary players.
    steps
        How many optimiser steps.
    optimizer
        Makes the optimiser from (potential, objective): learning rates per player are its parameter groups.
    schedule
        Factor on every learning rate as a function of progress in [0, 1).
    average
        Decay of an exponential moving average of the potential's weights, which replaces them at the stage's end; 0
        keeps the last weights.
    clip
        Bound on the norm of the gradient of all parameters together; None leaves it.
    reset
        Names of submodules of the potential that are initialised again first, such as ``("head",)``; weight-normalised
        ones from labelled data.
    continues
        Whether the optimiser's running means go on from the stage before, which has the same players and the same kind
        of optimiser.
    normalised
        Whether hidden layers, a teacher's too, are normalised over each batch while the stage lasts; at its end what
        that does to inputs without labels becomes part of the potential's weights (`fewlabels.normalisation`).
    """

    name: str
    objective: Objective
    steps: int
    optimizer: Maker
    schedule: Schedule = constant
    average: float = 0.0
    clip: float | None = None
    reset: tuple[str, ...] = ()
    continues: bool = False
    normalised: bool = False


class Record(NamedTuple):
    """What a recorded step looked like; the losses are weighted, as minimised.

    ``halvings`` says how often the stage's learning rates had been halved, since training had diverged.
    """

    stage: str
    step: int
    values: dict[str, float]
    halvings: int = 0


def halvings(records: Sequence[Record]) -> int:
    """How often learning rates were halved in all stages, since training had diverged.

    Examples
    --------
    >>> first, second = [Record("first", 0, {}), Record("first", 9, {}, 2)], [Record("second", 0, {}, 1)]
    >>> halvings(first + second)
    3
    """
    ends = [i for i, record in enumerate(records) if record.step == 0] + [len(records)]
    return sum(records[i - 1].halvings for i in ends if i)


def train(
    potential: nn.Module,
    objective: Objective,
    batches: Batches,
    optimizer: torch.optim.Optimizer,
    steps: int,
    *,
    start: int = 0,
    seed: Sequence[int] = (0,),
    clip: float | None = None,
    bfloat16: bool = False,
) -> Iterator[Terms]:
    """Take optimiser steps ``start`` to ``steps - 1`` on an objective and yield each one's terms.

    Torch's global generators are seeded at every step from (seed, step); `fit` restores them for its caller.
    """
    device = optimizer.param_groups[0]["params"][0].device.type
    for step in range(start, steps):
        _seed_global(_mix(*seed, step))
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            terms = objective(potential, batches[step])
        optimizer.zero_grad()
        total(terms).backward()
        if clip is not None:
            clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
        optimizer.step()
        objective.update(potential)
        yield terms


def total(terms: Terms) -> Tensor:
    """The scalar that a step minimises."""
    return torch.stack(list(terms.loss.values())).sum()


def fit(
    potential: nn.Module,
    stages: Sequence[Stage],
    batches: Batches,
    *,
    seed: int = 0,
    bfloat16: bool = False,
    checkpoint: Checkpoint | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> list[Record]:
    """Train the potential through the stages, in place.

    Divergence (a loss or u that is not finite, or runs away) is noticed within 25 steps; training goes back to the
    last good state, halves the learning rates and the chains' step sizes and tries again, six times; `halvings` of the
    records tells how often.

    Parameters
    ----------
    potential, stages, batches
        What is trained, how and on what.
    seed
        Fixes everything random but the potential's and the players' initial weights.
    bfloat16
        Whether matrix products and convolutions run in bfloat16; weights, optimiser and u(x) stay in float32.
    checkpoint
        Where the state is kept, if anywhere.  An interrupt (Ctrl-C) saves before it is raised again.
    report
        Called after each step with the stage's name, the steps done in all, and the steps of all stages.

    Returns
    -------
    About 200 records a stage, that of its last step among them, for curves.

    Raises
    ------
    DivergenceError
        Where six halvings did not mend it.
    """
    saved = checkpoint.load() if checkpoint is not None else None
    steps_before, steps_in_all = 0, sum(stage.steps for stage in stages)
    records: list[Record] = []
    optimizer: torch.optim.Optimizer | None = None
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []):
        for number, stage in enumerate(stages):
            if saved is None or saved["stage"] <= number:
                earlier = [past.objective for past in stages[:number]]
                _reset(potential, stage.reset, batches, _mix(seed, number))
                run = _StageRun(potential, stage, number, seed, records, earlier, bfloat16, optimizer)
                if saved is not None and saved["stage"] == number:
                    run.load(saved)
                    run.recent = saved
                try:
                    with over_batches(potential, *teachers(stage.objective)) if stage.normalised else nullcontext():
                        for done in run.steps(batches, checkpoint):
                            if report is not None:
                                report(stage.name, steps_before + done, steps_in_all)
                except KeyboardInterrupt:
                    if checkpoint is not None:  # a step may be half done: save the last state known to be whole
                        checkpoint.save(run.recent)
                    raise
                records, optimizer = run.records, run.optimizer
                if checkpoint is not None:
                    checkpoint.save(run.state())
                run.finish(batches)
            steps_before += stage.steps
    return records


class _StageRun:
    """A stage under way: what changes while it trains, as one state to save, load and go back to."""

    def __init__(
        self,
        potential: nn.Module,
        stage: Stage,
        number: int,
        seed: int,
        records: list[Record],
        earlier: list[Objective],
        bfloat16: bool,
        before: torch.optim.Optimizer | None,
    ) -> None:
        self.potential, self.stage, self.number, self.seed = potential, stage, number, seed
        self.bfloat16 = bfloat16
        self.earlier = earlier  # players of stages that are over: sampling may want them
        self.records, self.done, self.calms = list(records), 0, 0
        self.optimizer = stage.optimizer(potential, stage.objective)
        if stage.continues and before is not None:
            means = copy.deepcopy(before.state_dict()["state"])
            self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": means})
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.average = AveragedModel(potential, multi_avg_fn=_moving_average(stage.average)) if stage.average else None
        self.recent = self.state()

    def steps(self, batches: Batches, checkpoint: Checkpoint | None) -> Iterator[int]:
        """Train to the stage's end, going back where it diverges; yields the number of steps done."""
        self.potential.train()
        self.stage.objective.train()
        good = self.recent
        while self.done < self.stage.steps:
            trouble = None
            for terms in self._train(batches):
                yield self.done
                if self.done % GUARD_EVERY == 0 or self.done == self.stage.steps:
                    trouble = divergence(terms)
                    if trouble:
                        break
                    if self.done % SNAPSHOT_EVERY == 0:
                        good, self.recent = self.recent, self.state()
                    if checkpoint is not None and checkpoint.due():
                        checkpoint.save(self.state())
            if trouble:
                self._go_back(good, trouble)

    def finish(self, batches: Batches) -> None:
        """Leave the potential as the stage is to hand it on; what is saved is from before that."""
        if self.average is not None:
            self.potential.load_state_dict(self.average.module.state_dict())
        self.potential.eval()
        if self.stage.normalised:
            _seed_global(_mix(self.seed, self.number))
            fold(self.potential, batches.x_unlabelled[torch.randperm(len(batches.x_unlabelled))[:FOLDED]])

    def _train(self, batches: Batches) -> Iterator[Terms]:
        stage, seed = self.stage, (self.seed, self.number)
        every = max(1, stage.steps // RECORDS)
        self._set_rates()
        for terms in train(
            self.potential, stage.objective, batches, self.optimizer, stage.steps,
            start=self.done, seed=seed, clip=stage.clip, bfloat16=self.bfloat16,
        ):  # fmt: skip
            if self.done % every == 0 or self.done == stage.steps - 1:
                values = {name: value.item() for name, value in (terms.loss | terms.info).items()}
                self.records.append(Record(stage.name, self.done, values, self.calms))
            if self.average is not None:
                self.average.update_parameters(self.potential)
            self.done += 1
            if self.done < stage.steps:
                self._set_rates()
            yield terms

    def _set_rates(self) -> None:
        factor = self.stage.schedule(self.done / self.stage.steps) * 0.5**self.calms
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def _go_back(self, good: dict[str, Any], trouble: str) -> None:
        calms = self.calms + 1
        if calms > CALMS:
            raise DivergenceError(
                f"Training of stage {self.stage.name!r} diverged at step {self.done} ({trouble}) and did again after "
                f"{CALMS} halvings of its step sizes: scale the inputs to about unit size, or lower the weight of "
                "log p(x)."
            )
        self.load(good | {"calms": calms})
        self.recent = self.state()

    def state(self) -> dict[str, Any]:
        """A copy of everything that training changes."""
        return copy.deepcopy(
            {
                "stage": self.number,
                "done": self.done,
                "calms": self.calms,
                "potential": self.potential.state_dict(),
                "objective": self.stage.objective.state_dict(),
                "earlier": [objective.state_dict() for objective in self.earlier],
                "optimizer": self.optimizer.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "records": [tuple(record) for record in self.records],
            }
        )

    def load(self, state: dict[str, Any]) -> None:
        """Go to a state."""
        for _ in range(state["calms"] - self.calms):
            self.stage.objective.calm()
        self.done, self.calms = state["done"], state["calms"]
        self.potential.load_state_dict(state["potential"])
        for objective, past in zip(self.earlier, state["earlier"], strict=True):
            objective.load_state_dict(past)
        self.stage.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.records = [Record(*record) for record in state["records"]]


def divergence(terms: Terms) -> str | None:
    """What is wrong with a step, in words, or None: a value that is not finite, or u that runs away."""
    for name, value in (terms.loss | terms.info).items():
        if not value.isfinite():
            return f"{name} is {value.item()}"
    if "u_samples" in terms.info:
        u, gap = terms.info["u_data"].item(), (terms.info["u_data"] - terms.info["u_samples"]).item()
        if abs(gap) > RUNAWAY:
            return f"u(data) - u(samples) is {gap:.3g}, beyond ±{RUNAWAY:g}"
        if abs(u) > LEVEL:
            return f"u(data) is {u:.3g}, beyond ±{LEVEL:g}"
    return None


def _moving_average(decay: float) -> Callable[[Any, Any, Tensor | int], None]:
    """An exponential moving average that forgets the initial weights faster at first: t steps weigh about t / 10."""

    @torch.no_grad()
    def update(averages: Any, values: Any, count: Tensor | int) -> None:
        t = int(count)
        torch._foreach_lerp_(averages, values, 1 - min(decay, (t + 1) / (t + 10)))

    return update


def _reset(potential: nn.Module, names: Sequence[str], batches: Batches, seed: int) -> None:
    """Initialise submodules again; those with weight normalisation from labelled data."""
    modules = [potential.get_submodule(name) for name in names]
    if not modules:
        return
    _seed_global(seed)
    for part in (part for module in modules for part in module.modules()):
        reset = getattr(part, "reset_parameters", None)
        if reset is not None:
            reset()
    potential.train()  # the scores that it is to give have its noise
    initialise_from_data(potential, batches.x[torch.randperm(len(batches.x))[:INITIAL]], modules)


def _seed_global(seed: int) -> None:
    """Seed torch's global generators; unlike torch.manual_seed, at no cost for devices that are not in use."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def _mix(*numbers: int) -> int:
    """A seed of 32 bits from several numbers."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
