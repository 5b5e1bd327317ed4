"""A stage under way: it saves its state, notices divergence, and goes back to where training was good."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.divergence import divergence
from fewlabels.errors import DivergenceError
from fewlabels.normalisation import fold
from fewlabels.objective import Objective, Terms
from fewlabels.stage import Record, Stage
from fewlabels.train import mix, seed_global, train

__all__ = ["StageRun"]

GUARD_EVERY = 25
SNAPSHOT_EVERY = 100
RECORDS = 200
CALMS = 6
FOLDED = 2000


class StageRun:
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
        self.good = self.recent = self.state()
        self.saved = (-1, -1)

    def steps(self, batches: Batches, checkpoint: Checkpoint | None) -> Iterator[int]:
        """Train to the stage's end, going back where it diverges; yields the number of steps done."""
        self.potential.train()
        self.stage.objective.train()
        while self.done < self.stage.steps:
            trouble = None
            for terms in self._train(batches):
                yield self.done
                if self.done % GUARD_EVERY == 0 or self.done == self.stage.steps:
                    trouble = divergence(terms)
                    if trouble:
                        break
                    if self.done % SNAPSHOT_EVERY == 0:
                        self.good, self.recent = self.recent, self.state()
                if checkpoint is not None and checkpoint.due():
                    self.save(checkpoint, self.state())
            if trouble:
                self._go_back(trouble)
                if checkpoint is not None:
                    self.save(checkpoint, self.recent)

    def finish(self, batches: Batches) -> None:
        """Leave the potential as the stage is to hand it on; what is saved is from before that."""
        if self.average is not None:
            self.potential.load_state_dict(self.average.module.state_dict())
        self.potential.eval()
        if self.stage.normalised:
            seed_global(mix(self.seed, self.number))
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

    def _go_back(self, trouble: str) -> None:
        calms = self.calms + 1
        if calms > CALMS:
            raise DivergenceError(
                f"Training of stage {self.stage.name!r} diverged at step {self.done} ({trouble}) and did again after "
                f"{CALMS} halvings of its step sizes: scale the inputs to about unit size, or lower the weight of "
                "log p(x)."
            )
        self.load(self.good | {"calms": calms})
        self.good = self.recent = self.state()

    def save(self, checkpoint: Checkpoint, state: dict[str, Any]) -> None:
        """Save a state with those that divergence may need, so that a resumed run goes back to where this one would."""
        checkpoint.save(state | {"good": self.good, "recent": self.recent})
        self.saved = (state["calms"], state["done"])

    def save_whole(self, checkpoint: Checkpoint) -> None:
        """Save the last state known to be whole, if it is not saved: within a step, what changes may be half done."""
        if (self.recent["calms"], self.recent["done"]) > self.saved:
            self.save(checkpoint, self.recent)

    def resume(self, saved: dict[str, Any]) -> None:
        """Go on from what was saved."""
        self.good, self.recent = saved["good"], saved["recent"]
        self.load(saved)
        self.saved = (self.calms, self.done)

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


def _moving_average(decay: float) -> Callable[[Any, Any, Tensor | int], None]:
    """An exponential moving average that forgets the initial weights faster at first: t steps weigh about t / 10."""

    @torch.no_grad()
    def update(averages: Any, values: Any, count: Tensor | int) -> None:
        t = int(count)
        torch._foreach_lerp_(averages, values, 1 - min(decay, (t + 1) / (t + 10)))

    return update
