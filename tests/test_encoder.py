"""The bidirectional LSTM, with and without a projection, against plain loops."""

import pytest
import torch

from fewlabels.sequence.encoder import Encoder, ProjectedLSTM


def plain_projected(lstm, x):
    """The recurrence of the LSTM with recurrent projection, gate by gate."""
    hidden = lstm.projection.shape[1]
    m, c = x.new_zeros(len(x), len(lstm.projection)), x.new_zeros(len(x), hidden)
    outputs = []
    for t in range(x.shape[1]):
        gates = x[:, t] @ lstm.weight.T + m @ lstm.recurrent.T + lstm.bias
        i, f, g, o = gates.split(hidden, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        m = (o.sigmoid() * c.tanh()) @ lstm.projection.T
        outputs.append(m)
    return torch.stack(outputs, 1), c


@pytest.mark.parametrize("projection", [3, 6, 8])
def test_the_projected_lstm_is_its_recurrence_gradients_included(projection):
    lstm = ProjectedLSTM(4, 6, projection).double()
    for parameter in lstm.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(5, 7, 4, dtype=torch.double, requires_grad=True)
    (ours, cell), (plain, last) = lstm(x), plain_projected(lstm, x)
    torch.testing.assert_close(ours, plain, atol=1e-12, rtol=0)
    torch.testing.assert_close(cell, last, atol=1e-12, rtol=0)
    direction, wanted = torch.randn_like(ours), [x, *lstm.parameters()]
    gradients = (torch.autograd.grad((v * direction).sum(), wanted) for v in (ours, plain))
    for mine, truth in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, truth, atol=1e-11, rtol=0)


def test_forget_gates_start_open_and_there_is_one_bias():
    lstm = ProjectedLSTM(4, 6, 3)
    assert {name for name, _ in lstm.named_parameters()} == {"weight", "recurrent", "bias", "projection"}
    assert lstm.bias.tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12
    assert all(p.abs().max() <= 0.1 for p in (lstm.weight, lstm.recurrent, lstm.projection))


def test_the_papers_number_of_parameters():
    encoder = Encoder(600, 512, 512)
    one = 1112 * 2048 + 2048 + 512 * 512
    assert sum(p.numel() for p in encoder.forwards.parameters()) == one
    assert sum(p.numel() for p in encoder.parameters()) == 2 * one


@pytest.mark.parametrize("projection", [None, 3])
def test_both_directions_run_over_each_row_alone_between_its_own_edges(projection):
    encoder = Encoder(4, 6, projection).double()
    vectors, edge = torch.randn(3, 5, 4, dtype=torch.double), torch.randn(2, 4, dtype=torch.double)
    lengths = torch.tensor([5, 1, 3])
    encoded = encoder(vectors, edge, lengths)
    assert encoded.before.shape[2] == encoder.state
    for b, n in enumerate(lengths.tolist()):
        row = vectors[b : b + 1, :n]
        forwards, _ = encoder.forwards(torch.cat([edge[:1].unsqueeze(0), row], 1))
        backwards, _ = encoder.backwards(torch.cat([edge[1:].unsqueeze(0), row.flip(1)], 1))
        states = torch.cat([forwards[0, 1:], backwards[0, 1:].flip(0)], 1)
        torch.testing.assert_close(encoded.at[b, :n], states)
        torch.testing.assert_close(encoded.before[b, :n], forwards[0, :-1])
        torch.testing.assert_close(encoded.after[b, :n], backwards[0, :-1].flip(0))
    apart = encoder(vectors, edge.expand(3, 2, 4), lengths)
    assert torch.equal(apart.at, encoded.at)
