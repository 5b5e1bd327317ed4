"""What tells that training has run away."""

from fewlabels.objective import Terms

__all__ = ["divergence"]

RUNAWAY, LEVEL = 1e3, 1e4
"""Of u(data) - u(samples), and of u(data), whose level may drift: more than this is divergence."""


def divergence(terms: Terms) -> str | None:
    """What is wrong with a step, in words, or None: a value that is not finite, or u that runs away."""
    for name, value in (terms.loss | terms.info).items():
        if not value.isfinite():
            return f"{name} is {value.item()}"
    if "u_samples" in terms.info:
        u, gap = terms.info["u_data"].item(), (terms.info["u_data"] - terms.info["u_samples"]).item()
        if abs(gap) > RUNAWAY:
            return f"u(data) - u(samples) is {gap:.3g}, beyond ±{RUNAWAY:g}"
        if abs(u) > LEVEL:
            return f"u(data) is {u:.3g}, beyond ±{LEVEL:g}"
    return None
