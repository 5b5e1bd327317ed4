"""Label structures against the enumeration of every labelling."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewlabels.labels import Categorical, Labels, LinearChain

K = 3


def enumerate_chain(emissions, transitions, n, offset=0.0):
    """All labellings of one sentence of n tokens and their scores, term by term."""
    labellings = list(itertools.product(range(len(transitions)), repeat=n))
    scores = []
    for y in labellings:
        score = offset + sum(emissions[t][y[t]] for t in range(n))
        scores.append(score + sum(transitions[y[t - 1]][y[t]] for t in range(1, n)))
    return torch.tensor(labellings), torch.tensor(scores, dtype=torch.float64)


def random_chain(lengths, scale=1.0, seed=0, offset=True, forbidden=None):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor(lengths)
    emissions = scale * torch.randn(len(lengths), int(lengths.max()), K, generator=generator)
    for row, n in enumerate(lengths):
        emissions[row, n:] = 1e6  # whatever lies behind the end must not matter
    transitions = torch.randn(K, K, generator=generator)
    if forbidden is not None:
        transitions[0, 1] = forbidden
        transitions[2, 0] = forbidden
    psi = torch.randn(len(lengths), generator=generator) if offset else None
    return LinearChain(emissions, transitions, lengths, None if psi is None else lambda: psi)


def rows(chain):
    for b, n in enumerate(chain.lengths.tolist()):
        psi = 0.0 if chain.offset is None else chain.offset[b].item()
        yield b, n, *enumerate_chain(chain.emissions[b].double().tolist(), chain.transitions.double().tolist(), n, psi)


ragged = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(ragged, st.integers(0, 1000), st.sampled_from([None, -1e4, float("-inf")]))
def test_log_partition_score_and_mode_equal_enumeration(lengths, seed, forbidden):
    chain = random_chain(lengths, seed=seed, forbidden=forbidden)
    mode = chain.mode()
    for b, n, labellings, scores in rows(chain):
        assert chain.log_partition[b].item() == pytest.approx(scores.logsumexp(0).item(), abs=1e-4)
        assert mode[b, :n].tolist() == labellings[scores.argmax()].tolist()
        assert mode[b, n:].eq(0).all()
        pick = int(scores.argmax())
        y = torch.full((len(chain.lengths), chain.emissions.shape[1]), 2)
        y[b, :n] = labellings[pick]
        assert chain.score(y)[b].item() == pytest.approx(scores[pick].item(), abs=1e-4)
        assert chain.log_conditional(y)[b].item() == pytest.approx(scores.log_softmax(0)[pick].item(), abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(ragged, st.integers(0, 1000), st.booleans())
def test_marginals_equal_enumeration_and_the_gradient_of_the_log_partition(lengths, seed, impossible):
    chain = random_chain(lengths, seed=seed)
    if impossible:
        chain.emissions[0, 0, 1] = float("-inf")
    chain.emissions.requires_grad_()
    chain.log_partition.sum().backward()
    marginals = chain.log_marginals().exp()
    for b, n, labellings, scores in rows(chain):
        p = scores.softmax(0)
        for t, k in itertools.product(range(n), range(K)):
            truth = p[labellings[:, t] == k].sum().item()
            assert marginals[b, t, k].item() == pytest.approx(truth, abs=1e-5)
            assert chain.emissions.grad[b, t, k].item() == pytest.approx(truth, abs=1e-5)
        assert chain.emissions.grad[b, n:].eq(0).all()
        torch.testing.assert_close(marginals[b, n:], torch.full_like(marginals[b, n:], 1 / K))


@settings(max_examples=30, deadline=None)
@given(ragged, st.integers(0, 1000), st.sampled_from([None, -1e4, float("-inf")]))
def test_entropy_equals_enumeration(lengths, seed, forbidden):
    chain = random_chain(lengths, scale=2.0, seed=seed, forbidden=forbidden)
    for b, _, _, scores in rows(chain):
        truth = torch.distributions.Categorical(logits=scores).entropy().item()
        assert chain.entropy()[b].item() == pytest.approx(truth, abs=1e-5)


@pytest.mark.parametrize("forbidden", [None, float("-inf")])
def test_the_gradient_of_the_entropy_equals_finite_differences(forbidden):
    chain = random_chain([4, 1, 3], forbidden=forbidden)

    def entropy(emissions, transitions):
        return LinearChain(emissions, transitions, chain.lengths).entropy()

    emissions = chain.emissions.double().clamp(max=10).requires_grad_()
    transitions = chain.transitions.double()
    assert torch.autograd.gradcheck(entropy, (emissions, transitions.requires_grad_(forbidden is None)))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_gradients_equal_finite_differences(scale):
    base = random_chain([4, 1, 3], scale=scale, offset=False)
    emissions = base.emissions.double().clamp(max=100.0).requires_grad_()
    transitions = base.transitions.double().requires_grad_()

    def log_partition(e, a):
        return LinearChain(e, a, base.lengths).log_partition

    assert torch.autograd.gradcheck(log_partition, (emissions, transitions), atol=1e-4)


@pytest.mark.parametrize("forbidden", [None, -1e4, float("-inf")])
@pytest.mark.parametrize("scale", [1.0, 30.0, 100.0, 200.0, 400.0])
def test_log_partition_and_marginals_are_right_far_beyond_float32(scale, forbidden):
    """In float32 the rescaled recursion fails silently here; the truth is a plain loop in float64 in the log domain."""
    labels, length, batch = 23, 50, 64
    generator = torch.Generator().manual_seed(1)
    emissions = (scale * torch.randn(batch, length, labels, generator=generator)).requires_grad_()
    transitions = torch.randn(labels, labels, generator=generator)
    if forbidden is not None:  # the hard constraints of BIO tags: I-x only after B-x or I-x
        for x in range(2, labels, 2):
            allowed = [x - 1, x]
            transitions[[k for k in range(labels) if k not in allowed], x] = forbidden
    transitions.requires_grad_()
    lengths = torch.randint(1, length + 1, (batch,), generator=generator)
    lengths[0] = length
    log_z = LinearChain(emissions, transitions, lengths).log_partition
    log_z.sum().backward()

    e = emissions.detach().double().requires_grad_()
    a = transitions.detach().double().requires_grad_()
    finite = a.clamp(min=-1e12)
    truth = []
    for b in range(batch):
        alpha = e[b, 0]
        for t in range(1, int(lengths[b])):
            alpha = (alpha[:, None] + finite).logsumexp(0) + e[b, t]
        truth.append(alpha.logsumexp(0))
    truth = torch.stack(truth)
    truth.sum().backward()
    torch.testing.assert_close(log_z.double(), truth, rtol=1e-6, atol=1e-4)
    torch.testing.assert_close(emissions.grad.double(), e.grad, rtol=0, atol=1e-5)
    torch.testing.assert_close(transitions.grad.double(), a.grad, rtol=1e-5, atol=1e-4)


def test_lost_mass_that_comes_back_over_several_steps_is_noticed():
    """Each step loses only a factor 1e-100, too little for a test of single steps; together they exceed float64."""
    emissions = torch.zeros(1, 12, 2)
    emissions[0, :4, 0] = 250.0  # label 0 leads by e^1000 after four steps ...
    emissions[0, 4:, 1] = 230.0  # ... and cannot leave, while label 1 gains e^230 at each later step
    transitions = torch.tensor([[0.0, float("-inf")], [float("-inf"), 0.0]])
    chain = LinearChain(emissions, transitions, torch.tensor([12]))
    truth = max(4 * 250.0, 8 * 230.0)
    assert chain.log_partition.item() == pytest.approx(truth, rel=1e-6)


def test_samples_have_the_marginals_and_a_wrong_chain_is_told_apart():
    lengths = [4, 2]
    chain = random_chain(lengths, seed=4)
    draws = 4000
    many = LinearChain(
        chain.emissions.repeat_interleave(draws, 0), chain.transitions, chain.lengths.repeat_interleave(draws)
    )
    y = many.sample(torch.Generator().manual_seed(0)).view(len(lengths), draws, -1)
    wrong = LinearChain(chain.emissions, chain.transitions.T, chain.lengths)  # the negative control
    largest, control = 0.0, 0.0
    for b, n, labellings, scores in rows(chain):
        index = {tuple(labelling.tolist()): i for i, labelling in enumerate(labellings)}
        counts = torch.zeros(len(labellings))
        for labelling in y[b, :, :n].tolist():
            counts[index[tuple(labelling)]] += 1
        for target, name in ((scores, "true"), (list(rows(wrong))[b][3], "wrong")):
            p = target.softmax(0)
            kept = p > 1e-3
            z = ((counts / draws - p) / (p * (1 - p) / draws).sqrt())[kept].abs().max().item()
            largest, control = (max(largest, z), control) if name == "true" else (largest, max(control, z))
        assert y[b, :, n:].eq(0).all()
    assert largest < 4.5
    assert control > 10


def test_a_constant_chain_counts_its_labellings():
    chain = LinearChain(torch.zeros(2, 7, 5), torch.zeros(5, 5), torch.tensor([7, 3]))
    assert chain.log_partition.exp().tolist() == pytest.approx([5**7, 5**3], rel=1e-4)


def test_padding_and_order_do_not_matter():
    chain = random_chain([2, 5, 3, 5], seed=4, offset=False)
    for b, n in enumerate(chain.lengths.tolist()):
        alone = LinearChain(chain.emissions[b : b + 1, :n], chain.transitions, chain.lengths[b : b + 1])
        assert alone.log_partition.item() == pytest.approx(chain.log_partition[b].item(), abs=1e-5)


def test_categorical_is_the_chain_of_one_token():
    scores = torch.randn(6, K)
    one = Categorical(scores)
    chain = LinearChain(scores.unsqueeze(1), torch.randn(K, K), torch.ones(6, dtype=torch.long))
    torch.testing.assert_close(one.log_partition, chain.log_partition)
    torch.testing.assert_close(one.log_marginals(), chain.log_marginals().squeeze(1))
    assert one.mode().tolist() == chain.mode().squeeze(1).tolist()
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    torch.testing.assert_close(one.score(y), chain.score(y.unsqueeze(1)))
    torch.testing.assert_close(one.log_conditional(y), chain.log_conditional(y.unsqueeze(1)))
    assert isinstance(one, Labels)
    assert isinstance(chain, Labels)


def test_categorical_entropy_and_samples():
    p = torch.tensor([[0.7, 0.2, 0.1]])
    labels = Categorical(p.log() + 5)
    assert labels.entropy().item() == pytest.approx(-(p * p.log()).sum().item(), abs=1e-5)
    draws = Categorical(p.log().expand(20000, 3)).sample(torch.Generator().manual_seed(0))
    frequency = draws.bincount(minlength=3) / 20000
    assert (frequency - p[0]).abs().max() < 4.5 * (0.25 / 20000) ** 0.5


@pytest.mark.parametrize("behind", [1e6, float("-inf"), float("inf"), float("nan")])
@pytest.mark.parametrize("scale", [1.0, 1e4])  # the latter is computed in the log domain
def test_nothing_behind_an_end_matters_whatever_it_is(behind, scale):
    outcomes = []
    for filled in (0.0, behind):
        lengths, transitions = torch.tensor([4, 2, 1]), torch.randn(K, K, generator=torch.Generator().manual_seed(1))
        emissions = scale * torch.randn(3, 4, K, generator=torch.Generator().manual_seed(0))
        emissions[1, 2:], emissions[2, 1:] = filled, filled
        emissions.requires_grad_(), transitions.requires_grad_()
        chain = LinearChain(emissions, transitions, lengths)
        y = torch.tensor([[0, 1, 2, 0], [2, 1, 0, 0], [1, 0, 0, 0]])
        chain.log_conditional(y).sum().backward()
        marginals = chain.log_marginals().exp()
        outcomes.append(
            [chain.log_partition, chain.mode(), chain.entropy(), emissions.grad, transitions.grad, marginals]
        )
    for one, other in zip(*outcomes, strict=True):
        assert other.isfinite().all() and torch.equal(one, other)
