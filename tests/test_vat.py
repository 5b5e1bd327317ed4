"""Virtual adversarial training: the direction against an eigenvector, the divergence and its gradient by hand."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, kl_div

from fewlabels.labels import Categorical, LinearChain
from fewlabels.objective import Batch
from fewlabels.objectives.vat import VAT, divergence
from fewlabels.sentence_methods import WORD_VECTORS
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.presets import TINY
from fewlabels.sequence.sentences import Padded
from fewlabels.sequence.vocabulary import Vocabulary


class Linear(nn.Module):
    """Scores W x, with dropout on x where it is asked for."""

    def __init__(self, inputs=5, labels=2, dropout=0.0):
        super().__init__()
        self.head = nn.Linear(inputs, labels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        return Categorical(self.head(self.drop(x)))


def batch(x):
    return Batch(None, torch.zeros(0), x)


def spied(potential):
    """What the potential is given, call by call."""
    seen = []
    potential.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    return seen


def test_the_direction_is_the_first_eigenvector_of_the_hessian():
    """Of two classes with scores W x the Hessian is p (1 - p) a aᵀ, a the difference of W's rows."""
    potential, x = Linear(), torch.randn(40, 5)
    seen = spied(potential)
    VAT(radius=0.2)(potential, batch(x))
    r = seen[-1] - x
    a = potential.head.weight[0] - potential.head.weight[1]
    torch.testing.assert_close(cosine_similarity(r, a.expand_as(r)).abs(), torch.ones(40), atol=1e-4, rtol=0)
    torch.testing.assert_close(r.norm(dim=1), torch.full((40,), 0.2 * 5**0.5))


def test_more_iterations_come_closer_where_eigenvalues_are_alike():
    """Three classes: the Hessian has two eigenvalues; the divergence found rises with the number of power steps."""
    torch.manual_seed(1)
    potential, x = Linear(labels=3), torch.randn(500, 5)
    found = [VAT(radius=0.2, iterations=k)(potential, batch(x)).loss["vat"].item() for k in (1, 20)]
    random = nn.functional.normalize(torch.randn_like(x)) * 0.2 * 5**0.5
    assert found[1] > 1.01 * found[0]
    assert found[0] > 1.5 * divergence(potential(x), potential(x + random)).mean().item()


def test_loss_and_gradient_by_hand():
    potential, x = Linear(labels=3), torch.randn(7, 5)
    seen = spied(potential)
    loss = VAT(weight=2.0, radius=0.3)(potential, batch(x)).loss["vat"]
    gradient = torch.autograd.grad(loss, potential.head.weight)[0]
    p = potential(x).log_marginals().exp().detach()
    moved = seen[2]  # x, the probe, x + r
    by_hand = 2.0 * kl_div(potential(moved).scores.log_softmax(1), p, reduction="batchmean")
    torch.testing.assert_close(loss, by_hand)
    torch.testing.assert_close(gradient, torch.autograd.grad(by_hand, potential.head.weight)[0])


def test_the_target_and_the_direction_know_no_noise_and_the_loss_does():
    potential = Linear(dropout=0.5).train()
    modes = []
    potential.register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    VAT()(potential, batch(torch.randn(4, 5)))
    assert modes == [False, False, True]


@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)])
def test_vectors_and_images_alike(shape):
    class Flat(Linear):
        def forward(self, x):
            return super().forward(x.flatten(1))

    x = torch.randn(6, *shape)
    potential = Flat(x[0].numel())
    seen = spied(potential)
    VAT(radius=0.1)(potential, batch(x))
    change = (seen[-1] - x).flatten(1).square().mean(1).sqrt()
    torch.testing.assert_close(change, torch.full((6,), 0.1))


def tagging_potential():
    vocabulary = Vocabulary.of([["a", "b", "c"]])
    torch.manual_seed(0)
    potential = TaggingPotential(vocabulary.spelling(), vocabulary.counts, 3, TINY._replace(size=5, hidden=4))
    return potential.eval(), Padded(torch.tensor([[1, 2, 3, 1], [2, 0, 0, 0]]), torch.tensor([4, 1]))


def test_of_sentences_the_words_vectors_are_changed_and_nothing_behind_the_end():
    potential, x = tagging_potential()
    seen = []
    potential.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shift))
    loss = VAT(radius=0.1, space=WORD_VECTORS)(potential, batch(x)).loss["vat"]
    assert seen[0] is None
    change = seen[-1]
    assert change.shape == (2, 4, 5) and not change[1, 1:].any()
    for row, n in zip(change, x.lengths.tolist(), strict=True):
        assert row[:n].square().mean().sqrt().item() == pytest.approx(0.1, rel=1e-5)
    torch.testing.assert_close(loss, divergence(potential(x), potential(x._replace(shift=change))).mean())


def test_a_change_of_the_words_vectors_is_a_change_of_what_is_read():
    """Shifting a word by the difference of two words' vectors makes it the other word."""
    potential, x = tagging_potential()
    other = x._replace(values=torch.tensor([[1, 3, 3, 1], [2, 0, 0, 0]]))
    shift = potential.words(other.values) - potential.words(x.values)
    torch.testing.assert_close(potential(x._replace(shift=shift)).emissions, potential(other).emissions)


def test_the_divergence_of_chains_is_that_of_the_tokens_summed():
    log_p, log_q = torch.randn(2, 1, 3, 2).log_softmax(-1)
    lengths, free = torch.tensor([2]), torch.zeros(2, 2)
    p, q = LinearChain(log_p, free, lengths), LinearChain(log_q, free, lengths)
    by_hand = kl_div(log_q[0, :2], log_p[0, :2].exp(), reduction="sum")
    torch.testing.assert_close(divergence(p, q), by_hand.unsqueeze(0))
