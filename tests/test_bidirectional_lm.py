"""The bidirectional language model against plain cross-entropies, and on text whose next word is certain."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fewlabels.batches import Batches
from fewlabels.objective import Batch
from fewlabels.objectives.bidirectional_lm import BidirectionalLM
from fewlabels.optimizers import adam
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.sentences import Padded, Sentences
from fewlabels.sequence.vocabulary import Vocabulary
from fewlabels.train import train

COUNTS = torch.tensor([3, 4, 2, 1])


class States(nn.Module):
    """States that are free numbers, in order of rows."""

    def __init__(self, places, hidden=5):
        super().__init__()
        self.before, self.behind = (nn.Parameter(torch.randn(places, hidden)) for _ in range(2))

    def contexts(self, x):
        return self.before, self.behind


def test_the_loss_is_the_mean_cross_entropy_of_each_direction_over_words_with_a_vector_of_their_own():
    x = Padded(torch.tensor([[1, 3, 0], [4, 2, 9]]), torch.tensor([3, 2]))  # ids 0, 4 and 9 are left out; 9 is padding
    potential, objective = States(5), BidirectionalLM(COUNTS, 5, weight=0.3)
    loss = objective(potential, Batch(None, torch.zeros(0), x)).loss
    kept, words = torch.tensor([0, 1, 4]), torch.tensor([1, 3, 2])
    next_word = cross_entropy(objective.forwards(potential.before[kept]), words)
    previous_word = cross_entropy(objective.backwards(potential.behind[kept]), words)
    torch.testing.assert_close(loss["next_word"], 0.3 * next_word)
    torch.testing.assert_close(loss["previous_word"], 0.3 * previous_word)


def test_with_every_word_drawn_often_ranking_is_the_softmax_over_the_words_that_can_be_drawn():
    x = Padded(torch.tensor([[1, 3, 2, 1]]), torch.tensor([4]))
    potential, full, ranked = States(4), BidirectionalLM(COUNTS, 5), BidirectionalLM(COUNTS, 5, draws=200_000)
    ranked.load_state_dict(full.state_dict())
    with torch.no_grad():  # the full softmax has the unknown word among its rivals
        for layer in (full.forwards, full.backwards):
            layer.bias[0] = -100.0
    batch = Batch(None, torch.zeros(0), x)
    noise = COUNTS[1:] ** 0.75 / (COUNTS[1:] ** 0.75).sum()
    constant = noise[x.values[0] - 1].log().mean() + torch.tensor(200_000.0).log()
    for name in ("next_word", "previous_word"):
        exact, estimate = full(potential, batch).loss[name], ranked(potential, batch).loss[name]
        assert estimate.item() == pytest.approx((exact + constant).item(), abs=0.02)
        assert abs(estimate - exact).item() > 1  # the control: without the constant they differ


def test_where_no_word_is_asked_for_the_loss_is_nothing_and_has_a_gradient():
    x = Padded(torch.tensor([[0, 8]]), torch.tensor([2]))
    potential = States(2)
    for draws in (None, 10):
        loss = BidirectionalLM(COUNTS, 5, draws=draws)(potential, Batch(None, torch.zeros(0), x)).loss
        (loss["next_word"] + loss["previous_word"]).backward()
        assert loss["next_word"].item() == loss["previous_word"].item() == 0
        assert not potential.before.grad.any()


@pytest.mark.parametrize("draws", [None, 50])
def test_it_learns_a_text_in_which_one_direction_is_certain(draws):
    """After "a" comes "b" or "c", after either "d"; before "d" stand two.  Forwards, 1 word in 3 is a coin's throw."""
    text = [["a", middle, "d"] for middle in "bc"] * 10
    vocabulary = Vocabulary.of(text)
    words = Sentences(map(vocabulary.encode, text))
    potential = TaggingPotential(vocabulary.spelling(), vocabulary.counts, 2).eval()
    states = potential.contexts(words[torch.arange(1)])[0].shape[1]
    objective = BidirectionalLM(torch.tensor(vocabulary.counts), states)
    if draws:
        objective.draws = draws
    batches = Batches(words, words, words, labelled=1, unlabelled=20, seed=0)
    list(train(potential, objective, batches, adam(0.01)(potential, objective), 60))
    objective.draws = None
    potential.eval()
    loss = objective(potential, batches[0]).loss
    ln2 = 0.6931
    assert loss["next_word"].item() == pytest.approx(ln2 / 3, abs=0.06)
    assert loss["previous_word"].item() == pytest.approx(ln2 / 3, abs=0.06)
