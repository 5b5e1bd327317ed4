"""The tagging potential and its pseudo-likelihood against plain computation."""

import itertools

import numpy as np
import pytest
import torch

from fewlabels import InputError
from fewlabels.labels import LinearChain
from fewlabels.objective import Batch
from fewlabels.objectives.conditional_nce import ConditionalNCE
from fewlabels.objectives.pseudo_likelihood import PseudoLikelihood
from fewlabels.sequence.chain_head import ChainHead
from fewlabels.sequence.gibbs import gibbs
from fewlabels.sequence.log_potential import log_potential
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.presets import PAPER, SMALL
from fewlabels.sequence.sentences import Padded, Sentences
from fewlabels.sequence.spans import allowed_moves, read_strict_spans
from fewlabels.sequence.vocabulary import Vocabulary

TINY = SMALL._replace(size=6, hidden=5)
SMALL_PAPER = PAPER._replace(size=6, filters=2, hidden=5, projection=4)
TEXT = [["the", "cat", "sat"], ["a", "dog"], ["the", "dog", "sat", "here", "."]]


@pytest.fixture
def vocabulary():
    return Vocabulary.of(TEXT)


@pytest.fixture
def potential(vocabulary):
    return TaggingPotential(vocabulary.spelling(), vocabulary.counts, 3, TINY).eval()


@pytest.fixture
def paper(vocabulary):
    return TaggingPotential(vocabulary.symbols(), vocabulary.counts, 3, SMALL_PAPER).eval()


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
        potential.site.level += 1.0
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
    by_hand = words.word.weight[row] + words.speller.feature.weight[features].sum(0) / len(features) ** 0.5
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


def test_the_papers_word_potential_is_equation_3_by_hand(vocabulary, paper):
    x, words = padded(vocabulary), paper.words
    expected = []
    for sentence in TEXT:
        e = torch.cat([words.edge[:1], words(torch.tensor(vocabulary.encode(sentence))), words.edge[1:]])  # <s>..</s>
        f, _ = paper.encoder.forwards(e[None])
        b, _ = paper.encoder.backwards(e.flip(0)[None])
        g_f = (f[0] @ paper.site.forwards.weight.T + paper.site.forwards.bias).relu()
        g_b = (b[0].flip(0) @ paper.site.backwards.weight.T + paper.site.backwards.bias).relu()
        expected.append((g_f[:-1] * e[1:]).sum() + (g_b[1:] * e[:-1]).sum())
    torch.testing.assert_close(paper.word_potential(x), torch.stack(expected))


def test_joint_u_of_the_paper_is_the_log_partition_and_its_weight_of_psi_is_a_number(vocabulary, paper):
    x = padded(vocabulary)
    chain = paper(x)
    assert chain.offset is None
    paper.word_weight = 0.25
    torch.testing.assert_close(paper(x).log_partition, chain.log_partition + 0.25 * paper.word_potential(x))


def test_the_papers_emissions_read_the_states_alone(vocabulary, paper):
    x = padded(vocabulary)
    encoded = paper._encode(x, 0.0)
    by_hand = encoded.at @ paper.head.emission.weight.T + paper.head.emission.bias
    torch.testing.assert_close(paper(x).emissions[x.inside()], by_hand[x.inside()])


def test_site_scores_of_the_paper_leave_the_sentence_ends_out(vocabulary, paper):
    x = padded(vocabulary)
    own, others = paper.site_scores(x, torch.arange(len(vocabulary)))
    torch.testing.assert_close(own, others.gather(1, x.values[x.inside()].unsqueeze(1)).squeeze(1))
    f, b = paper._encode(x, 0.0).at.chunk(2, -1)
    ends = (paper.site.forwards(f[torch.arange(3), x.lengths - 1]).relu() @ paper.words.edge[1]) + (
        paper.site.backwards(b[:, 0]).relu() @ paper.words.edge[0]
    )
    sites = torch.stack([part.sum() for part in own.split(x.lengths.tolist())])
    torch.testing.assert_close(sites + ends, paper.word_potential(x))


def test_the_paper_reads_and_scores_a_word_under_one_mask(vocabulary):
    preset = SMALL_PAPER._replace(site_drop=0.0)
    paper, seen = TaggingPotential(vocabulary.symbols(), vocabulary.counts, 3, preset), []
    paper.encoder.register_forward_hook(lambda module, given, encoded: seen.append(encoded))
    x = padded(vocabulary)
    psi = paper.word_potential(x)
    [encoded] = seen
    assert (encoded.word == 0).any()
    assert (encoded.edge == 0).any()
    scores = (paper.site(torch.cat([encoded.before, encoded.after], -1)) * encoded.word).sum(-1)
    ends = paper._ends(paper.site, x.lengths, encoded)
    torch.testing.assert_close(psi, (scores * x.inside()).sum(1) + ends)


