"""The log-normaliser of sentences, learnt: a l + b, linear in the number of words l, as in the paper."""

import torch
from torch import Tensor, nn

__all__ = ["LogNormaliser"]


class LogNormaliser(nn.Module):
    """a l + b, (B,), of lengths l, (B,); a and b start where the first batch wants them.

    Examples
    --------
    >>> log_normaliser, lengths = LogNormaliser(), torch.tensor([2, 5, 9])
    >>> log_normaliser.calibrate(50.0 * lengths + 3.0, lengths)
    >>> [round(value, 2) for value in log_normaliser(lengths).tolist()]
    [103.0, 253.0, 453.0]
    """

    calibrated: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calibrated", torch.tensor(False))
        self.a = nn.Parameter(torch.zeros(()))
        self.b = nn.Parameter(torch.zeros(()))

    def forward(self, lengths: Tensor) -> Tensor:
        """Of sentences of these lengths."""
        return self.a * lengths + self.b

    @torch.no_grad()
    def calibrate(self, excess: Tensor, lengths: Tensor) -> None:
        """Set a and b by least squares to log p + log Z, (B,), of the first batch; later ones leave them as they are.

        Log-odds so start around 0 instead of hundreds.
        """
        if self.calibrated:
            return
        if len(lengths.unique()) == 1:
            self.a.zero_()
            self.b.copy_(excess.mean())
        else:
            design = torch.stack([lengths.to(excess.dtype), torch.ones_like(excess)], 1)
            slope, level = torch.linalg.lstsq(design, excess.unsqueeze(1)).solution.squeeze(1)
            self.a.copy_(slope)
            self.b.copy_(level)
        self.calibrated.fill_(True)
