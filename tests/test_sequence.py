"""The tagging potential and its pseudo-likelihood against plain computation."""

import pytest
import torch

from fewlabels.objective import Batch
from fewlabels.objectives.pseudo_likelihood import PseudoLikelihood
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.text import Padded, Sentences, Vocabulary

TEXT = [["the", "cat", "sat"], ["a", "dog"], ["the", "dog", "sat", "here", "."]]


@pytest.fixture
def vocabulary():
    return Vocabulary.of(TEXT)


@pytest.fixture
def potential(vocabulary):
    return TaggingPotential(vocabulary.spelling(), vocabulary.counts, 3, size=6, hidden=5).eval()


def padded(vocabulary, text=TEXT):
    return Sentences([vocabulary.encode(s) for s in text])[torch.arange(len(text))]


def test_padding_does_not_matter(vocabulary, potential):
    together = potential(padded(vocabulary))
    for b, sentence in enumerate(TEXT):
        alone = potential(padded(vocabulary, [sentence]))
        torch.testing.assert_close(alone.log_partition[0], together.log_partition[b])
        torch.testing.assert_close(alone.emissions[0], together.emissions[b, : len(sentence)])


def test_states_around_a_place_have_not_seen_its_word_and_states_at_it_have(vocabulary, potential):
    x = padded(vocabulary)
    changed = Padded(x.values.clone(), x.lengths)
    changed.values[2, 2] = vocabulary.encode(["cat"])[0]
    first, second = (potential._encode(part, 0.0) for part in (x, changed))
    assert torch.equal(first.before[2, :3], second.before[2, :3])
    assert torch.equal(first.after[2, 2:], second.after[2, 2:])
    assert not torch.equal(first.before[2, 3], second.before[2, 3])
    assert not torch.equal(first.after[2, 1], second.after[2, 1])
    assert not torch.equal(first.at[2, 2], second.at[2, 2])


def test_site_scores_are_the_bilinear_potential_and_leave_the_place_itself_out(vocabulary, potential):
    x = padded(vocabulary)
    everything = torch.arange(len(vocabulary))
    own, others = potential.site_scores(x, everything)
    present = x.values[x.inside()]
    torch.testing.assert_close(own, others.gather(1, present.unsqueeze(1)).squeeze(1))
    psi = potential(x).offset
    torch.testing.assert_close(psi, torch.stack([part.sum() for part in own.split(x.lengths.tolist())]))
    changed = Padded(x.values.clone(), x.lengths)
    changed.values[2, 4] = 0
    _, again = potential.site_scores(changed, everything)
    torch.testing.assert_close(others[-1], again[-1])  # the conditional of the place that changed is as it was


def test_the_word_potential_shifts_u_and_leaves_the_conditional_alone(vocabulary, potential):
    x, y = padded(vocabulary), torch.zeros(3, 5, dtype=torch.long)
    before = potential(x)
    u, conditional = before.log_partition.detach(), before.log_conditional(y).detach()
    with torch.no_grad():
        potential.site_word += 1.0
    after = potential(x)
    torch.testing.assert_close(after.log_partition, u + x.lengths)
    assert torch.equal(after.log_conditional(y), conditional)


def test_with_every_word_drawn_often_the_loss_is_the_exact_pseudo_likelihood(vocabulary, potential):
    x = padded(vocabulary)
    counts = torch.tensor(vocabulary.counts, dtype=torch.float)
    objective = PseudoLikelihood(counts, draws=200_000)
    loss = objective(potential, Batch(None, torch.zeros(0), x)).loss["pseudo_likelihood"].item()
    own, others = potential.site_scores(x, torch.arange(1, len(vocabulary)))  # the unknown word is never drawn
    exact = (others.logsumexp(1) - own).mean().item()
    noise = counts**0.75 / (counts**0.75).sum()
    present = x.values[x.inside()]
    shifted = exact + (noise[present].log().mean() + torch.tensor(200_000.0).log()).item()  # constants of θ
    assert loss == pytest.approx(shifted, abs=0.02)


def test_words_outside_the_vocabulary_are_read_by_their_spelling(vocabulary, potential):
    unseen = ["cats", "hat"]
    potential.words.respell(vocabulary.spelling(unseen))
    first = len(vocabulary)
    vectors = potential.words(torch.tensor([0, first, first + 1]))
    assert not torch.equal(vectors[1], vectors[2])
    assert not torch.equal(vectors[0], vectors[1])
    x = Padded(torch.tensor([[first, first + 1]]), torch.tensor([2]))
    assert potential(x).log_partition.isfinite().all()


def test_a_word_is_its_vector_and_the_scaled_sum_of_its_features(vocabulary, potential):
    words = potential.words
    row = vocabulary.words.index("cat")
    features, offsets, weights = vocabulary.spelling().of(torch.tensor([row]))
    assert offsets.tolist() == [0]
    by_hand = words.word.weight[row] + words.feature.weight[features].sum(0) / len(features) ** 0.5
    torch.testing.assert_close(words(torch.tensor([row]))[0], by_hand)
    torch.testing.assert_close(weights.square().sum(), torch.tensor(1.0))


def test_start_and_stop_scores_touch_the_first_and_the_last_word_of_each_row(vocabulary, potential):
    x = padded(vocabulary)
    before = potential(x).emissions.detach()
    with torch.no_grad():
        potential.head.start += torch.tensor([1.0, 2.0, 3.0])
        potential.head.stop += torch.tensor([10.0, 20.0, 30.0])
    change = potential(x).emissions.detach() - before
    for row, n in zip(change, x.lengths.tolist(), strict=True):
        expected = torch.zeros(n, 3)
        expected[0] += torch.tensor([1.0, 2.0, 3.0])
        expected[n - 1] += torch.tensor([10.0, 20.0, 30.0])
        torch.testing.assert_close(row[:n], expected, atol=1e-5, rtol=1e-5)