def test_the_papers_words_are_dropped_once_and_their_spelling_twice(vocabulary, paper):
    torch.nn.init.ones_(paper.words.speller.bias)  # no zeros but those of dropout
    x = Padded(torch.ones(2000, 1, dtype=torch.long), torch.ones(2000, dtype=torch.long))
    read = paper.train()._encode(x, 0.5).word
    assert (read[..., :6] == 0).float().mean() == pytest.approx(0.5, abs=0.03)
    assert (read[..., 6:] == 0).float().mean() == pytest.approx(0.75, abs=0.03)
    assert (paper.eval()._encode(x, 0.5).word != 0).all()  # the control


def test_the_papers_numbers_of_parameters():
    vocabulary = Vocabulary.of(TEXT)
    k, v, c = 17, len(vocabulary), vocabulary.symbols().features
    potential = TaggingPotential(vocabulary.symbols(), vocabulary.counts, k, PAPER)

    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(potential.words.word) == 300 * v
    assert count(potential.words.speller) + count(potential.encoder) == 50 * c + 45_300 + 2 * (
        1112 * 2048 + 2048 + 512 * 512
    )
    assert count(potential.site) == 615_600
    assert count(potential.head) == 1024 * k + k + k**2
    parts = (potential.words.word, potential.words.speller, potential.encoder, potential.site, potential.head)
    assert count(potential) == sum(map(count, parts)) + 2 * 600  # the vectors of the two ends
    weights = [p for p in potential.parameters() if p.dim() > 1]
    assert all(0.05 < p.abs().max() <= 0.1 for p in weights)
    potential.head.reset_parameters()
    assert 0.05 < potential.head.transition.abs().max() <= 0.1


def test_words_vectors_start_where_they_are_given(vocabulary):
    given = torch.randn(len(vocabulary), 6)
    potential = TaggingPotential(vocabulary.symbols(), vocabulary.counts, 3, SMALL_PAPER, vectors=given)
    assert torch.equal(potential.words.word.weight, given)
    with pytest.raises(InputError, match=r"got \(8, 5\)"):
        TaggingPotential(vocabulary.symbols(), vocabulary.counts, 3, SMALL_PAPER, vectors=given[:, :5])


@pytest.mark.parametrize("preset", [TINY, SMALL_PAPER])
def test_further_features_enter_where_they_are_given(vocabulary, preset):
    spelling = preset.spelling(vocabulary)
    potential = TaggingPotential(spelling, vocabulary.counts, 3, preset, columns=[4, 3]).eval()
    x = padded(vocabulary)
    absent = potential(x).emissions.detach()
    columns = torch.zeros(3, 5, 2, dtype=torch.long)
    assert torch.equal(potential(x._replace(columns=columns)).emissions, absent)
    assert all((column.weight[0] == 0).all() for column in potential.columns)
    columns[2, 1, 0] = 3
    change = (potential(x._replace(columns=columns)).emissions - absent).abs().sum(-1)
    assert (change[2] > 0).all()
    assert (change[:2] == 0).all()
    potential(x._replace(columns=columns)).log_partition.sum().backward()
    assert potential.columns[0].weight.grad.any(1).tolist() == [False, False, False, True]
    with pytest.raises(InputError, match="2 further features of each token, got 1"):
        potential(x._replace(columns=columns[..., :1]))


@pytest.mark.parametrize("preset", [TINY, SMALL_PAPER])
def test_words_without_a_vector_of_their_own_are_unknown_words_with_a_spelling(preset):
    vocabulary = Vocabulary.of(TEXT, least=2)
    assert vocabulary.own == 4
    potential = TaggingPotential(preset.spelling(vocabulary), vocabulary.counts, 3, preset, own=4).eval()
    cat, here = vocabulary.encode(["cat", "here"])
    vectors = potential.words(torch.tensor([0, cat, here]))
    spelt = potential.words.speller(torch.tensor([0, cat, here]))
    unknown = potential.words.word.weight[0]
    for vector, spelling in zip(vectors, spelt, strict=True):
        by_hand = torch.cat([unknown, spelling]) if preset.filters else unknown + spelling
        torch.testing.assert_close(vector, by_hand)
    x = padded(vocabulary)
    own, others = potential.site_scores(x, torch.arange(len(vocabulary)))
    torch.testing.assert_close(own, others.gather(1, x.values[x.inside()].unsqueeze(1)).squeeze(1))
    levels = potential._level(torch.arange(len(vocabulary)))
    assert (levels[4:] == levels[0]).all()
    rest = sum(vocabulary.counts[4:])
    torch.testing.assert_close(potential.log_unigram.exp()[0].item(), rest / sum(vocabulary.counts))
    assert (gibbs(potential, torch.tensor([4, 3]), sweeps=1).values < 4).all()


