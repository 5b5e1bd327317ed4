"""The one training loop: steps of an optimiser on an objective.

Pre-training and fine-tuning is a list of two stages (`fewlabels.fit`); joint training, noise-contrastive estimation and
every adversarial-looking method are one objective each.  There is no other loop.

Everything random in step t is drawn after seeding with (seed, stage, t), so that a run resumed from a checkpoint
continues to the identical result and needs no generator states.
"""

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from fewlabels.batches import Batches
from fewlabels.layers import holding_weights
from fewlabels.objective import Objective, Terms

__all__ = ["mix", "seed_global", "total", "train"]


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

    Torch's global generators are seeded at every step from (seed, step); `fewlabels.fit` restores those of the CPU and
    of CUDA for its caller.

    Parameters
    ----------
    potential, objective, batches
        What learns, what it minimises, and what it sees: ``batches[step]``.
    optimizer
        Of the potential's parameters and the objective's players.
    steps, start
        Number of steps in all, and the first of them, 0 unless training goes on.
    seed
        Tells this training from others.
    clip
        Bound on the norm of the gradient of all players together; None: none.
    bfloat16
        Whether products are of bfloat16 numbers, by autocast.
    """
    device = optimizer.param_groups[0]["params"][0].device.type
    for step in range(start, steps):
        seed_global(mix(*seed, step))
        with holding_weights(potential), torch.autocast(device, torch.bfloat16, enabled=bfloat16):
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


def seed_global(seed: int) -> None:
    """Seed torch's global generators; unlike torch.manual_seed, at no cost for devices that are not in use."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def mix(*numbers: int) -> int:
    """A seed of 32 bits from several numbers."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
