"""A potential and a generator of three numbers, for tests of objectives."""

from torch import nn

from fewlabels.labels import Categorical


class Net(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout))
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return Categorical(self.head(self.body(x)))


class Generator(nn.Module):
    latent = 4

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, h):
        return self.net(h)
