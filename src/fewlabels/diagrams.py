"""Diagrams of a single model; those of many runs are in experiments/page.py."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewlabels.calibration import Calibration
from fewlabels.learning_curve import LearningCurve

__all__ = ["learning_curve_diagram", "reliability_diagram"]

OURS, GREY = "#2a6f97", "#bbbbbb"


def reliability_diagram(calibration: Calibration) -> Figure:
    """Accuracy over confidence beside the diagonal of a calibrated model, and below it where the examples are.

    Bars under the diagonal are confidence that was not earned.  The figure belongs to no window: save it, or hand it to
    `page.picture`.
    """
    figure = Figure(figsize=(4.2, 4.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    above.plot([0, 1], [0, 1], linestyle="--", linewidth=1, color="black")
    _bars(above, calibration.accuracy, OURS)
    above.set_ylim(0, 1)
    above.set_ylabel("accuracy", fontsize=9)
    above.set_title(f"ECE {100 * calibration.ece:.1f} %", fontsize=10)
    _bars(below, calibration.share, GREY)
    below.set_xlim(0, 1)
    below.set_ylabel("share", fontsize=9)
    below.set_xlabel("confidence, max p(y | x)", fontsize=9)
    return figure


def learning_curve_diagram(curve: LearningCurve) -> Figure:
    """Error over labelled examples, with standard errors; dashed, what up to twice as many would leave."""
    figure = Figure(figsize=(4.2, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(curve.labelled, 100 * curve.errors, 100 * curve.standard_errors, marker="o", capsize=3, color=OURS)
    further = np.geomspace(curve.labelled[-1], 2 * curve.labelled[-1], 30)
    axes.plot(further, [100 * curve.error_with(labelled) for labelled in further], linestyle="--", color=GREY)
    axes.set_xscale("log", base=2)
    ticks = [*curve.labelled, further[-1]]
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("labelled examples", fontsize=9)
    axes.set_ylabel("error in percent", fontsize=9)
    _plain(axes)
    return figure


def _bars(axes: Axes, heights: np.ndarray, colour: str) -> None:
    """A bar for each bin from 0 to 1; none where there is no height."""
    edges = np.linspace(0, 1, len(heights) + 1)
    axes.bar(edges[:-1], np.nan_to_num(heights), 1 / len(heights), align="edge", color=colour, edgecolor="white")
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
