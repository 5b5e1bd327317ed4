"""What spells words, against the plain computation word by word."""

import pytest
import torch
from torch import nn

from fewlabels.sequence.spelling import CharCNN, FeatureBag
from fewlabels.sequence.vocabulary import Vocabulary

WORDS = ["a", "an", "and", "Anna", "aaaa", "banana", "internationalisation", "x-1", "!!", "ÄÖ"]


@pytest.fixture
def vocabulary():
    return Vocabulary(WORDS, [1] * len(WORDS))


def convolved(cnn, symbols):
    """The vector of one word's symbols, from torch.nn.Conv1d for each width."""
    table = torch.cat([torch.zeros_like(cnn.symbol[:1]), cnn.symbol])
    x = table[symbols].T.unsqueeze(0)
    parts = []
    for width, kernel, bias in zip((2, 3, 4), cnn.kernels, cnn.bias.view(3, -1), strict=True):
        conv = nn.Conv1d(kernel.shape[1], kernel.shape[0], width)
        left = {2: 0, 3: 1, 4: 1}[width]
        padded = nn.functional.pad(x, (left, width - 1 - left))
        parts.append(torch.func.functional_call(conv, {"weight": kernel, "bias": bias}, padded).relu().amax(2))
    return torch.cat(parts, 1).squeeze(0)


def test_the_char_cnn_is_convolutions_and_maxima_token_by_token_gradients_included(vocabulary):
    spelling = vocabulary.symbols(["banjo", "q?q"])  # q and ? were never seen
    cnn = CharCNN(spelling, filters=7, embedding=5).double()
    nn.init.normal_(cnn.bias)
    for parameter in cnn.parameters():
        parameter.data.mul_(10)
    ids = torch.randperm(len(spelling))
    ours = cnn(ids)
    plain = torch.stack([convolved(cnn, spelling.of(i.view(1))[0]) for i in ids])
    torch.testing.assert_close(ours, plain, atol=1e-12, rtol=0)
    direction = torch.randn_like(ours)
    gradients = (torch.autograd.grad((v * direction).sum(), list(cnn.parameters())) for v in (ours, plain))
    for mine, truth in zip(*gradients, strict=True):
        assert truth.any()
        torch.testing.assert_close(mine, truth, atol=1e-11, rtol=0)


def test_a_words_vector_does_not_depend_on_the_words_beside_it(vocabulary):
    for speller in (CharCNN(vocabulary.symbols(), 4), FeatureBag(vocabulary.spelling(), 6)):
        ids = torch.arange(len(vocabulary))
        together = speller(ids)
        assert together.shape == (len(vocabulary), speller.size)
        alone = torch.cat([speller(i.view(1)) for i in ids])
        torch.testing.assert_close(together, alone)
        assert not torch.allclose(together[1], together[2])  # the control


def test_symbols_never_seen_count_as_nothing_but_keep_their_place(vocabulary):
    symbols = vocabulary.symbols(["q", "qq"])
    first = len(vocabulary)
    unknown = symbols.of(torch.tensor([first, first + 1]))[0].tolist()
    assert unknown == [1, 0, 2, 1, 0, 0, 2]
    assert symbols.of(torch.tensor([0]))[0].tolist() == [1, 2]
    assert symbols.features == len(set("".join(WORDS))) + 2


def test_the_papers_number_of_parameters(vocabulary):
    cnn = CharCNN(vocabulary.symbols())
    assert sum(p.numel() for p in cnn.parameters()) == 50 * cnn.spelling.features + 45_300
    assert cnn.size == 300


def test_a_feature_bag_is_the_scaled_sum_of_its_features(vocabulary):
    spelling = vocabulary.spelling(["ban"])
    bag = FeatureBag(spelling, 6).double()
    for word in (0, 3, len(vocabulary)):
        features = spelling.of(torch.tensor([word]))[0]
        by_hand = bag.feature.weight[features].sum(0) / max(len(features), 1) ** 0.5
        torch.testing.assert_close(bag(torch.tensor([word]))[0], by_hand)