@pytest.mark.parametrize("preset", [TINY, SMALL_PAPER])
def test_a_network_on_the_trimmed_vocabulary_reads_all_text_alike(preset):
    vocabulary = Vocabulary.of(TEXT, least=2)
    potential = TaggingPotential(preset.spelling(vocabulary), vocabulary.counts, 3, preset, own=vocabulary.own).eval()
    small = vocabulary.trimmed()
    again = TaggingPotential(preset.spelling(small), small.counts, 3, preset).eval()
    again.load_state_dict(potential.state_dict())
    lost = vocabulary.words[vocabulary.own :]
    again.words.respell(preset.spelling(small, lost))
    x = padded(vocabulary)  # ids of lost words are those of further ones
    assert torch.equal(again(x).emissions, potential(x).emissions)
    words = torch.arange(len(vocabulary))
    for ours, theirs in zip(again.site_scores(x, words), potential.site_scores(x, words), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("preset", [TINY, SMALL_PAPER])
def test_contexts_are_the_states_around_each_place(vocabulary, preset):
    potential = TaggingPotential(preset.spelling(vocabulary), vocabulary.counts, 3, preset).eval()
    x = padded(vocabulary)
    before, after = potential.contexts(x)
    encoded = potential._encode(x, 0.0)
    assert torch.equal(before, encoded.before[x.inside()])
    assert torch.equal(after, encoded.after[x.inside()])
    potential.train()
    assert (potential.contexts(x)[0] == 0).any()  # dropout


BIOES = ["O", "B-A", "I-A", "E-A", "S-A", "E-B", "B-B"]
IOB2 = ["O", "B-A", "I-A", "I-B", "B-B"]


def well_formed(tags, encoding):
    """No tag of a span is left over once the spans are read strictly."""
    covered = sum(end - start for _, start, end in read_strict_spans(tags, encoding))
    return covered == sum(tag != "O" for tag in tags)


@pytest.mark.parametrize(("tags", "encoding"), [(BIOES, "BIOES"), (IOB2, "IOB2")])
def test_forbidden_moves_leave_exactly_the_well_formed_sequences(tags, encoding):
    head = ChainHead(4, len(tags), allowed=allowed_moves(tags)).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=3.0)
    head.transition.data[head.forbidden] += 20.0  # what would be liked best
    lengths = torch.tensor([4, 1, 3, 2])
    emissions = head(3 * torch.randn(4, 4, 4, dtype=torch.double), lengths)
    chain = LinearChain(emissions, head.transitions, lengths)
    free = LinearChain(emissions, head.transition, lengths)
    modes, broken = chain.mode(), 0
    for b, n in enumerate(lengths.tolist()):
        best, scores = None, []
        for y in itertools.product(range(len(tags)), repeat=n):
            if well_formed([tags[k] for k in y], encoding):
                row = torch.zeros(4, 4, dtype=torch.long)
                row[b, :n] = torch.tensor(y)
                scores.append(free.score(row)[b])
                best = y if scores[-1] == max(scores) else best
        torch.testing.assert_close(chain.log_partition[b], torch.stack(scores).logsumexp(0))
        assert modes[b, :n].tolist() == list(best)
        broken += not well_formed([tags[k] for k in free.mode()[b, :n]], encoding)
    assert broken  # without the rules the best sequences break them
    chain.log_conditional(modes).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in (head.transition, head.start, head.stop))
    assert head.transition.grad[torch.from_numpy(~allowed_moves(tags).follow)].eq(0).all()
    assert len(scores) < len(tags) ** n  # something is forbidden at all


@pytest.mark.parametrize("tags", [["DET", "NOUN"], ["O", "B", "I"]])
def test_tags_that_write_down_no_spans_may_do_anything(tags):
    assert all(np.all(part) for part in allowed_moves(tags))


def test_before_labels_the_field_is_the_word_potential_alone(vocabulary, potential):
    x = padded(vocabulary)
    torch.testing.assert_close(log_potential(potential, x, words_alone=True), potential.word_potential(x))
    torch.testing.assert_close(log_potential(potential, x, words_alone=False), potential(x).log_partition)
    counts = torch.tensor(vocabulary.counts)
    reached = {}
    for words_alone in (True, False):
        potential.zero_grad()
        objective = ConditionalNCE(counts, words_alone=words_alone)
        objective(potential, Batch(None, torch.zeros(0), x)).loss["conditional_nce"].backward()
        reached[words_alone] = {n for n, p in potential.named_parameters() if p.grad is not None and p.grad.any()}
    assert not any("head" in name for name in reached[True])
    assert any("head" in name for name in reached[False])
    assert reached[True] < reached[False]
