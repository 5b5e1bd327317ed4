"""Training through stages: a list of them through which the same potential passes.

Pre-training and fine-tuning is a list of two.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import nn

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.layers import INITIAL, initialise_from_data
from fewlabels.normalisation import over_batches, refuse_shared
from fewlabels.stage import Record, Stage
from fewlabels.stage_run import StageRun
from fewlabels.teacher import teachers
from fewlabels.train import mix, seed_global

__all__ = ["fit"]


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
        Whether matrix products and convolutions run in bfloat16; weights and optimiser stay in float32, and so does
        u(x) of the package's own networks.
    checkpoint
        Where the state is kept, if anywhere.  An interrupt (Ctrl-C) saves what is newer before it is raised again.
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
    if any(stage.normalised for stage in stages):
        refuse_shared(potential, batches.x_unlabelled[torch.arange(1)])
    saved = checkpoint.load() if checkpoint is not None else None
    steps_before, steps_in_all = 0, sum(stage.steps for stage in stages)
    records: list[Record] = []
    optimizer: torch.optim.Optimizer | None = None
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []):
        for number, stage in enumerate(stages):
            if saved is None or saved["stage"] <= number:
                earlier = [past.objective for past in stages[:number]]
                normalising: Callable[[], AbstractContextManager[None]] = nullcontext
                if stage.normalised:
                    normalising = partial(over_batches, potential, *teachers(stage.objective))
                with normalising():
                    _reset(potential, stage.reset, batches, mix(seed, number))
                run = StageRun(potential, stage, number, seed, records, earlier, bfloat16, optimizer)
                if saved is not None and saved["stage"] == number:
                    run.resume(saved)
                try:
                    with normalising():
                        for done in run.steps(batches, checkpoint):
                            if report is not None:
                                report(stage.name, steps_before + done, steps_in_all)
                except KeyboardInterrupt:
                    if checkpoint is not None:
                        run.save_whole(checkpoint)
                    raise
                records, optimizer = run.records, run.optimizer
                if checkpoint is not None:
                    run.save(checkpoint, run.state())
                run.finish(batches)
            steps_before += stage.steps
    return records


def _reset(potential: nn.Module, names: Sequence[str], batches: Batches, seed: int) -> None:
    """Initialise submodules again; those with weight normalisation from labelled data."""
    modules = [potential.get_submodule(name) for name in names]
    if not modules:
        return
    seed_global(seed)
    for part in (part for module in modules for part in reversed([*module.modules()])):  # the whole after its parts
        reset = getattr(part, "reset_parameters", None)
        if reset is not None:
            reset()
    potential.train()  # the scores that it is to give have its noise
    initialise_from_data(potential, batches.x[torch.randperm(len(batches.x))[:INITIAL]], modules)
